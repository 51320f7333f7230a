package throttle

import "time"

// Park takes a granted permit back as NeverSent, and makes it Idle. Its rank is
// remembered for Requeue; Acquire would give it a new one. A permit that is not
// granted is left alone.
func (l *Ledger) Park(now time.Duration, p *Permit) {
	if p.state != Granted {
		return
	}
	l.Settle(now, p, Outcome{Fate: NeverSent})
	p.parked = true
}

// Requeue takes a granted permit back as NeverSent, or takes up one that was
// parked, and asks for it again with the rank it had: it goes ahead of everyone
// of its class who came later. After nil it is Granted or Queued, as after
// Acquire; a full queue takes it all the same. An error is a *LimitError with
// ErrUnknownLimit, ErrWeight, ErrRouteWeight, ErrReweigh, ErrNoKey or ErrUnknownKey if the
// limits were replaced, ErrSpent, ErrDeadline, or ErrPermitUnused for one that is neither
// granted nor parked; after any but the last it is Idle, and given back.
func (l *Ledger) Requeue(now time.Duration, p *Permit) error {
	now = l.at(now)
	l.Park(now, p)
	if !p.parked {
		return &LimitError{ID: p.Limit, Err: ErrPermitUnused}
	}
	p.parked, p.err = false, nil
	if err := l.reroute(now, p); err != nil {
		return err
	}
	if err := p.hopeless(); err != nil {
		return err
	}
	if p.Deadline != 0 && now > p.Deadline {
		return l.refusal(now, p, ErrDeadline)
	}
	if l.grantAtOnce(now, p) {
		return nil
	}
	if l.tooLate(now, p) {
		return l.refusal(now, p, ErrDeadline)
	}
	l.queue.push(l, p)
	return nil
}
