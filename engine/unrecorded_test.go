package engine_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// failingMemory keeps what it is told, unless it fails: then it keeps nothing.
type failingMemory struct {
	mu    sync.Mutex
	held  []byte
	fails bool
}

func (m *failingMemory) Open() (memory.Store, memory.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m, memory.Held{Records: slices.Clone(m.held)}, nil
}

func (m *failingMemory) Append(records []byte) error {
	time.Sleep(2 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return errors.New("unreachable")
	}
	m.held = append(m.held, records...)
	return nil
}

func (m *failingMemory) Replace(records []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = slices.Clone(records)
	return nil
}

func (m *failingMemory) Close() error { return nil }

func (m *failingMemory) fail(fails bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = fails
}

// What is spent and not remembered would be spent again by the next engine.
func TestWhatIsNotRememberedDoesNotLeaveAtTheEnd(t *testing.T) {
	limits := []throttle.Limit{{ID: "calls", Quota: 5, Per: time.Hour}}
	for name, ask := range map[string]func(*engine.Engine) error{
		"Do": func(eng *engine.Engine) error {
			_, err := eng.Do(context.Background(), &engine.Request{Path: "/"})
			return err
		},
		"Submit": func(eng *engine.Engine) error {
			_, err := eng.Submit(context.Background(), &engine.Request{Path: "/"}).Result()
			return err
		},
		"Acquire": func(eng *engine.Engine) error {
			permit, err := eng.Acquire(context.Background(), engine.Charge{})
			if err == nil {
				permit.Done(engine.Done)
			}
			return err
		},
	} {
		for _, graceful := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				m, arrived := new(failingMemory), 0
				s := newServer(t, func(http.ResponseWriter, *http.Request) { arrived++ })
				begin := func() *engine.Engine {
					return s.newEngine(t, engine.Config{Limits: limits, DefaultLimitID: "calls", Memory: m})
				}
				eng := begin()
				time.Sleep(time.Second)
				m.fail(true)
				asked := make(chan error, 8)
				for range 8 {
					go func() { asked <- ask(eng) }()
				}
				time.Sleep(200 * time.Millisecond)
				if graceful {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					require.ErrorIs(t, eng.Shutdown(ctx), context.DeadlineExceeded)
					cancel()
				} else {
					require.NoError(t, eng.Close())
				}
				for range 8 {
					require.ErrorIs(t, <-asked, engine.ErrClosed, name)
				}
				require.Zero(t, arrived)
				m.fail(false)
				eng = begin()
				require.EqualValues(t, 0, used(eng, "calls"))
				require.NoError(t, eng.Close())
			})
		}
	}
}
