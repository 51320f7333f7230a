package engine_test

import (
	"context"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// exitsLater is a context that ends whatever goroutine asks it for a value, from some time on.
type exitsLater struct {
	context.Context
	now *atomic.Bool
}

func (c exitsLater) Value(key any) any {
	if c.now.Load() {
		runtime.Goexit()
	}
	return c.Context.Value(key)
}

// withExitsLater runs a test with such a context, below which nothing has ended, on a goroutine of
// its own, and requires that this goes to its end.
func withExitsLater(t *testing.T, test func(t *testing.T, ctx context.Context, now *atomic.Bool)) {
	synctest.Test(t, func(t *testing.T) {
		under, cancel := context.WithCancel(t.Context())
		defer cancel()
		now, returned := new(atomic.Bool), make(chan bool, 1)
		go func() {
			whole := false
			defer func() { returned <- whole }()
			test(t, exitsLater{under, now}, now)
			whole = true
		}()
		require.True(t, <-returned, "the context of one has ended the goroutine of another")
	})
}

func TestOneContextThatEndsGoroutinesLetsCloseAndHaltEndAllOthers(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *engine.Engine){
		"close": func(t *testing.T, eng *engine.Engine) { require.NoError(t, eng.Close()) },
		"halt": func(t *testing.T, eng *engine.Engine) {
			_, err := eng.Halt(engine.Filter{})
			require.NoError(t, err)
		},
	} {
		for _, waitsFor := range []string{"a limit", "a connection"} {
			t.Run(name+", all wait for "+waitsFor, func(t *testing.T) {
				withExitsLater(t, func(t *testing.T, ctx context.Context, now *atomic.Bool) {
					s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
					quota := int64(1)
					if waitsFor == "a connection" {
						quota = 1000
					}
					eng := s.newEngine(t, engine.Config{
						Connections: engine.Connections{Max: 1}, Limits: []throttle.Limit{{ID: "a", Quota: quota, Per: time.Hour}}, DefaultLimitID: "a",
					})
					all := []*engine.Pending{eng.Submit(t.Context(), &engine.Request{Path: "/first"})}
					for i := range 9 {
						of := t.Context()
						if i == 4 {
							of = ctx
						}
						all = append(all, eng.Submit(of, &engine.Request{Path: "/"}))
					}
					time.Sleep(time.Millisecond)
					now.Store(true)
					end(t, eng)
					all[0].Cancel() // which has been sent, and no halt ends that
					for _, p := range all {
						select {
						case <-p.Done():
						case <-time.After(time.Minute):
							t.Error("a request has not ended")
						}
					}
					require.Zero(t, eng.Stats().InFlight)
				})
			})
		}
	}
}

func TestAContextThatEndsGoroutinesKeepsNothingOfWhatItsRequestHeld(t *testing.T) {
	withExitsLater(t, func(t *testing.T, ctx context.Context, now *atomic.Bool) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })
		eng := s.newEngine(t, engine.Config{Admission: engine.Admission{MaxInFlight: 1}})
		for _, timeout := range []time.Duration{0, time.Minute} {
			now.Store(false)
			response, err := eng.Do(ctx, &engine.Request{Path: "/", Stream: true, Timeout: timeout})
			require.NoError(t, err)
			now.Store(true)
			response.Stream.Close()
			stats := eng.Stats()
			require.Zero(t, stats.InFlight)
			require.Zero(t, stats.Pools[0].Leased)
		}

		now.Store(false)
		first, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		ended := make(chan struct{})
		go func() { // waits for the credit
			defer close(ended)
			_, _ = eng.Do(ctx, &engine.Request{Path: "/", Timeout: time.Minute})
		}()
		time.Sleep(time.Millisecond)
		now.Store(true)
		first.Stream.Close()
		<-ended
		require.Zero(t, eng.Stats().InFlight, "the credit has come back")
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)

		now.Store(false)
		p := eng.Submit(ctx, &engine.Request{Path: "/", Coalesce: true})
		now.Store(true)
		_, _ = p.Result()
	})
}
