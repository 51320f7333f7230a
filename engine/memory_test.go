package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

var threeInTen = []throttle.Limit{{ID: "a", Quota: 3, Per: 10 * time.Second, Scope: "ip"}}

// remembering makes an engine with a memory; the test closes it.
func remembering(t *testing.T, s *server, m engine.Memory, change func(*engine.Config)) *engine.Engine {
	t.Helper()
	config := engine.Config{BaseURL: "http://server.test", Limits: threeInTen, DefaultLimitID: "a", Memory: m}
	config.Dial.DialContext = s.dial
	if change != nil {
		change(&config)
	}
	eng, err := engine.New(config)
	require.NoError(t, err)
	return eng
}

func spend(t *testing.T, eng *engine.Engine, n int) {
	t.Helper()
	for range n {
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
	}
}

func TestWhatAnEngineSpentIsSpentAfterItsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "memory")
		s := newServer(t, nil)
		eng := remembering(t, s, engine.MemoryFile(path), nil)
		spend(t, eng, 2)
		require.NoError(t, eng.Close())

		eng = remembering(t, s, engine.MemoryFile(path), nil)
		spend(t, eng, 2)
		require.NoError(t, eng.Close())
		seen := s.seen()
		require.Zero(t, seen[2], "there was room for one more")
		require.InDelta(t, 10*time.Second, seen[3], float64(time.Second))
	})
}

func TestALimitWhoseByIsAnotherAfterARestartLetsNoMoreThrough(t *testing.T) {
	for _, by := range []throttle.By{throttle.ByAccount, throttle.ByKey} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory")
			s := newServer(t, nil)
			eng := remembering(t, s, engine.MemoryFile(path), nil)
			spend(t, eng, 2)
			require.NoError(t, eng.Close())

			var log lockedBuffer
			eng = remembering(t, s, engine.MemoryFile(path), func(c *engine.Config) {
				c.Limits = []throttle.Limit{threeInTen[0]}
				c.Limits[0].By = by
				c.Accounts = map[string]auth.Authenticator{"x": nil}
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 2 {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Account: "x", Key: "k"})
				require.NoError(t, err)
			}
			require.NoError(t, eng.Close())
			require.InDelta(t, 10*time.Second, s.seen()[3], float64(time.Second), "by %v", by)
			require.Contains(t, log.String(), "limit=a was_by=nothing by="+by.String())
			require.Equal(t, 1, strings.Count(log.String(), "told apart"))
		})
	}
}

func TestARenamedLimitIsNamedInTheLogIfSomethingWasSpentOfIt(t *testing.T) {
	renamed := []throttle.Limit{{ID: "b", Quota: 3, Per: 10 * time.Second}}
	told := func(log *lockedBuffer) []string {
		var lines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "renamed") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	for _, spent := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory")
			var log lockedBuffer
			logged := func(c *engine.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
			s := newServer(t, nil)
			eng := remembering(t, s, engine.MemoryFile(path), logged)
			spend(t, eng, spent)
			require.NoError(t, eng.Close())
			eng = remembering(t, s, engine.MemoryFile(path), func(c *engine.Config) { logged(c); c.Limits, c.DefaultLimitID = renamed, "b" })
			require.NoError(t, eng.Close())
			require.Len(t, told(&log), spent)

			eng = remembering(t, s, nil, logged)
			spend(t, eng, spent)
			require.NoError(t, eng.ReplaceLimits(renamed))
			require.NoError(t, eng.Close())
			require.Len(t, told(&log), 2*spent)
			for _, line := range told(&log) {
				require.Contains(t, line, "limits=[a] in_all=1")
			}

			eng = remembering(t, s, nil, logged)
			spend(t, eng, spent)
			time.Sleep(11 * time.Second) // by then nothing of it counts
			require.NoError(t, eng.ReplaceLimits(renamed))
			require.NoError(t, eng.Close())
			require.Len(t, told(&log), 2*spent)
		})
	}
}

func TestAPauseOutlastsTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "memory")
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		eng := remembering(t, s, engine.MemoryFile(path), nil)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.NoError(t, eng.Close())

		eng = remembering(t, s, engine.MemoryFile(path), nil)
		spend(t, eng, 1)
		require.NoError(t, eng.Close())
		require.InDelta(t, 60*time.Second, s.seen()[1], float64(time.Second))
	})
}

func TestASecondEngineOnOneMemoryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	eng, err := engine.New(engine.Config{Memory: engine.MemoryFile(path)})
	require.NoError(t, err)
	_, err = engine.New(engine.Config{Memory: engine.MemoryFile(path)})
	require.ErrorIs(t, err, engine.ErrMemoryInUse)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, fmt.Sprintf("process %d holds %s.lock", os.Getpid(), path))
	require.NoError(t, eng.Close())
	eng, err = engine.New(engine.Config{Memory: engine.MemoryFile(path)})
	require.NoError(t, err)
	require.NoError(t, eng.Close())
}

func TestAMemoryThatCannotBeMadeIsAnErrorOfNew(t *testing.T) {
	_, err := engine.New(engine.Config{Memory: engine.MemoryFile(filepath.Join(t.TempDir(), "missing", "memory"))})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "sluice: Config.Memory: ", "whose path it is")
}

func TestADamagedMemoryIsKeptAndEveryLimitCountsAsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "memory")
		require.NoError(t, os.WriteFile(path, []byte("what else might be there"), 0o600))
		s := newServer(t, nil)
		var log lockedBuffer
		eng := remembering(t, s, engine.MemoryFile(path), func(c *engine.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		spend(t, eng, 1)
		require.NoError(t, eng.Close())
		// What was on the wire may arrive for MaxDelay, and counts for a window from there on.
		require.InDelta(t, 20*time.Second, s.seen()[0], float64(time.Second))
		aside, _ := filepath.Glob(path + ".bad-*")
		require.Len(t, aside, 1)
		require.Contains(t, log.String(), "level=WARN")
		require.Contains(t, log.String(), filepath.Base(aside[0]))
	})
}

func TestNoKeyIsInAMemoryAndNoncesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "memory")
		var mu sync.Mutex
		var payloads []string
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			payloads = append(payloads, r.Header.Get("X-BFX-PAYLOAD"))
		})
		for range 2 {
			eng := remembering(t, s, engine.MemoryFile(path), func(c *engine.Config) { c.Auth = auth.BitfinexV1("the key itself", "the secret itself") })
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
			require.NoError(t, err)
			require.NoError(t, eng.Close())
		}
		require.Len(t, payloads, 2)
		held, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(held), "nonce-")
		require.NotContains(t, string(held), "itself")
	})
}

// fullDisk is a memory in a file on a disk that becomes full.
type fullDisk struct {
	engine.Memory
	full atomic.Bool
}

func (d *fullDisk) Open() (memory.Store, memory.Held, error) {
	s, held, err := d.Memory.Open()
	if err != nil {
		return nil, held, err
	}
	return &fullStore{s.(memory.InPlace), d}, held, nil
}

type fullStore struct {
	memory.InPlace
	disk *fullDisk
}

func (s *fullStore) Append(records []byte) error {
	if s.disk.full.Load() {
		return syscall.ENOSPC
	}
	return s.InPlace.Append(records)
}

func TestANonceThatAFullDiskDoesNotTakeDoesNotLeaveAndWhatNeedsNoneDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		disk := &fullDisk{Memory: engine.MemoryFile(filepath.Join(t.TempDir(), "memory"))}
		eng := remembering(t, s, disk, func(c *engine.Config) {
			c.Auth, c.Limits, c.DefaultLimitID = auth.BitfinexV1("full disk", "secret"), nil, engine.Unlimited
		})
		signed := &engine.Request{Path: "/", Auth: true}
		_, err := eng.Do(t.Context(), signed)
		require.NoError(t, err)
		disk.full.Store(true)
		_, err = eng.Do(t.Context(), signed)
		require.NoError(t, err, "its nonce is reserved")
		time.Sleep(11 * time.Second)
		_, err = eng.Do(t.Context(), signed)
		require.ErrorIs(t, err, engine.ErrMemoryGivenUp)
		require.ErrorContains(t, err, "memory")
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		require.ErrorIs(t, engine.Wait(t.Context(), err), engine.ErrMemoryGivenUp, "no waiting mends it")
		spend(t, eng, 1)
		require.Len(t, s.seen(), 3)
		require.NoError(t, eng.Close())
	})
}

