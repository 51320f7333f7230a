package engine_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// fickle is an error of the caller's own, whose methods panic.
type fickle struct{}

func (fickle) Error() string { return "fickle" }
func (fickle) Is(error) bool { panic("Is") }

// waysToAsk are all ways to wait for a limit under a context.
var waysToAsk = map[string]func(ctx context.Context, eng *engine.Engine) error{
	"Do": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Do(ctx, askedUnder(ctx, false))
		return err
	},
	"Coalesce": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Do(ctx, askedUnder(ctx, true))
		return err
	},
	"Events": func(ctx context.Context, eng *engine.Engine) error {
		_, err := data(engine.Events(ctx, eng, askedUnder(ctx, false), engine.Subscription{}))
		return err
	},
	"Race": func(ctx context.Context, eng *engine.Engine) error {
		_, _, err := eng.Race(ctx, askedUnder(ctx, false), askedUnder(ctx, false))
		return err
	},
	"Submit": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Submit(ctx, askedUnder(ctx, false)).Result()
		return err
	},
	"All": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.All(ctx, []*engine.Request{askedUnder(ctx, false), askedUnder(ctx, false)}, engine.FanOut{RetryLater: 2})
		return err
	},
	"Acquire": func(ctx context.Context, eng *engine.Engine) error {
		_, err := eng.Acquire(ctx, engine.Charge{LimitID: "l"})
		return err
	},
}

type asksKey struct{}

// askedUnder is the request that a context says, or a plain one.
func askedUnder(ctx context.Context, coalesces bool) *engine.Request {
	req, _ := ctx.Value(asksKey{}).(engine.Request)
	req.Path, req.Coalesce = "/", coalesces
	return &req
}

// badlyEnded is a context of the caller's own, whose error has methods that panic.
type badlyEnded struct{ context.Context }

func (c badlyEnded) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return fickle{}
}

func TestACauseWhoseMethodsPanicEndsWhatWaitsAndNothingElse(t *testing.T) {
	for name, ask := range waysToAsk {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprint(name, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					eng := newServer(t, nil).newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, DefaultLimitID: "l"})
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
					require.NoError(t, err)
					ctx, cancel := context.WithCancelCause(t.Context())
					began := time.Now()
					if own {
						time.AfterFunc(time.Second, func() { cancel(nil) })
						err = ask(badlyEnded{ctx}, eng)
					} else {
						time.AfterFunc(time.Second, func() { cancel(fickle{}) })
						err = ask(ctx, eng)
						require.ErrorIs(t, err, context.Canceled)
						var panicked *engine.PanicError
						require.ErrorAs(t, err, &panicked)
					}
					require.Equal(t, time.Second, time.Since(began))
					require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
					synctest.Wait()
					wantNothingHeld(t, eng)
				})
			})
		}
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

type signsBadly struct{}

func (signsBadly) Authenticate(*messages.Call, auth.Clock) error { return fickle{} }

type badTime struct{}

func (badTime) ServerTime(context.Context, *engine.Engine) (engine.TimeReading, error) {
	return engine.TimeReading{}, fickle{}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, fickle{} }

// badConn fails to write, or to read, with an error of the caller's own.
type badConn struct {
	net.Conn
	reads bool
}

func (c badConn) Read(p []byte) (int, error) {
	if c.reads {
		return 0, fickle{}
	}
	return c.Conn.Read(p)
}

func (c badConn) Write(p []byte) (int, error) {
	if !c.reads {
		return 0, fickle{}
	}
	return c.Conn.Write(p)
}

func TestErrorsOfTheCallersCodeWhoseMethodsPanicEndTheirRequestAlone(t *testing.T) {
	for name, one := range map[string]struct {
		config  func(*engine.Config, *server)
		request engine.Request
	}{
		"authenticator": {config: func(c *engine.Config, _ *server) { c.Auth = signsBadly{} }, request: engine.Request{Auth: true}},
		"time":          {config: func(c *engine.Config, _ *server) { c.Auth, c.Time = noSignature{}, badTime{} }, request: engine.Request{Auth: true}},
		"pre-processor": {config: func(c *engine.Config, _ *server) {
			c.PreProcessors = []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return fickle{} })}
		}},
		"post-processor": {config: func(c *engine.Config, _ *server) {
			c.PostProcessors = []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { return fickle{} })}
		}},
		"body":          {request: engine.Request{Method: "PUT", Body: badReader{}}},
		"streamed body": {request: engine.Request{Method: "PUT", Body: badReader{}, Upload: engine.Upload{Stream: true}}},
		"body again":    {request: engine.Request{Method: "PUT", Body: func() (io.Reader, error) { return nil, fickle{} }}},
		"read": {config: func(c *engine.Config, s *server) {
			c.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := s.dial(ctx, network, addr)
				return badConn{conn, true}, err
			}
		}},
		"write": {config: func(c *engine.Config, s *server) {
			c.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := s.dial(ctx, network, addr)
				return badConn{conn, false}, err
			}
		}},
	} {
		for way, ask := range waysToAsk {
			if way == "Acquire" {
				continue
			}
			t.Run(name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t, nil)
					config := engine.Config{}
					if one.config != nil {
						one.config(&config, s)
					}
					eng := s.newEngine(t, config)
					ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), asksKey{}, one.request), time.Hour)
					defer cancel()
					began := time.Now()
					err := ask(ctx, eng)
					require.Error(t, err)
					require.Zero(t, time.Since(began).Truncate(time.Second), "%v", err)
					if engine.OutcomeOf(err) == engine.NotSent {
						require.Empty(t, s.seen(), "%v", err)
					}
					synctest.Wait()
					require.Zero(t, heldBy(eng.Stats()))
					require.Zero(t, eng.Stats().Totals.Restarts)
				})
			})
		}
	}
}
