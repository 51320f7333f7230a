package throttle

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
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
	replace  bool // limits are replaced by themselves in between
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
	order  int

	drift   int64 // of the server's clock, parts per billion
	offset  time.Duration
	servers map[place]server
	oracles map[place]*oracle
	serving map[place]int64 // at concurrency servers

	waiting []*request
	left    int
	wakes   int
	timer   int
	grants  int
	expired int
	err     error
}

// place is one instance of a limit.
type place struct{ id, key string }

type event struct {
	at    time.Duration
	order int
	do    func()
}

type request struct {
	Permit
	number   int
	rank     int64
	uses     map[place]*usage
	answered bool
}

// simulate returns the first promise that was broken, or nil.
func simulate(p plan) error {
	w := &world{
		plan: p, rng: rand.New(rand.NewPCG(p.seed, 1)), left: p.requests,
		servers: map[place]server{}, oracles: map[place]*oracle{}, serving: map[place]int64{},
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
	if p.clockErr >= 0 {
		w.setClock()
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
	return t + w.offset + time.Duration(floorDiv(t*time.Duration(w.drift), billion))
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

func (w *world) enter(d time.Duration, class int, do func()) {
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
		w.drain()
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
	r := &request{number: w.requests - w.left, uses: map[place]*usage{}}
	r.Limit, r.Owner = limit.ID, r
	r.Key = string(rune('a' + w.rng.IntN(3)))
	r.Priority = w.rng.IntN(3)
	if limit.Quota > 0 && w.rng.IntN(3) == 0 {
		r.Weight = 1 + w.rng.Int64N(limit.Quota/2+1)
	}
	if w.deadline > 0 && w.rng.IntN(2) == 0 {
		r.Deadline = w.now + 1 + w.span(w.deadline)
	}
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
	sum := map[place]int64{}
	var follow func(id string, weight int64)
	follow = func(id string, weight int64) {
		limit := w.limits[slices.IndexFunc(w.limits, func(l Limit) bool { return l.ID == id })]
		if limit.Quota > 0 {
			at := place{id: id}
			if limit.Keyed {
				at.key = r.Key
			}
			sum[at] += orDefault(weight, max(1, limit.Weight))
		}
		for _, k := range limit.Linked {
			follow(k.ID, k.Weight)
		}
	}
	follow(r.Limit, r.Weight)
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
	w.send(r)
}

// checkOrder looks for a better-ranked request that this grant has harmed.
func (w *world) checkOrder(r *request) {
	mine := w.charges(r)
	for _, q := range w.waiting {
		if !before(q, r) || !w.isHead(q) {
			continue
		}
		if q.Limit == r.Limit && q.Key == r.Key && q.Priority == r.Priority {
			w.fail("request %d overtook %d", r.number, q.number)
		}
		for at, need := range w.charges(q) {
			if mine[at] > 0 && w.knows(at) && w.limit(at.id).Window != Leaky && w.oracle(at).room(w.now) < need {
				w.fail("request %d took room in %v that %d needs", r.number, at, q.number)
			}
		}
	}
}

// knows reports whether the oracle's room for a limit is exact.
func (w *world) knows(at place) bool {
	switch w.limit(at.id).Window {
	case FixedFromFirst:
		return false
	case Fixed:
		return !w.dates && !w.resync
	}
	return !w.dates
}

func before(a, b *request) bool {
	return a.rank < b.rank || a.rank == b.rank && a.number < b.number
}

func (w *world) isHead(r *request) bool {
	return !slices.ContainsFunc(w.waiting, func(q *request) bool {
		return q.Limit == r.Limit && (q.Key == r.Key || !w.keyed(r.Limit)) && q.Priority == r.Priority && before(q, r)
	})
}

func (w *world) keyed(id string) bool { return w.l.table.routes[id].keyed }

// atRest demands of every head that some limit lacks room for it beside what
// better-ranked heads need, and that something will wake the ledger.
func (w *world) atRest() {
	slices.SortFunc(w.waiting, func(a, b *request) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.number, b.number)) })
	reserved := map[place]int64{}
	for _, r := range w.waiting {
		if r.Deadline != 0 && r.Deadline <= w.now {
			w.fail("request %d waits past its deadline", r.number)
		}
		if !w.isHead(r) {
			continue
		}
		blocked := w.paused(r)
		for at, need := range w.charges(r) {
			blocked = blocked || !w.knows(at) && w.options.Pacing == nil || w.oracle(at).room(w.now)-reserved[at] < need
			reserved[at] += need
		}
		if !blocked && w.options.Pacing == nil {
			w.checkWaiting(); w.log("blocked %v deadline %v prio %d: charges %v stale %v done %v wake %v ready %d passed %d", r.number, r.Deadline, r.Priority, w.charges(r), w.l.queue.stale, w.l.queue.done, w.l.queue.wake, len(w.l.queue.ready), len(w.l.queue.passed))
			for at := range w.charges(r) { w.log("%v room %d reserved %d ours %d res %d", at, w.oracle(at).room(w.now), reserved[at], w.l.table.rules[at.id].meters[at.key].window.room(w.now), w.l.table.rules[at.id].meters[at.key].reserved) }
			for _, q := range w.waiting { w.log("waiting %d head %v %v %v %v", q.number, w.isHead(q), q.Limit, q.Priority, w.charges(q)) }
			w.fail("request %d waits though there is room", r.number)
		}
	}
	_, ok := w.l.Wake()
	if len(w.waiting) > 0 && !ok && w.flying() == 0 {
		w.fail("%d requests wait for nothing", len(w.waiting))
	}
}

