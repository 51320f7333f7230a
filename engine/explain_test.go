package engine_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestExplainSaysWhatHoldsARequestUntilWhenAndBehindWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "weight", Quota: 100, Per: time.Minute},
			{ID: "orders", Quota: 1, Per: 10 * time.Second, Keyed: true, Linked: []throttle.Link{{ID: "weight", Weight: 4}}},
		}})
		order := engine.Request{Method: "POST", Path: "/order?secret=1", LimitID: "orders", Key: "BTC", Priority: engine.High}
		x, err := eng.Explain(&order)
		require.NoError(t, err)
		require.True(t, x.Leaves)
		require.False(t, x.ConnectionFree, "nobody has been there")
		require.Equal(t, "orders", x.Route)
		require.Len(t, x.Charges, 2)
		require.Equal(t, "BTC", x.Charges[0].Key)
		require.EqualValues(t, 4, x.Charges[1].Weight)
		require.Empty(t, eng.Stats().Limits.Scopes, "and nothing has changed")
		require.Len(t, eng.Stats().Limits.Limits, 1, "no key is in use")

		sent := time.Now()
		require.NoError(t, <-begin(eng, order))
		queued := begin(eng, order)
		urgent := order
		urgent.Priority = engine.Urgent
		first := begin(eng, urgent)
		time.Sleep(time.Second)
		x, err = eng.Explain(&order)
		require.NoError(t, err)
		require.False(t, x.Leaves)
		require.True(t, x.ConnectionFree)
		require.Equal(t, 1, x.Pool.Idle)
		require.Equal(t, "orders", x.HeldBy.Limit)
		require.WithinDuration(t, sent.Add(10*time.Second), x.HeldBy.Until, 50*time.Millisecond)
		require.Equal(t, []engine.QueuedStats{{Priority: engine.Urgent, N: 1}, {Priority: engine.High, N: 1}}, x.Ahead)
		text := x.String()
		require.Contains(t, text, `waits for "orders" until`)
		require.Contains(t, text, "behind 1 of priority 400")
		require.NotContains(t, text, "secret")
		x, err = eng.Explain(&urgent)
		require.NoError(t, err)
		require.Equal(t, []engine.QueuedStats{{Priority: engine.Urgent, N: 1}}, x.Ahead, "it passes those that are less urgent")

		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Hour))
		halt, err := eng.Halt(engine.Filter{Method: "GET"})
		require.NoError(t, err)
		x, err = eng.Explain(&engine.Request{Path: "/", LimitID: engine.Unlimited})
		require.NoError(t, err)
		require.Empty(t, x.Route)
		require.True(t, x.HeldBy.Paused)
		require.WithinDuration(t, time.Now().Add(time.Hour), x.Paused[0].PausedUntil, time.Millisecond)
		require.Equal(t, halt.ID(), x.Halts[0].ID)
		require.Contains(t, x.String(), `halted since`)
		raw, err := json.Marshal(x)
		require.NoError(t, err)
		require.Contains(t, string(raw), `"Origin":"http://server.test:80"`)

		require.NoError(t, eng.Resume(throttle.Scope{Name: throttle.WholeOrigin}))
		require.NoError(t, <-first)
		require.NoError(t, <-queued)
		require.Len(t, s.seen(), 3, "what was explained was not sent")
	})
}

func TestExplainRefusesWhatDoWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "k", Quota: 1, Per: time.Second, Keyed: true}}})
		for cause, req := range map[error]*engine.Request{
			engine.ErrUnknownLimit: {Path: "/", LimitID: "nowhere"}, engine.ErrNoLimit: {Path: "/"}, engine.ErrNoKey: {Path: "/", LimitID: "k"},
			engine.ErrWeight: {Path: "/", LimitID: "k", Key: "a", Weight: 9}, engine.ErrInvalidRequest: {Path: "http://a/", LimitID: "k"},
		} {
			_, err := eng.Explain(req)
			require.ErrorIs(t, err, cause)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		}
		var none *engine.Engine
		_, err := none.Explain(&engine.Request{})
		require.ErrorIs(t, err, engine.ErrNoEngine)
		require.NoError(t, eng.Close())
		_, err = eng.Explain(&engine.Request{Path: "/", LimitID: "k", Key: "a"})
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}
