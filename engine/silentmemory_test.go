package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// harmful is an error whose methods do harm.
type harmful struct {
	method string
	harm   func()
}

func (h harmful) does(method string) {
	if h.method == method {
		h.harm()
	}
}

func (h harmful) Error() string   { h.does("Error"); return "harmful" }
func (h harmful) Unwrap() error   { h.does("Unwrap"); return errOfAMemory }
func (h harmful) Is(error) bool   { h.does("Is"); return false }
func (h harmful) As(any) bool     { h.does("As"); return false }
func (h harmful) Temporary() bool { return true }

var errOfAMemory = errors.New("an error of a memory's own")

// scriptedMemory is a memory whose calls are as a test wants them.
type scriptedMemory struct{ opening, appending, closing func() error }

func does(call func() error) error {
	if call == nil {
		return nil
	}
	return call()
}

func (s *scriptedMemory) Open() (memory.Store, memory.Held, error) {
	return s, memory.Held{}, does(s.opening)
}
func (s *scriptedMemory) Append([]byte) error  { return does(s.appending) }
func (s *scriptedMemory) Replace([]byte) error { return nil }
func (s *scriptedMemory) Close() error         { return does(s.closing) }

func TestTheMethodsOfAMemorysErrorsMayDoHarm(t *testing.T) {
	for how, harm := range map[string]func(){"panics": func() { panic("a secret") }, "ends its goroutine": runtime.Goexit} {
		for _, method := range []string{"Error", "Unwrap", "Is", "As"} {
			t.Run(method+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log lockedBuffer
					failing := func() error { return harmful{method, harm} }
					s, m, calls := newServer(t, nil), &scriptedMemory{closing: failing}, 0
					m.appending = func() error {
						if calls++; calls == 1 {
							return failing()
						}
						return nil
					}
					eng := remembering(t, s, m, func(c *engine.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
					defer eng.Close()
					spend(t, eng, 2)
					require.InDelta(t, 50*time.Millisecond, s.seen()[0], float64(time.Millisecond), "it is tried again, as after any error")
					require.NoError(t, eng.Close())
					require.Contains(t, log.String(), "the memory does not take what is spent")
					require.Contains(t, log.String(), "the memory could not be closed")
					require.NotContains(t, log.String(), "a secret")

					_, err := engine.New(engine.Config{Memory: &scriptedMemory{opening: failing}})
					require.ErrorContains(t, err, "sluice: Config.Memory: ")
					require.NotErrorIs(t, err, engine.ErrMemoryInUse)
				})
			})
		}
	}
	t.Run("none does", func(t *testing.T) {
		_, err := engine.New(engine.Config{Memory: &scriptedMemory{opening: func() error { return harmful{} }}})
		require.EqualError(t, err, "sluice: Config.Memory: harmful")
		require.ErrorIs(t, err, errOfAMemory)
		own, is := errors.AsType[harmful](err)
		require.True(t, is && own.Temporary())
	})
}

func TestTryAcquireHasItsPermitOnceItIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := remembering(t, newServer(t, nil), &vault{takes: 20 * time.Millisecond}, nil)
		defer eng.Close()
		time.Sleep(time.Minute)
		for range 3 {
			began := time.Now()
			permit, err := eng.TryAcquire(engine.Charge{LimitID: "a"})
			require.NoError(t, err)
			require.InDelta(t, 20*time.Millisecond, time.Since(began), float64(time.Millisecond))
			permit.Done(engine.Done)
			time.Sleep(time.Second)
		}
		_, err := eng.TryAcquire(engine.Charge{LimitID: "a"})
		require.ErrorIs(t, err, engine.ErrNoRoom)
		require.NotErrorIs(t, err, engine.ErrMemorySilent)
		require.NoError(t, eng.Close())
	})
}