func (w *world) paused(r *request) bool {
	for _, name := range w.l.Scopes(r.Limit) {
		if w.l.scopes[name].opens(w.now) > w.now {
			return true
		}
	}
	return false
}

func (w *world) flying() (n int64) {
	for _, o := range w.oracles {
		n += o.flying()
	}
	return n
}

// send decides what becomes of a granted request.
func (w *world) send(r *request) {
	out, back := w.delay(), w.delay()
	if w.rng.Float64() >= w.loss {
		w.after(out, func() { w.arrive(r, back, true) })
		return
	}
	timeout := w.span(sec)
	longest := w.longestDelay(r)
	switch w.rng.IntN(4) {
	case 0:
		w.after(timeout, func() { w.settle(r, Outcome{Fate: NeverSent}) })
	case 1: // lost on the way out
		w.after(timeout, func() { w.lose(r, -1) })
	case 2: // the answer is lost
		w.after(min(out, timeout), func() { w.arrive(r, 0, false) })
		w.after(timeout, func() { w.lose(r, w.span(2*longest)) })
	case 3: // arrives after it was given up
		late := w.span(longest)
		w.after(timeout, func() { w.lose(r, late+w.span(longest)) })
		w.enter(timeout+late, arrivals, func() { w.arrive(r, 0, false) })
	}
}

func (w *world) delay() time.Duration { return w.minRTT/2 + w.span(80*ms) }

// longestDelay is the most that every limit of r believes in.
func (w *world) longestDelay(r *request) time.Duration {
	longest := never
	for at := range w.charges(r) {
		longest = min(longest, orDefault(w.limit(at.id).MaxDelay, defaultMaxDelay))
	}
	return longest
}

func (w *world) arrive(r *request, back time.Duration, answers bool) {
	at := w.serverTime(w.now)
	for where, weight := range w.charges(r) {
		w.oracle(where)
		if s := w.servers[where]; s != nil && !s.arrive(at, weight) {
			w.fail("the server refuses request %d for %v", r.number, where)
		}
		if w.limit(where.id).Window == Concurrency {
			w.serving[where] += weight
			if w.serving[where] > w.limit(where.id).Quota {
				w.fail("the server is asked too much at once for %v", where)
			}
		}
	}
	if answers {
		stamp := at
		w.after(back/2, func() { w.served(r) })
		w.after(back, func() { w.settle(r, w.dated(stamp)) })
	} else {
		w.served(r)
	}
}

