package throttle

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
)

// plan is a world to simulate. A seed decides everything that is not in it.
type plan struct {
	seed     uint64
	limits   []Limit
	options  Options
	requests int
	loss     float64       // part of the requests that is never sent, or lost
	cancel   float64       // part of the queued requests that is cancelled
	deadline time.Duration // of some requests, at most; 0: of none
	minRTT   time.Duration
	dates    bool          // some answers bear a timestamp
	clockErr time.Duration // bound of the server's clock; -1: never set
	resync   bool          // the clock is set again and again
	pauses   bool
	recall   float64 // part of the granted requests that is taken back before it is sent
	origins  int     // that requests go to
	replace  bool    // limits are replaced by themselves in between
	mutate   func(*Ledger)
	trace    *strings.Builder
}

// world runs a ledger against servers that count exactly, over a network that
// delays, reorders, loses and resurrects.
type world struct {
	plan
	rng    *rand.Rand
	l      *Ledger
	now    time.Duration
	events []event
	order  int64

	drift   int64 // of the server's clock, parts per billion
	offset  time.Duration
	servers map[place]server
	oracles map[place]*oracle
	serving map[place]int64 // at concurrency servers

	waiting []*request
	left    int
	paused  map[Scope]time.Duration // until when, by what the world said
	sent    []*request              // in flight, as the ledger has it
	// welcomed counts the answers to what left after each pause.
	welcomed map[greeting]int
	wakes    int
	timer    int
	grants   int
	expired  int
	err      error
}

// place is one instance of a limit.
type place struct {
	id string
	of Parts
}

type event struct {
	at    time.Duration
	order int64
	do    func()
}

// laneID tells apart what must be served first in, first out.
type laneID struct {
	limit    string
	of       Parts
	origin   string
	priority Priority
}

type request struct {
	Permit
	laneID laneID
	number int
	rank   int64
	charge map[place]int64
	uses   map[place]*usage
}

// simulate returns the first promise that was broken, or nil.
func simulate(p plan) error {
	w := &world{
		plan: p, rng: rand.New(rand.NewPCG(p.seed, 1)), left: p.requests,
		servers: map[place]server{}, oracles: map[place]*oracle{}, serving: map[place]int64{},
		paused: map[Scope]time.Duration{}, welcomed: map[greeting]int{},
	}
	l, err := New(p.limits, p.options)
	if err != nil {
		return err
	}
	w.l = l
	if p.mutate != nil {
		p.mutate(l)
	}
	bound := l.clock.rate - 1
	w.drift = w.rng.Int64N(2*bound+1) - bound
	if w.rng.IntN(3) == 0 {
		w.drift = []int64{-bound, 0, bound}[w.rng.IntN(3)]
	}
	w.offset = time.Duration(w.rng.Int64N(int64(time.Hour))) + 1000*time.Hour
	if late := p.resync && w.rng.IntN(2) == 0; p.clockErr >= 0 && !late {
		w.setClock() // or else the log serves alone until the clock is first set
	}
	w.schedule()
	w.run()
	if w.err == nil {
		w.finish()
	}
	return w.err
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%v "+format+"\n", append([]any{w.now}, args...)...)
	}
}

func (w *world) serverTime(t time.Duration) time.Duration {
	return t + w.offset + time.Duration(quotient.Floor(t*time.Duration(w.drift), billion))
}

func (w *world) span(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most/ms)+1)) * ms
}

// after does something later, in the order of the calls.
func (w *world) after(d time.Duration, do func()) { w.enter(d, 0, do) }

// Of what happens at one instant, arrivals come first, then the ends of holds.
const (
	arrivals = -2 << 40
	holdEnds = -1 << 40
)

