package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// behindAFullLimit tries an engine that does not know the server's time, and whose only limit is
// full for a minute.
func behindAFullLimit(t *testing.T, test func(t *testing.T, eng *engine.Engine)) {
	behindALimitFullFor(t, time.Minute, test)
}

func behindALimitFullFor(t *testing.T, per time.Duration, test func(t *testing.T, eng *engine.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/time" {
				fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
			}
		}).newEngine(t, engine.Config{
			Auth: hmacAccount("key"), Time: engine.TimeFrom("/time", "serverTime").ChargedTo("weight"),
			Limits: []throttle.Limit{{ID: "weight", Quota: 3, Per: per}}, DefaultLimitID: "weight",
		})
		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		}
		test(t, eng)
	})
}

func TestTheFirstSignedRequestWaitsForAFullLimitAsAnyOther(t *testing.T) {
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
		require.NoError(t, err)
		require.InDelta(t, time.Minute, time.Since(began), float64(time.Second))
	})
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		for _, beside := range []bool{false, true} {
			if beside { // one that waits
				p := eng.Submit(t.Context(), &engine.Request{Path: "/order", Auth: true})
				defer p.Cancel()
				synctest.Wait()
			}
			began := time.Now()
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Timeout: 10 * time.Second})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, engine.ErrNoTime)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			require.Less(t, time.Since(began), time.Second, "at once, as whoever has no time for the limit")
			failure, _ := errors.AsType[*engine.Error](err)
			require.Equal(t, "weight", failure.Limit)
			require.WithinDuration(t, began.Add(time.Minute), failure.RetryAt, time.Second)
		}
	})
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, eng.AwaitTime(ctx), engine.ErrNoTime)
		require.Less(t, time.Since(began), time.Second)
	})
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		p := eng.Submit(t.Context(), &engine.Request{Path: "/order", Auth: true})
		time.Sleep(10 * time.Second)
		require.NoError(t, eng.Close())
		_, err := p.Result()
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}

// The look has its own five seconds, and whoever waits for it may have fewer.
func TestWhoeverHasNoTimeForALimitThatOpensSoonIsRefusedAtOnce(t *testing.T) {
	for _, per := range []time.Duration{2500 * time.Millisecond, 4 * time.Second, 7 * time.Second} {
		behindALimitFullFor(t, per, func(t *testing.T, eng *engine.Engine) {
			patient := eng.Submit(t.Context(), &engine.Request{Path: "/order", Auth: true})
			for range 2 { // one that brings the look about, or comes beside it
				began := time.Now()
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Timeout: 2 * time.Second})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, engine.ErrNoTime)
				require.ErrorIs(t, err, throttle.ErrDeadline)
				require.Less(t, time.Since(began), time.Millisecond)
				failure, _ := errors.AsType[*engine.Error](err)
				require.Equal(t, "weight", failure.Limit)
				require.WithinDuration(t, began.Add(per), failure.RetryAt, 10*time.Millisecond)
			}
			began := time.Now()
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Timeout: per + time.Second})
			require.NoError(t, err, "there is time for that")
			require.InDelta(t, per, time.Since(began), float64(10*time.Millisecond))
			_, err = patient.Result()
			require.NoError(t, err)
		})
	}
}

// Such a source cannot wait in the limit's queue itself, and is asked again when the limit opens.
func TestASourceOfTimeThatAsksByItselfIsAskedAgainWhenItsLimitOpens(t *testing.T) {
	for name, lifted := range map[string]time.Duration{"as it was to": 0, "earlier, for its pause is lifted": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				source := func(ctx context.Context, eng *engine.Engine) (engine.TimeReading, error) {
					asked++
					sent := time.Now()
					_, err := eng.Do(ctx, &engine.Request{Path: "/time", Timeout: 5 * time.Second})
					return engine.TimeReading{Server: time.Now(), Resolution: time.Second, Sent: sent, Received: time.Now()}, err
				}
				eng := newServer(t, nil).newEngine(t, engine.Config{
					Auth: hmacAccount("key"), Time: engine.TimeFunc(source),
					Limits: []throttle.Limit{{ID: "weight", Quota: 300, Per: time.Minute, Scope: "all"}}, DefaultLimitID: "weight",
				})
				require.NoError(t, eng.Pause(throttle.Scope{Name: "all"}, 58*time.Second))
				opens := 58 * time.Second
				if lifted > 0 {
					opens = lifted
					time.AfterFunc(lifted, func() { require.NoError(t, eng.Resume(throttle.Scope{Name: "all"})) })
				}
				began := time.Now()
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
				require.NoError(t, err)
				require.InDelta(t, opens, time.Since(began), float64(6*time.Second))
				require.LessOrEqual(t, asked, 16, "every five seconds")
			})
		})
	}
}

