package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// A caller may change his request as soon as Do has returned, whatever is halted meanwhile. It is
// the race detector that fails.
func TestAHaltReadsNoRequestThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{
			Limits:         []throttle.Limit{{ID: "many", Quota: 5, Per: time.Millisecond}},
			DefaultLimitID: "many", Connections: engine.Connections{Max: 8},
		})
		var callers, halter sync.WaitGroup
		var over atomic.Bool
		halter.Go(func() {
			for !over.Load() {
				halt, err := eng.Halt(engine.Filter{PriorityBelow: -100})
				require.NoError(t, err)
				time.Sleep(time.Millisecond / 10)
				halt.Lift()
			}
		})
		for w := range 50 {
			callers.Go(func() {
				req := new(engine.Request)
				for i := range 20 {
					req.Path = fmt.Sprintf("/%d/%d", w, i)
					_, err := eng.DoAmongMany(t.Context(), req)
					require.NoError(t, err)
				}
			})
		}
		callers.Wait()
		over.Store(true)
		halter.Wait()
		wantNothingHeld(t, eng)
	})
}

// moody is a cause one of whose methods panics when it is called for the nth time.
type moody struct {
	method string
	from   int64
	calls  *atomic.Int64
}

func (m moody) called(method string) {
	if m.method == method && m.calls.Add(1) == m.from {
		panic("moody " + method)
	}
}

func (m moody) Error() string { m.called("Error"); return "moody" }
func (m moody) Is(error) bool { m.called("Is"); return false }
func (m moody) As(any) bool   { m.called("As"); return false }
func (m moody) Unwrap() error { m.called("Unwrap"); return nil }

func TestACauseMayPanicWheneverItIsAskedAndEndsOneRequest(t *testing.T) {
	for way, send := range allWays {
		for _, shape := range []string{"queue", "pool", "exchange"} {
			for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
				t.Run(way+", "+shape+", "+method, func(t *testing.T) {
					for from, met := int64(1), true; met; from++ {
						require.Less(t, from, int64(100), "there is no end of calls")
						synctest.Test(t, func(t *testing.T) {
							cause := moody{method, from, new(atomic.Int64)}
							tryMoodyCause(t, send, shape, cause)
							met = cause.calls.Load() >= from
						})
					}
				})
			}
		}
	}
}

func tryMoodyCause(t *testing.T, send sending, shape string, cause moody) {
	eng := newServer(t, dawdles).newEngine(t, engine.Config{
		Limits: []throttle.Limit{{ID: "one", Quota: 1, Window: throttle.Concurrency}}, Connections: engine.Connections{Max: 1},
	})
	req := &engine.Request{Path: "/", LimitID: engine.Unlimited}
	if shape == "queue" {
		req.LimitID = "one"
	}
	hold, release := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	if shape != "exchange" {
		busy.Go(func() { _, _ = eng.Do(hold, &engine.Request{Path: "/busy", LimitID: req.LimitID}) })
		synctest.Wait()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Second, func() { cancel(cause) })
	_, err := send(eng, ctx, req)
	failed, is := errors.AsType[*engine.Error](err)
	require.True(t, is)
	require.NotEmpty(t, failed.Error())
	require.False(t, failed.Timeout() || failed.Temporary())
	_, panicked := errors.AsType[*engine.PanicError](err)
	require.True(t, panicked || errors.Is(err, context.Canceled), "%v", err)
	release()
	busy.Wait()
	synctest.Wait()
	wantNothingHeld(t, eng)
}

// The request's own time is up at the same instant as its context's, and of the two that tell of it
// neither has the request leave before it is known what it waited for.
func TestWhoeverWaitedForAConnectionUntilHisContextsDeadlineIsToldWhatHeWaitedFor(t *testing.T) {
	for way, send := range allWays {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{
				Connections: engine.Connections{Max: 1},
				Dial: engine.Dial{Timeout: time.Hour, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}},
			})
			var all sync.WaitGroup
			deadline := time.Now().Add(time.Second)
			for range 500 {
				all.Go(func() {
					ctx, cancel := context.WithDeadline(t.Context(), deadline) // each has a timer of its own
					defer cancel()
					_, err := send(eng, ctx, &engine.Request{Method: http.MethodPost, Path: "/"})
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorAs(t, err, new(*messages.PoolFullError), way)
				})
			}
			all.Wait()
			require.Equal(t, deadline, time.Now())
			wantNothingHeld(t, eng)
		})
	}
}
