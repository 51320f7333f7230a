package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// these yields requests that were made before.
func these(requests ...*engine.Request) iter.Seq[*engine.Request] { return slices.Values(requests) }

func TestARunHasNoMoreOnTheirWayToAnOriginThanItMayHaveConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asAsked)
		for _, c := range []engine.Connections{{Max: 3}, {MaxTotal: 3}} {
			eng := s.newEngine(t, engine.Config{Connections: c})
			s.mu.Lock()
			before := len(s.arrivals)
			s.mu.Unlock()
			go func() {
				time.Sleep(50 * time.Millisecond) // amid the first three
				stats := eng.Stats()
				require.Len(t, s.seen(), before+3)
				require.Equal(t, 3, stats.InFlight)
				require.Zero(t, stats.Pools[0].Waiting, "the others wait in the run")
			}()
			start, n := time.Now(), 0
			for _, result := range eng.Stream(t.Context(), asking(30, func(i int) string { return fmt.Sprintf("/%d/100", i) }, nil), engine.FanOut{}) {
				require.NoError(t, result.Err)
				require.Zero(t, result.Response.Timing.Leased, "nobody waits for a connection but for the dial, which takes no time")
				n++
			}
			require.Equal(t, 30, n)
			require.Equal(t, time.Second, time.Since(start), "three at a time")
			wantNothingHeld(t, eng)
		}
	})
}

func TestTheEndOfARequestBeginsTheNextOnItsConnectionAndGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asAsked)
		var mu sync.Mutex
		carriers := make(map[string]bool)
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 4},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				mu.Lock()
				defer mu.Unlock()
				carriers[goroutine()] = true
				return nil
			})},
		})
		for _, result := range eng.Stream(t.Context(), asking(5_000, func(i int) string { return fmt.Sprintf("/%d/1", i) }, nil), engine.FanOut{}) {
			require.NoError(t, result.Err)
		}
		require.LessOrEqual(t, len(carriers), 4)
	})
}

// Whoever waits for a limit holds up nobody whose limit has room, however many they are.
func TestThoseWhoWaitForALimitHoldUpNobodyElse(t *testing.T) {
	for _, waiting := range []int{1, 63, 64, 65, 300, 900} {
		t.Run(fmt.Sprint(waiting), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, asAsked).newEngine(t, engine.Config{Limits: []throttle.Limit{
					{ID: "slow", Quota: 1, Per: time.Hour}, {ID: "quick", Quota: 1_000_000, Per: time.Second},
				}})
				require.NoError(t, eng.AdjustLimit("slow", engine.Parts{}, 1))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				input := func(yield func(*engine.Request) bool) {
					for range waiting {
						if !yield(&engine.Request{Path: "/slow", LimitID: "slow"}) {
							return
						}
					}
					for i := range 500 {
						if !yield(&engine.Request{Path: fmt.Sprintf("/%d/10", i), LimitID: "quick"}) {
							return
						}
					}
				}
				start, quick, slow := time.Now(), 0, 0
				for req, result := range eng.Stream(ctx, input, engine.FanOut{}) {
					switch {
					case req.LimitID == "slow":
						require.ErrorIs(t, result.Err, context.Canceled)
						require.Equal(t, engine.NotSent, engine.OutcomeOf(result.Err))
						slow++
					default:
						require.NoError(t, result.Err)
						quick++
					}
					if quick == 500 && slow == 0 {
						require.LessOrEqual(t, time.Since(start), time.Second)
						require.Equal(t, waiting, eng.Stats().Queued)
						cancel()
					}
				}
				require.Equal(t, 500, quick)
				require.Equal(t, waiting, slow)
				require.LessOrEqual(t, time.Since(start), time.Second)
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestARunThroughALimitIsAsFastAsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "api", Quota: 100, Per: time.Second}}, DefaultLimitID: "api",
			Connections: engine.Connections{Max: 8},
		})
		start, n := time.Now(), 0
		for _, result := range eng.Stream(t.Context(), asking(1_000, plain, nil), engine.FanOut{}) {
			require.NoError(t, result.Err)
			n++
		}
		require.Equal(t, 1_000, n)
		require.InDelta(t, 9, time.Since(start).Seconds(), 0.1)
		wantNothingHeld(t, eng)
	})
}

func TestAPauseBetweenAttemptsHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/busy") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			asAsked(w, r)
		})
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 2},
			Retry:       engine.Retry{Statuses: []int{503}, Base: time.Hour, Cap: time.Hour},
			Feedback:    func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} }, // a pause of the origin is another wait
		})
		input := func(yield func(*engine.Request) bool) {
			for range 5 {
				yield(&engine.Request{Path: "/busy"})
			}
			for i := range 100 {
				yield(&engine.Request{Path: fmt.Sprintf("/%d/10", i)})
			}
		}
		start, n := time.Now(), 0
		for req, result := range eng.Stream(t.Context(), input, engine.FanOut{}) {
			require.NoError(t, result.Err)
			if n++; n <= 100 {
				require.NotEqual(t, "/busy", req.Path)
				require.LessOrEqual(t, time.Since(start), 2*time.Second)
			}
		}
		require.Equal(t, 105, n)
	})
}

func TestAnOriginThatDoesNotAnswerHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Host, "dead") {
				<-r.Context().Done()
				return
			}
			asAsked(w, r)
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		input := func(yield func(*engine.Request) bool) {
			for i := range 200 {
				yield(&engine.Request{URL: fmt.Sprintf("http://dead.test/%d", i)})
				yield(&engine.Request{URL: fmt.Sprintf("http://host%d.test?%d/10", i%90, i)})
				yield(&engine.Request{Path: fmt.Sprintf("/%d/10", i)})
			}
		}
		start, alive, dead := time.Now(), 0, 0
		for _, result := range eng.Stream(ctx, input, engine.FanOut{}) {
			if result.Err != nil {
				require.ErrorIs(t, result.Err, context.Canceled)
				dead++
				continue
			}
			if alive++; alive == 400 {
				cancel()
			}
		}
		require.Equal(t, []int{400, 200}, []int{alive, dead})
		require.Equal(t, time.Second, time.Since(start), "100 times two to the engine's own origin, the others meanwhile")
	})
}

func TestTheMoreUrgentOfARunDoNotWaitBehindTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
		var requests []*engine.Request
		for i := range 20 {
			requests = append(requests, &engine.Request{Path: fmt.Sprintf("/%d/1000", i)})
		}
		requests = append(requests, &engine.Request{Path: "/20/1000", Priority: engine.High})
		var order []int64
		for _, result := range eng.Stream(t.Context(), these(requests...), engine.FanOut{}) {
			require.NoError(t, result.Err)
			order = append(order, result.Index)
		}
		require.Less(t, slices.Index(order, 20), 4)
	})
}

func TestTheLessUrgentOfARunWaitInTheRunForTheMoreUrgent(t *testing.T) {
	for name, test := range map[string]struct {
		priority func(i int) engine.Priority
		most     int // on their way at once
	}{
		"all alike":        {func(int) engine.Priority { return engine.High }, 2},
		"ever less urgent": {func(i int) engine.Priority { return engine.Priority(-i) }, 2},
		// Two of the urgent are on connections, and two wait for the next before whom of the others began.
		"in turns":            {func(i int) engine.Priority { return engine.Priority(-100 * (i % 2)) }, 5},
		"the first is least":  {func(i int) engine.Priority { return engine.Priority(min(i, 1)) }, 5},
		"an urgent one later": {func(i int) engine.Priority { return engine.Priority(100 * (i / 29)) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, asAsked).newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
				requests := make([]*engine.Request, 30)
				for i := range requests {
					requests[i] = &engine.Request{Path: fmt.Sprintf("/%d/100", i), Priority: test.priority(i), Timeout: 350 * time.Millisecond}
					if i < 2 { // it begins before the more urgent are read, and may wait in the pool while they go
						requests[i].Timeout = 0
					}
				}
				results, counts := eng.StreamAndCrews(t.Context(), these(requests...), engine.FanOut{})
				peak, start := 0, time.Now()
				for _, result := range results {
					require.NoError(t, result.Err, "its time begins when it does")
					_, out, _ := counts()
					peak = max(peak, out, eng.Stats().InFlight)
				}
				require.Equal(t, 1500*time.Millisecond, time.Since(start), "two at a time")
				require.LessOrEqual(t, peak, test.most)
				wantNothingHeld(t, eng)
			})
		})
	}
}

