package throttle

import (
	"errors"
	"math"
	"time"
)

// Ledger decides when requests may leave. It is owned by one goroutine.
//
// Every instant is a time since one arbitrary epoch on the monotonic clock. An
// instant before one that was already given counts as that one.
//
// After any call that may free room or add a waiter, and at Wake, the owner
// calls Next until it returns nil.
type Ledger struct {
	options Options
	clock   *clock
	table   *table
	retired map[string]*rule // replaced by nothing, but not yet idle
	scopes  map[string]*scope
	now     time.Duration
	seq     uint64

	keyed  []*path // every path with a key
	cursor int     // where sweep goes on

	queue queue
	holds holds

	filled   bool          // AssumeFull was called, ...
	filledAt time.Duration // ... then

	fault fault
}

const unset = time.Duration(math.MinInt64) // no instant was given yet

// fault switches off what tests then expect to miss.
type fault struct {
	noFences       bool // a blocked head keeps no room where it is short of it
	noReservations bool // a blocked head keeps no room where it has it
}

// New returns a ledger for the given limits. The error lists every mistake in
// them and in the options; those of limits are *LimitError.
func New(limits []Limit, o Options) (*Ledger, error) {
	o, optionsErr := o.withDefaults()
	l := &Ledger{options: o, scopes: map[string]*scope{}, retired: map[string]*rule{}, now: unset}
	l.clock = &clock{rate: int64(math.Ceil(o.ClockRate * billion))}
	l.queue.wake = never
	if optionsErr != nil {
		l.options, _ = Options{}.withDefaults() // so that limits are judged on their own
	}
	table, err := compile(limits, l.options, l.clock, l.scopes)
	if err := errors.Join(optionsErr, err); err != nil {
		return nil, err
	}
	l.table = table
	return l, nil
}

// at moves the ledger to now and returns the instant it really is.
func (l *Ledger) at(now time.Duration) time.Duration {
	if l.now == unset {
		l.clock.at = max(l.clock.at, now)
	}
	l.now = max(l.now, now)
	l.holds.expire(l)
	return l.now
}

// Acquire asks for a permit. After nil p is Granted, or Queued until Next
// answers it. An error is a *LimitError with ErrUnknownLimit, ErrWeight,
// ErrRouteWeight, ErrSpent, ErrQueueFull, ErrPermitInUse, or ErrDeadline if even
// an empty queue could not be in time; p is then unchanged.
func (l *Ledger) Acquire(now time.Duration, p *Permit) error {
	now = l.at(now)
	if err := l.admit(now, p); err != nil {
		return err
	}
	if !l.queue.disputed(p.path) || l.queue.outranks(p) {
		if l.fits(now, p) {
			l.grant(now, p)
			return nil
		}
	}
	if l.queue.n >= l.options.MaxQueued {
		return p.path.route.full
	}
	if p.Deadline != 0 && l.soonest(now, p) > p.Deadline {
		return p.path.route.late
	}
	l.queue.push(l, p)
	return nil
}

// admit resolves what p asks for and refuses what can never be.
func (l *Ledger) admit(now time.Duration, p *Permit) error {
	r := l.table.routes[p.Limit]
	switch {
	case p.state == Queued || p.state == Granted:
		return &LimitError{p.Limit, ErrPermitInUse}
	case r == nil:
		return &LimitError{p.Limit, ErrUnknownLimit}
	}
	if err := r.weigh(p); err != nil {
		return err
	}
	if p.Deadline != 0 && now > p.Deadline {
		return r.late
	}
	p.state, p.err = Idle, nil
	p.path = l.pathFor(now, r, p.Key)
	p.rank, p.seq = l.rank(now, p.Priority), l.seq+1
	l.seq++
	if err := p.hopeless(); err != nil {
		return err
	}
	return nil
}

