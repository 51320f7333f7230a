package scale

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// holding is the growth of heap and stacks for each of n things that something comes
// to hold. Pools and the runtime keep what is let go of, so a process measures once.
type holding struct {
	n    int
	hold func(ctx context.Context) (release func() error, err error)
	end  func() // may be nil
}

func (h *holding) slice(ctx context.Context) (Sample, error) {
	before := gauge.MemoryInUse()
	began := time.Now()
	release, err := h.hold(ctx)
	if err != nil {
		return Sample{}, err
	}
	took := time.Since(began)
	grown := gauge.MemoryInUse() - before
	n := float64(h.n)
	// What was let go of again is no growth, and what the runtime let go of
	// besides is nobody's saving.
	cost := gauge.Cost{Bytes: max(1, grown/n), Wall: float64(took) / float64(time.Microsecond) / n}
	return Sample{Cost: cost}, release()
}

func (h *holding) close() {
	if h.end != nil {
		h.end()
	}
}

const keyPer = time.Second

// openIdleKeys weighs keys that were used once, and not for ten windows since.
func openIdleKeys(j Job) (subject, error) { return holdKeys(j, 10*keyPer), nil }

// openUsedKeys weighs keys that were used a moment ago.
func openUsedKeys(j Job) (subject, error) { return holdKeys(j, 0), nil }

func holdKeys(j Job, rest time.Duration) subject {
	keys := namesOfKeys(j.X)
	return &holding{n: j.X, hold: func(context.Context) (func() error, error) {
		w, err := used(keys, keyPer)
		if err != nil {
			return nil, err
		}
		w.rest(rest)
		return func() error {
			runtime.KeepAlive(w)
			runtime.KeepAlive(keys)
			return nil
		}, nil
	}}
}

// openWaiting weighs callers that wait in Do for a limit, each on a goroutine.
func openWaiting(j Job) (subject, error) {
	limits := []throttle.Limit{{ID: route, Quota: 1, Per: 24 * time.Hour}}
	eng, err := engine.New(engine.Config{Limits: limits})
	if err != nil {
		return nil, err
	}
	if err := eng.AdjustLimit(route, engine.Parts{}, 1); err != nil {
		return nil, errors.Join(err, eng.Close())
	}
	return waitingIn(eng, j.X, func(s engine.Stats) int { return s.Queued }), nil
}

// openPending weighs callers that wait in Do for a connection, while none comes about.
func openPending(j Job) (subject, error) {
	eng, err := engine.New(engine.Config{
		Limits: wideLimits(),
		Dial: engine.Dial{Timeout: time.Hour, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}},
	})
	if err != nil {
		return nil, err
	}
	return waitingIn(eng, j.X, func(s engine.Stats) (waiting int) {
		for _, pool := range s.Pools {
			waiting += pool.Waiting
		}
		return waiting
	}), nil
}

var errEnough = errors.New("the callers were weighed")

// waitingIn weighs n callers in Do, once so many are seen to wait.
func waitingIn(eng *engine.Engine, n int, waiting func(engine.Stats) int) subject {
	return &holding{n: n, end: func() { eng.Close() }, hold: func(ctx context.Context) (func() error, error) {
		// The callers have no deadline: with one, nobody would wait for what comes later.
		waited, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		var gone sync.WaitGroup
		req := &engine.Request{URL: "http://nobody.test/", LimitID: route}
		for range n {
			gone.Go(func() {
				if _, err := eng.Do(waited, req); !errors.Is(err, errEnough) {
					cancel(errors.Join(errors.New("a caller did not wait"), err))
				}
			})
		}
		for waiting(eng.Stats()) < n && waited.Err() == nil {
			pause(waited, time.Millisecond)
		}
		failed := context.Cause(waited)
		release := func() error {
			cancel(errEnough)
			gone.Wait()
			return failed
		}
		if failed != nil {
			return nil, release()
		}
		return release, nil
	}}
}