// Code of the caller's that ends its goroutine ends one request each, and the run goes on.
func TestTheEndOfAGoroutineEndsOneRequestOfARun(t *testing.T) {
	places := map[string]func(func()) engine.Config{
		"before": func(harm func()) engine.Config {
			return engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				harm()
				return nil
			})}}
		},
		"behind": func(harm func()) engine.Config {
			return engine.Config{PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error {
				harm()
				return nil
			})}}
		},
		"at its beginning, in a hook": func(harm func()) engine.Config {
			return engine.Config{Observers: []engine.Observer{{Begin: func(ctx context.Context, _ *engine.Request) context.Context {
				harm()
				return ctx
			}}}}
		},
	}
	for name, place := range places {
		for harmName, harm := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("mine") }} {
			t.Run(name+", "+harmName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var turn atomic.Int64
					config := place(func() {
						if turn.Add(1)%3 == 0 {
							harm()
						}
					})
					config.Connections.Max = 2
					eng := newServer(t, asAsked).newEngine(t, config)
					good, bad := 0, 0
					for _, result := range eng.Stream(t.Context(), asking(90, plain, nil), engine.FanOut{}) {
						if result.Err == nil {
							good++
							continue
						}
						bad++
						panicked, is := errors.AsType[*engine.PanicError](result.Err)
						require.True(t, is, "%v", result.Err)
						require.Equal(t, harmName == "panic", panicked.Value == "mine")
						if failure, _ := errors.AsType[*engine.Error](result.Err); name == "behind" {
							require.Equal(t, engine.Finishing, failure.Stage)
							require.Equal(t, engine.SentYes, failure.Sent)
						} else {
							require.Equal(t, engine.SentNo, failure.Sent)
						}
					}
					if name != "at its beginning, in a hook" || harmName == "goexit" { // a panic of a hook is contained
						require.Equal(t, []int{60, 30}, []int{good, bad})
					}
					synctest.Wait()
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

// One that ignores the end of its context holds back no result of those that wait behind it.
func TestTheEndOfTheContextEndsThoseThatWaitInARunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 1},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				<-release
				return nil
			})},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, n := time.Now(), 0
		for _, result := range eng.Stream(ctx, asking(100, plain, nil), engine.FanOut{}) {
			require.ErrorIs(t, result.Err, context.DeadlineExceeded)
			if n++; n == 99 {
				require.Equal(t, time.Second, time.Since(start))
				close(release)
			}
		}
		require.Equal(t, 100, n)
		wantNothingHeld(t, eng)
	})
}

func TestARunOnAClosedEngineAndOneThatIsClosedAmidIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
		n, closed := 0, 0
		for _, result := range eng.Stream(t.Context(), asking(100, func(i int) string { return fmt.Sprintf("/%d/10", i) }, nil), engine.FanOut{}) {
			if n++; n == 10 {
				require.NoError(t, eng.Close())
			}
			if errors.Is(result.Err, engine.ErrClosed) {
				closed++
			}
		}
		require.Equal(t, 100, n)
		require.Greater(t, closed, 80)
	})
}

// Whatever they wait for, every request of a run has one result, those without a limit are as
// soon as connections are free, and an origin never has more at once than it may have.
func TestARunOfAllKindsOfRequests(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(rt, "connections")
		window := rapid.SampledFrom([]int{1, 7, 400, 1024}).Draw(rt, "window")
		kinds := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 600).Draw(rt, "kinds")
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			now, peak, busy := map[string]int{}, 0, map[string]bool{}
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now[r.Host]++
				peak = max(peak, now[r.Host])
				first := !busy[r.URL.Path]
				busy[r.URL.Path] = true
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				now[r.Host]--
				mu.Unlock()
				if strings.HasPrefix(r.URL.Path, "/busy") && first {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
			eng := s.newEngine(t, engine.Config{
				Limits:      []throttle.Limit{{ID: "keyed", Quota: 5, Per: time.Second, By: throttle.ByKey}, {ID: "one", Quota: 1, Window: throttle.Concurrency}},
				Connections: engine.Connections{Max: most}, Retry: engine.Retry{Statuses: []int{500}},
			})
			free := 0
			input := func(yield func(*engine.Request) bool) {
				for i, kind := range kinds {
					req := &engine.Request{Path: fmt.Sprintf("/plain/%d", i), LimitID: engine.Unlimited}
					switch kind {
					case 0:
						req.LimitID, req.Key = "keyed", fmt.Sprint(i%20)
					case 1:
						req.LimitID = "one"
					case 2:
						req.Path = fmt.Sprintf("/busy/%d", i)
					case 3:
						req.URL, req.Path = fmt.Sprintf("http://other%d.test/%d", i%3, i), ""
					case 4:
						req.Priority = engine.Background
					default:
						free++
					}
					if !yield(req) {
						return
					}
				}
			}
			seen := map[int64]bool{}
			for req, result := range eng.Stream(t.Context(), input, engine.FanOut{Window: window}) {
				require.NoError(t, result.Err)
				require.False(t, seen[result.Index])
				seen[result.Index] = true
				if req.LimitID == engine.Unlimited && !strings.HasPrefix(req.Path, "/busy") {
					require.Less(t, result.Response.Timing.Total, time.Duration(len(kinds)+10)*20*time.Millisecond)
				}
			}
			require.Len(t, seen, len(kinds))
			require.LessOrEqual(t, peak, most)
			synctest.Wait()
			wantNothingHeld(t, eng)
		})
	})
}

