package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// What holds of a request by itself holds in company: of one that is shared, hedged, one page of
// many, one of a run, or the request of an event stream.

func TestWhoSharesARequestThatDialsInVainIsToldOfItsLimitAsByHimself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
		var dials atomic.Int32
		eng, err := engine.New(engine.Config{
			BaseURL: "http://server.test", Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: 10 * time.Second}}, DefaultLimitID: "a",
			Retry: engine.Retry{Base: 1000 * time.Hour, Cap: 1000 * time.Hour}, // of which any time is drawn
			Dial: engine.Dial{Backoff: 1, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
				}
				return s.dial(ctx, network, addr)
			}},
		})
		require.NoError(t, err)
		defer eng.Close()
		first := eng.Submit(t.Context(), &engine.Request{Path: "/shared", Coalesce: true})
		time.Sleep(time.Millisecond)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/other"})
		require.NoError(t, err, "which has the permit while the first pauses before another dial")
		time.Sleep(time.Second)
		for _, coalesce := range []bool{false, true} {
			began := time.Now()
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/shared", Coalesce: coalesce, Timeout: 2 * time.Second})
			failure, is := errors.AsType[*engine.Error](err)
			require.True(t, is)
			require.Zero(t, time.Since(began), "it is refused at once")
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			require.Equal(t, "a", failure.Limit)
			require.False(t, failure.RetryAt.IsZero())
		}
		first.Cancel()
		_, err = first.Result()
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestAHedgeThatIsSpeltOtherwiseIsAHedgeAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int32
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if served.Add(1) == 1 {
				time.Sleep(time.Second)
			}
			io.WriteString(w, "{}")
		}).newEngine(t, engine.Config{})
		_, index, err := eng.Hedge(t.Context(), 50*time.Millisecond,
			&engine.Request{Path: "/x", Coalesce: true}, &engine.Request{Method: "GET", Path: "/x", Coalesce: true})
		require.NoError(t, err)
		require.Equal(t, 1, index)
		require.EqualValues(t, 2, served.Load())
	})
}

// errsLater is a context whose Err panics from some call on.
type errsLater struct {
	context.Context
	calls *atomic.Int32
	from  int32
}

func (c errsLater) Err() error {
	if c.calls.Add(1) >= c.from {
		panic("a context of one's own")
	}
	return c.Context.Err()
}

func TestARaceUnderAContextThatPanicsLeavesNothingOnItsWay(t *testing.T) {
	for from := int32(1); from < 10; from++ {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/0" {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				time.Sleep(time.Second)
			}).newEngine(t, engine.Config{})
			func() {
				defer func() { _ = recover() }()
				_, _, _ = eng.Hedge(errsLater{t.Context(), new(atomic.Int32), from}, 20*time.Millisecond,
					&engine.Request{Path: "/0"}, &engine.Request{Path: "/1"}, &engine.Request{Path: "/2"})
			}()
			require.Zero(t, eng.Stats().InFlight, "from call %d", from)
		})
	}
}

func TestPagesCountOnFromANumberOfJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, string(body))
			io.WriteString(w, "[1,2]")
		}).newEngine(t, engine.Config{})
		first := &engine.Request{Method: "POST", Path: "/", Body: map[string]any{"offset": 1e6}}
		for range engine.Pages[[]int](t.Context(), eng, first, engine.Pager{Number: engine.Number{Field: "offset", Items: true}, MaxPages: 2}) {
		}
		require.Equal(t, []string{`{"offset":1000000}`, `{"offset":1000002}`}, asked)
	})
}

func TestWhatIsEndedBeforeItGoesAgainSaysHowItWasRefused(t *testing.T) {
	for name, end := range map[string]func(*engine.Engine) error{
		"close":  (*engine.Engine).Close,
		"cancel": nil, // the run, and not the engine
		"halt":   func(eng *engine.Engine) error { _, err := eng.Halt(engine.Filter{}); return err },
	} {
		for status, outcome := range map[int]engine.Outcome{429: engine.Refused, 503: engine.Unknown} {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "30")
					w.WriteHeader(status)
				}).newEngine(t, engine.Config{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() {
					if end == nil {
						cancel()
					} else {
						_ = end(eng)
					}
				})
				requests := slices.Values([]*engine.Request{{Path: "/x"}})
				for _, result := range eng.Stream(ctx, requests, engine.FanOut{RetryLater: 3}) {
					refusal, is := errors.AsType[*engine.StatusError](result.Err)
					require.True(t, is, "%s, %d: %v", name, status, result.Err)
					require.Equal(t, status, refusal.StatusCode)
					require.Equal(t, end == nil, errors.Is(result.Err, context.Canceled))
					require.Equal(t, outcome, engine.OutcomeOf(result.Err), "%s, %d", name, status)
				}
			})
		}
	}
}

func TestATimeoutOfEventsWithoutItsUnitIsRefused(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for _, err := range engine.Events(t.Context(), eng, &engine.Request{URL: "http://127.0.0.1:1/", Timeout: 5}, engine.Subscription{}) {
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, "5 * time.Second")
	}
}
