package limits

import (
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// fuzzWorld is a world with more in it than demand.
type fuzzWorld struct {
	*world
	plan   *plan
	client *sluice
	left   int
	open   map[int]*request // wished for and not yet ended
	stray  []*request       // given up before they arrived
	low    []bool           // rules the client takes for lowered
	away   int              // flow that is out of the table, or -1
}

// Verdict is how one random world ended.
type Verdict struct {
	World    uint64   // its seed
	Kind     Counting // of its first rule
	Requests int      // granted
	Refused  int
	Stuck    int // requests that never ended
}

// Good reports whether nothing was refused and nobody forgotten.
func (v Verdict) Good() bool { return v.Refused == 0 && v.Stuck == 0 }

// playWorld plays the random world of a seed to its end. With a trace it tells
// all that happens. The change, if any, is made to the limits the client knows.
func playWorld(seed uint64, trace io.Writer, change func(*throttle.Limit)) Verdict {
	kind := kinds[seed%uint64(len(kinds))]
	p := drawPlan(rand.New(rand.NewPCG(seed, 0xf022)), kind)
	f := &fuzzWorld{plan: p, left: p.requests, open: map[int]*request{}, low: make([]bool, len(p.rules)), away: -1}
	f.world = newWorld(&p.setup, Sluice, seed)
	f.trace = trace
	f.client = f.world.client.(*sluice)
	f.client.change = change
	f.world.request, f.finished = f.make, f.ended
	f.begin()
	f.watch(p.patience(), math.MaxInt)
	f.run(math.MaxInt64)
	return Verdict{World: seed, Kind: kind, Requests: f.tally.sent, Refused: f.tally.refused, Stuck: len(f.open)}
}

func (f *fuzzWorld) begin() {
	f.note("world of %+v", *f.plan)
	if f.client.change != nil {
		f.replace()
	}
	for i := range f.flows {
		f.world.open(&f.flows[i])
	}
	for _, e := range []struct {
		on bool
		do func()
	}{{f.plan.lower, f.lower}, {f.plan.takeAway, f.takeAway}, {f.plan.crash, f.crash}, {f.plan.pause, f.pauseAll}, {f.plan.burden, f.burden}} {
		if e.on {
			f.nowAndThen(e.do, f.plan.times)
		}
	}
}

// nowAndThen does something a number of times, or until all is over.
func (f *fuzzWorld) nowAndThen(do func(), times int) {
	if times == 0 {
		return
	}
	f.after(time.Duration(f.rng.ExpFloat64()*float64(f.plan.every)), func() {
		if !f.over {
			do()
			f.nowAndThen(do, times-1)
		}
	})
}

// watch ends a world in which nothing has been granted for longer than any
// wait can last.
func (f *fuzzWorld) watch(patience time.Duration, open int) {
	f.after(patience, func() {
		if len(f.open)+f.left < open {
			f.watch(patience, len(f.open)+f.left)
			return
		}
		f.over, f.heap = true, nil
	})
}

// patience is longer than it takes any limit to come back from full to empty
// and any lost request to be forgotten, pauses included.
func (p *plan) patience() time.Duration {
	patience := 5*time.Minute + p.maxDelay + p.deadline
	for _, r := range p.rules {
		patience += r.per * time.Duration(3+2*r.capacity()/r.quota)
	}
	return patience
}

// make draws what is particular to one request.
func (f *fuzzWorld) make(fl *flow) *request {
	if f.left == 0 {
		return nil
	}
	f.left--
	r := f.newRequest(fl)
	f.open[r.serial] = r
	r.key = string(rune('a' + f.rng.IntN(3)))
	if f.plan.deadline > 0 && oneIn(f.rng, 2) {
		r.ticket.Permit.Deadline = f.now + 1 + f.upTo(f.plan.deadline)
	}
	if f.rng.Float64() < f.plan.refund {
		r.costs = slices.Clone(r.charges)
		for i := range r.costs {
			r.costs[i].weight = max(1, f.rng.Int64N(r.costs[i].weight+1))
		}
	}
	if f.rng.Float64() < f.plan.cancel {
		f.after(f.upTo(5*time.Second), func() { f.cancel(r) })
	}
	return r
}

func (f *fuzzWorld) cancel(r *request) {
	if f.client.cancel(r) {
		f.log(r, "cancelled")
		f.end(r)
	}
}

// ended keeps a backlog up when one of it ends without having been granted; a
// little later, so that a table without its limit is no endless loop.
func (f *fuzzWorld) ended(r *request) {
	delete(f.open, r.serial)
	if r.sent && !r.landed && f.plan.lower {
		f.stray = append(f.stray, r)
	}
	if !r.sent && r.flow.backlog > 0 {
		f.after(1+f.upTo(100*time.Millisecond), func() { f.wish(r.flow) })
	}
	f.over = f.left == 0 && len(f.open) == 0
}

// lower lowers or raises one rule. The client may never believe in more than
// the server does: it is told first of less, and last of more; and the server
// counts by less only once all that left before has landed.
func (f *fuzzWorld) lower() {
	i := f.rng.IntN(len(f.rules))
	switch {
	case f.rules[i].lowered == 0 || f.low[i] != f.server.low[i]:
	case f.low[i]:
		f.note("server raises %q", f.rules[i].id)
		f.server.low[i] = false
		f.after(f.upTo(time.Second), func() {
			f.low[i] = false
			f.replace()
		})
	default:
		f.low[i] = true
		f.replace()
		f.whenLanded(f.flying(), func() {
			f.note("server lowers %q", f.rules[i].id)
			f.server.low[i] = true
		})
	}
}

// flying returns what may still arrive, given up or not.
func (f *fuzzWorld) flying() (flying []*request) {
	f.stray = slices.DeleteFunc(f.stray, func(r *request) bool { return r.landed })
	for _, r := range f.open {
		if r.sent && !r.landed {
			flying = append(flying, r)
		}
	}
	return append(flying, f.stray...)
}

func (f *fuzzWorld) whenLanded(flying []*request, do func()) {
	if slices.ContainsFunc(flying, func(r *request) bool { return !r.landed }) {
		f.after(10*time.Millisecond, func() { f.whenLanded(flying, do) })
		return
	}
	do()
}

// takeAway takes one flow out of the table, or puts the missing one back.
func (f *fuzzWorld) takeAway() {
	if f.away >= 0 {
		f.away = -1
	} else {
		f.away = f.rng.IntN(len(f.flows))
	}
	f.replace()
}

// replace gives the client the table as it should be now.
func (f *fuzzWorld) replace() {
	limits := f.table()
	f.note("replace by %+v", limits)
	if err := f.client.desk.Replace(f.now, limits, nil); err != nil {
		panic(err) // tables are made in this package
	}
}

func (f *fuzzWorld) table() []throttle.Limit {
	s := f.plan.setup
	s.rules, s.flows = slices.Clone(s.rules), slices.Clone(s.flows)
	for i := range s.rules {
		if f.low[i] {
			s.rules[i] = s.rules[i].withCapacity(s.rules[i].lowered)
		}
	}
	if f.away >= 0 {
		s.flows = slices.Delete(s.flows, f.away, f.away+1)
	}
	limits := s.ledgerLimits()
	if f.client.change != nil {
		for i := range s.rules {
			f.client.change(&limits[i])
		}
	}
	return limits
}

// crash loses the ledger, as a panic in the throttler actor would.
func (f *fuzzWorld) crash() {
	f.note("the ledger is lost")
	f.client.desk.Failed(nil)
	f.client.desk.Recover(f.now)
}

func (f *fuzzWorld) pauseAll() {
	until := f.now + f.upTo(5*time.Second)
	f.note("paused until %v", until)
	if err := f.client.desk.Pause(f.now, throttle.Scope{}, until); err != nil {
		panic(err) // the scope without a name is always there
	}
}

func (f *fuzzWorld) burden() {
	delta := 1 + f.rng.Int64N(3)
	f.note("%d more are used of %q", delta, f.rules[0].id)
	if f.rules[0].counting == Lifetime || f.rules[0].counting == Concurrency {
		return
	}
	if err := f.client.desk.Adjust(f.now, f.rules[0].id, throttle.Parts{Key: "a"}, delta); err != nil {
		panic(err) // rule 0 is never taken away
	}
}
