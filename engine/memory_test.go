package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