// vault is a memory of somebody's own: it takes its time, and fails when it is told
// to.
type vault struct {
	mu     sync.Mutex
	held   []byte
	takes  time.Duration
	fails  bool
	closed int
}

func (v *vault) Open() (memory.Store, memory.Held, error) {
	return v, memory.Held{Records: slices.Clone(v.held)}, nil
}

func (v *vault) put(change func()) error {
	time.Sleep(v.takes)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fails {
		return errors.New("the vault is shut")
	}
	change()
	return nil
}

func (v *vault) Append(b []byte) error  { return v.put(func() { v.held = append(v.held, b...) }) }
func (v *vault) Replace(b []byte) error { return v.put(func() { v.held = slices.Clone(b) }) }
func (v *vault) Close() error           { v.closed++; return nil }

func (v *vault) shut(is bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fails = is
}

func TestAMemoryOfSomebodysOwnTakesThePlaceOfAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newServer(t, nil), &vault{takes: 5 * time.Millisecond}
		eng := remembering(t, s, v, nil)
		began := time.Since(s.start)
		spend(t, eng, 1)
		require.Equal(t, began+5*time.Millisecond, s.seen()[0], "it leaves once it is remembered")
		spend(t, eng, 2)
		require.NoError(t, eng.Close())
		require.Equal(t, 1, v.closed)
		eng = remembering(t, s, v, nil)
		spend(t, eng, 1)
		require.NoError(t, eng.Close())
		require.InDelta(t, 10*time.Second, s.seen()[3], float64(time.Second))
	})
}

func TestNothingLeavesThatAMemoryDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newServer(t, nil), &vault{takes: time.Millisecond}
		eng := remembering(t, s, v, nil)
		v.shut(true)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, s.seen())
		v.shut(false)
		time.Sleep(2 * time.Second)
		spend(t, eng, 2)
		require.Len(t, s.seen(), 2)
		wantNothingHeld(t, eng)
		require.NoError(t, eng.Close())
	})
}

func TestAnEngineWhoseMemoryTakesNothingIsClosedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newServer(t, nil), &vault{takes: time.Millisecond}
		eng := remembering(t, s, v, nil)
		v.shut(true)
		refused := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				refused <- err
			}()
		}
		time.Sleep(time.Second)
		require.NoError(t, eng.Close())
		for range 3 {
			require.ErrorIs(t, <-refused, engine.ErrClosed)
		}
		require.Empty(t, s.seen())
	})
}

// broken is a memory whose next calls do harm.
type broken struct {
	vault
	harm func(call string) // guarded by vault.mu
}

func (b *broken) does(call string) {
	b.mu.Lock()
	harm := b.harm
	b.harm = nil // once
	b.mu.Unlock()
	if harm != nil {
		harm(call)
	}
}

func (b *broken) Open() (memory.Store, memory.Held, error) { return b, memory.Held{}, nil }
func (b *broken) Append(f []byte) error                    { b.does("Append"); return b.vault.Append(f) }
func (b *broken) Replace(f []byte) error                   { b.does("Replace"); return b.vault.Replace(f) }