func TestTryAcquireWaitsASecondForASilentMemoryAndGivesBackWhatItWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		eng := remembering(t, newServer(t, nil), v, nil)
		defer eng.Close()
		v.shut(true)
		for range 5 { // which are more than the limit has room for
			began := time.Now()
			_, err := eng.TryAcquire(engine.Charge{LimitID: "a"})
			require.ErrorIs(t, err, engine.ErrMemorySilent)
			require.NotErrorIs(t, err, engine.ErrNoRoom)
			require.InDelta(t, time.Second, time.Since(began), float64(2*time.Millisecond))
			failure, _ := errors.AsType[*engine.Error](err)
			require.True(t, failure.Temporary())
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			synctest.Wait()
			wantNothingCharged(t, eng)
		}
		v.shut(false)
		time.Sleep(2 * time.Second)
		permit, err := eng.TryAcquire(engine.Charge{LimitID: "a"})
		require.NoError(t, err)
		permit.Done(engine.NotSent)
		require.NoError(t, eng.Close())
	})
}

// wantNothingCharged asserts that no limit counts anything.
func wantNothingCharged(t *testing.T, eng *engine.Engine) {
	t.Helper()
	for _, limit := range eng.Stats().Limits.Limits {
		require.Zero(t, limit.Used, "%v", limit)
		require.Zero(t, limit.InFlight, "%v", limit)
	}
}

func TestThePermitOfWhoLeavesASilentMemoryGoesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newServer(t, nil), &vault{takes: time.Millisecond}
		eng := remembering(t, s, v, func(c *engine.Config) { c.Limits = []throttle.Limit{{ID: "a", Quota: 1, Per: time.Minute}} })
		defer eng.Close()
		v.shut(true)
		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
			require.ErrorIs(t, err, engine.ErrMemorySilent, "and not a limit that is full")
			_, err = eng.Submit(t.Context(), &engine.Request{Path: "/", Timeout: time.Second}).Result()
			require.ErrorIs(t, err, engine.ErrMemorySilent)
			synctest.Wait()
			wantNothingCharged(t, eng)
		}
		v.shut(false)
		spend(t, eng, 1)
		require.Len(t, s.seen(), 1)
		wantNothingHeld(t, eng)
		require.NoError(t, eng.Close())
	})
}

func TestWhoWaitsForARowOfSlowWritesIsToldOfTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := remembering(t, newServer(t, nil), &vault{takes: 900 * time.Millisecond}, nil)
		defer eng.Close()
		time.Sleep(time.Minute)
		first := asks(t.Context(), eng, &engine.Request{Path: "/"})
		time.Sleep(50 * time.Millisecond)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
		require.ErrorIs(t, err, engine.ErrMemorySilent)
		require.ErrorContains(t, err, "remembered for 1.0", "since it was granted, and not since the second write began")
		require.NoError(t, (<-first).err)
		require.NoError(t, eng.Close())
	})
}

func TestWhoSharesAnAnswerThatWaitsForTheMemoryIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		eng := remembering(t, newServer(t, nil), v, nil)
		defer eng.Close()
		v.shut(true)
		leader := asks(t.Context(), eng, &engine.Request{Path: "/", Coalesce: true})
		time.Sleep(time.Second)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Coalesce: true, Timeout: 2 * time.Second})
		require.ErrorIs(t, err, engine.ErrMemorySilent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		failure, _ := errors.AsType[*engine.Error](err)
		require.Equal(t, engine.Throttled, failure.Stage)
		v.shut(false)
		require.NoError(t, (<-leader).err)
		require.NoError(t, eng.Close())
	})
}

