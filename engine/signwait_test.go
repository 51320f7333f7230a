package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// waiting is an authenticator that waits for somebody who never comes.
func waiting(call *messages.Call, _ auth.Clock) error { return call.Await(nil) }

func TestASigningThatWaitsEndsWithItsRequest(t *testing.T) {
	fired := errors.New("fired")
	for name, c := range map[string]struct {
		end  func(eng *engine.Engine, cancel context.CancelCauseFunc, p *engine.Pending)
		want error
	}{
		"its context": {func(_ *engine.Engine, cancel context.CancelCauseFunc, _ *engine.Pending) { cancel(fired) }, fired},
		"Cancel":      {func(_ *engine.Engine, _ context.CancelCauseFunc, p *engine.Pending) { p.Cancel() }, context.Canceled},
		"Close":       {func(eng *engine.Engine, _ context.CancelCauseFunc, _ *engine.Pending) { _ = eng.Close() }, engine.ErrClosed},
		"its time":    {func(*engine.Engine, context.CancelCauseFunc, *engine.Pending) { time.Sleep(time.Minute) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, nil).newEngine(t, engine.Config{Auth: auth.Func(waiting)})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				p := eng.Submit(ctx, &engine.Request{Path: "/", Auth: true, Timeout: time.Minute})
				synctest.Wait()
				began := time.Now()
				c.end(eng, cancel, p)
				_, err := p.Result()
				require.ErrorIs(t, err, c.want)
				require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
				require.LessOrEqual(t, time.Since(began), time.Minute)
				if name != "its time" {
					require.Zero(t, time.Since(began))
				}
			})
		})
	}
}

func TestASigningThatWaitsInDoEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{Auth: auth.Func(waiting)})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := eng.Do(ctx, &engine.Request{Path: "/", Auth: true, Timeout: time.Hour})
		require.ErrorIs(t, err, context.Canceled)
		time.AfterFunc(time.Second, func() { _ = eng.Close() })
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Timeout: time.Hour})
		require.ErrorIs(t, err, engine.ErrClosed)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
	})
}
