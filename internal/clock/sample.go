package clock

import (
	"errors"
	"fmt"
	"time"
)

// Sample is one reading of the server's clock.
type Sample struct {
	// Sent and Received bracket the reading: monotonic durations since the
	// estimator's epoch, taken just before the request's first byte was written
	// and just after the answer's first byte was read.
	Sent, Received time.Duration
	// Server is the Unix time the server gave, cut off to Resolution.
	Server time.Duration
	// Resolution is the step of the server's figure: 1 ms for a JSON time in
	// milliseconds, 1 s for a Date header. Zero means exact.
	Resolution time.Duration
	// Local is the Unix time that the local wall clock showed at Received, for a
	// Guard to compare with. Zero means that it is not known.
	Local time.Duration
	// Date is the Unix time in the Date header of the same answer, to the second.
	// Zero means that there was none, or that it is where Server comes from.
	Date time.Duration
}

// Reasons for which Sample.Validate refuses a sample.
var (
	ErrReversed   = errors.New("received before it was sent")
	ErrSlow       = errors.New("received more than a minute after it was sent")
	ErrInstant    = errors.New("sent more than a year before the engine began, or a century after")
	ErrResolution = errors.New("resolution is negative or above one minute")
	ErrServerTime = errors.New("server time is not a Unix time between 1970 and 2255")
	ErrBeside     = errors.New("local time or Date is not a Unix time between 1970 and 2255")
)

// What a sample may hold. A source of time may say anything: within these bounds no sum
// of a sample's figures overflows, nor does a bound that widens for half a century.
const (
	maxResolution = time.Minute
	maxTrip       = time.Minute         // a look that takes longer says nothing that anybody could sign by
	maxUnix       = time.Duration(9e18) // leaves room for bounds to widen
	minInstant    = -365 * 24 * time.Hour
	maxInstant    = 100 * 365 * 24 * time.Hour
)

// Validate reports why s cannot be used. Nothing is computed from one before that.
func (s Sample) Validate() error {
	var errs []error
	switch {
	case s.Sent < minInstant || s.Sent > maxInstant:
		errs = append(errs, ErrInstant)
	case s.Received < s.Sent:
		errs = append(errs, ErrReversed)
	case s.Received > s.Sent+maxTrip:
		errs = append(errs, ErrSlow)
	}
	if min(s.Local, s.Date) < 0 || max(s.Local, s.Date) > maxUnix {
		errs = append(errs, ErrBeside)
	}
	if s.Resolution < 0 || s.Resolution > maxResolution {
		errs = append(errs, ErrResolution)
	}
	if s.Server <= 0 || s.Server > maxUnix {
		errs = append(errs, ErrServerTime)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clock sample: %w", err)
	}
	return nil
}

// atLeast is the statement "server clock minus local clock was at least offset
// when the answer came".
func (s Sample) atLeast() anchor {
	return anchor{at: int64(s.Received), offset: int64(s.Server - s.Received)}
}

// atMost is the statement "server clock minus local clock was at most offset
// when the request left".
func (s Sample) atMost() anchor {
	return anchor{at: int64(s.Sent), offset: int64(s.Server + s.Resolution - s.Sent)}
}

func (s Sample) roundTrip() time.Duration { return s.Received - s.Sent }

// width is how far apart the two statements are.
func (s Sample) width() int64 { return int64(s.roundTrip() + s.Resolution) }

// anchor is a statement about the offset (server clock minus local clock, both
// in nanoseconds) at one local instant.
type anchor struct{ at, offset int64 }

// reach is how much the offset may have changed between the anchor and the
// instant t, at the given rate, or a nanosecond more.
func (a anchor) reach(t int64, rate float64) int64 {
	d := t - a.at
	if d < 0 {
		d = -d
	}
	return int64(float64(d)*rate) + 1 // the float may have been cut off
}

func (a anchor) lowerAt(t int64, rate float64) int64 { return a.offset - a.reach(t, rate) }
func (a anchor) upperAt(t int64, rate float64) int64 { return a.offset + a.reach(t, rate) }
