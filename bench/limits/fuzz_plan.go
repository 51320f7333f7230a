package limits

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// plan is a world that chance has made, and what goes on in it beside demand.
type plan struct {
	setup
	requests int

	cancel   float64       // part of the requests that is cancelled if still queued
	deadline time.Duration // of some requests, at most; 0: of none
	refund   float64       // part of the requests that cost less than they are charged
	lower    bool          // limits are lowered and raised again
	takeAway bool          // flows are taken out of the table and put back
	crash    bool          // the ledger is lost now and then
	pause    bool          // the scope is paused now and then
	burden   bool          // somebody says that more is used than is
	every    time.Duration // mean time between such things
	times    int           // how often each of them happens at most
}

var kinds = []Counting{Sliding, Fixed, Token, Decaying, First, Concurrency, Lifetime}

// drawPlan makes a world. Its first rule is of the kind that the seed names, so
// that every kind is met equally often.
func drawPlan(rng *rand.Rand, kind Counting) *plan {
	p := &plan{}
	p.drawRules(rng, kind)
	p.drawFlows(rng)
	p.drawNetwork(rng)
	p.drawKnowledge(rng)
	p.drawEvents(rng)
	p.drawOptions(rng)
	return p
}

func (p *plan) drawRules(rng *rand.Rand, kind Counting) {
	p.rules = []rule{drawRule(rng, "pool", kind)}
	keyed := oneIn(rng, 5)
	for i := range rng.IntN(3) {
		p.rules = append(p.rules, drawRule(rng, fmt.Sprintf("endpoint %d", i), kinds[rng.IntN(len(kinds))]))
	}
	for i := range p.rules {
		p.rules[i].keyed = keyed && oneIn(rng, 2)
	}
	if oneIn(rng, 6) {
		p.drawLowered(rng)
	}
}

func drawRule(rng *rand.Rand, id string, kind Counting) rule {
	r := rule{id: id, counting: kind, quota: int64(logUniform(rng, 1, 300)), per: between(rng, 50*time.Millisecond, time.Minute)}
	switch kind {
	case Token, Decaying:
		r.burst = 3 + int64(logUniform(rng, 1, 200))
	case Lifetime:
		r.quota = int64(logUniform(rng, 50, 5000))
	}
	if kind == Decaying && oneIn(rng, 2) {
		r.per = r.per / time.Duration(r.quota) * time.Duration(r.quota) // steps of a whole number of ns
	}
	return r
}

func (p *plan) drawFlows(rng *rand.Rand) {
	for i := range 1 + rng.IntN(4) {
		f := flow{name: fmt.Sprintf("flow %d", i), priority: throttle.Priority(rng.IntN(4) - 1)}
		if len(p.rules) == 1 || oneIn(rng, 3) {
			f.charges = []charge{{0, p.drawWeight(rng, 0)}}
		} else {
			own := 1 + rng.IntN(len(p.rules)-1)
			f.charges = []charge{{own, p.drawWeight(rng, own)}}
			if !oneIn(rng, 4) {
				f.charges = append(f.charges, charge{0, p.drawWeight(rng, 0)})
			}
		}
		p.drawDemand(rng, &f)
		p.flows = append(p.flows, f)
	}
}

func (p *plan) drawWeight(rng *rand.Rand, i int) int64 {
	if oneIn(rng, 2) {
		return 1
	}
	return 1 + rng.Int64N(max(1, p.rules[i].smallest()*2/3))
}

// smallest is the capacity that is always left.
func (r rule) smallest() int64 {
	least := r.capacity()
	if r.lowered > 0 {
		least = r.lowered
	}
	if r.counting == Decaying {
		least-- // one step is kept free
	}
	return least
}

func (p *plan) drawDemand(rng *rand.Rand, f *flow) {
	if oneIn(rng, 2) {
		f.backlog = 1 + rng.IntN(60)
		return
	}
	r := p.rules[f.charges[0].rule]
	rate := float64(r.quota) / float64(r.per) / float64(f.charges[0].weight) * logUniform(rng, 0.1, 5)
	f.gap = min(time.Duration(1/rate), 10*time.Minute)
	f.steady = oneIn(rng, 3)
}

