package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

func TestWhatCannotBeDecodedCountsAsFailedInTheProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(300 * time.Millisecond)
			io.WriteString(w, map[bool]string{true: "{}", false: "no JSON"}[strings.HasSuffix(r.URL.Path, "0")])
		}).newEngine(t, engine.Config{})
		var told []engine.Progress
		_, err := engine.FetchAll[struct{}](t.Context(), eng, slices.Collect(asking(10, plain, nil)), engine.FanOut{
			Window: 1, OnProgress: func(p engine.Progress) { told = append(told, p) },
		})
		var failures *engine.Failures
		require.ErrorAs(t, err, &failures)
		require.Len(t, failures.Each, 9)
		require.EqualValues(t, 9, told[len(told)-1].Failed)
		require.EqualValues(t, told[1].Done-1, told[1].Failed)
	})
}

func TestProgressAddsUpAtEveryMoment(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "7") {
					w.WriteHeader(503)
				}
			})
			eng := s.newEngine(t, engine.Config{Feedback: unmoved, Connections: engine.Connections{Max: 4, MaxWaiters: 6}, Retry: engine.Retry{Max: -1}})
			n, began := 0, time.Now()
			how := engine.FanOut{InOrder: inOrder, FailStatuses: true, RetryLater: 2, Window: 16, ProgressEvery: time.Millisecond, OnProgress: func(p engine.Progress) {
				n++
				require.Equal(t, p.Submitted, p.Done+p.Waiting+p.InFlight+p.Retrying+p.Ready, "%+v", p)
				require.LessOrEqual(t, p.Failed, p.Done)
				require.Contains(t, []int64{0, 300}, p.Total)
				require.GreaterOrEqual(t, min(p.Waiting, p.InFlight, p.Retrying, p.Ready), int64(0))
				require.True(t, p.EstimatedEnd.IsZero() || !p.EstimatedEnd.Before(began.Add(p.Elapsed)), "in the past: %+v", p)
			}}
			for range eng.Stream(t.Context(), asking(300, plain, nil), how) {
			}
			require.Greater(t, n, 20)
		})
	}
}

func TestTheLastProgressOfALoopThatIsLeftHasWhatWasHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, inOrder := range []bool{false, true} {
			eng := newServer(t, asAsked).newEngine(t, engine.Config{Limits: limitsOf(3, time.Second), DefaultLimitID: "calls"})
			var last engine.Progress
			for range eng.Stream(t.Context(), asking(100, plain, nil), engine.FanOut{InOrder: inOrder, Window: 10, OnProgress: func(p engine.Progress) { last = p }}) {
				synctest.Wait() // until the window is full
				break
			}
			require.Equal(t, engine.Progress{Submitted: 10, Done: 1, Elapsed: last.Elapsed}, last, "the others were handed to nobody")
		}
	})
}

func TestARequestThatWentAgainIsInDoubtForAllItsTries(t *testing.T) {
	for _, halted := range []bool{false, true} { // before it goes again; otherwise it fails when it does
		synctest.Test(t, func(t *testing.T) {
			for status, want := range map[int]engine.Outcome{503: engine.Unknown, 429: engine.NotSent} {
				var asked atomic.Int64
				eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "2")
					w.WriteHeader(status)
				}).newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{processor(func(*engine.Request) error {
					if asked.Add(1) == 2 {
						return errOwnCause
					}
					return nil
				})}})
				tries, cause := 2, errOwnCause
				if halted {
					if status == 429 {
						want = engine.Refused // and the try that was refused is the last
					}
					tries, cause = 1, engine.ErrHalted
					time.AfterFunc(time.Second, func() {
						_, err := eng.Halt(engine.Filter{})
						require.NoError(t, err)
					})
				}
				results, err := eng.All(t.Context(), []*engine.Request{{Method: "PUT", Path: "/", Body: "x"}}, engine.FanOut{RetryLater: 3})
				require.ErrorIs(t, err, cause)
				require.Equal(t, tries, results[0].Tries)
				require.Equal(t, want, engine.OutcomeOf(results[0].Err), "%d: %v", status, err)
			}
		})
	}
}

func TestAPageThatLinksToItselfIsAskedForOnce(t *testing.T) {
	for _, first := range []*engine.Request{{Path: "/?at=a"}, {Path: "/", Query: engine.Values{"at": "a"}}, {URL: "http://server.test/?at=a"}, {Path: "/?at=a", Auth: true}} {
		var asked atomic.Int64
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Link", "<"+r.URL.String()+`>; rel="next"`)
			io.WriteString(w, "{}")
		})
		eng := s.newEngine(t, engine.Config{Auth: auth.Binance("key", "secret")})
		got, err := all(engine.Pages[string](t.Context(), eng, first, engine.Pager{Link: true}))
		require.ErrorIs(t, err, engine.ErrSamePage)
		require.Len(t, got, 1)
		require.EqualValues(t, 1, asked.Load())
	}
}

func TestTheLastSharerThatIsHaltedIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l"})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/first"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		high := asks(ctx, eng, &engine.Request{Coalesce: true, Priority: engine.High})
		synctest.Wait()
		low := asks(t.Context(), eng, &engine.Request{Coalesce: true})
		synctest.Wait()
		cancel()
		require.ErrorIs(t, (<-high).err, context.Canceled)
		halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.Normal + 1})
		require.NoError(t, err)
		require.ErrorIs(t, (<-low).err, engine.ErrHalted)
		require.True(t, halt.Lift())
		wantNothingHeld(t, eng)
	})
}

