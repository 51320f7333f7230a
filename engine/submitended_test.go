package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestARequestWhoseSubmitterIsEndedSharesNothingWithThoseThatFollow(t *testing.T) {
	type number struct{}
	var mu sync.Mutex
	began, ended := 0, map[int]int{}
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{
		PreProcessors: []engine.PreProcessor{processor(func(r *engine.Request) error {
			if strings.HasSuffix(r.URL, "/ends") {
				runtime.Goexit()
			}
			return nil
		})},
		Observers: []engine.Observer{{
			Begin: func(ctx context.Context, r *engine.Request) context.Context {
				mu.Lock()
				defer mu.Unlock()
				began++
				return context.WithValue(ctx, number{}, began)
			},
			End: func(ctx context.Context, e engine.Ended) {
				mu.Lock()
				defer mu.Unlock()
				ended[ctx.Value(number{}).(int)]++
			},
		}},
	})
	for range 100 {
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			eng.Submit(t.Context(), &engine.Request{Path: "/ends"})
		}()
		<-gone
		var pending []*engine.Pending
		for range 4 {
			pending = append(pending, eng.Submit(t.Context(), &engine.Request{Path: "/"}))
		}
		for _, p := range pending {
			_, err := p.Result()
			require.NoError(t, err)
		}
	}
	require.NoError(t, eng.Close())
	require.Len(t, ended, began)
	for n, times := range ended {
		require.Equal(t, 1, times, "request %d", n)
	}
}

// failing is a context whose Err panics once it has ended.
type failingErr struct{ context.Context }

func (f failingErr) Value(any) any { return nil }

func (f failingErr) Done() <-chan struct{} { return f.Context.Done() }

func (f failingErr) Err() error {
	if err := f.Context.Err(); err != nil {
		panic("the caller's Err")
	}
	return nil
}

func TestAContextThatPanicsAtItsEndEndsASubmittedRequestThatIsShared(t *testing.T) {
	s := newServer(t, dawdles)
	eng := s.newEngine(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	pending := eng.Submit(failingErr{ctx}, &engine.Request{Path: "/", Coalesce: true})
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := pending.Result()
	require.Error(t, err)
}

// endingFor ends the goroutine that it is called on for the first request to /ends.
func endingFor(from string) engine.Config {
	var once sync.Once
	end := func(url string) {
		if strings.HasSuffix(url, "/ends") {
			once.Do(runtime.Goexit)
		}
	}
	config := engine.Config{}
	switch from {
	case "Begin":
		config.Observers = []engine.Observer{{Begin: func(ctx context.Context, r *engine.Request) context.Context {
			end(r.Path)
			return ctx
		}}}
	case "a pre-processor":
		config.PreProcessors = []engine.PreProcessor{processor(func(r *engine.Request) error { end(r.URL); return nil })}
	}
	return config
}

func TestCodeThatEndsItsGoroutineEndsOneRequestOfARun(t *testing.T) {
	for _, from := range []string{"Begin", "a pre-processor"} {
		t.Run(from, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, nil).newEngine(t, endingFor(from))
				input := func(yield func(*engine.Request) bool) {
					for _, path := range []string{"/a", "/ends", "/b"} {
						if !yield(&engine.Request{Path: path}) {
							return
						}
					}
				}
				var ended []string
				finished := false
				done := make(chan struct{})
				go func() {
					defer close(done)
					for req, result := range eng.Stream(t.Context(), input, engine.FanOut{InOrder: true}) {
						var panicked *engine.PanicError
						ended = append(ended, fmt.Sprint(req.Path, errors.As(result.Err, &panicked)))
					}
					finished = true
				}()
				<-done
				require.True(t, finished)
				require.Equal(t, []string{"/afalse", "/endstrue", "/bfalse"}, ended)
			})
		})
		t.Run(from+", in a race", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, nil).newEngine(t, endingFor(from))
				_, index, err := eng.Race(t.Context(), &engine.Request{Path: "/ends"})
				require.Equal(t, -1, index)
				var panicked *engine.PanicError
				require.ErrorAs(t, err, &panicked)
			})
		})
	}
}

func TestASubmittedRequestEndsWhereverCodeEndsItsGoroutine(t *testing.T) {
	for name, config := range map[string]engine.Config{
		"in Wait":             {Observers: []engine.Observer{{Wait: func(context.Context, engine.Waited) { runtime.Goexit() }}}},
		"in Attempt":          {Observers: []engine.Observer{{Attempt: func(context.Context, engine.Attempted) { runtime.Goexit() }}}},
		"in an authenticator": {Auth: doingAuth(runtime.Goexit)},
		"in a post-processor": {PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error {
			runtime.Goexit()
			return nil
		})}},
	} {
		for _, after := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprintf("%s, after %s", name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := config
					if after > 0 {
						config.Limits, config.DefaultLimitID = oneASecond.Limits, "one"
					}
					eng := newServer(t, nil).newEngine(t, config)
					if after == 0 { // it finds a connection, and never waits
						require.NoError(t, eng.Warm(t.Context(), "", 1))
					} else {
						require.NoError(t, eng.AdjustLimit("one", engine.Parts{}, 1))
					}
					_, err := eng.Submit(t.Context(), &engine.Request{Path: "/", Auth: config.Auth != nil}).Result()
					var panicked *engine.PanicError
					require.ErrorAs(t, err, &panicked)
					synctest.Wait()
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

func TestEverySubmittedRequestHasEndedWhenCloseReturns(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) {
			for range 200 {
				eng := newServer(t, nil).newEngine(t, oneASecond)
				require.NoError(t, eng.AdjustLimit("one", engine.Parts{}, 1))
				var pending []*engine.Pending
				for range 20 {
					pending = append(pending, eng.Submit(t.Context(), &engine.Request{Path: "/", Coalesce: shared}))
				}
				require.NoError(t, eng.Close())
				for _, p := range pending {
					select {
					case <-p.Done():
					default:
						require.FailNow(t, "Close has returned, and a request has not ended")
					}
				}
			}
		})
	}
}
