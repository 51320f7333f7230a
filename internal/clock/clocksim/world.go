package clocksim

import (
	"math"
	"time"
)

// world holds the two clocks as functions of true time, which starts at zero.
// The server's clock is true time; the local one runs at its own rate.
type world struct {
	drift     float64 // of the local clock
	slew      Slew
	steps     []Step
	unixStart time.Duration
}

// Slew makes the local clock run faster (or slower) by Rate for a while, as an
// operating system does that is correcting its time.
type Slew struct {
	From, For time.Duration
	Rate      float64
}

// Step moves the server's clock at one instant.
type Step struct{ At, By time.Duration }

// The local rate wanders by 1 ppm with a period of an hour.
const (
	wanderRate   = 1e-6
	wanderPeriod = float64(time.Hour)
)

func (w *world) local(t time.Duration) time.Duration {
	slewed := min(max(t-w.slew.From, 0), w.slew.For)
	wandered := wanderRate * wanderPeriod / (2 * math.Pi) * (1 - math.Cos(2*math.Pi*float64(t)/wanderPeriod))
	return t + time.Duration(w.drift*float64(t)+w.slew.Rate*float64(slewed)+wandered)
}

// when inverts local: the rates differ by less than a thousandth, so that a few
// rounds of substitution are exact.
func (w *world) when(local time.Duration) time.Duration {
	t := local
	for range 8 {
		t += local - w.local(t)
	}
	return t
}

func (w *world) server(t time.Duration) time.Duration {
	unix := w.unixStart + t
	for _, s := range w.steps {
		if t >= s.At {
			unix += s.By
		}
	}
	return unix
}