func TestAnEventIDThatNoHeaderMayHaveEndsNoSequence(t *testing.T) {
	for id, sent := range map[string]string{"a\x07b": "", "\x7f": "", " a ": "a", "\t": "", "a\x00b": "", "é": "é", strings.Repeat("i", 1000): strings.Repeat("i", 1000)} {
		synctest.Test(t, func(t *testing.T) {
			serve, heads := says("id: "+id+"\ndata: 1\n\n", "data: 2\n\n")
			eng := newServer(t, serve).newEngine(t, engine.Config{})
			told := ""
			said, err := data(engine.Events(t.Context(), eng, &engine.Request{Path: "/"}, engine.Subscription{
				Interrupted: func(i engine.Interruption) { told = i.LastEventID },
			}))
			require.NoError(t, err)
			require.Len(t, said, 2, "as the server says it")
			require.Equal(t, sent, heads()[1].Get("Last-Event-ID"))
			require.Equal(t, sent, strings.TrimSpace(told))
		})
	}
	_, err := data(engine.Events(t.Context(), newServer(t, nil).newEngine(t, engine.Config{}), &engine.Request{}, engine.Subscription{LastEventID: "\x07"}))
	require.ErrorIs(t, err, engine.ErrInvalidRequest, "that is the caller's own")
}

// stuck signs the first request, and for the next one waits until it is let go.
type stuck struct {
	signed atomic.Int64
	let    chan struct{}
}

func (s *stuck) Authenticate(*messages.Call, auth.Clock) error {
	if s.signed.Add(1) > 1 {
		<-s.let
	}
	return nil
}

func TestAPageAskedForAheadThatDoesNotEndIsWaitedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer, log := &stuck{let: make(chan struct{})}, new(lockedBuffer)
		eng := newServer(t, shelf(100, 2)).newEngine(t, engine.Config{Auth: signer, Logger: logTo(log)})
		began := time.Now()
		for _, err := range engine.Pages[shelved](t.Context(), eng, &engine.Request{Auth: true}, engine.Pager{Link: true, Prefetch: true}) {
			require.NoError(t, err)
			synctest.Wait()
			break
		}
		require.Equal(t, 10*time.Second, time.Since(began))
		synctest.Wait()
		require.Contains(t, log.String(), "a sequence of pages was left")
		close(signer.let)
		synctest.Wait()
		require.Zero(t, heldBy(eng.Stats()))
	})
}

func TestEventsThatEndWhileTheyPauseSayWhatBecameOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusing := engine.Config{}
		refusing.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody listens") }
		for want, config := range map[engine.Outcome]engine.Config{engine.NotSent: refusing, engine.Refused: {Feedback: unmoved}} {
			eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(429)
			}).newEngine(t, config)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := data(engine.Events(ctx, eng, &engine.Request{Method: "POST", Path: "/"}, engine.Subscription{Pause: time.Minute}))
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, want, engine.OutcomeOf(err), "%v", err)
		}
	})
}

func TestGoexitAnywhereInAConsumerLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/events", "/silent":
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: 1\n\n")
				flush(w)
				if r.URL.Path == "/silent" {
					<-r.Context().Done()
				}
			case "/pages":
				w.Header().Set("Link", fmt.Sprintf(`</pages?%d>; rel="next"`, time.Now().UnixNano()))
				io.WriteString(w, "[1,2]")
				time.Sleep(time.Millisecond)
			}
		}).newEngine(t, engine.Config{})
		for name, do := range map[string]func(){
			"Interrupted": func() {
				for range engine.Events(t.Context(), eng, &engine.Request{Path: "/events"}, engine.Subscription{Interrupted: func(engine.Interruption) { runtime.Goexit() }}) {
				}
			},
			"event": func() {
				for range engine.Events(t.Context(), eng, &engine.Request{Path: "/silent"}, engine.Subscription{}) {
					runtime.Goexit()
				}
			},
			"page": func() {
				for range engine.Pages[string](t.Context(), eng, &engine.Request{Path: "/pages"}, engine.Pager{Link: true, Prefetch: true}) {
					runtime.Goexit()
				}
			},
			"next": func() {
				for range engine.Pages[string](t.Context(), eng, &engine.Request{Path: "/pages"}, engine.Pager{Prefetch: true, Next: func(*engine.Request, *engine.Response) (*engine.Request, error) {
					runtime.Goexit()
					return nil, nil
				}}) {
				}
			},
			"progress": func() {
				for range eng.Stream(t.Context(), asking(100, plain, nil), engine.FanOut{Window: 3, ProgressEvery: 1, OnProgress: func(engine.Progress) { runtime.Goexit() }}) {
				}
			},
			"map's request": func() {
				_, _ = engine.Map[int, string](t.Context(), eng, slices.Values([]int{1, 2, 3}), func(k int) *engine.Request {
					if k == 3 {
						runtime.Goexit()
					}
					return nil
				}, engine.FanOut{})
			},
			"decoder": func() {
				_, _ = engine.FetchAll[exits](t.Context(), eng, []*engine.Request{{Path: "/pages"}, {Path: "/pages"}}, engine.FanOut{})
			},
		} {
			done := make(chan struct{})
			go func() { defer close(done); do() }()
			<-done
			synctest.Wait()
			require.Zero(t, heldBy(eng.Stats()), name)
		}
	})
}

type exits struct{}

func (*exits) UnmarshalJSON([]byte) error { runtime.Goexit(); return nil }