func (w *world) enter(d time.Duration, class int64, do func()) {
	w.order++
	e := event{w.now + d, class + w.order, do}
	i, _ := slices.BinarySearchFunc(w.events, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	w.events = slices.Insert(w.events, i, e)
}

func (w *world) schedule() {
	w.after(0, w.submitSome)
	if w.resync {
		w.after(w.span(sec), w.resyncClock)
	}
	if w.pauses {
		w.after(w.span(5*sec), w.pause)
	}
	if w.replace {
		w.after(w.span(2*sec), w.replaceLimits)
	}
}

func (w *world) run() {
	for len(w.events) > 0 && w.err == nil {
		e := w.events[0]
		w.events = w.events[1:]
		w.now = e.at
		e.do()
		if more := len(w.events) > 0 && w.events[0].at == w.now && w.events[0].order < 0; !more {
			w.drain()
		}
	}
}

func (w *world) submitSome() {
	for range 1 + w.rng.IntN(4) {
		if w.left == 0 {
			return
		}
		w.left--
		w.submit()
	}
	w.after(w.span(150*ms), w.submitSome)
}

func (w *world) submit() {
	limit := w.limits[w.rng.IntN(len(w.limits))]
	if w.origins > 0 && w.rng.IntN(8) == 0 {
		limit = Limit{ID: NoLimit}
	}
	r := &request{number: w.requests - w.left, uses: map[place]*usage{}}
	r.Limit, r.Owner = limit.ID, r
	r.Key = string(rune('a' + w.rng.IntN(3)))
	r.Account = []string{"", "main", "sub"}[w.rng.IntN(3)]
	r.Egress = []string{"", "eth1"}[w.rng.IntN(2)]
	r.Priority = Priority(w.rng.IntN(3))
	if limit.Quota > 0 && w.rng.IntN(3) == 0 {
		r.Weight = 1 + w.rng.Int64N(limit.Quota/2+1)
	}
	if w.deadline > 0 && w.rng.IntN(2) == 0 {
		r.Deadline = w.now + 1 + w.span(w.deadline)
	}
	r.Origin = fmt.Sprint(w.rng.IntN(w.origins + 1))
	w.weigh(r)
	r.laneID = laneID{r.Limit, w.lookedAt(r), r.Origin, r.Priority}
	r.rank = int64(-r.Priority)
	if w.options.Aging > 0 {
		r.rank = int64(w.now) - int64(r.Priority)*int64(w.options.Aging)
	}
	switch err := w.l.Acquire(w.now, &r.Permit); {
	case err != nil:
		w.log("refused %d: %v", r.number, err)
	case r.State() == Granted:
		w.granted(r)
	default:
		w.waiting = append(w.waiting, r)
		if w.rng.Float64() < w.cancel {
			w.after(w.span(sec), func() { w.cancelOne(r) })
		}
	}
}

// weigh gives some requests weights of their own: of some limits that charge them, and
// often nothing at all.
func (w *world) weigh(r *request) {
	if w.rng.IntN(4) > 0 {
		return
	}
	for _, id := range w.way(r.Limit) {
		switch quota := w.limit(id).Quota; w.rng.IntN(4) {
		case 0, 1:
			r.Weights = append(r.Weights, Cost{ID: id})
		case 2:
			r.Weights = append(r.Weights, Cost{id, 1 + w.rng.Int64N(quota/2+1)})
		}
	}
}

// way returns the limits with a quota that a request naming one is charged by.
func (w *world) way(id string) (all []string) {
	if id == NoLimit {
		return nil
	}
	limit := w.limit(id)
	if limit.Quota > 0 {
		all = append(all, id)
	}
	for _, k := range limit.Linked {
		for _, below := range w.way(k.ID) {
			if !slices.Contains(all, below) {
				all = append(all, below)
			}
		}
	}
	return all
}

// lookedAt returns the parts that anything on the way looks at, be it a limit or a scope.
func (w *world) lookedAt(r *request) (of Parts) {
	by := w.apart(WholeOrigin)
	for _, id := range w.way(r.Limit) {
		at := w.place(id, r)
		of.Account = cmp.Or(of.Account, at.of.Account)
		of.Key = cmp.Or(of.Key, at.of.Key)
		of.Egress = cmp.Or(of.Egress, at.of.Egress)
	}
	if r.Limit == NoLimit {
		for _, limit := range w.limits[:3] {
			by |= w.apart(limit.Scope)
		}
	}
	if by&ByAccount != 0 {
		of.Account = r.Account
	}
	if by&ByEgress != 0 {
		of.Egress = r.Egress
	}
	return of
}

// apart is what a scope is told apart by, by the definition.
func (w *world) apart(name string) By {
	by, any := ByAccount|ByEgress, By(0)
	for _, limit := range w.limits {
		if limit.Quota > 0 && limit.Scope == name {
			by &= limit.By
		}
		any |= limit.By & ByEgress
	}
	if name == WholeOrigin {
		return any
	}
	return by
}

// place is the instance of a limit that a request is charged by, by the definition.
func (w *world) place(id string, r *request) place {
	limit, at := w.limit(id), place{id: id}
	if limit.By&ByAccount != 0 {
		at.of.Account = r.Account
	}
	if limit.By&ByKey != 0 || limit.Keyed {
		at.of.Key = r.Key
	}
	if limit.By&ByEgress != 0 {
		at.of.Egress = r.Egress
	}
	return at
}

func (w *world) cancelOne(r *request) {
	if r.State() == Queued {
		w.l.Cancel(w.now, &r.Permit)
		w.unwait(r)
		w.log("cancelled %d", r.number)
	}
}

func (w *world) unwait(r *request) {
	w.waiting = slices.DeleteFunc(w.waiting, func(q *request) bool { return q == r })
}

// drain takes every answer there is, then looks at what is left.
func (w *world) drain() {
	for p := w.l.Next(w.now); p != nil && w.err == nil; p = w.l.Next(w.now) {
		r := p.Owner.(*request)
		w.unwait(r)
		switch p.State() {
		case Granted:
			w.granted(r)
		case Expired:
			w.expired++
			w.log("expired %d", r.number)
			if w.now != r.Deadline {
				w.fail("request %d expired, its deadline is %v", r.number, r.Deadline)
			}
		case Refused:
			w.log("refused %d: %v", r.number, p.Err())
		}
	}
	w.atRest()
	w.setTimer()
}

func (w *world) setTimer() {
	w.timer++
	timer := w.timer
	at, ok := w.l.Wake()
	if !ok {
		return
	}
	if at <= w.now {
		w.fail("wants to be woken at %v after Next returned nil", at)
		return
	}
	w.after(at-w.now, func() {
		if timer == w.timer {
			w.wakes++
		}
	})
}

// charges returns what a request takes from each limit, by the definition.
func (w *world) charges(r *request) map[place]int64 {
	if r.charge != nil {
		return r.charge
	}
	sum := map[place]int64{}
	if r.Limit == NoLimit {
		return sum
	}
	var follow func(id string, weight int64)
	follow = func(id string, weight int64) {
		limit := w.limits[slices.IndexFunc(w.limits, func(l Limit) bool { return l.ID == id })]
		if limit.Quota > 0 {
			sum[w.place(id, r)] += cmp.Or(weight, max(1, limit.Weight))
		}
		for _, k := range limit.Linked {
			follow(k.ID, k.Weight)
		}
	}
	follow(r.Limit, r.Weight)
	for _, c := range r.Weights {
		sum[w.place(c.ID, r)] = c.Weight
	}
	maps.DeleteFunc(sum, func(_ place, weight int64) bool { return weight == 0 })
	r.charge = sum
	return sum
}

func (w *world) limit(id string) Limit {
	return w.limits[slices.IndexFunc(w.limits, func(l Limit) bool { return l.ID == id })]
}

func (w *world) oracle(at place) *oracle {
	o := w.oracles[at]
	if o == nil {
		o = &oracle{limit: w.limit(at.id), rate: w.l.clock.rate, clock: w.l.clock}
		w.oracles[at], w.servers[at] = o, newServer(o.limit)
	}
	return o
}

func (w *world) granted(r *request) {
	w.grants++
	w.log("granted %d", r.number)
	if r.Deadline != 0 && w.now > r.Deadline {
		w.fail("request %d granted after its deadline %v", r.number, r.Deadline)
	}
	for at, weight := range w.charges(r) {
		u := &usage{weight, w.now, never}
		r.uses[at] = u
		o := w.oracle(at)
		o.log = append(o.log, u)
		if room := o.room(w.now); room < 0 && o.limit.Window != FixedFromFirst && o.limit.Window != Leaky && !w.dates && !w.resync {
			w.fail("request %d overdraws %v by %d", r.number, at, -room)
		}
	}
	w.checkOrder(r)
	w.checkPauses(r)
	w.sent = append(w.sent, r)
	if w.rng.Float64() < w.recall {
		w.after(w.span(300*ms), func() { w.takeBack(r) })
		return
	}
	w.send(r)
}

// takeBack has a request queue again that waited for a connection, at once or a
// little later.
func (w *world) takeBack(r *request) {
	w.log("taken back %d", r.number)
	w.unsend(r)
	w.forgive(r)
	if w.rng.IntN(2) == 0 {
		w.l.Park(w.now, &r.Permit)
		w.after(w.span(200*ms), func() { w.requeue(r) })
		return
	}
	w.requeue(r)
}

func (w *world) requeue(r *request) {
	switch err := w.l.Requeue(w.now, &r.Permit); {
	case err != nil:
		w.log("refused %d: %v", r.number, err)
	case r.State() == Granted:
		w.granted(r)
	default:
		w.waiting = append(w.waiting, r)
	}
}

func (w *world) unsend(r *request) {
	w.sent = slices.DeleteFunc(w.sent, func(q *request) bool { return q == r })
}

// forgive takes back what was charged for a request that never left.
func (w *world) forgive(r *request) {
	for at, u := range r.uses {
		log := &w.oracle(at).log
		*log = slices.DeleteFunc(*log, func(v *usage) bool { return v == u })
	}
}
