package clocksim

import (
	"math"
	"time"
	"unsafe"
)

// World holds two clocks as functions of true time, which starts at zero. The
// server's clock is true time; the local one runs at its own rate. The zero
// World has two right clocks that start in 1970.
type World struct {
	Drift     float64 // of the local clock
	Slew      Slew    // of the local clock
	Steps     []Step  // of the server's clock
	WallSteps []Step  // of the local wall clock; the monotonic one does not follow
	UnixStart time.Duration
}

// Slew makes the local clock run faster (or slower) by Rate for a while, as an
// operating system does that is correcting its time.
type Slew struct {
	From, For time.Duration
	Rate      float64
}

// Step moves a clock at one instant of true time.
type Step struct{ At, By time.Duration }

// The local rate wanders by 1 ppm with a period of an hour.
const (
	wanderRate   = 1e-6
	wanderPeriod = float64(time.Hour)
)

// Local returns how far the local monotonic clock has come at true time t.
func (w *World) Local(t time.Duration) time.Duration {
	slewed := min(max(t-w.Slew.From, 0), w.Slew.For)
	wandered := wanderRate * wanderPeriod / (2 * math.Pi) * (1 - math.Cos(2*math.Pi*float64(t)/wanderPeriod))
	return t + time.Duration(w.Drift*float64(t)+w.Slew.Rate*float64(slewed)+wandered)
}

// When inverts Local: the rates differ by less than a thousandth, so that a few
// rounds of substitution are exact.
func (w *World) When(local time.Duration) time.Duration {
	t := local
	for range 8 {
		t += local - w.Local(t)
	}
	return t
}

// Server returns the Unix time that the server's clock shows at true time t.
func (w *World) Server(t time.Duration) time.Duration {
	return w.UnixStart + t + moved(w.Steps, t)
}

// Instant returns what time.Now would give at true time t on a machine where it
// gave epoch at zero: a wall clock that has been stepped, and a monotonic one
// that has not.
func (w *World) Instant(epoch time.Time, t time.Duration) time.Time {
	return stepWall(epoch.Add(w.Local(t)), moved(w.WallSteps, t))
}

func moved(steps []Step, t time.Duration) (by time.Duration) {
	for _, s := range steps {
		if t >= s.At {
			by += s.By
		}
	}
	return by
}

// wallSecond is one second of the wall clock in the first word of a time.Time
// with a monotonic reading: 30 bits of nanoseconds lie below.
const wallSecond = 30

// stepWall moves the wall clock of t by whole seconds and leaves its monotonic
// reading alone, as a step of the system's time does. No API of package time
// can: a test watches that its layout stays what is relied on.
func stepWall(t time.Time, by time.Duration) time.Time {
	if by == 0 || t == t.Round(0) { // the latter has no monotonic reading
		return t.Add(by)
	}
	word := (*uint64)(unsafe.Pointer(&t))
	*word += uint64(by/time.Second) << wallSecond
	return t
}
