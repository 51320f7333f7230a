package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// admit resolves what p asks for and refuses what can never be. If that is only foreseen
// nothing changes but p, which has no deadline then.
func (l *Ledger) admit(now time.Duration, p *Permit, foreseen bool) error {
	r := l.table.route(p.Limit)
	switch {
	case p.state == Queued || p.state == Granted:
		return &LimitError{ID: p.Limit, Err: ErrPermitInUse}
	case r == nil:
		return l.table.unknown(p.Limit)
	}
	if err := p.checkNames(); err != nil {
		return err
	}
	if r.by&ByKey != 0 || r.falls {
		if err := r.checkKey(p.Key); err != nil {
			return err
		}
	}
	if err := l.checkTariffs(p); err != nil { // first: what it says of weights is about others
		return err
	}
	err := r.weigh(p)
	if len(p.Weights) > 0 {
		err = join(r.checkWeights(p.Weights), err)
	}
	if err != nil {
		return err
	}
	if foreseen {
		p.path = l.glimpse(now, r, p)
	} else {
		p.path = l.pathOf(now, r, p)
	}
	if err := l.fitsEver(p); err != nil {
		return err
	}
	if p.Deadline != 0 && now > p.Deadline { // a grant at the deadline is in time
		return l.refusal(now, p, errPast)
	}
	p.state, p.parked, p.err = Idle, false, nil
	p.rank, p.seq = l.rank(now, p.Priority), l.seq+1
	if !foreseen {
		l.seq++
	}
	return p.hopeless()
}

// errPast is ErrDeadline for whoever had no time left before he asked.
var errPast = fmt.Errorf("%w, which had passed already", ErrDeadline)

// weigh sets what p is charged for the limit it names, and returns what is wrong with
// its weights, but for overrides that lead nowhere, see checkWeights.
func (r *route) weigh(p *Permit) error {
	p.cost = 0
	if r.own < 0 {
		if p.Weight != 0 && r.id != NoLimit {
			return &LimitError{ID: r.id, Err: ErrRouteWeight}
		}
	} else {
		p.cost = cmp.Or(p.Weight, r.tolls[r.own].weight)
	}
	if p.Weight == 0 && !r.reserves && len(p.Weights) == 0 {
		return nil // compile has seen to it that these weights fit
	}
	if p.Weight < 0 {
		return &LimitError{ID: r.id, Err: ErrWeight}
	}
	if r.own >= 0 {
		p.cost = overridden(p.Weights, r.id, p.cost)
	}
	for i := range r.tolls {
		if w, most := r.asked(p, i); w > most && w > 0 {
			return r.overweight(p)
		}
	}
	return nil
}

// asked is what p is charged on one toll, and the most that anybody of its priority can
// be: what is kept for more urgent ones is never this one's to take.
func (r *route) asked(p *Permit, i int) (w, most int64) {
	c := &r.tolls[i]
	w = overridden(p.Weights, c.rule.ID, c.weight)
	if i == r.own {
		w = p.cost
	}
	return w, c.rule.roomiest() - c.rule.kept(p.Priority)
}

// overweight names every limit that can never have room for p. It is apart because its
// frame is wide: within weigh, every caller who waits would have a stack of 8 KB instead
// of 4 KB.
//
//go:noinline
func (r *route) overweight(p *Permit) error {
	var errs []error
	for i := range r.tolls {
		if w, most := r.asked(p, i); w > most && w > 0 {
			rule := r.tolls[i].rule
			errs = append(errs, rule.tooHeavy(w, most, rule.roomiest(), p.Priority))
		}
	}
	return oneOrAll(errs)
}

