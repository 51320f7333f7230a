package limits

import (
	"time"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/throttle"
)

// Counting is the way a server counts.
type Counting string

// The ways of counting. The grid has the first four.
const (
	Sliding     Counting = "sliding"     // the last Per before each arrival
	Fixed       Counting = "fixed"       // windows of the server's own clock
	Token       Counting = "token"       // a token bucket
	Decaying    Counting = "decaying"    // a counter that falls in steps of one
	First       Counting = "first"       // windows that open with an arrival
	Concurrency Counting = "concurrency" // what is being served
	Lifetime    Counting = "lifetime"    // everything, for ever
)

// rule is one limit that the server enforces.
type rule struct {
	id       string
	counting Counting
	quota    int64
	per      time.Duration
	burst    int64 // of token and decaying; 0 means quota
	lowered  int64 // capacity while the limit is lowered; 0: it never is
	keyed    bool
	reserve  []throttle.Reserve // what the ledger keeps for urgent requests
}

var policies = map[Counting]exchange.Policy{
	Sliding: exchange.Sliding, Fixed: exchange.Fixed, Token: exchange.TokenBucket,
	Decaying: exchange.Decaying, First: exchange.FromFirst,
}

var windows = map[Counting]throttle.Window{
	Sliding: throttle.Sliding, Fixed: throttle.Fixed, Token: throttle.Leaky, Decaying: throttle.Leaky,
	First: throttle.FixedFromFirst, Concurrency: throttle.Concurrency, Lifetime: throttle.Lifetime,
}

func (r rule) leaky() bool { return r.counting == Token || r.counting == Decaying }

// capacity is the most weight that counts at once.
func (r rule) capacity() int64 {
	if r.leaky() && r.burst > 0 {
		return r.burst
	}
	return r.quota
}

// withCapacity is the rule with another capacity and the same rate of return.
func (r rule) withCapacity(capacity int64) rule {
	if r.leaky() {
		r.burst = capacity
	} else {
		r.quota = capacity
	}
	return r
}

// limit describes the rule to a ledger.
func (r rule) limit() throttle.Limit {
	l := throttle.Limit{ID: r.id, Window: windows[r.counting], Quota: r.quota, Keyed: r.keyed, Reserve: r.reserve}
	if r.counting != Concurrency && r.counting != Lifetime { // which no time gives room
		l.Per = r.per
	}
	if r.leaky() {
		l.Burst = r.burst
	}
	if r.counting == Decaying {
		l.Tick = (r.per + time.Duration(r.quota) - 1) / time.Duration(r.quota)
	}
	return l
}

// counter counts weight as the server does.
type counter interface {
	room(now time.Duration, w int64) bool
	charge(now time.Duration, w int64)
	served(w int64)
	used(now time.Duration) int64
}

func (r rule) counter() counter {
	switch r.counting {
	case Concurrency:
		return &serving{quota: r.quota}
	case Lifetime:
		return &budget{quota: r.quota}
	}
	c, err := exchange.NewCounter(exchange.Limit{Policy: policies[r.counting], Quota: r.quota, Per: r.per, Burst: r.limit().Burst})
	if err != nil {
		panic(err) // rules are made in this package
	}
	return arriving{c}
}

// arriving counts arrivals by one of the exchange's counters.
type arriving struct{ exchange.Counter }

func (a arriving) room(now time.Duration, w int64) bool { return a.Wait(now, w) == 0 }
func (a arriving) charge(now time.Duration, w int64)    { a.Charge(now, w) }
func (a arriving) used(now time.Duration) int64         { return a.Used(now) }
func (a arriving) served(int64)                         {}

// serving counts what has arrived and is not yet answered.
type serving struct{ quota, n int64 }

func (s *serving) room(_ time.Duration, w int64) bool { return s.n+w <= s.quota }
func (s *serving) charge(_ time.Duration, w int64)    { s.n += w }
func (s *serving) served(w int64)                     { s.n -= w }
func (s *serving) used(time.Duration) int64           { return s.n }

// budget counts for ever.
type budget struct{ quota, n int64 }

func (b *budget) room(_ time.Duration, w int64) bool { return b.n+w <= b.quota }
func (b *budget) charge(_ time.Duration, w int64)    { b.n += w }
func (b *budget) served(int64)                       {}
func (b *budget) used(time.Duration) int64           { return b.n }