func (b *broken) breaks(harm func(string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.harm = harm
}

// noMemory opens as a test wants it.
type noMemory struct {
	open func() (memory.Store, memory.Held, error)
}

func (n noMemory) Open() (memory.Store, memory.Held, error) { return n.open() }

func TestAPanicOfAMemoryOfSomebodysOwnIsAnErrorOfIts(t *testing.T) {
	harms := map[string]func(string){"panics": func(string) { panic("a secret") }, "ends its goroutine": func(string) { runtime.Goexit() }}
	for name, harm := range harms {
		t.Run("where it writes, and "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newServer(t, nil), &broken{}
				eng := remembering(t, s, b, nil)
				b.breaks(harm)
				spend(t, eng, 1)
				require.InDelta(t, 50*time.Millisecond, s.seen()[0], float64(time.Millisecond), "it is tried again, as after any error")
				spend(t, eng, 1)
				require.NoError(t, eng.Close())
			})
		})
		t.Run("at the beginning, and "+name, func(t *testing.T) {
			b := &broken{harm: harm}
			for _, m := range []engine.Memory{b, noMemory{func() (memory.Store, memory.Held, error) { harm("Open"); return nil, memory.Held{}, nil }}} {
				_, err := engine.New(engine.Config{Memory: m})
				require.ErrorContains(t, err, "Config.Memory: memory: its code")
				require.NotContains(t, err.Error(), "secret")
			}
		})
	}
	for _, store := range []memory.Store{nil, (*broken)(nil)} {
		_, err := engine.New(engine.Config{Memory: noMemory{func() (memory.Store, memory.Held, error) { return store, memory.Held{}, nil }}})
		require.ErrorContains(t, err, "Config.Memory: memory:")
	}
}

func TestAMemoryThatDoesNotAnswerIsNamedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		s, v := newServer(t, nil), &vault{takes: time.Minute}
		eng := remembering(t, s, v, func(c *engine.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		go spend(t, eng, 1)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Contains(t, log.String(), "the memory has not answered for long: requests wait until it does")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Equal(t, 2, strings.Count(log.String(), "the memory has not answered"), "of the permit, and of what became of it")
		require.NoError(t, eng.Close())
	})
}

func TestWhoWaitsForAMemoryInVainIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newServer(t, nil), &vault{takes: time.Millisecond}
		eng := remembering(t, s, v, func(c *engine.Config) { c.Timeout = time.Minute })
		waits := map[string]func(context.Context) error{
			"Do": func(ctx context.Context) error { _, err := eng.Do(ctx, &engine.Request{Path: "/"}); return err },
			"Submit": func(ctx context.Context) error {
				_, err := eng.Submit(ctx, &engine.Request{Path: "/"}).Result()
				return err
			},
			"Acquire": func(ctx context.Context) error {
				_, err := eng.Acquire(ctx, engine.Charge{LimitID: "a"})
				return err
			},
		}
		for name, wait := range waits {
			v.shut(true)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := wait(ctx)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorIs(t, err, engine.ErrMemorySilent, name)
			require.ErrorContains(t, err, "the memory has not taken what is to be remembered for 2", name)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err), name)
			v.shut(false)
			time.Sleep(time.Minute)
		}

		spend(t, eng, 3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, engine.ErrMemorySilent, "the limit was full, and the memory was not asked for long")
		require.NoError(t, eng.Close())
	})
}

func TestANonceIsWaitedForNoLongerThanItsRequestIs(t *testing.T) {
	for name, account := range map[string]auth.Authenticator{
		"in order":  auth.Kraken{Key: "nonces of a slow memory", Secret: "MDEyMzQ1Njc4OWFiY2RlZg=="},
		"in no one": auth.Deribit("unique numbers of a slow memory", "0123456789abcdef"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b, gate := newServer(t, nil), &broken{}, make(chan struct{})
				eng := s.newEngine(t, engine.Config{Memory: b, Auth: account})
				b.breaks(func(string) { <-gate }) // it takes nothing from now on
				began := time.Now()
				ended := make(chan error, 5)
				for i := range 5 {
					go func() {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						req := &engine.Request{Method: "POST", Path: "/order", Auth: true, Timeout: time.Second}
						if i == 4 {
							time.AfterFunc(time.Second, cancel)
							req.Timeout = time.Hour
						}
						_, err := eng.Do(ctx, req)
						ended <- err
					}()
				}
				late := 0
				for range 5 {
					err := <-ended
					require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
					if errors.Is(err, context.DeadlineExceeded) {
						late++
					} else {
						require.ErrorIs(t, err, context.Canceled)
					}
				}
				require.Equal(t, 4, late)
				require.Equal(t, time.Second, time.Since(began))
				require.Empty(t, s.seen())
				close(gate)
				time.Sleep(time.Second)
				_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", Auth: true})
				require.NoError(t, err)
				wantNothingHeld(t, eng)
				require.NoError(t, eng.Close())
			})
		})
	}
}