// A look that a refused timestamp asks for is taken at once or not at all: the refusal is an
// answer, and whoever has it waits for no limit.
func TestARefusedTimestampWaitsForNoFullLimit(t *testing.T) {
	for _, timeout := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/time" {
					fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
					return
				}
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}`)
			}).newEngine(t, engine.Config{
				Auth: auth.Binance("key", "secret"), Time: engine.TimeFrom("/time", "serverTime").ChargedTo("time"),
				Limits: []throttle.Limit{{ID: "time", Quota: 1, Per: time.Hour}, {ID: "orders", Quota: 100, Per: time.Minute}},
			})
			require.NoError(t, eng.AwaitTime(t.Context()))
			began := time.Now()
			resp, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", LimitID: "orders", Auth: true, Timeout: timeout})
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, resp.StatusCode)
			require.Less(t, time.Since(began), time.Second)
		})
	}
}

func TestARefusedTimestampIsTheAnswerWhereTimeIsUpBeforeANewLook(t *testing.T) {
	for name, limits := range map[string][]throttle.Limit{
		"the look":        {{ID: "orders", Quota: 100, Per: time.Minute}},
		"another attempt": {{ID: "orders", Quota: 1, Per: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hangs atomic.Bool
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/time" {
						if hangs.Load() && name == "the look" {
							<-r.Context().Done()
						}
						fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
						return
					}
					hangs.Store(true)
					w.WriteHeader(http.StatusBadRequest)
					fmt.Fprint(w, `{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}`)
				}).newEngine(t, engine.Config{
					Auth: auth.Binance("key", "secret"), Time: engine.TimeFrom("/time", "serverTime").ChargedTo(engine.Unlimited), Limits: limits,
					Clock: engine.Clock{Every: time.Hour},
				})
				require.NoError(t, eng.AwaitTime(t.Context()))
				time.Sleep(10 * time.Second) // the looks that refine the first are over
				resp, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", LimitID: "orders", Auth: true, Timeout: 3 * time.Second})
				require.NoError(t, err)
				require.Equal(t, http.StatusBadRequest, resp.StatusCode)
			})
		})
	}
}

// behindAPause tries an engine whose first look at the clock waits for an hour's pause with a
// signed request, and has the pause end after a minute.
func behindAPause(t *testing.T, serve func(w http.ResponseWriter, r *http.Request), test func(t *testing.T, eng *engine.Engine, waits *engine.Pending)) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/time" {
				serve(w, r)
			}
		}).newEngine(t, engine.Config{
			Auth: hmacAccount("key"), Time: engine.TimeFrom("/time", "serverTime").ChargedTo("orders"),
			Limits: []throttle.Limit{{ID: "orders", Quota: 100, Per: time.Minute, Scope: "orders"}}, DefaultLimitID: "orders",
		})
		require.NoError(t, eng.Pause(throttle.Scope{Name: "orders"}, time.Hour))
		waits := eng.Submit(t.Context(), &engine.Request{Path: "/order", Auth: true})
		time.Sleep(time.Minute)
		require.NoError(t, eng.Resume(throttle.Scope{Name: "orders"}))
		synctest.Wait()
		test(t, eng, waits)
	})
}

func TestNobodyIsRefusedForALimitThatHasOpenedBeforeItWasTo(t *testing.T) {
	behindAPause(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond)
		fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
	}, func(t *testing.T, eng *engine.Engine, waits *engine.Pending) {
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Timeout: 30 * time.Second})
		require.NoError(t, err)
		_, err = waits.Result()
		require.NoError(t, err)
	})
}

func TestALookThatHasWaitedIsGivenUpInItsOwnTime(t *testing.T) {
	behindAPause(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, _ *engine.Engine, waits *engine.Pending) {
		began := time.Now()
		_, err := waits.Result()
		require.ErrorIs(t, err, engine.ErrNoTime)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestWhoeverHasARefusalForItsAnswerIsNotKeptUntilTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		released := make(chan struct{})
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}`)
		}).newEngine(t, engine.Config{
			Auth: auth.Binance("key", "secret"), DefaultLimitID: engine.Unlimited, Clock: engine.Clock{Every: time.Hour},
			Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
				if hangs.Load() {
					<-released
				}
				now := time.Now()
				time.Sleep(time.Millisecond)
				return engine.TimeReading{Server: now, Sent: now, Received: time.Now()}, nil
			}),
		})
		defer close(released)
		require.NoError(t, eng.AwaitTime(t.Context()))
		time.Sleep(10 * time.Second)
		hangs.Store(true)
		asked := func() weak.Pointer[engine.Request] {
			req := &engine.Request{Method: "POST", Path: "/order", Auth: true, Timeout: time.Second}
			resp, err := eng.Do(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, resp.StatusCode)
			return weak.Make(req)
		}()
		synctest.Wait()
		runtime.GC()
		runtime.GC()
		require.Nil(t, asked.Value())
	})
}

