package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// pathsOf are so many requests, each to a path of its own.
func pathsOf(n int, request engine.Request) (all []*engine.Request) {
	for i := range n {
		one := request
		one.Path = fmt.Sprintf("/%d", i)
		all = append(all, &one)
	}
	return all
}

func TestAHaltRefusesAtOnceWhatWaitsInARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, dawdles)
		eng := s.newEngine(t, oneConnection)
		began := time.Now()
		time.AfterFunc(time.Second, func() {
			halt, err := eng.Halt(engine.Filter{PathPrefix: "/"})
			require.NoError(t, err)
			halt.Lift()
		})
		halted := 0
		for req, result := range eng.Stream(t.Context(), slices.Values(pathsOf(5, engine.Request{})), engine.FanOut{RetryLater: 3}) {
			if errors.Is(result.Err, engine.ErrHalted) {
				halted++
				require.LessOrEqual(t, time.Since(began), 1200*time.Millisecond, req.Path)
			}
		}
		require.GreaterOrEqual(t, halted, 4)
		require.Len(t, s.seen(), 1)
		totals := eng.Stats().Totals
		require.EqualValues(t, 5, totals.Begun)
		wantNothingHeld(t, eng)
	})
}

func TestAHaltRefusesAtOnceWhatARunIsToSendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		eng := s.newEngine(t, engine.Config{Feedback: feedback.Reader(func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} })})
		began := time.Now()
		time.AfterFunc(time.Second, func() {
			halt, err := eng.Halt(engine.Filter{PathPrefix: "/"})
			require.NoError(t, err)
			halt.Lift()
		})
		for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(3, engine.Request{})), engine.FanOut{RetryLater: 3}) {
			require.ErrorIs(t, result.Err, engine.ErrHalted)
			require.Equal(t, time.Second, time.Since(began))
		}
		require.Len(t, s.seen(), 3)
		wantNothingHeld(t, eng)
	})
}

func TestEachBoundsWhatWaitsInARunBehindSlowCodeOfTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Connections:   engine.Connections{Max: 2},
			PreProcessors: []engine.PreProcessor{processor(func(*engine.Request) error { time.Sleep(2 * time.Second); return nil })},
		})
		ends := map[time.Duration]int{}
		began := time.Now()
		for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(5, engine.Request{})), engine.FanOut{Each: 200 * time.Millisecond}) {
			require.ErrorIs(t, result.Err, context.DeadlineExceeded)
			ends[time.Since(began)]++
		}
		require.Equal(t, map[time.Duration]int{200 * time.Millisecond: 3, 2 * time.Second: 2}, ends)
		wantNothingHeld(t, eng)
	})
}

func TestObserversAreToldOfWhatARunTurnsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, dawdles)
		var begun, ended atomic.Int64
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 2},
			Observers: []engine.Observer{{
				Begin: func(ctx context.Context, _ *engine.Request) context.Context { begun.Add(1); return ctx },
				End: func(_ context.Context, e engine.Ended) {
					if ended.Add(1)%7 == 0 {
						runtime.Goexit()
					}
				},
			}},
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		results := 0
		for range eng.Stream(ctx, slices.Values(pathsOf(20, engine.Request{})), engine.FanOut{}) {
			results++
		}
		require.Equal(t, 20, results)
		require.EqualValues(t, 20, begun.Load())
		require.EqualValues(t, 20, ended.Load())
		require.EqualValues(t, 20, eng.Stats().Totals.Begun)
		wantNothingHeld(t, eng)
	})
}

// bareWays are all ways of a request whose answer is wanted.
var bareWays = map[string]func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error){
	"Submit": allWays["Submit"],
	"Stream": func(eng *engine.Engine, ctx context.Context, req *engine.Request) (response *engine.Response, err error) {
		for _, result := range eng.Stream(ctx, slices.Values([]*engine.Request{req}), engine.FanOut{}) {
			response, err = result.Response, result.Err
		}
		return response, err
	},
	"Race": func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error) {
		response, _, err := eng.Race(ctx, req)
		return response, err
	},
}

func TestWhatWasSentIsSaidThoughAnObserverEndsTheGoroutineAtTheEnd(t *testing.T) {
	for way, send := range bareWays {
		for _, coalesces := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Observers: []engine.Observer{{End: func(context.Context, engine.Ended) { runtime.Goexit() }}}})
				_, err := send(eng, t.Context(), &engine.Request{Path: "/order", Coalesce: coalesces})
				require.NoError(t, err, "%s, %v: it has its answer", way, coalesces)
				require.Len(t, s.seen(), 1)
				totals := eng.Stats().Totals
				require.EqualValues(t, 1, totals.Begun)
				require.EqualValues(t, 1, totals.Done)
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestWhatWasSentIsSaidThoughAProcessorEndsTheGoroutineOfASharedRequest(t *testing.T) {
	for way, send := range bareWays {
		for _, method := range []string{"GET", "POST"} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
					engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { runtime.Goexit(); return nil }),
				}})
				_, err := send(eng, t.Context(), &engine.Request{Method: method, Path: "/order", Coalesce: true})
				var failed *engine.Error
				require.ErrorAs(t, err, &failed)
				require.Equal(t, engine.SentYes, failed.Sent, "%s, %s", way, method)
				require.Equal(t, 1, failed.Attempts)
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestAStreamMadeOfASharedAnswerIsRefusedAndNotSaidToBeUnsent(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			eng := s.newEngine(t, engine.Config{
				PostProcessors: []engine.PostProcessor{
					engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, r *engine.Response) error {
						r.Stream = http.NoBody
						return nil
					}),
				},
				Observers: []engine.Observer{{End: func(context.Context, engine.Ended) {
					if ends {
						runtime.Goexit()
					}
				}}},
			})
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Coalesce: true})
					var failed *engine.Error
					require.ErrorAs(t, err, &failed)
					require.ErrorIs(t, err, engine.ErrInvalidRequest)
					require.Equal(t, engine.SentYes, failed.Sent)
				})
			}
			all.Wait()
		})
	}
}