func (p *plan) drawNetwork(rng *rand.Rand) {
	n := &p.network
	low := between(rng, 10*time.Microsecond, 200*time.Millisecond)
	switch rng.IntN(4) {
	case 0:
		n.delay = mustDelay(low.String())
	case 1:
		n.delay = mustDelay(fmt.Sprintf("uniform:%v-%v", low, low+between(rng, time.Millisecond, 2*time.Second)))
	case 2:
		n.delay = mustDelay(fmt.Sprintf("lognormal:%v,%v,%.3f", low, between(rng, time.Millisecond, 100*time.Millisecond), 0.2+1.6*rng.Float64()))
	case 3:
		low = 0
		n.delay = mustDelay("exp:" + between(rng, time.Millisecond, time.Second).String())
	}
	if oneIn(rng, 4) {
		n.stall, n.every = between(rng, 50*time.Millisecond, 3*time.Second), 5*time.Second
	}
	if oneIn(rng, 3) {
		p.rttFloor = time.Duration(rng.Float64() * float64(2*low))
	}
	if oneIn(rng, 3) {
		p.losses = losses{
			unsent: 0.1 * rng.Float64(), out: 0.05 * rng.Float64(), home: 0.05 * rng.Float64(), late: 0.05 * rng.Float64(),
			timeout: low + between(rng, 50*time.Millisecond, 5*time.Second), latest: between(rng, 10*time.Millisecond, 10*time.Second),
		}
		p.maxDelay = p.losses.latest
	}
}

// drawKnowledge decides what the client can know of the server's clock.
func (p *plan) drawKnowledge(rng *rand.Rand) {
	const most = 190_000
	p.ppb = rng.Int64N(2*most+1) - most
	if oneIn(rng, 3) {
		p.ppb = []int64{-most, 0, most}[rng.IntN(3)]
	}
	p.clockError = between(rng, time.Microsecond, 3*time.Second)
	if oneIn(rng, 6) {
		p.clockError = -1
	}
	if oneIn(rng, 2) {
		p.stamp = []time.Duration{1, time.Millisecond, time.Second}[rng.IntN(3)]
	}
	p.headers = oneIn(rng, 6)
}

func (p *plan) drawEvents(rng *rand.Rand) {
	p.requests = 200 + rng.IntN(3000)
	p.every = between(rng, 100*time.Millisecond, 30*time.Second)
	p.times = 1 + rng.IntN(20)
	if oneIn(rng, 3) {
		p.cancel = 0.5 * rng.Float64()
	}
	if oneIn(rng, 4) {
		p.deadline = between(rng, 10*time.Millisecond, time.Minute)
	}
	if oneIn(rng, 4) {
		p.refund = 0.5 * rng.Float64()
	}
	p.pause, p.burden, p.takeAway = oneIn(rng, 6), oneIn(rng, 8), oneIn(rng, 6)
	// A ledger that is lost takes with it what it knew of lost requests and of
	// limits that were higher once, so a world has one or the other.
	p.crash = oneIn(rng, 4) && !p.lower && p.losses == losses{}
	// The same goes for a lifetime budget that headers speak of: the header
	// that is seen first may be older than the budget is used.
	p.headers = p.headers && !(p.crash && p.rules[0].counting == Lifetime)
}

func (p *plan) drawLowered(rng *rand.Rand) {
	p.lower = true
	for i := range p.rules {
		r := &p.rules[i]
		least := int64(1)
		if r.counting == Decaying {
			least = 3
		}
		if c := r.capacity(); c > least {
			r.lowered = least + rng.Int64N(c-least)
		}
	}
}

func (p *plan) drawOptions(rng *rand.Rand) {
	o := &p.options
	if oneIn(rng, 3) {
		o.Aging = between(rng, time.Millisecond, 10*time.Second)
	}
	if oneIn(rng, 3) {
		o.Pacing = &throttle.Pacing{Bulk: throttle.Priority(rng.IntN(3) - 1), Z: 3 * rng.Float64()}
	}
	if oneIn(rng, 4) {
		o.MaxQueued = 1 + rng.IntN(100)
	}
	r := &p.rules[0]
	if most := r.smallest() / 3; most > 0 && oneIn(rng, 5) {
		r.reserve = []throttle.Reserve{{Priority: throttle.Priority(1 + rng.IntN(2)), Weight: 1 + rng.Int64N(most)}}
	}
}

func oneIn(rng *rand.Rand, n int) bool { return rng.IntN(n) == 0 }

func logUniform(rng *rand.Rand, low, high float64) float64 {
	return low * math.Exp(rng.Float64()*math.Log(high/low))
}

// between is a span between two, with all its digits.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return time.Duration(logUniform(rng, float64(low), float64(high)))
}