// A later stream never holds what an earlier request wants: its result would wait for its turn, and
// nobody would close it.
func TestStreamsOfAnOrderedRunHoldNothingThatThoseBeforeThemWaitFor(t *testing.T) {
	for _, most := range []int{1, 2, 3, 8} {
		for name, streams := range map[string]func(int) bool{
			"one":           func(i int) bool { return i == 4 },
			"every other":   func(i int) bool { return i%2 == 1 },
			"all but late":  func(i int) bool { return i%10 != 0 },
			"all":           func(int) bool { return true },
			"all of a half": func(i int) bool { return i > 20 },
		} {
			t.Run(fmt.Sprint(most, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					eng := newServer(t, asAsked).newEngine(t, engine.Config{
						Connections: engine.Connections{Max: most}, Admission: engine.Admission{MaxInFlight: most + 1, MaxWaiting: 100},
						Limits: []throttle.Limit{
							{ID: "late", Quota: 1, Per: time.Second, Linked: []throttle.Link{{ID: "few"}}},
							{ID: "few", Quota: int64(most), Window: throttle.Concurrency},
						},
					})
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					input := func(yield func(*engine.Request) bool) {
						for i := range 40 {
							req := &engine.Request{Path: fmt.Sprintf("/%d/10", i), Stream: streams(i), LimitID: "few"}
							if i%10 == 0 {
								req.LimitID = "late"
							}
							if !yield(req) {
								return
							}
						}
					}
					want := int64(0)
					for req, result := range eng.Stream(ctx, input, engine.FanOut{InOrder: true}) {
						require.NoError(t, result.Err)
						require.Equal(t, want, result.Index)
						want++
						if req.Stream {
							require.NoError(t, result.Response.Stream.Close())
						}
					}
					require.EqualValues(t, 40, want)
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

// Whoever waits for a limit without a goroutine makes room for one request, and not for all.
func TestARunDoesNotFloodThePoolHoweverManyWaitForALimit(t *testing.T) {
	for _, waiting := range []int{0, 255, 256, 257, 400} {
		t.Run(fmt.Sprint(waiting), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, asAsked).newEngine(t, engine.Config{
					Limits:      []throttle.Limit{{ID: "slow", Quota: 1, Per: time.Hour}},
					Connections: engine.Connections{Max: 2}, DefaultLimitID: engine.Unlimited,
				})
				require.NoError(t, eng.AdjustLimit("slow", engine.Parts{}, 1))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				input := func(yield func(*engine.Request) bool) {
					for range waiting {
						yield(&engine.Request{Path: "/slow", LimitID: "slow"})
					}
					for i := range 600 {
						yield(&engine.Request{Path: fmt.Sprintf("/%d/100", i), Timeout: time.Second})
					}
				}
				done := 0
				for req, result := range eng.Stream(ctx, input, engine.FanOut{}) {
					if req.LimitID == "slow" {
						continue
					}
					require.NoError(t, result.Err)
					require.LessOrEqual(t, eng.Stats().Pools[0].Waiting, 2)
					if done++; done == 300 {
						begun := time.Now()
						_, err := eng.Do(t.Context(), &engine.Request{Path: "/beside/100"})
						require.NoError(t, err)
						require.LessOrEqual(t, time.Since(begun), 300*time.Millisecond)
					}
					if done == 600 {
						cancel()
					}
				}
				require.Equal(t, 600, done)
				wantNothingHeld(t, eng)
			})
		})
	}
}

// Likewise for those that have no goroutine of the run's, and for streams.
func TestTheEndOfAGoroutineEndsOneRequestOfARunAmongManyThatWait(t *testing.T) {
	for _, streams := range []bool{false, true} {
		for _, waiting := range []int{0, 257} {
			t.Run(fmt.Sprint("streams ", streams, ", waiting ", waiting), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked atomic.Int64
					eng := newServer(t, asAsked).newEngine(t, engine.Config{
						Limits: []throttle.Limit{{ID: "slow", Quota: 1, Per: time.Hour}, {ID: "quick", Quota: 1_000_000, Per: time.Second}},
						Costs: map[string]func(*engine.Request) int64{"quick": func(*engine.Request) int64 {
							if asked.Add(1)%3 == 0 {
								runtime.Goexit()
							}
							return 1
						}},
						Connections: engine.Connections{Max: 2},
					})
					require.NoError(t, eng.AdjustLimit("slow", engine.Parts{}, 1))
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					input := func(yield func(*engine.Request) bool) {
						for range waiting {
							yield(&engine.Request{Path: "/slow", LimitID: "slow"})
						}
						time.Sleep(time.Second) // all of them wait
						for i := range 90 {
							yield(&engine.Request{Path: plain(i), LimitID: "quick", Stream: streams})
						}
					}
					good, bad := 0, 0
					for req, result := range eng.Stream(ctx, input, engine.FanOut{}) {
						switch {
						case req.LimitID == "slow":
							continue
						case result.Err != nil:
							_, is := errors.AsType[*engine.PanicError](result.Err)
							require.True(t, is, "%v", result.Err)
							bad++
						default:
							good++
							if streams {
								require.NoError(t, result.Response.Stream.Close())
							}
						}
						if good+bad == 90 {
							cancel()
						}
					}
					require.Equal(t, []int{60, 30}, []int{good, bad})
					synctest.Wait()
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

func TestOrderedRunsOfStreamsBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first sync.Map
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			if _, before := first.LoadOrStore(r.URL.Path, true); !before && strings.HasSuffix(r.URL.Path, "/0") {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var running sync.WaitGroup
		for run := range 3 {
			running.Go(func() {
				input := func(yield func(*engine.Request) bool) {
					for i := range 20 {
						yield(&engine.Request{Path: fmt.Sprintf("/%d/%d", run, i), Stream: i > 0})
					}
				}
				for _, result := range eng.Stream(ctx, input, engine.FanOut{InOrder: true, RetryLater: 1}) {
					require.NoError(t, result.Err)
					if result.Response.Stream != nil {
						require.NoError(t, result.Response.Stream.Close())
					}
				}
			})
		}
		running.Wait()
		require.NoError(t, ctx.Err())
	})
}

// Whatever befalls its requests, a run that is over has nobody on the way and nobody who stands by.
func TestNothingIsLeftCountedWhenARunIsOver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		waiting := rapid.SampledFrom([]int{0, 5, 300}).Draw(rt, "waiting")
		harm := rapid.IntRange(0, 3).Draw(rt, "harm")
		after := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "after")) * time.Millisecond
		again := rapid.IntRange(0, 2).Draw(rt, "again")
		synctest.Test(t, func(t *testing.T) {
			var turn atomic.Int64
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(10 * time.Millisecond)
				switch turn.Add(1) % 23 {
				case 3:
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusTooManyRequests)
				case 5:
					w.WriteHeader(http.StatusServiceUnavailable)
				case 7:
					panic(http.ErrAbortHandler)
				}
			})
			eng := s.newEngine(t, engine.Config{
				Connections: engine.Connections{Max: 3}, Retry: engine.Retry{Statuses: []int{503}},
				Limits: []throttle.Limit{
					{ID: "slow", Quota: 1, Per: time.Hour}, {ID: "keyed", Quota: 3, Per: time.Second, By: throttle.ByKey, Scope: "keyed"},
					{ID: "one", Quota: 1, Window: throttle.Concurrency},
				},
				DefaultLimitID: engine.Unlimited,
				Costs: map[string]func(*engine.Request) int64{"keyed": func(*engine.Request) int64 {
					if harm == 1 && turn.Load()%11 == 0 {
						runtime.Goexit()
					}
					return 1
				}},
			})
			require.NoError(t, eng.AdjustLimit("slow", engine.Parts{}, 1))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			go func() {
				time.Sleep(after)
				switch harm {
				case 2:
					cancel()
				case 3:
					_ = eng.Pause(throttle.Scope{Name: "keyed"}, time.Second)
				}
			}()
			input := func(yield func(*engine.Request) bool) {
				for range waiting {
					if !yield(&engine.Request{Path: "/slow", LimitID: "slow"}) {
						return
					}
				}
				for i := range 400 {
					limit := []string{"", "keyed", "one", ""}[i%4]
					if !yield(&engine.Request{Path: plain(i), LimitID: limit, Key: fmt.Sprint(i % 30), Timeout: time.Duration(i%3) * 500 * time.Millisecond}) {
						return
					}
				}
			}
			results, counts := eng.StreamAndCrews(ctx, input, engine.FanOut{RetryLater: again})
			n := 0
			for range results {
				n++
			}
			require.GreaterOrEqual(t, n, 1)
			synctest.Wait()
			todo, out, standing := counts()
			require.Equal(t, []int{0, 0, 0}, []int{todo, out, standing})
			wantNothingHeld(t, eng)
		})
	})
}
