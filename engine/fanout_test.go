package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/engine"
)

// asAsked answers /<n>/<milliseconds>/<status> as it is asked, and without the last two at once.
func asAsked(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) > 2 {
		pause, _ := strconv.Atoi(parts[2])
		select {
		case <-time.After(time.Duration(pause) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	if len(parts) > 3 {
		status, _ := strconv.Atoi(parts[3])
		w.WriteHeader(status)
	}
	fmt.Fprint(w, parts[1])
}

// asking yields so many requests, whose paths come from a function, and counts them.
func asking(n int, path func(int) string, pulled *atomic.Int64) iter.Seq[*engine.Request] {
	return func(yield func(*engine.Request) bool) {
		for i := range n {
			if pulled != nil {
				pulled.Add(1)
			}
			if !yield(&engine.Request{Path: path(i)}) {
				return
			}
		}
	}
}

func plain(i int) string { return "/" + strconv.Itoa(i) }

func TestEveryRequestOfAStreamHasOneResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		for _, inOrder := range []bool{false, true} {
			var indices []int64
			start := time.Now()
			path := func(i int) string { return fmt.Sprintf("/%d/%d", i, 10+(i*7)%50) }
			for req, result := range eng.Stream(t.Context(), asking(500, path, nil), engine.FanOut{InOrder: inOrder, Window: 100}) {
				require.NoError(t, result.Err)
				require.Same(t, req, result.Request)
				require.Equal(t, path(int(result.Index)), req.Path)
				require.Equal(t, strconv.FormatInt(result.Index, 10), result.Response.Text())
				require.Equal(t, 1, result.Tries)
				indices = append(indices, result.Index)
			}
			require.Less(t, time.Since(start), 2*time.Second, "they go out together")
			require.Equal(t, inOrder, slices.IsSorted(indices))
			slices.Sort(indices)
			require.Len(t, slices.Compact(indices), 500)
		}
		wantNothingHeld(t, eng)
	})
}

func TestAStreamThatIsLeftAnywhereCancelsTheRestAndWaitsForIt(t *testing.T) {
	leave := map[string]func(){
		"break":  nil,
		"panic":  func() { panic("mine") },
		"goexit": runtime.Goexit,
	}
	for name, how := range leave {
		for at := range 12 {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					eng := newServer(t, asAsked).newEngine(t, engine.Config{})
					seen, pulled := 0, new(atomic.Int64)
					done := make(chan any, 1)
					go func() {
						defer func() {
							done <- recover()
							// Nothing is on its way when the loop is over.
							if n := eng.Stats().InFlight; n != 0 {
								t.Errorf("%d in flight", n)
							}
							close(done)
						}()
						path := func(i int) string { return fmt.Sprintf("/%d/%d", i, i*10) }
						for range eng.Stream(t.Context(), asking(12, path, pulled), engine.FanOut{Window: 5, InOrder: at%2 == 0}) {
							if seen++; seen > at {
								if how == nil {
									break
								}
								how()
							}
						}
					}()
					recovered := <-done
					<-done
					require.Equal(t, at+1, seen)
					if name == "panic" {
						require.Equal(t, "mine", recovered)
					} else {
						require.Nil(t, recovered)
					}
					require.LessOrEqual(t, pulled.Load(), int64(at+5+1))
					synctest.Wait()
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

func TestAContextThatEndsEndsAStreamAndSaysSo(t *testing.T) {
	mine := errors.New("mine")
	for name, when := range map[string]time.Duration{"before": 0, "during": 55 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, asAsked).newEngine(t, engine.Config{})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if when == 0 {
					cancel(mine)
				} else {
					time.AfterFunc(when, func() { cancel(mine) })
				}
				var good, bad, last int
				path := func(i int) string { return fmt.Sprintf("/%d/%d", i, 20) }
				for req, result := range eng.Stream(ctx, asking(1000, path, nil), engine.FanOut{Window: 10}) {
					require.Zero(t, last, "the result of the run is the last")
					switch {
					case result.Index < 0:
						last++
						require.Nil(t, req)
						run, ok := errors.AsType[*engine.RunError](result.Err)
						require.True(t, ok)
						require.EqualValues(t, good+bad, run.Pulled)
						require.ErrorIs(t, run, mine)
						require.ErrorIs(t, run, context.Canceled)
					case result.Err != nil:
						require.ErrorIs(t, result.Err, mine)
						bad++
					default:
						good++
					}
				}
				require.Equal(t, 1, last)
				if when == 0 {
					require.Zero(t, good+bad)
				} else {
					require.Equal(t, 20, good)
					require.GreaterOrEqual(t, bad, 10)
				}
				wantNothingHeld(t, eng)
			})
		})
	}
	t.Run("after", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, asAsked).newEngine(t, engine.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			for _, result := range eng.Stream(ctx, asking(3, plain, nil), engine.FanOut{}) {
				require.NoError(t, result.Err)
				if n++; n == 3 {
					time.Sleep(time.Second) // the input has ended meanwhile
					cancel()
				}
			}
			require.Equal(t, 3, n, "an input that had ended was not cut short")
		})
	})
}

func TestAPanicInTheInputComesToTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		input := func(yield func(*engine.Request) bool) {
			yield(&engine.Request{Path: "/0/5000"})
			panic("of the input")
		}
		start := time.Now()
		require.PanicsWithValue(t, "of the input", func() {
			for range eng.Stream(t.Context(), input, engine.FanOut{}) {
				t.Error("there is no result")
			}
		})
		require.Less(t, time.Since(start), time.Second, "what is on its way is cancelled")
		wantNothingHeld(t, eng)

		// One that goes on when it was told to stop panics, as it would in a loop over itself.
		goesOn := func(yield func(*engine.Request) bool) {
			for yield(&engine.Request{Path: "/1"}) {
			}
			yield(nil)
		}
		require.Panics(t, func() {
			for range eng.Stream(t.Context(), goesOn, engine.FanOut{Window: 1}) {
				break
			}
		})

		// runtime.Goexit, as require calls it, ends the goroutine of the loop.
		exited, after := make(chan struct{}), false
		go func() {
			defer close(exited)
			for range eng.Stream(t.Context(), func(func(*engine.Request) bool) { runtime.Goexit() }, engine.FanOut{}) {
			}
			after = true
		}()
		<-exited
		require.False(t, after)

		// Beside a panic of the loop it is the loop's that counts.
		require.PanicsWithValue(t, "of the loop", func() {
			both := func(yield func(*engine.Request) bool) {
				if !yield(&engine.Request{Path: "/1"}) || !yield(&engine.Request{Path: "/2"}) {
					panic("of the input")
				}
			}
			for range eng.Stream(t.Context(), both, engine.FanOut{Window: 1}) {
				panic("of the loop")
			}
		})
	})
}

func TestASlowInputHoldsBackNoResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		start := time.Now()
		input := func(yield func(*engine.Request) bool) {
			for i := range 3 {
				if !yield(&engine.Request{Path: fmt.Sprintf("/%d/10", i)}) {
					return
				}
				time.Sleep(time.Minute)
			}
		}
		var came []time.Duration
		for _, result := range eng.Stream(t.Context(), input, engine.FanOut{Window: 2}) {
			require.NoError(t, result.Err)
			came = append(came, time.Since(start))
		}
		require.Equal(t, []time.Duration{10 * time.Millisecond, time.Minute + 10*time.Millisecond, 2*time.Minute + 10*time.Millisecond}, came)
	})
}