func (w *world) served(r *request) {
	for where, weight := range w.charges(r) {
		w.serving[where] -= weight
	}
}

func (w *world) dated(stamp time.Duration) Outcome {
	if !w.dates || w.rng.IntN(2) == 0 {
		return Outcome{}
	}
	resolution := []time.Duration{0, ms, sec}[w.rng.IntN(3)]
	if resolution > 0 {
		stamp = stamp / resolution * resolution
	}
	return Outcome{ServerTime: stamp, Resolution: resolution}
}

func (w *world) settle(r *request, o Outcome) {
	w.log("settled %d: %d", r.number, o.Fate)
	w.l.Settle(w.now, &r.Permit, o)
	for at, u := range r.uses {
		if o.Fate == NeverSent {
			log := &w.oracle(at).log
			*log = slices.DeleteFunc(*log, func(v *usage) bool { return v == u })
			continue
		}
		w.answeredUse(at, u, w.now)
	}
}

// answeredUse keeps the log in the order of the answers.
func (w *world) answeredUse(at place, u *usage, when time.Duration) {
	if u.answered != never {
		return
	}
	u.answered = when
	log := w.oracle(at).log
	i := slices.Index(log, u)
	copy(log[i:], log[i+1:])
	log[len(log)-1] = u
}

// lose gives r up; if proof is not negative its arrival is proven that much
// later, unless every limit has let go of it by then.
func (w *world) lose(r *request, proof time.Duration) {
	hold := w.l.Settle(w.now, &r.Permit, Outcome{Fate: Lost})
	w.log("lost %d", r.number)
	for at, u := range r.uses {
		end := orDefault(w.limit(at.id).MaxDelay, defaultMaxDelay)
		w.enter(end, holdEnds, func() { w.answeredUse(at, u, w.now) })
	}
	if proof >= 0 {
		w.after(proof, func() {
			w.l.Proven(w.now, hold)
			for at, u := range r.uses {
				w.answeredUse(at, u, w.now)
			}
		})
	}
}

func (w *world) setClock() {
	ahead := w.serverTime(w.now) - w.now
	early, late := w.span(w.clockErr), w.span(w.clockErr)
	w.l.SetClock(ahead-early, ahead+late)
}

func (w *world) resyncClock() {
	w.setClock()
	if w.left > 0 {
		w.after(w.span(3*sec), w.resyncClock)
	}
}

func (w *world) pause() {
	for name := range w.l.scopes {
		if err := w.l.PauseUntil(w.now, name, w.now+w.span(3*sec)); err != nil {
			w.fail("%v", err)
		}
		break
	}
	if w.left > 0 {
		w.after(w.span(10*sec), w.pause)
	}
}

func (w *world) replaceLimits() {
	if err := w.l.Replace(w.now, w.limits); err != nil {
		w.fail("%v", err)
	}
	if w.left > 0 {
		w.after(w.span(4*sec), w.replaceLimits)
	}
}

// finish checks what must hold when all is over.
func (w *world) finish() {
	if len(w.waiting) > 0 || w.l.Len() > 0 {
		w.fail("%d requests were never answered", len(w.waiting))
	}
	if most := 6*w.requests + 100; w.wakes > most {
		w.fail("woken %d times for %d requests", w.wakes, w.requests)
	}
	for at, o := range w.oracles {
		if o.limit.Window == Sliding && !w.dates && o.worstCase() > o.limit.Quota {
			w.fail("an adversary could make %v see %d of %d", at, o.worstCase(), o.limit.Quota)
		}
	}
	w.now += 100 * time.Hour
	for _, s := range w.l.Snapshot(w.now).Limits {
		if s.InFlight != 0 || s.Used != 0 && s.Window != Lifetime {
			w.fail("%q %q still counts %d, %d in flight", s.ID, s.Key, s.Used, s.InFlight)
		}
	}
	if n := w.l.Snapshot(w.now).Lost; n != 0 {
		w.fail("%d lost permits are held for ever", n)
	}
}
