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
// calls Next until it returns nil. At ForgetAt it calls Forget.
type Ledger struct {
	options Options
	clock   *serverClock
	table   *table
	tables  uint32           // how often the table was replaced
	retired map[string]*rule // replaced by nothing, but not yet idle
	adopted bool             // some quota was announced that is not the declared one
	tariffs *Tariffs         // of the table; nil if no permit is to be asked about its own
	refused refusedMeters    // alone, without what shares a scope with them
	pauses  *pauses
	now     time.Duration
	seq     uint64

	hasher  hasher
	idlers  idlers
	lookups uint64 // of paths

	queue queue
	lost  lostPermits

	filled   bool          // all is taken for full that may have been spent by filledAt
	filledAt time.Duration // when that was decided last
	unsure   bool          // and what was in flight then is not known: it may arrive later

	recorder Recorder // nil: nothing is written down
	glanced  glances  // of what the last Glance told; nil before the first
}

const unset = time.Duration(math.MinInt64) // no instant was given yet

// New returns a ledger for the given limits. The error lists every mistake in
// them and in the options; those of limits are *LimitError.
func New(limits []Limit, o Options) (*Ledger, error) {
	o, optionsErr := o.withDefaults()
	l := &Ledger{options: o, pauses: newPauses(), retired: map[string]*rule{}, idlers: newIdlers(), hasher: newHasher(), now: unset}
	l.clock = &serverClock{rate: int64(math.Ceil(o.ClockRate * billion))}
	l.queue.chance = 1
	if optionsErr != nil {
		l.options, _ = Options{}.withDefaults() // so that limits are judged on their own
	}
	table, err := compile(limits, l.options, l.clock, newZones())
	if err := errors.Join(optionsErr, err); err != nil {
		return nil, err
	}
	l.table = table
	l.pauses.name(table)
	return l, nil
}

// at moves the ledger to now and returns the instant it really is.
func (l *Ledger) at(now time.Duration) time.Duration {
	if l.now == unset {
		l.begin(now)
	}
	l.now = max(l.now, now)
	if len(l.lost) > 0 {
		l.lost.expire(l)
	}
	return l.now
}

// begin is told the first instant.
func (l *Ledger) begin(now time.Duration) {
	l.clock.at = max(l.clock.at, now) // bounds that were set before hold from there on
	l.now = now
	if l.options.StartFull {
		l.assumeFull(now, false)
	}
}

// Acquire asks for a permit. After nil p is Granted, or Queued until Next answers it. An error
// is a *LimitError with ErrUnknownLimit, ErrWeight, ErrRouteWeight, ErrNotCharged,
// ErrWeightTwice, ErrNoKey, ErrUnknownKey, ErrLongName, ErrSpent, ErrQueueFull, ErrPermitInUse, or
// ErrDeadline if even an empty queue could not have it leave before its deadline. After ErrPermitInUse p goes on as
// before; after any other it is neither queued nor granted. What its owner wrote into it is
// unchanged.
func (l *Ledger) Acquire(now time.Duration, p *Permit) error {
	now = l.at(now)
	if err := l.admit(now, p, false); err != nil {
		return err
	}
	if l.grantAtOnce(now, p) {
		return nil
	}
	if l.tooLate(now, p) {
		return l.refusal(now, p, ErrDeadline)
	}
	if !l.makeRoom(now, p) { // a full queue refuses only what would have to wait
		return l.refusal(now, p, ErrQueueFull)
	}
	l.queue.push(l, p)
	return nil
}

// tooLate reports whether nothing could grant p before its deadline. At the deadline itself there is
// no time left to do anything, and so nobody is kept waiting for that.
func (l *Ledger) tooLate(now time.Duration, p *Permit) bool {
	if p.Deadline == 0 {
		return false
	}
	at := l.soonest(now, p)
	return at > now && at >= p.Deadline
}

// grantAtOnce grants p, which is not queued, if it may go by now. Whoever waits
// for one of its limits, and ranks before it, goes first.
func (l *Ledger) grantAtOnce(now time.Duration, p *Permit) bool {
	if l.queue.disputed(p.path) && !l.goesFirst(now, p) || !l.fits(now, p) {
		return false
	}
	l.grant(now, p)
	return true
}

// goesFirst reports whether nobody who waits goes before p: neither one who may be let
// pass by now, nor one of its lane or of a slow start. What others hold is theirs in
// any case, see fits.
func (l *Ledger) goesFirst(now time.Duration, p *Permit) bool {
	q := &l.queue
	l.attendDue(now)
	if len(q.awake) > 0 && !p.before(q.awake[0].lane.head) {
		return false
	}
	if ln := p.path.lane(p.Priority); ln != nil && !p.before(ln.head) {
		return false
	}
	first := true
	if !l.pauses.calm() {
		p.path.obeyed(func(s *scope) {
			first = first && (s.line == nil || len(s.line.lanes) == 0 || p.before(s.line.lanes[0].lane.head))
		})
	}
	return first
}

