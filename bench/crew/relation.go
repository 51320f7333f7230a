package crew

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/internal/clock"
)

// clockRate is by how much the clocks of two machines may differ in rate: each may be slewed
// by 500 ppm, and their crystals may be bad.
const clockRate = 1100e-6

// relation is what a coordinator knows of one worker's clock. All instants of the
// coordinator are durations since its epoch, by the monotonic clock.
//
// Invariant: as long as clocks are no further apart in rate than clockRate and nobody set
// the worker's, which it guards against itself, the worker's clock shows at every instant t
// what shows(t) says, to within its bound.
type relation struct {
	estimator *clock.Estimator
	epoch     time.Time
	samples   int
	steps     int
	worst     time.Duration // round trip
	last      time.Duration // of the newest sample

	// What is known of the worker's clock at the beginning, ahead of the local instant. It
	// is kept apart, since the estimator forgets what is no longer the best now.
	begin            time.Duration // 0 before it is known
	beginLo, beginHi time.Duration
}

func newRelation(epoch time.Time) *relation {
	return &relation{estimator: clock.NewEstimator(clock.Config{Epoch: epoch, MaxRate: clockRate}), epoch: epoch}
}

// add takes a reading into account: the worker's clock showed it between sent and received.
func (r *relation) add(sent, received, shown time.Duration) {
	sample := clock.Sample{Sent: sent, Received: received, Server: shown}
	if sample.Validate() != nil {
		return
	}
	if r.estimator.Add(sample) {
		r.steps++
	}
	r.look()
	r.samples++
	r.worst = max(r.worst, received-sent)
	r.last = max(r.last, received)
}

// shows returns what the worker's clock shows at an instant, as a Unix time, and how wrong
// that can be at most.
func (r *relation) shows(at time.Duration) (shown, bound time.Duration) {
	lo, hi := r.estimator.Bounds(at)
	middle := lo + (hi-lo)/2
	return at + middle, (hi - lo + 1) / 2
}

// ahead is how far the worker's clock is ahead of the coordinator's wall clock at an instant.
func (r *relation) ahead(at time.Duration) (ahead, bound time.Duration) {
	shown, bound := r.shows(at)
	return shown - time.Duration(r.epoch.UnixNano()) - at, bound
}

// order notes when the beginning is to be, and returns what the worker's clock shows then.
func (r *relation) order(begin time.Duration) (shown time.Duration) {
	r.begin = begin
	r.beginLo, r.beginHi = r.estimator.Bounds(begin)
	shown, _ = r.shows(begin)
	return shown
}

// look takes what is known now of the clock at the beginning together with what was.
func (r *relation) look() {
	if r.begin == 0 || r.steps > 0 {
		return
	}
	lo, hi := r.estimator.Bounds(r.begin)
	r.beginLo, r.beginHi = max(r.beginLo, lo), min(r.beginHi, hi)
}

// off is by how much a worker can have begun before or after the instant at most, that was
// ordered to begin when its clock showed ordered.
func (r *relation) off(ordered time.Duration) time.Duration {
	shown := ordered - r.begin
	return max(r.beginHi-shown, shown-r.beginLo, 0)
}

// duration writes a duration in a few digits that tell something.
func duration(d time.Duration) string {
	switch size := d.Abs(); {
	case size >= time.Second:
		return d.Round(time.Millisecond).String()
	case size >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case size >= 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond).String()
	default:
		return d.String()
	}
}

func signed(d time.Duration) string {
	if d < 0 {
		return duration(d)
	}
	return fmt.Sprintf("+%s", duration(d))
}
