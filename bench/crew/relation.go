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

// start is what is known of the instant at which a worker began: how late it can have been
// and how early, by what was measured around that instant.
func (r *relation) start(at, ordered time.Duration) (off, bound time.Duration) {
	shown, bound := r.shows(at)
	return ordered - shown, bound
}

// duration writes a duration in a few digits that tell something.
func duration(d time.Duration) string {
	switch size := d.Abs(); {
	case size >= time.Second:
		return d.Round(time.Millisecond).String()
	case size >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(100 * time.Nanosecond).String()
	}
}

func signed(d time.Duration) string {
	if d < 0 {
		return duration(d)
	}
	return fmt.Sprintf("+%s", duration(d))
}