func (l *Ledger) grant(now time.Duration, p *Permit) {
	p.state, p.granted, p.table = Granted, now, l.tables
	for i, c := range p.path.charges {
		w := p.weight(i)
		if w == 0 { // which opens no window, and spends nothing
			continue
		}
		c.meter.window.grant(now, w)
		if c.meter.gate != nil && now < c.meter.gate.spread.until {
			c.meter.spreadOut(now, w)
		}
		if l.options.Pacing != nil {
			l.tally(now, c.meter, p, w)
		}
	}
	for _, s := range p.path.scopes {
		s.flying++
	}
	if !l.pauses.calm() {
		p.path.obeyed(func(s *scope) { s.leave(now) })
	}
	if p.path.route.from != nil {
		l.setAside(now, p)
	}
	if l.recorder != nil {
		p.flight = l.recorder.Granted(now, p)
	}
}

// Settle says what became of a granted permit and makes p Idle. A permit that is
// not granted is left alone.
func (l *Ledger) Settle(now time.Duration, p *Permit, o Outcome) {
	now = l.at(now)
	if p.state != Granted {
		return
	}
	for _, s := range p.path.scopes {
		s.flying--
	}
	if !l.pauses.calm() {
		l.land(now, p, &o)
	}
	if p.path.gone { // it was forgotten in flight
		for _, s := range p.path.scopes {
			l.pauses.forgetPart(now, s)
		}
		l.pauses.forget(now, p.path.home)
	}
	switch o.Fate {
	case NeverSent:
		for i, c := range p.path.charges {
			if w := p.weight(i); w > 0 {
				c.meter.window.abort(w)
				l.queue.freed(c.meter, now, now)
			}
		}
		if p.path.route.from != nil {
			l.landed(now, p.path, p.cost, p.Weights, p.granted, false)
		}
	case Lost, Closed:
		l.lost.add(now, p, o.Fate)
	default:
		l.answered(now, p, &o)
	}
	if l.recorder != nil {
		l.recorder.Settled(now, p, o)
	}
	p.state = Idle // last: one that tears the ledger here is in flight still
}

func (l *Ledger) answered(now time.Duration, p *Permit, o *Outcome) {
	a := answer{at: now, real: true, sent: p.granted}
	a.by, a.dated = l.clock.arrivedBy(p.granted, now, o.ServerTime, o.Resolution)
	for i, c := range p.path.charges {
		c.meter.rule.flew(now - p.granted)
		if c.meter.gate != nil && !o.Refused && p.spent(i, o.Costs) > 0 && p.granted >= c.meter.gate.refusal.until {
			c.meter.gate.refusal.inRow = 0
		}
		l.arrived(now, c.meter, p.weight(i), a, o.Costs)
	}
	if p.path.route.from != nil {
		l.landed(now, p.path, p.cost, p.Weights, p.granted, true)
	}
}

// arrived settles w in flight on one meter, at its real cost if that is told.
func (l *Ledger) arrived(now time.Duration, m *meter, w int64, a answer, costs []Cost) {
	if w == 0 {
		l.charge(now, m, costs)
		return
	}
	m.last, m.seen = now, true
	for _, c := range costs {
		if c.ID == m.rule.ID {
			w = l.correct(now, m, w, min(max(0, c.Weight), maxWeight))
		}
	}
	if w > 0 { // what cost nothing has been taken back altogether
		l.queue.freed(m, now, m.window.settle(w, a))
	}
}

// charge counts what a request really cost that was to cost nothing. Nothing of it was in
// flight, so that its meter may have been forgotten meanwhile.
func (l *Ledger) charge(now time.Duration, m *meter, costs []Cost) {
	for _, c := range costs {
		if c.ID != m.rule.ID || c.Weight <= 0 {
			continue
		}
		if m.paths == 0 && l.table.rules[m.rule.ID] == m.rule {
			m = l.usedMeter(now, m.rule, *m.of)
		}
		m.last, m.seen = now, true
		m.suppose(now, min(c.Weight, maxWeight))
		l.queue.freed(m, now, now)
	}
}

// correct makes a reserved weight into an actual one and returns what of it is
// in flight.
func (l *Ledger) correct(now time.Duration, m *meter, reserved, actual int64) int64 {
	if actual < reserved {
		m.window.abort(reserved - actual)
		l.queue.freed(m, now, now)
		return actual
	}
	m.exceed(now, actual-reserved)
	return reserved
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
