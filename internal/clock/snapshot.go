package clock

import (
	"sync/atomic"
	"time"
)

// Snapshot is what an Estimator knew at one moment. It is immutable, may be read
// from any goroutine, and stays true: as it ages its bound grows by the rate the
// clocks may differ by. Local instants must carry a monotonic reading, as those
// of time.Now do; the wall clock is never looked at.
type Snapshot struct {
	epoch    time.Time
	estimate anchor
	rate     float64 // of the estimated offset
	promise  promise
	newest   time.Duration
	samples  int
}

// At returns the estimated server time at a local instant, and how far from it
// the true one can be.
func (s *Snapshot) At(local time.Time) (est time.Time, bound time.Duration) {
	t := int64(local.Sub(s.epoch))
	lo, hi := s.promise.lower(t), s.promise.upper(t)
	offset := s.offset(t, lo, hi)
	return time.Unix(0, t+offset), time.Duration(max(hi-offset, offset-lo))
}

// Range returns the first and the last instant that the server's clock can have
// shown at a local instant.
func (s *Snapshot) Range(local time.Time) (lo, hi time.Time) {
	t := int64(local.Sub(s.epoch))
	return time.Unix(0, t+s.promise.lower(t)), time.Unix(0, t+s.promise.upper(t))
}

// Ahead returns the least and the most that the server's Unix time can be ahead
// of the local clock at an instant of that, both counted from the epoch.
func (s *Snapshot) Ahead(at time.Duration) (lo, hi time.Duration) {
	return time.Duration(s.promise.lower(int64(at))), time.Duration(s.promise.upper(int64(at)))
}

// Now returns the estimated server time.
func (s *Snapshot) Now() time.Time {
	est, _ := s.At(time.Now())
	return est
}

// Bound returns how far Now can be from the true server time.
func (s *Snapshot) Bound() time.Duration {
	_, bound := s.At(time.Now())
	return bound
}

// Offset returns the estimated server time minus what the local wall clock says.
func (s *Snapshot) Offset() time.Duration {
	local := time.Now()
	est, _ := s.At(local)
	return est.Sub(local)
}

// Age returns the time since the newest sample came in.
func (s *Snapshot) Age() time.Duration { return time.Since(s.epoch) - s.newest }

// Samples returns how many samples went into the snapshot.
func (s *Snapshot) Samples() int { return s.samples }

func (s *Snapshot) offset(t, lo, hi int64) int64 {
	// As it ages the line may leave the bound, which holds whatever the rate does.
	o := s.estimate.offset + int64(s.rate*float64(t-s.estimate.at))
	return min(max(o, lo), hi)
}

// Published hands the newest snapshot from the goroutine that owns an Estimator
// to all others. The zero value holds none.
type Published struct{ p atomic.Pointer[Snapshot] }

// Load returns the newest snapshot, or nil if there is none yet.
func (p *Published) Load() *Snapshot { return p.p.Load() }

// Store makes s the newest snapshot. A nil s withdraws the old one.
func (p *Published) Store(s *Snapshot) { p.p.Store(s) }