func TestAnInputThatDoesNotReturnIsWaitedForATimeAndNamedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		stuck := make(chan struct{})
		input := func(yield func(*engine.Request) bool) {
			yield(&engine.Request{Path: "/0"})
			<-stuck
			yield(&engine.Request{Path: "/1"})
		}
		start := time.Now()
		for _, result := range eng.Stream(t.Context(), input, engine.FanOut{}) {
			require.NoError(t, result.Err)
			break
		}
		require.Equal(t, 10*time.Second, time.Since(start))
		synctest.Wait()
		require.Contains(t, log.String(), "its input has not returned")
		require.Contains(t, log.String(), "called_from=")

		// The end of the context ends the loop, although the input does not return.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results := 0
		for _, result := range eng.Stream(ctx, input, engine.FanOut{}) {
			results++
			if results == 2 {
				require.EqualValues(t, -1, result.Index)
				require.ErrorIs(t, result.Err, context.DeadlineExceeded)
				require.Equal(t, 11*time.Second, time.Since(start))
			}
		}
		require.Equal(t, 2, results)
		require.Equal(t, 21*time.Second, time.Since(start))
		close(stuck)
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestWhatCannotBeRunIsAResultWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asAsked)
		eng := s.newEngine(t, engine.Config{})
		one := asking(1, plain, nil)
		all := func(results iter.Seq2[*engine.Request, engine.Result]) (got []engine.Result) {
			for _, result := range results {
				got = append(got, result)
			}
			return got
		}
		run := func(results iter.Seq2[*engine.Request, engine.Result], cause error) *engine.RunError {
			got := all(results)
			require.Len(t, got, 1)
			require.EqualValues(t, -1, got[0].Index)
			failure, ok := errors.AsType[*engine.RunError](got[0].Err)
			require.True(t, ok)
			require.ErrorIs(t, failure, cause)
			return failure
		}
		run(eng.Stream(missingContext, one, engine.FanOut{}), engine.ErrInvalidRun)
		run(eng.Stream(t.Context(), nil, engine.FanOut{}), engine.ErrInvalidRun)
		wrong := run(eng.Stream(t.Context(), one, engine.FanOut{Window: -1, Each: -1, Within: -1, RetryLater: -1, ProgressEvery: -1, Total: -1}), engine.ErrInvalidRun)
		for _, field := range []string{"Window", "Each", "Within", "RetryLater", "ProgressEvery", "Total"} {
			require.ErrorContains(t, wrong, "FanOut."+field+" is below zero: -1")
		}
		run((*engine.Engine)(nil).Stream(t.Context(), one, engine.FanOut{}), engine.ErrNoEngine)
		run((&engine.Engine{}).Stream(t.Context(), one, engine.FanOut{}), engine.ErrNoEngine)
		var panicked *engine.PanicError
		require.ErrorAs(t, all(eng.Stream((*brokenContext)(nil), one, engine.FanOut{}))[0].Err, &panicked)

		results := eng.Stream(t.Context(), one, engine.FanOut{})
		require.Len(t, all(results), 1)
		run(results, engine.ErrRanTwice)

		got := all(eng.Stream(t.Context(), slices.Values([]*engine.Request{nil, {Path: "/1"}}), engine.FanOut{InOrder: true}))
		require.Len(t, got, 2)
		require.ErrorIs(t, got[0].Err, engine.ErrInvalidRequest)
		require.NoError(t, got[1].Err)

		require.Empty(t, all(eng.Stream(t.Context(), slices.Values([]*engine.Request(nil)), engine.FanOut{})))

		require.NoError(t, eng.Close())
		got = all(eng.Stream(t.Context(), asking(3, plain, nil), engine.FanOut{}))
		require.Len(t, got, 3)
		for _, result := range got {
			require.ErrorIs(t, result.Err, engine.ErrClosed)
		}
	})
}

// brokenContext has methods that panic when it is nil.
type brokenContext struct{ context.Context }

func TestAStreamStopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		path := func(i int) string {
			if i == 3 {
				return "/3/50/404"
			}
			return fmt.Sprintf("/%d/%d", i, 10000)
		}
		start, pulled := time.Now(), new(atomic.Int64)
		var failures []error
		var stopped int
		for req, result := range eng.Stream(t.Context(), asking(1000, path, pulled), engine.FanOut{Window: 20, FailStatuses: true, StopAtFirst: true}) {
			switch {
			case errors.Is(result.Err, engine.ErrStopped):
				require.ErrorIs(t, result.Err, context.Canceled)
				stopped++
			default:
				status, ok := errors.AsType[*engine.StatusError](result.Err)
				require.True(t, ok)
				require.Equal(t, 404, status.StatusCode)
				require.Equal(t, "3", string(status.Body))
				require.Nil(t, result.Response)
				require.Equal(t, "/3/50/404", req.Path)
				failures = append(failures, result.Err)
			}
		}
		require.Len(t, failures, 1)
		require.Equal(t, 19+1, stopped, "those on their way, and the run itself")
		require.EqualValues(t, 20, pulled.Load())
		require.Less(t, time.Since(start), time.Second)
		wantNothingHeld(t, eng)
	})
}

