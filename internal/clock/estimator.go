package clock

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Config sets an Estimator up. The zero value is ready to use.
type Config struct {
	// Epoch is the local instant at which the monotonic durations of samples and
	// of every "now" count zero. It must carry a monotonic reading, as time.Now
	// gives it. Zero means the moment of NewEstimator.
	Epoch time.Time
	// MaxRate is the greatest believable difference of the clocks' rates, at any
	// instant. Default 600e-6: 500 ppm of slewing and 100 ppm of bad crystal.
	MaxRate float64
	// Spread is how far the servers behind one name may be from the middle of
	// them all. It grows by itself when samples prove a greater one.
	Spread time.Duration
	// Burst is how many samples are taken in a row at the start, after a step and
	// after Resample. Default 8.
	Burst int
	// Spacing is the least time between two samples of a burst. Default 0.
	Spacing time.Duration
	// Interval is the longest time without a sample. Default 10 s.
	Interval time.Duration
	// MaxBound, when above zero, asks for a sample as soon as the bound has grown
	// past it, but at most once in MinInterval (default 1 s).
	MaxBound, MinInterval time.Duration
}

// Validate reports every mistake in c.
func (c Config) Validate() error {
	var errs []error
	if c.MaxRate < 0 || c.MaxRate >= 0.1 {
		errs = append(errs, fmt.Errorf("%s %g is not in [0, 0.1)", "MaxRate", c.MaxRate))
	}
	if c.Burst < 0 {
		errs = append(errs, fmt.Errorf("%s %d is negative", "Burst", c.Burst))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Spread", c.Spread}, {"Spacing", c.Spacing}, {"Interval", c.Interval},
		{"MaxBound", c.MaxBound}, {"MinInterval", c.MinInterval},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s %v is negative", d.name, d.value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clock config: %w", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Epoch.IsZero() {
		c.Epoch = time.Now()
	}
	c.MaxRate = cmp.Or(c.MaxRate, 600e-6)
	c.Burst = cmp.Or(c.Burst, 8)
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	c.MinInterval = cmp.Or(c.MinInterval, time.Second)
	return c
}

// trackerWander is what the estimate assumes beyond what the bound does: that
// the rate is constant but for this.
const trackerWander = 2e-6

// Estimator turns samples into an estimate of the server's clock and a bound on
// its error. It is owned by one goroutine. Offsets are server Unix time minus
// local monotonic time.
type Estimator struct {
	cfg     Config
	claim   claim
	tracker tracker
	newest  Sample // by Received
	samples int
	cadence cadence
}

// NewEstimator returns an estimator that knows nothing yet. cfg must be valid.
func NewEstimator(cfg Config) *Estimator {
	cfg = cfg.withDefaults()
	return &Estimator{cfg: cfg, cadence: newCadence(cfg)}
}

// Since turns a local instant into the duration that samples and "now" use.
func (e *Estimator) Since(local time.Time) time.Duration { return local.Sub(e.cfg.Epoch) }

// Ready reports whether there was a sample.
func (e *Estimator) Ready() bool { return e.samples > 0 }

// Add takes a sample into account and reports whether it showed the server's
// clock to have stepped: everything known before is then forgotten. Samples may
// come in any order. One that Validate refuses is ignored.
func (e *Estimator) Add(s Sample) (step bool) {
	if s.Validate() != nil {
		return false
	}
	e.samples++
	if e.samples == 1 {
		e.begin(s)
		return false
	}
	before := e.width(s.Received) // at the instant of the sample, or its age would count as knowledge
	step = e.take(s)
	if s.Received > e.newest.Received {
		e.newest = s
	}
	e.cadence.sampled(s, before, e.width(s.Received))
	if step {
		e.cadence.burst()
	}
	return step
}

func (e *Estimator) begin(s Sample) {
	e.claim = newClaim(s, e.cfg.MaxRate, int64(e.cfg.Spread))
	e.tracker = newTracker(s, e.cfg.MaxRate, trackerWander, e.claim.spread)
	e.newest = s
	e.cadence.sampled(s, time.Duration(math.MaxInt64), e.width(s.Received))
}

func (e *Estimator) take(s Sample) (step bool) {
	if e.claim.add(s) == stepped {
		e.tracker.restart(s)
		return true
	}
	e.tracker.loosen(e.claim.slack())
	e.tracker.add(s)
	return false
}

func (e *Estimator) width(now time.Duration) time.Duration {
	lo, hi := e.Bounds(now)
	return hi - lo
}

// Bounds returns the offset's proven bounds at the instant now. Both are zero
// before the first sample.
func (e *Estimator) Bounds(now time.Duration) (lo, hi time.Duration) {
	if !e.Ready() {
		return 0, 0
	}
	return time.Duration(e.claim.lower(int64(now))), time.Duration(e.claim.upper(int64(now)))
}

// Estimate returns the estimated offset at the instant now, and how far from it
// the true one can be. Both are zero before the first sample.
func (e *Estimator) Estimate(now time.Duration) (offset, bound time.Duration) {
	if !e.Ready() {
		return 0, 0
	}
	o, _ := e.estimate(int64(now))
	lo, hi := e.Bounds(now)
	// The estimate need not be in the middle: the farther end is the bound.
	return time.Duration(o), max(hi-time.Duration(o), time.Duration(o)-lo)
}

// estimate returns the offset at now and its rate. The tracker's line is kept
// inside the bound; a line that has left it altogether starts anew.
func (e *Estimator) estimate(now int64) (offset int64, rate float64) {
	offset, rate = e.tracker.estimate(now)
	lo, hi := e.claim.lower(now), e.claim.upper(now)
	if e.tracker.outside(lo, hi) {
		e.tracker.restart(e.newest)
		offset, rate = e.tracker.estimate(now)
	}
	return min(max(offset, lo), hi), rate
}

// Spread returns how far a server may be from the middle of all the servers
// that answer: Config.Spread, or more if samples proved more.
func (e *Estimator) Spread() time.Duration { return time.Duration(e.claim.spread) }

// Snapshot returns what is known at the instant now, or nil before the first
// sample.
func (e *Estimator) Snapshot(now time.Duration) *Snapshot {
	if !e.Ready() {
		return nil
	}
	offset, rate := e.estimate(int64(now))
	return &Snapshot{
		epoch:    e.cfg.Epoch,
		estimate: anchor{at: int64(now), offset: offset},
		rate:     rate,
		promise:  e.claim.promise,
		newest:   e.newest.Received,
		samples:  e.samples,
	}
}
