package engine_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// fickle is an error of the caller's own, whose methods panic.
type fickle struct{}

func (fickle) Error() string { return "fickle" }
func (fickle) Is(error) bool { panic("Is") }

// waysToAsk are all ways to wait for a limit under a context.
var waysToAsk = map[string]func(ctx context.Context, eng *engine.Engine) error{
	"Do": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		return err
	},
	"Coalesce": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Do(ctx, &engine.Request{Path: "/", Coalesce: true})
		return err
	},
	"Events": func(ctx context.Context, eng *engine.Engine) error {
		_, err := data(engine.Events(ctx, eng, &engine.Request{Path: "/"}, engine.Subscription{}))
		return err
	},
	"Race": func(ctx context.Context, eng *engine.Engine) error {
		_, _, err := eng.Race(ctx, &engine.Request{Path: "/"}, &engine.Request{Path: "/"})
		return err
	},
	"Submit": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Submit(ctx, &engine.Request{Path: "/"}).Result()
		return err
	},
	"All": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.All(ctx, []*engine.Request{{Path: "/"}, {Path: "/"}}, engine.FanOut{RetryLater: 2})
		return err
	},
	"Acquire": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Acquire(ctx, engine.Charge{LimitID: "l"})
		return err
	},
}

func TestACauseWhoseMethodsPanicEndsWhatWaitsAndNothingElse(t *testing.T) {
	for name, ask := range waysToAsk {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, nil).newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, DefaultLimitID: "l"})
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				ctx, cancel := context.WithCancelCause(t.Context())
				began := time.Now()
				time.AfterFunc(time.Second, func() { cancel(fickle{}) })
				err = ask(ctx, eng)
				require.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, err, context.Canceled)
				var panicked *engine.PanicError
				require.ErrorAs(t, err, &panicked)
				synctest.Wait()
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestADialErrorWhoseMethodsPanicEndsTheRequestAndNotThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := engine.Config{BaseURL: "http://venue.test", Retry: engine.Retry{Max: -1}}
		config.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, fickle{} }
		eng := newEngine(t, config)
		for _, ask := range []string{"Do", "Submit"} {
			err := waysToAsk[ask](t.Context(), eng)
			var panicked *engine.PanicError
			require.ErrorAs(t, err, &panicked)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			time.Sleep(time.Minute)
		}
		require.Zero(t, eng.Stats().Totals.Restarts)
		wantNothingHeld(t, eng)
	})
}

// badlyClosed is a connection whose Close has an error of the caller's own.
type badlyClosed struct{ net.Conn }

func (c badlyClosed) Close() error { _ = c.Conn.Close(); return fickle{} }

func TestACloseErrorWhoseMethodsPanicEndsNothing(t *testing.T) {
	s := newServer(t, nil)
	config := engine.Config{}
	config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, addr)
		return badlyClosed{conn}, err
	}
	eng := s.newEngine(t, config)
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	eng.CloseIdleConnections()
	require.Eventually(t, func() bool { return eng.Stats().Totals.Closed == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, eng.Close())
}