func TestDeadlinesOfOneRequestAndOfTheWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		path := func(i int) string { return fmt.Sprintf("/%d/%d", i, []int{10, 500}[i%2]) }
		late := 0
		for _, result := range eng.Stream(t.Context(), asking(20, path, nil), engine.FanOut{Each: 100 * time.Millisecond}) {
			if result.Index%2 == 0 {
				require.NoError(t, result.Err)
				continue
			}
			require.ErrorIs(t, result.Err, context.DeadlineExceeded)
			late++
		}
		require.Equal(t, 10, late)

		start := time.Now()
		results, err := eng.All(t.Context(), slices.Collect(asking(20, path, nil)), engine.FanOut{Within: 200 * time.Millisecond, Window: 2})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(start), time.Second)
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.Error(t, failures.Run, "%v", err)
		require.Len(t, results, 20)
		for i, result := range results {
			require.EqualValues(t, i, result.Index)
			require.Equal(t, path(i), result.Request.Path)
			require.True(t, (result.Err == nil) == (result.Response != nil))
		}
		wantNothingHeld(t, eng)
	})
}

func TestStreamsOfResultsAreTheLoopsAndThoseNotHandedOverAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		input := func(yield func(*engine.Request) bool) {
			for i := range 10 {
				if !yield(&engine.Request{Path: plain(i), Stream: true}) {
					return
				}
			}
		}
		read := 0
		for _, result := range eng.Stream(t.Context(), input, engine.FanOut{InOrder: true, Each: time.Hour}) {
			require.NoError(t, result.Err)
			body, err := io.ReadAll(result.Response.Stream)
			require.NoError(t, err)
			require.Equal(t, strconv.FormatInt(result.Index, 10), string(body))
			time.Sleep(time.Second) // the others are there by now, and wait
			if read++; read == 3 {
				break
			}
		}
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

// Never are more of them read from the input and not yet handed over than the window
// has room for, whatever takes how long, in order and out of it.
func TestNoMoreThanAWindowIsEverUndelivered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.IntRange(1, 12).Draw(rt, "window")
		inOrder := rapid.Bool().Draw(rt, "in order")
		takes := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 60).Draw(rt, "takes")
		body := rapid.IntRange(0, 40).Draw(rt, "body")
		source := rapid.IntRange(0, 20).Draw(rt, "source")
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, asAsked).newEngine(t, engine.Config{})
			var mu sync.Mutex
			pulled, most := 0, 0
			delivered := 0
			input := func(yield func(*engine.Request) bool) {
				for i, ms := range takes {
					time.Sleep(time.Duration(source) * time.Millisecond)
					mu.Lock()
					pulled++
					most = max(most, pulled-delivered)
					mu.Unlock()
					if !yield(&engine.Request{Path: fmt.Sprintf("/%d/%d", i, ms)}) {
						return
					}
				}
			}
			for _, result := range eng.Stream(t.Context(), input, engine.FanOut{Window: window, InOrder: inOrder}) {
				if result.Err != nil || inOrder && result.Index != int64(delivered) {
					rt.Fatalf("result %d after %d: %v", result.Index, delivered, result.Err)
				}
				time.Sleep(time.Duration(body) * time.Millisecond)
				mu.Lock()
				delivered++
				mu.Unlock()
			}
			if delivered != len(takes) || most > window {
				rt.Fatalf("%d of %d, %d undelivered with a window of %d", delivered, len(takes), most, window)
			}
		})
	})
}
