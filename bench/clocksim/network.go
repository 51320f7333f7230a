package clocksim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Network draws the delays of one exchange.
type Network struct {
	Name string
	// Delays returns the way out and the way home.
	Delays func(r *rand.Rand) (out, home time.Duration)
}

// The networks of the published comparison.
var (
	Symmetric  = Network{"symmetric", each(uniform(5*time.Millisecond, 5050*time.Microsecond))}
	Asymmetric = Network{"asymmetric", ways(uniform(3*time.Millisecond, 4*time.Millisecond), uniform(12*time.Millisecond, 13*time.Millisecond))}
	Jitter     = Network{"jitter", each(uniform(5*time.Millisecond, 50*time.Millisecond))}
	HeavyTail  = Network{"heavy tail", each(lognormal(3*time.Millisecond, 7*time.Millisecond, 1))}
)

// Networks holds them all.
var Networks = []Network{Symmetric, Asymmetric, Jitter, HeavyTail}

// Constant is a network without any jitter.
func Constant(out, home time.Duration) Network {
	return Network{"constant", ways(uniform(out, out), uniform(home, home))}
}

type delay func(r *rand.Rand) time.Duration

func uniform(lo, hi time.Duration) delay {
	return func(r *rand.Rand) time.Duration { return lo + time.Duration(r.Float64()*float64(hi-lo)) }
}

func lognormal(floor, median time.Duration, sigma float64) delay {
	return func(r *rand.Rand) time.Duration {
		return floor + time.Duration(float64(median)*math.Exp(sigma*r.NormFloat64()))
	}
}

func each(d delay) func(*rand.Rand) (time.Duration, time.Duration) { return ways(d, d) }

func ways(out, home delay) func(*rand.Rand) (time.Duration, time.Duration) {
	return func(r *rand.Rand) (time.Duration, time.Duration) { return out(r), home(r) }
}
