package scale

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// waitingKeys are callers of whom each waits for the limit of its own key nearly all
// the time, or all of them for that of one key: the same number of callers, at the
// same rate altogether.
//
// A slice runs in real time. The callers begin one after the other over the time in
// which every key has its turn, so that their turns stay spread evenly; what is
// measured begins when all have had theirs, and then the rate that is reached is
// compared with the one that the limits allow.
type waitingKeys struct {
	engine   *engine.Engine
	requests []engine.Request // one for each caller
	rate     float64          // requests a second that the limits allow
	span     time.Duration    // that is measured
}

// The rates that all keys together allow: well below what a machine of two
// processors carries, and high enough to have many keys take their turn in seconds.
const (
	keysRate      = 10_000
	quickKeysRate = 2_000
)

func keysSchedule(j Job) (rate float64, lead, span time.Duration) {
	rate, span = keysRate, time.Second
	if j.Quick {
		rate, span = quickKeysRate, 300*time.Millisecond
	}
	return rate, time.Duration(float64(j.X)/rate*float64(time.Second)) + span/4, span
}

// keysTake is what a slice takes by itself.
func keysTake(j Job) time.Duration {
	_, lead, span := keysSchedule(j)
	return lead + span
}

func openWaitingKeys(j Job) (subject, error) {
	w := &waitingKeys{requests: make([]engine.Request, j.X)}
	w.rate, _, w.span = keysSchedule(j)
	keys := j.X
	if j.Role == AtBase {
		keys = 1
	}
	for i := range w.requests {
		w.requests[i] = engine.Request{URL: j.Origin + small().path, LimitID: "keyed", Key: strconv.Itoa(i % keys)}
	}
	limits := append(wideLimits()[1:], keyedLimit(w.rate/float64(keys)))
	var err error
	w.engine, err = engine.New(engine.Config{
		Limits:    limits,
		Admission: engine.Admission{MaxInFlight: max(100_000, 2*j.X)},
	})
	return w, err
}

// keyedLimit admits so many requests a second for each key. Where time on the way
// would cost some of the rate it has room for one request beside the one that waits,
// or for those of a twentieth of a second. Where a key's turn comes once a second or
// less there is none: all keys would use it at the beginning, which is twice the rate.
func keyedLimit(rate float64) throttle.Limit {
	limit := throttle.Limit{ID: "keyed", Keyed: true, Window: throttle.Leaky, Linked: []throttle.Link{{ID: "all", Weight: 1}}}
	if rate < 1 {
		limit.Quota, limit.Per = 1, time.Duration(float64(time.Second)/rate)
	} else {
		limit.Quota, limit.Per = int64(math.Round(rate)), time.Second
	}
	if limit.Burst = 1; rate > 1 {
		limit.Burst = max(2, int64(rate/20))
	}
	return limit
}

func (w *waitingKeys) slice(ctx context.Context) (Sample, error) {
	callers := &restless{engine: w.engine}
	defer callers.stop()
	callers.begin(ctx, w.requests, w.rate)
	pause(ctx, w.span/4)

	before, err := gauge.ReadMeters()
	if err != nil {
		return Sample{}, err
	}
	done, began := callers.done.Load(), time.Now()
	pause(ctx, w.span)
	took := time.Since(began)
	n := int(callers.done.Load() - done)
	if n == 0 {
		return Sample{}, fmt.Errorf("no request of %d callers was answered within %v", len(w.requests), took.Round(time.Millisecond))
	}
	cost, err := before.CostSince(n)
	if err := callers.stop(); err != nil {
		return Sample{}, err
	}
	return Sample{Cost: cost, Rate: float64(n) / took.Seconds() / w.rate}, err
}

func (w *waitingKeys) close() { w.engine.Close() }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// restless callers send their request again and again until they are stopped.
type restless struct {
	engine  *engine.Engine
	done    atomic.Int64
	cancels []context.CancelFunc
	gone    sync.WaitGroup

	failed sync.Once
	err    error // read once nobody calls
}

// begin has a caller for each request, so many of them a second.
func (r *restless) begin(ctx context.Context, requests []engine.Request, rate float64) {
	began := time.Now()
	for len(r.cancels) < len(requests) && ctx.Err() == nil {
		due := min(len(requests), 1+int(time.Since(began).Seconds()*rate))
		for i := len(r.cancels); i < due; i++ {
			ctx, cancel := context.WithCancel(ctx)
			r.cancels = append(r.cancels, cancel)
			r.gone.Go(func() { r.call(ctx, &requests[i]) })
		}
		pause(ctx, time.Millisecond)
	}
}

func (r *restless) call(ctx context.Context, req *engine.Request) {
	for ctx.Err() == nil {
		resp, err := r.engine.Do(ctx, req)
		if err == nil {
			err = check(resp.StatusCode, resp.Body, len(smallest))
		}
		if err == nil {
			r.done.Add(1)
		} else if ctx.Err() == nil {
			r.failed.Do(func() { r.err = err })
			return
		}
	}
}

// stop ends the callers, and returns the first error of any that came before.
func (r *restless) stop() error {
	for _, cancel := range r.cancels {
		cancel()
	}
	r.gone.Wait()
	return r.err
}