func TestARequestThatCannotShareIsSentAsIfItDidNotWantTo(t *testing.T) {
	for way, send := range bareWays {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "head")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
				io.WriteString(w, ", tail")
			})
			eng := s.newEngine(t, engine.Config{})
			read := func(response *engine.Response) string {
				defer response.Stream.Close()
				all, err := io.ReadAll(response.Stream)
				require.NoError(t, err, way)
				return string(all)
			}
			req := &engine.Request{Path: "/", Stream: true, Coalesce: true}
			if way != "Stream" { // whose answers are read in the loop
				response, err := send(eng, t.Context(), req)
				require.NoError(t, err)
				require.Equal(t, "head, tail", read(response))
				return
			}
			for _, result := range eng.Stream(t.Context(), slices.Values([]*engine.Request{req}), engine.FanOut{}) {
				require.NoError(t, result.Err)
				require.Equal(t, "head, tail", read(result.Response))
			}
		})
	}
}

func TestAContextThatPanicsEndsItsSequenceAndNotTheProcess(t *testing.T) {
	sequences := map[string]func(ctx context.Context, eng *engine.Engine) error{
		"Stream": func(ctx context.Context, eng *engine.Engine) (err error) {
			for _, result := range eng.Stream(ctx, slices.Values(pathsOf(2, engine.Request{})), engine.FanOut{}) {
				err = errors.Join(err, result.Err)
			}
			return err
		},
		"Pages": func(ctx context.Context, eng *engine.Engine) (err error) {
			for _, failure := range engine.Pages[struct{}](ctx, eng, &engine.Request{Path: "/"}, engine.Pager{Link: true, Prefetch: true}) {
				err = errors.Join(err, failure)
			}
			return err
		},
		"Events": func(ctx context.Context, eng *engine.Engine) (err error) {
			for _, failure := range engine.Events(ctx, eng, &engine.Request{Path: "/"}, engine.Subscription{}) {
				err = errors.Join(err, failure)
			}
			return err
		},
	}
	for name, ask := range sequences {
		for _, method := range []string{"Err", "Done"} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, dawdles)
				eng := s.newEngine(t, engine.Config{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				evil := treacherous{Context: ctx, method: method, from: 1, always: true, calls: new(atomic.Int64)}
				if method == "Err" {
					evil.from = 3
				}
				require.Error(t, ask(evil, eng), name)
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestTheContextOfAStreamedAnswerInARunEndsWithTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var mu sync.Mutex
		var last context.Context
		eng := s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(ctx context.Context, _ *engine.Request) error {
				mu.Lock()
				defer mu.Unlock()
				last = ctx
				return nil
			}),
		}})
		for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(3, engine.Request{Stream: true})), engine.FanOut{Each: time.Hour, Window: 1}) {
			require.NoError(t, result.Err)
			mu.Lock()
			ctx := last
			mu.Unlock()
			require.NoError(t, ctx.Err())
			result.Response.Stream.Close()
			require.Error(t, ctx.Err(), "nothing is kept for a stream that has ended")
		}
	})
}

func TestTheContextOfAPostProcessorsOwnStreamEndsWithThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last context.Context
		eng := newServer(t, nil).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(ctx context.Context, _ *engine.Request, r *engine.Response) error {
				last = ctx
				r.Stream = io.NopCloser(strings.NewReader("x"))
				return nil
			}),
		}})
		reads := func(s io.ReadCloser) { _, _ = io.Copy(io.Discard, s) }
		closes := func(s io.ReadCloser) { s.Close() }
		for _, end := range []func(io.ReadCloser){reads, closes} {
			for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(3, engine.Request{})), engine.FanOut{Each: time.Hour, Window: 1}) {
				require.NoError(t, result.Err)
				require.NoError(t, last.Err(), "the stream may be made of it")
				end(result.Response.Stream)
				require.Error(t, last.Err(), "nothing is kept for a stream that has ended")
			}
		}
	})
}

