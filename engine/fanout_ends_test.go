package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// deadly is a post-processor's stream whose Close ends the goroutine that it is called on.
type deadly struct{ io.ReadCloser }

func (d deadly) Close() error {
	_ = d.ReadCloser.Close()
	runtime.Goexit()
	return nil
}

// deadlyStreams has every stream end whom it is closed by; without one it makes one.
func deadlyStreams(always bool) engine.PostProcessor {
	return engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, response *engine.Response) error {
		switch {
		case response.Stream != nil:
			response.Stream = deadly{response.Stream}
		case always:
			response.Stream = deadly{http.NoBody}
		}
		return nil
	})
}

func TestACloseThatEndsItsGoroutineLosesNoRequestThatGoesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }).
			newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{deadlyStreams(false)}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		n := 0
		for _, result := range eng.Stream(ctx, these(&engine.Request{Path: "/1", Stream: true}), engine.FanOut{RetryLater: 1, FailStatuses: true}) {
			n++
			require.Equal(t, 2, result.Tries)
			status, is := errors.AsType[*engine.StatusError](result.Err)
			require.True(t, is, "%v", result.Err)
			require.Equal(t, http.StatusTooManyRequests, status.StatusCode)
		}
		require.Equal(t, 1, n)
		require.NoError(t, ctx.Err())
		wantNothingHeld(t, eng)
	})
}

func TestALoopThatIsLeftClosesAllStreamsThoughOneEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{deadlyStreams(false)}})
		left := false
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			requests := slices.Repeat([]*engine.Request{{Path: "/1", Stream: true}}, 8)
			for range eng.Stream(t.Context(), these(requests...), engine.FanOut{}) {
				time.Sleep(time.Second) // the others are ready
				break
			}
			left = true
		}()
		<-ended
		require.True(t, left, "the loop's own goroutine goes on")
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestAStreamOfAProcessorsThatEndsItsGoroutineLeavesNobodyWaitingForASharedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{deadlyStreams(true)}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := eng.Do(ctx, &engine.Request{Path: "/1", Coalesce: true})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.NoError(t, ctx.Err())
	})
}

// deadlyError is an error that ends the goroutine that asks it once too often.
type deadlyError struct{ patience *atomic.Int64 }

func (deadlyError) Error() string { return "ask me not" }

func (d deadlyError) Is(error) bool {
	if d.patience.Add(-1) == 0 {
		runtime.Goexit()
	}
	return false
}

func TestAnErrorThatEndsWhoeverAsksItDoesNotGoAgainAndIsTold(t *testing.T) {
	for patience := range int64(12) {
		synctest.Test(t, func(t *testing.T) {
			d := deadlyError{new(atomic.Int64)}
			d.patience.Store(patience)
			eng := newServer(t, asAsked).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
				engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { return d }),
			}})
			n := 0
			for _, result := range eng.Stream(t.Context(), asking(3, plain, nil), engine.FanOut{RetryLater: 1}) {
				n++
				require.Equal(t, 1, result.Tries)
				require.Error(t, result.Err)
			}
			require.Equal(t, 3, n)
		})
	}
}

// What stopped a run is told, and nobody is blamed who was cancelled with it.
func TestARunThatEndsByItselfBlamesNoneOfItsRequests(t *testing.T) {
	for name, within := range map[string]time.Duration{"by its context": 0, "by Within": time.Second} {
		for _, window := range []int{4, 100} {
			t.Run(fmt.Sprint(name, ", ", window, " at once"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }).newEngine(t, engine.Config{})
					requests := make([]*engine.Request, 10)
					keys := make([]int, len(requests))
					for i := range requests {
						keys[i], requests[i] = i, &engine.Request{Path: plain(i)}
					}
					how, want := engine.FanOut{StopAtFirst: true, Window: window, Within: within}, context.DeadlineExceeded
					for call, do := range map[string]func(context.Context) error{
						"All":      func(ctx context.Context) error { _, err := eng.All(ctx, requests, how); return err },
						"FetchAll": func(ctx context.Context) error { _, err := engine.FetchAll[any](ctx, eng, requests, how); return err },
						"Map": func(ctx context.Context) error {
							_, err := engine.Map[int, any](ctx, eng, slices.Values(keys), func(i int) *engine.Request { return requests[i] }, how)
							return err
						},
					} {
						ctx, cancel := context.WithCancel(t.Context())
						if within == 0 {
							want = context.Canceled
							time.AfterFunc(time.Second, cancel)
						}
						err := do(ctx)
						cancel()
						ended, is := err.(*engine.RunError)
						require.True(t, is, "%s: %v", call, err)
						require.EqualValues(t, min(window, 10), ended.Pulled)
						require.ErrorIs(t, ended, want)
						require.NotErrorIs(t, ended, engine.ErrStopped)
						require.Equal(t, window < 10, errorSays(ended, "has or may have more"), "%v", ended)
					}
				})
			})
		}
	}
}

func TestARunThatAFailureHasStoppedBlamesThatOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		requests := []*engine.Request{{Path: "/0/5000"}, {Path: "/1/1000/500"}, {Path: "/2/5000"}}
		_, err := eng.All(ctx, requests, engine.FanOut{StopAtFirst: true, FailStatuses: true})
		failure, is := err.(*engine.Failure)
		require.True(t, is, "%v", err)
		require.EqualValues(t, 1, failure.Index)
	})
}

func TestWhatWaitedToGoAgainSaysOfItsEndThatItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Minute}}, DefaultLimitID: "one",
		})
		go func() {
			time.Sleep(5 * time.Second)
			_ = eng.Close()
		}()
		n := 0
		for _, result := range eng.Stream(t.Context(), these(&engine.Request{Path: "/1", Timeout: 10 * time.Second}), engine.FanOut{RetryLater: 3}) {
			n++
			failure, is := errors.AsType[*engine.Error](result.Err)
			require.True(t, is)
			require.ErrorIs(t, failure, engine.ErrClosed)
			require.Equal(t, engine.SentMaybe, failure.Sent)
			require.Equal(t, 1, failure.Attempts)
			require.Len(t, s.seen(), 1)
		}
		require.Equal(t, 1, n)
	})
}

func errorSays(err error, what string) bool { return strings.Contains(err.Error(), what) }