func TestWhoWaitsForALookThatWaitsForTheMemoryIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().UnixMilli())
		})
		eng := remembering(t, s, v, func(c *engine.Config) {
			c.Time, c.Auth = engine.TimeFrom("/time", "serverTime").ChargedTo("a"), auth.Binance("key", "secret")
		})
		defer eng.Close()
		v.shut(true)
		for name, wait := range map[string]func(*engine.Request) (*engine.Response, error){
			"Do":     func(req *engine.Request) (*engine.Response, error) { return eng.Do(t.Context(), req) },
			"Submit": func(req *engine.Request) (*engine.Response, error) { return eng.Submit(t.Context(), req).Result() },
		} {
			_, err := wait(&engine.Request{Path: "/", Auth: true, Timeout: 2 * time.Second})
			require.ErrorIs(t, err, engine.ErrMemorySilent, name)
			failure, _ := errors.AsType[*engine.Error](err)
			require.Equal(t, engine.Preparing, failure.Stage, name)
		}
		v.shut(false)
		time.Sleep(10 * time.Second)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
		require.NoError(t, err)
		require.NoError(t, eng.Close())
	})
}

func TestALaterAttemptThatWaitsForTheMemoryIsToldSoHoweverLongTheFirstHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/breaks" {
				v.shut(true)
				conn, _, _ := w.(http.Hijacker).Hijack()
				_ = conn.Close()
			}
		})
		eng := remembering(t, s, v, nil)
		defer eng.Close()
		spend(t, eng, 3)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/breaks", Timeout: 14 * time.Second})
		require.ErrorIs(t, err, engine.ErrMemorySilent)
		require.Len(t, s.seen(), 4, "the limit was waited for, and then only the memory")
		v.shut(false)
		require.NoError(t, eng.Close())
	})
}

func TestAShortSilenceBehindALongWaitForALimitIsNotToBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		eng := remembering(t, newServer(t, nil), v, nil)
		defer eng.Close()
		spend(t, eng, 3)
		time.AfterFunc(5*time.Second, func() { v.shut(true) })
		_, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "a", Timeout: 11 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, engine.ErrMemorySilent)
		v.shut(false)
		require.NoError(t, eng.Close())
	})
}

func TestANonceThatASilentMemoryDoesNotTakeIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{takes: time.Millisecond}
		eng := newServer(t, nil).newEngine(t, engine.Config{Memory: v, Auth: auth.BitfinexV1("nonces of a silent memory", "secret")})
		defer eng.Close()
		v.shut(true)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Timeout: time.Second})
		require.ErrorIs(t, err, engine.ErrMemorySilent)
		require.ErrorContains(t, err, "for 1s")
		v.shut(false)
		require.NoError(t, eng.Close())
	})
}

func TestAMemoryThatDoesNotReturnIsNamedWhereTheEngineIsClosed(t *testing.T) {
	for method, hang := range map[string]func(*scriptedMemory, func() error){
		"Append": func(s *scriptedMemory, hangs func() error) { s.appending = hangs },
		"Close":  func(s *scriptedMemory, hangs func() error) { s.closing = hangs },
	} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, gate := new(scriptedMemory), make(chan struct{})
				eng := remembering(t, newServer(t, nil), m, nil)
				defer eng.Close()
				hang(m, func() error { <-gate; return nil })
				_, _ = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
				began := time.Now()
				err := eng.Close()
				require.ErrorIs(t, err, engine.ErrStillRunning)
				require.ErrorContains(t, err, "with Config.Memory in its method "+method)
				require.Equal(t, 30*time.Second, time.Since(began))
				close(gate)
				require.NoError(t, eng.Close())
			})
		})
	}
}

func TestShutdownSaysThatSomethingStillRunsAlsoWhereItsContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gate := newServer(t, nil), make(chan struct{})
		eng := s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
			<-gate
			return errOfAMemory
		})}})
		hanging := asks(t.Context(), eng, &engine.Request{Path: "/"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := eng.Shutdown(ctx)
		require.ErrorIs(t, err, engine.ErrStillRunning)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "context deadline exceeded; and then sluice: not closed after 30s, with 1 requests on their journey, "+
			"and 0 goroutines in readers of bodies: code that requests wait for has not returned")
		close(gate)
		require.ErrorIs(t, (<-hanging).err, errOfAMemory)
		require.NoError(t, eng.Shutdown(t.Context()))
	})
}