func TestAnErrorWhoseBodyStallsHoldsNobodyBack(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for name, wrap := range map[string]func(io.ReadCloser) io.ReadCloser{
			"as it came":               func(r io.ReadCloser) io.ReadCloser { return r },
			"read by a post-processor": func(r io.ReadCloser) io.ReadCloser { return struct{ io.ReadCloser }{r} },
		} {
			_, eng := open(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/good" {
					return
				}
				w.WriteHeader(http.StatusInternalServerError)
				io.WriteString(w, "why")
				flush(w)
				<-r.Context().Done()
			}, engine.Config{PostProcessors: []engine.PostProcessor{wrapping(wrap)}})
			bad, good := &engine.Request{Path: "/bad", Stream: true}, &engine.Request{Path: "/good", Stream: true}

			began := time.Now()
			for req, result := range eng.Stream(t.Context(), slices.Values([]*engine.Request{bad, good, bad}), engine.FanOut{FailStatuses: true}) {
				if req == good {
					require.Zero(t, time.Since(began), name)
					require.NoError(t, result.Response.Stream.Close())
					continue
				}
				require.Equal(t, time.Second, time.Since(began), "both at the same time")
				status, is := errors.AsType[*engine.StatusError](result.Err)
				require.True(t, is)
				require.Equal(t, "why", string(status.Body), "what has come is kept")
			}
			synctest.Wait()
			wantNothingHeld(t, eng)

			began = time.Now()
			response, index, err := eng.Hedge(t.Context(), 100*time.Millisecond, bad, good)
			require.NoError(t, err)
			require.Equal(t, 1, index)
			require.Equal(t, 100*time.Millisecond, time.Since(began), name)
			require.NoError(t, response.Stream.Close())
			_, _, err = eng.Race(t.Context(), bad, bad)
			require.Equal(t, 1100*time.Millisecond, time.Since(began), name)
			status, is := errors.AsType[*engine.StatusError](err)
			require.True(t, is)
			require.Equal(t, "why", string(status.Body))
			synctest.Wait()
			wantNothingHeld(t, eng)
		}
	})
}

func TestMapTellsKeysThatRepeatThemselvesForEverThatItsRunIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		var forEver iter.Seq[string] = func(yield func(string) bool) {
			for yield("A") {
				time.Sleep(10 * time.Millisecond)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := engine.Map[string, any](ctx, eng, forEver, func(string) *engine.Request { return &engine.Request{Path: "/"} }, engine.FanOut{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), 1100*time.Millisecond)
	})
}

func TestARunTakesNoMoreCreditsThanThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Admission: engine.Admission{MaxInFlight: 2, MaxWaiting: -1}})
		for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(100, engine.Request{})), engine.FanOut{}) {
			require.NoError(t, result.Err)
		}
	})
}

func TestAnExchangeThatIsCutOffAtItsHeadHasTakenNoNegativeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			io.WriteString(w, "head")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		})
		var took []time.Duration
		eng := s.newEngine(t, engine.Config{Observers: []engine.Observer{{Attempt: func(_ context.Context, a engine.Attempted) { took = append(took, a.Took) }}}})
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { cancel(); synctest.Wait() }})
		_, err := eng.Do(ctx, &engine.Request{Path: "/", Stream: true})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []time.Duration{time.Second}, took)
	})
}

func TestASharedRequestTellsHowLongItHasWaitedForItsCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		eng := s.newEngine(t, engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: 9}})
		go func() { _, _ = eng.Do(t.Context(), &engine.Request{Path: "/busy"}) }()
		synctest.Wait()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Coalesce: true})
		require.NoError(t, err)
		require.Equal(t, time.Second, response.Timing.Admitted)
		require.Equal(t, 2*time.Second, response.Timing.Total)
	})
}

func TestARequestWhoseObserverEndsTheGoroutineAtTheBeginningIsCountedOnce(t *testing.T) {
	ways := map[string]func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error){"Do": allWays["Do"]}
	for way, send := range bareWays {
		ways[way] = send
	}
	for way, send := range ways {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			eng := s.newEngine(t, engine.Config{Observers: []engine.Observer{{
				Begin: func(ctx context.Context, _ *engine.Request) context.Context { runtime.Goexit(); return ctx },
			}}})
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = send(eng, t.Context(), &engine.Request{Path: "/"})
			}()
			<-gone
			totals := eng.Stats().Totals
			require.EqualValues(t, 1, totals.Begun, way)
			require.EqualValues(t, 1, totals.NotSent, way)
			wantNothingHeld(t, eng)
		})
	}
}

func TestACostThatPanicsEndsItsRequestThoughProgressIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		limits := limitsOf(10, time.Second)
		eng := s.newEngine(t, engine.Config{
			Limits: limits, DefaultLimitID: limits[0].ID,
			Costs: map[string]func(*engine.Request) int64{limits[0].ID: func(r *engine.Request) int64 {
				if r.Path == "/7" {
					panic("a cost")
				}
				return 1
			}},
		})
		failed := 0
		for _, result := range eng.Stream(t.Context(), slices.Values(pathsOf(100, engine.Request{})), engine.FanOut{OnProgress: func(engine.Progress) {}}) {
			var panicked *engine.PanicError
			if errors.As(result.Err, &panicked) {
				failed++
			}
		}
		require.Equal(t, 1, failed)
		wantNothingHeld(t, eng)
	})
}