// weigh sets what p is charged for the limit it names.
func (r *route) weigh(p *Permit) error {
	p.cost = 0
	if r.own < 0 {
		if p.Weight != 0 {
			return &LimitError{r.id, ErrRouteWeight}
		}
	} else {
		p.cost = orDefault(p.Weight, r.charge[r.own].weight)
	}
	if p.Weight < 0 {
		return &LimitError{r.id, ErrWeight}
	}
	for i, c := range r.charge {
		w := c.weight
		if i == r.own {
			w = p.cost
		}
		if w > c.rule.terms.quota-c.rule.kept(p.Priority) {
			return &LimitError{c.rule.ID, ErrWeight}
		}
	}
	return nil
}

// hopeless returns an error if a lifetime budget cannot pay for p, whatever
// becomes of the permits in flight.
func (p *Permit) hopeless() error {
	for i, c := range p.path.charges {
		if b, ok := c.meter.window.(*lifetime); ok && b.exhausted(p.weight(i)+c.meter.rule.kept(p.Priority)) {
			return &LimitError{c.meter.rule.ID, ErrSpent}
		}
	}
	return nil
}

func (l *Ledger) rank(now time.Duration, priority int) int64 {
	if l.options.Aging == 0 {
		return saturate(-float64(priority), -int64(priority))
	}
	exact := int64(now) - int64(priority)*int64(l.options.Aging)
	return saturate(float64(now)-float64(priority)*float64(l.options.Aging), exact)
}

// saturate returns exact unless approx says that it has overflowed.
func saturate(approx float64, exact int64) int64 {
	switch {
	case approx >= math.MaxInt64/2:
		return math.MaxInt64 / 2
	case approx <= math.MinInt64/2:
		return math.MinInt64 / 2
	}
	return exact
}

// fits reports whether every limit of p has room now, the queue apart.
func (l *Ledger) fits(now time.Duration, p *Permit) bool {
	for _, s := range p.path.scopes {
		if s.opens(now) > now {
			return false
		}
	}
	for i, c := range p.path.charges {
		if at := l.opening(now, c.meter, p, 0, p.weight(i)); at > now {
			return false
		}
	}
	return true
}

// opening returns the first instant at which m, with reserved kept for others,
// has room for w of p's, now if it has it now, or never if that depends on
// more than time.
func (l *Ledger) opening(now time.Duration, m *meter, p *Permit, reserved, w int64) time.Duration {
	need := reserved + w
	kept := m.rule.kept(p.Priority)
	if m.window.room(now) < need+kept {
		at := m.window.when(now, need+kept, m.window.inFlight())
		return max(at, now+1)
	}
	if l.paced(p) {
		return l.paceOpening(now, m, need, w)
	}
	return now
}

// soonest returns an instant before which p cannot be granted, even if the
// queue and everything in flight vanished.
func (l *Ledger) soonest(now time.Duration, p *Permit) time.Duration {
	at := now
	for _, s := range p.path.scopes {
		at = max(at, s.until)
	}
	for i, c := range p.path.charges {
		at = max(at, c.meter.window.when(now, p.weight(i)+c.meter.rule.kept(p.Priority), 0))
	}
	return at
}

func (l *Ledger) grant(now time.Duration, p *Permit) {
	p.state, p.granted = Granted, now
	for i, c := range p.path.charges {
		w := p.weight(i)
		c.meter.window.grant(now, w)
		if l.options.Pacing != nil {
			l.tally(now, c.meter, p, w)
		}
	}
	for _, s := range p.path.scopes {
		s.flying++
	}
}

// Settle says what became of a granted permit and makes p Idle. For a Lost one
// it returns the Hold by which Proven may end the hold early. A permit that is
// not granted is left alone.
func (l *Ledger) Settle(now time.Duration, p *Permit, o Outcome) Hold {
	now = l.at(now)
	if p.state != Granted {
		return 0
	}
	p.state = Idle
	for _, s := range p.path.scopes {
		if s.land(now, o.Fate) {
			l.queue.stale = true
		}
	}
	switch o.Fate {
	case NeverSent:
		for i, c := range p.path.charges {
			c.meter.window.abort(p.weight(i))
			l.queue.freed(c.meter, now, now)
		}
	case Lost:
		return l.holds.add(now, p)
	default:
		l.answered(now, p, o)
	}
	return 0
}

