package limits

import (
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange"
)

// Network names a kind of delay, drawn for each way of each request.
type Network string

// The networks of the grid.
const (
	Constant  Network = "constant"  // 5 ms
	Uniform   Network = "uniform"   // 5 to 50 ms
	Lognormal Network = "lognormal" // 3 ms, and a log-normal of median 7 ms and sigma 1
	Stall     Network = "stall"     // 5 ms, but every 5 to 6 s nothing moves for 500 ms
)

// network describes a path. Both ways are alike, and freeze together.
type network struct {
	delay exchange.Delay
	stall time.Duration // how long the path freezes, now and then; 0: it does not
	every time.Duration // mean time from one freeze to the next
}

func (n Network) network() network {
	switch n {
	case Uniform:
		return network{delay: mustDelay("uniform:5ms-50ms")}
	case Lognormal:
		return network{delay: mustDelay("lognormal:3ms,7ms,1")}
	case Stall:
		return network{delay: mustDelay("5ms"), stall: 500 * time.Millisecond, every: 5500 * time.Millisecond}
	}
	return network{delay: mustDelay("5ms")}
}

func mustDelay(text string) exchange.Delay {
	d, err := exchange.ParseDelay(text)
	if err != nil {
		panic(err) // texts are made in this package
	}
	return d
}

// path is a network at work.
type path struct {
	network
	rng     *rand.Rand
	freezes []time.Duration // beginnings, up to the latest instant asked about
}

// draw returns how long something that sets out at the given instant takes.
// What meets a freeze arrives when it ends, together with all the rest.
func (p *path) draw(at time.Duration) time.Duration {
	d := p.delay.Draw(p.rng, at)
	if p.stall > 0 {
		d += p.frozen(at + d)
	}
	return d
}

func (p *path) frozen(at time.Duration) time.Duration {
	for len(p.freezes) == 0 || p.freezes[len(p.freezes)-1] <= at {
		p.freezes = append(p.freezes, p.nextFreeze())
	}
	for i := len(p.freezes) - 1; i >= 0 && p.freezes[i] > at-p.stall; i-- {
		if p.freezes[i] <= at {
			return p.freezes[i] + p.stall - at
		}
	}
	return 0
}

// nextFreeze is up to a tenth of the mean early or late, so that no client
// falls into step with the freezes.
func (p *path) nextFreeze() time.Duration {
	var last time.Duration
	if n := len(p.freezes); n > 0 {
		last = p.freezes[n-1]
	}
	fifth := int64(p.every / 5)
	return last + p.every - time.Duration(fifth/2) + time.Duration(p.rng.Int64N(fifth+1))
}