func TestALookThatFindsItsLimitFullIsNoAlarmWhileTheTimeIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		limit throttle.Limit
		path  string
	}{
		"until an instant": {throttle.Limit{ID: "weight", Quota: 20, Per: 5 * time.Minute}, "/"},
		"until an answer":  {throttle.Limit{ID: "weight", Quota: 1, Window: throttle.Concurrency}, "/slow"},
		"as it is paused":  {throttle.Limit{ID: "weight", Quota: 1000, Per: time.Minute}, "/refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/time":
						fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
					case "/refused":
						w.Header().Set("Retry-After", "300")
						w.WriteHeader(http.StatusTooManyRequests)
					case "/slow":
						time.Sleep(4 * time.Minute)
					}
				}).newEngine(t, engine.Config{
					Time: engine.TimeFrom("/time", "serverTime").ChargedTo("weight"), Limits: []throttle.Limit{c.limit}, DefaultLimitID: "weight",
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				require.NoError(t, eng.AwaitTime(t.Context()))
				for range 20 {
					eng.Submit(t.Context(), &engine.Request{Path: c.path})
				}
				time.Sleep(3 * time.Minute)
				require.Contains(t, log.String(), `level=DEBUG msg="server time could not be learnt"`)
				require.NotContains(t, log.String(), `level=WARN msg="server time could not be learnt"`)
			})
		})
	}
}

// As it is after a restart: what a memory tells is of a time when nobody knew the clock, too.
func TestWhatWasAnsweredBeforeTheTimeWasKnownTakesNoRoomOfALaterWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tells atomic.Bool
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path != "/time":
			case tells.Load():
				fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
			default:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		const per = 20 * time.Second
		time.Sleep(per - time.Duration(time.Now().UnixNano())%per - 3*time.Second)
		eng := s.newEngine(t, engine.Config{
			Time:   engine.TimeFrom("/time", "serverTime").ChargedTo(engine.Unlimited),
			Limits: []throttle.Limit{{ID: "weight", Window: throttle.Fixed, Quota: 3, Per: per}}, DefaultLimitID: "weight",
		})
		spend(t, eng, 3)
		time.Sleep(3500 * time.Millisecond) // the window turns
		tells.Store(true)
		require.NoError(t, eng.AwaitTime(t.Context()))
		began := time.Now()
		require.Less(t, time.Duration(began.UnixNano())%per, 3*time.Second)
		spend(t, eng, 3)
		require.Less(t, time.Since(began), time.Second, "a fresh quota at the edge")
		spend(t, eng, 1)
		require.Less(t, time.Duration(time.Now().UnixNano())%per, time.Second, "in the next window")
	})
}
