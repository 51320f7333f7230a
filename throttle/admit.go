package throttle

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// admit resolves what p asks for and refuses what can never be.
func (l *Ledger) admit(now time.Duration, p *Permit) error {
	r := l.table.route(p.Limit)
	switch {
	case p.state == Queued || p.state == Granted:
		return &LimitError{ID: p.Limit, Err: ErrPermitInUse}
	case r == nil:
		return &LimitError{ID: p.Limit, Err: ErrUnknownLimit}
	}
	if r.keyed {
		if err := r.checkKey(p.Key); err != nil {
			return err
		}
	}
	if err := r.weigh(p); err != nil {
		return err
	}
	p.path = l.pathFor(now, r, p.Key, p.Origin)
	if p.Deadline != 0 && now > p.Deadline { // a grant at the deadline is in time
		return l.refusal(now, p, ErrDeadline)
	}
	p.state, p.parked, p.err = Idle, false, nil
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
		if p.Weight != 0 && r.id != NoLimit {
			return &LimitError{ID: r.id, Err: ErrRouteWeight}
		}
	} else {
		p.cost = cmp.Or(p.Weight, r.tolls[r.own].weight)
	}
	if p.Weight == 0 && !r.reserves {
		return nil // compile has seen to it that these weights fit
	}
	if p.Weight < 0 {
		return &LimitError{ID: r.id, Err: ErrWeight}
	}
	for i, c := range r.tolls {
		w := c.weight
		if i == r.own {
			w = p.cost
		}
		// What is kept for more urgent ones is never this one's to take.
		if most := c.rule.terms.quota - c.rule.kept(p.Priority); w > most {
			return &LimitError{ID: c.rule.ID, Err: fmt.Errorf("%w: %d is more than %d", ErrWeight, w, most)}
		}
	}
	return nil
}

// hopeless returns an error if a lifetime budget cannot pay for p, whatever
// becomes of the permits in flight.
func (p *Permit) hopeless() error {
	if !p.path.route.budget {
		return nil
	}
	for i, c := range p.path.charges {
		if b, ok := c.meter.window.(*lifetime); ok && b.exhausted(p.weight(i)+c.meter.rule.kept(p.Priority)) {
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
		var held int64
		if c.meter.line != nil {
			held = c.meter.line.heldBefore(&l.queue, p.rank, p.seq)
		}
		if at := l.opening(now, c.meter, p, held, p.weight(i)); at > now {
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
		return max(at, m.spreadUntil(now), now+1) // when may be early, but now would mean that there is room
	}
	at := max(now, m.spreadUntil(now))
	if l.paced(p) {
		at = max(at, l.paceOpening(now, m, need, w))
	}
	return at
}

// soonest returns an instant before which p cannot be granted, even if the
// queue vanished, and everything in flight that is not lost.
func (l *Ledger) soonest(now time.Duration, p *Permit) time.Duration {
	at := max(now, p.path.pausedUntil())
	for i, c := range p.path.charges {
		at = max(at, c.meter.clears(now, p.weight(i)+c.meter.rule.kept(p.Priority), 0))
	}
	return at
}