// checkWeights returns every mistake in the overrides of a permit that is new to the
// route. One that was taken on may name a limit that other limits have no more.
func (r *route) checkWeights(weights []Cost) error {
	var errs []error
	for i, c := range weights {
		charged := slices.ContainsFunc(r.tolls, func(t toll) bool { return t.mayCharge(c.ID) })
		switch {
		case !charged:
			errs = append(errs, &LimitError{ID: c.ID, Err: fmt.Errorf("%w %q", ErrNotCharged, r.id)})
		case slices.ContainsFunc(weights[:i], func(d Cost) bool { return d.ID == c.ID }):
			errs = append(errs, &LimitError{ID: c.ID, Err: ErrWeightTwice})
		case c.Weight < 0:
			errs = append(errs, &LimitError{ID: c.ID, Err: fmt.Errorf("%w: %d is negative", ErrWeight, c.Weight)})
		}
	}
	return oneOrAll(errs)
}

// join joins two errors, of which either may be nil.
func join(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return errors.Join(a, b)
}

// oneOrAll joins errors, but leaves one alone as it is.
func oneOrAll(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// hopeless returns an error if a lifetime budget cannot pay for p, whatever
// becomes of the permits in flight.
func (p *Permit) hopeless() error {
	if !p.path.route.budget {
		return nil
	}
	for i, c := range p.path.charges {
		b, ok := c.meter.window.(*lifetime)
		if w := p.weight(i); ok && w > 0 && b.exhausted(w+c.meter.rule.kept(p.Priority)) {
			return &LimitError{ID: c.meter.rule.ID, Err: ErrSpent}
		}
	}
	return nil
}

func (l *Ledger) rank(now time.Duration, priority Priority) int64 {
	// A priority is any integer at all, so that either product may overflow; the
	// float is off by a little and right about the size.
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

// fits reports whether every limit of p has room now, beside what better heads hold.
func (l *Ledger) fits(now time.Duration, p *Permit) bool {
	if !l.pauses.calm() && p.path.opens(now) > now {
		return false
	}
	for i, c := range p.path.charges {
		w := p.weight(i)
		if w == 0 {
			continue
		}
		if at := l.opening(now, c.meter, p, l.heldBefore(c.meter, p), w); at > now {
			return false
		}
	}
	return true
}

// heldBefore is what those who rank before p hold of a meter.
func (l *Ledger) heldBefore(m *meter, p *Permit) int64 {
	if m.line == nil {
		return 0
	}
	return m.line.heldBefore(&l.queue, p.rank, p.seq)
}

// opening returns the first instant at which m, with reserved kept for others,
// has room for w of p's, now if it has it now, or never if that depends on
// more than time. What weighs nothing waits for no room.
func (l *Ledger) opening(now time.Duration, m *meter, p *Permit, reserved, w int64) time.Duration {
	if w == 0 {
		return now
	}
	need := reserved + w
	kept := m.rule.kept(p.Priority)
	if m.window.room(now) < need+kept {
		at := m.window.when(now, need+kept, m.window.inFlight())
		return max(at, m.shutUntil(now), now+1) // when may be early, but now would mean that there is room
	}
	at := max(now, m.shutUntil(now))
	if l.paced(p) {
		at = max(at, l.paceOpening(now, m, need, w))
	}
	return at
}

// opens is opening for those who are told of it. A grant is not looked for so: where lost
// permits are among what holds p, it looks at each of them for when they are let go of, and
// whoever is to be granted waits until a window has surely turned.
func (l *Ledger) opens(now time.Duration, m *meter, p *Permit, w int64, how sureness) time.Duration {
	need := w + m.rule.kept(p.Priority)
	if w == 0 || m.window.room(now) >= need {
		return l.opening(now, m, p, 0, w)
	}
	return max(m.opens(now, need, how), m.shutUntil(now), now+1)
}

// soonest returns an instant before which p cannot be granted, even if the
// queue vanished, and everything in flight that is not lost, and whatever the next look at the
// server's clock shows that it is known to be able to.
func (l *Ledger) soonest(now time.Duration, p *Permit) time.Duration {
	at := max(now, p.path.pausedUntil())
	for i, c := range p.path.charges {
		if w := p.weight(i); w > 0 {
			at = max(at, c.meter.refusedUntil(), c.meter.clears(now, w+c.meter.rule.kept(p.Priority), 0, atBest))
		}
	}
	return at
}
