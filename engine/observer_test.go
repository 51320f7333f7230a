package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// diary has what an observer was told, a line each.
type diary struct {
	mu    sync.Mutex
	lines []string
	ended []engine.Ended
	tried []engine.Attempted
	waits []engine.Waited
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.lines
	d.lines = nil
	return taken
}

type nameKey struct{}

// observer writes down what it is told, and gives its name to whoever is told later.
func (d *diary) observer(name string) engine.Observer {
	who := func(ctx context.Context) string { return fmt.Sprint(ctx.Value(nameKey{})) }
	return engine.Observer{
		Begin: func(ctx context.Context, req *engine.Request) context.Context {
			d.note("%s begin %s", name, req.Path)
			before, _ := ctx.Value(nameKey{}).(string)
			return context.WithValue(ctx, nameKey{}, before+name)
		},
		Wait: func(ctx context.Context, w engine.Waited) {
			d.mu.Lock()
			d.waits = append(d.waits, w)
			d.mu.Unlock()
			d.note("%s wait %s: queued %v leased %v err %v", name, who(ctx), w.Queued, w.Leased, w.Err != nil)
		},
		Attempt: func(ctx context.Context, a engine.Attempted) {
			d.mu.Lock()
			d.tried = append(d.tried, a)
			d.mu.Unlock()
			d.note("%s attempt %s %d: %d sent %v took %v again %v err %v", name, who(ctx), a.Number, a.StatusCode, a.Sent, a.Took, a.Again, a.Err != nil)
		},
		End: func(ctx context.Context, e engine.Ended) {
			d.mu.Lock()
			d.ended = append(d.ended, e)
			d.mu.Unlock()
			d.note("%s end %s: %v after %d", name, who(ctx), e.Outcome(), e.Attempts)
		},
	}
}

func TestObserversAreToldInTheirOrderOfEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		asked := 0
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			if asked++; asked == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			io.WriteString(w, "{}")
		}).newEngine(t, engine.Config{
			Observers: []engine.Observer{d.observer("a"), {}, d.observer("b")},
			Retry:     engine.Retry{Statuses: []int{503}},
			Limits:    []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}}, DefaultLimitID: "calls",
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/x"})
		require.NoError(t, err)
		lines := d.take()
		require.Len(t, lines, 12)
		require.Equal(t, "a begin /x", lines[0])
		require.Equal(t, "b begin /x", lines[1])
		require.Equal(t, "a wait ab: queued 0s leased 0s err false", lines[2])
		require.Equal(t, "b wait ab: queued 0s leased 0s err false", lines[3])
		require.Equal(t, "a attempt ab 1: 503 sent yes took 10ms again true err false", lines[4])
		require.Contains(t, lines[6], "a wait ab: queued ")
		require.Equal(t, "b attempt ab 2: 200 sent yes took 10ms again false err false", lines[9])
		require.Equal(t, "a end ab: done after 2", lines[10])
		require.Equal(t, "b end ab: done after 2", lines[11])
	})
}