func (l *Ledger) answered(now time.Duration, p *Permit, o Outcome) {
	a := answer{at: now, real: true, sent: p.granted}
	a.by, a.dated = l.clock.believe(p.granted, now, o.ServerTime, o.Resolution)
	for i, c := range p.path.charges {
		l.arrived(now, c.meter, p.weight(i), a, o.Costs)
	}
}

// arrived settles w in flight on one meter, at its real cost if that is told.
func (l *Ledger) arrived(now time.Duration, m *meter, w int64, a answer, costs []Cost) {
	actual := w
	for _, c := range costs {
		if c.ID == m.rule.ID {
			actual = min(max(0, c.Weight), maxWeight)
		}
	}
	if actual < w {
		m.window.abort(w - actual)
		l.queue.freed(m, now, now)
	}
	if kept := min(actual, w); kept > 0 {
		l.queue.freed(m, now, m.window.settle(kept, a))
	}
	m.window.burden(now, actual-w)
}

// Cancel takes a queued permit out of the queue, with everything that was kept
// for it, and makes it Idle. It reports whether p was queued; a granted permit
// is given back by Settle.
func (l *Ledger) Cancel(now time.Duration, p *Permit) bool {
	l.at(now)
	if p.state != Queued {
		return false
	}
	l.queue.remove(p)
	p.state = Idle
	return true
}

// Adopt counts p, granted by a ledger that is lost, as granted now by this
// one, whether or not there is room. Use it before the first Acquire.
func (l *Ledger) Adopt(now time.Duration, p *Permit) error {
	now = l.at(now)
	p.Reset()
	r := l.table.routes[p.Limit]
	if r == nil {
		return &LimitError{p.Limit, ErrUnknownLimit}
	}
	if err := r.weigh(p); err != nil {
		return err
	}
	p.path = l.pathFor(now, r, p.Key)
	l.grant(now, p)
	return nil
}

// AssumeFull takes every quota as fully used at now, until time disproves it,
// so that whatever a lost ledger granted is covered. A Lifetime budget counts
// as spent until Sync says how much of it is. Keys seen later are covered too.
func (l *Ledger) AssumeFull(now time.Duration) {
	now = l.at(now)
	l.filled, l.filledAt = true, now
	for _, r := range l.table.rules {
		if !r.Keyed {
			l.meterFor(now, r, "")
		}
		for _, m := range r.meters {
			m.window.fill(now)
		}
	}
	l.queue.stale = true
}

// SetClock says that the server's Unix time minus `now` lies in [lo, hi]. The
// bounds are taken to hold at the latest instant the ledger was told of, and to
// widen by the clock rate from there. Bounds that contradict the earlier ones
// mean that the server's clock has stepped; nothing is then granted on the
// strength of it for one window.
func (l *Ledger) SetClock(lo, hi time.Duration) {
	if lo > hi || lo < -1<<62 || hi > 1<<62 {
		return
	}
	at := l.now
	c := l.clock
	stepped := c.known && at != unset && (at+hi < c.earliest(at) || at+lo > c.latest(at))
	c.set(at, lo, hi)
	if stepped {
		c.learned = false
		l.eachMeter(func(m *meter) {
			if f, ok := m.window.(*fixed); ok {
				f.stepped(at)
			}
		})
	}
	l.queue.stale = true
}

func (l *Ledger) eachMeter(do func(*meter)) {
	for _, r := range l.table.rules {
		for _, m := range r.meters {
			do(m)
		}
	}
	for _, r := range l.retired {
		for _, m := range r.meters {
			do(m)
		}
	}
}
