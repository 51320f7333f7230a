package actors

import (
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// warmPool asks a pool to have n connections open, as far as its maximum
// allows. done receives nil when it has, or why a dial failed.
type warmPool struct {
	n    int
	done chan<- error // capacity 1
}

// dropIdle asks a pool to close what is idle.
type dropIdle struct{}

func (p *pool) warm(m warmPool) {
	m.n = min(m.n, p.book.config.MaxConns)
	switch {
	case p.book.ctx.Err() != nil:
		m.done <- messages.ErrClosed
	case len(p.book.leases) >= m.n:
		m.done <- nil
	default:
		p.book.warming = append(p.book.warming, m)
		p.dialMore()
	}
}

// warmed answers whoever asked for no more connections than there are; after
// an error, everyone.
func (p *pool) warmed(err error) {
	b := p.book
	kept := b.warming[:0]
	for _, w := range b.warming {
		if err == nil && len(b.leases) < w.n {
			kept = append(kept, w)
			continue
		}
		w.done <- err
	}
	clear(b.warming[len(kept):])
	b.warming = kept
}

// upkeep does what time asks for: connections retire, dials are made after a
// pause, the pool ends when nobody needs it.
func (p *pool) upkeep(now time.Time) {
	p.alarm = time.Time{}
	if p.book.parting {
		p.close()
		return
	}
	p.retire(now)
	p.dialMore()
	p.passivate(now)
	for _, l := range p.book.idle {
		p.arm(p.retireAt(l))
	}
}

// arm makes upkeep run at an instant, unless it runs before. The alarm is
// never put off when a connection is used, which is the cheaper way: it may
// ring in vain, once per IdleTimeout at most.
func (p *pool) arm(at time.Time) {
	if !p.alarm.IsZero() && !at.Before(p.alarm) {
		return
	}
	p.alarm = at
	if p.timer != nil {
		p.timer.Reset(time.Until(at))
		return
	}
	self := p.book.door.address
	p.timer = time.AfterFunc(time.Until(at), func() { self.Tell(upkeepDue{}) })
}

func (p *pool) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// retire closes the idle connections whose time has come.
func (p *pool) retire(now time.Time) {
	b := p.book
	var old []*messages.Lease
	kept := b.idle[:0]
	for _, l := range b.idle {
		if now.Before(p.retireAt(l)) {
			kept = append(kept, l)
		} else {
			old = append(old, l)
		}
	}
	clear(b.idle[len(kept):])
	b.idle = kept
	for _, l := range old {
		b.counts.Retired++
		p.discard(l)
	}
}

// retireAt is when an idle connection is to be closed.
func (p *pool) retireAt(l *messages.Lease) time.Time {
	at := l.UsedAt.Add(p.book.config.IdleTimeout)
	if !l.RetireAt.IsZero() && l.RetireAt.Before(at) {
		return l.RetireAt
	}
	return at
}

// retirement is when a connection dialled now is too old. Connections dialled
// together do not end together.
func (p *pool) retirement(now time.Time) time.Time {
	age := p.book.config.MaxAge
	if age <= 0 {
		return time.Time{}
	}
	return now.Add(age - rand.N(age/10+1))
}

// noteEmpty starts the wait for the pool's own end once it has no connection.
func (p *pool) noteEmpty() {
	b := p.book
	if len(b.leases) == 0 && b.config.Passivate > 0 && b.ctx.Err() == nil {
		b.empty = time.Now()
		p.arm(b.empty.Add(b.config.Passivate))
	}
}

// parting is how long a pool outlives the shutting of its door. What can still
// reach it is the ticket of a caller who left, which is a mailbox away.
const parting = time.Second

// passivate shuts the door if the pool has been empty for long enough and no
// request refers to it. The next request for the origin gets a new pool.
func (p *pool) passivate(now time.Time) {
	b := p.book
	if b.config.Passivate <= 0 || b.config.MinIdle > 0 || len(b.leases)+b.dialling+b.waiters.n+len(b.warming) > 0 {
		return
	}
	due := b.empty.Add(b.config.Passivate)
	if !now.Before(due) {
		p.system.slots.leave(b.door)
	}
	switch {
	case now.Before(due):
		p.arm(due)
	case !b.door.shut():
		p.arm(now.Add(b.config.Passivate))
	default:
		b.parting = true
		p.system.supervisor.Tell(poolParting{b.origin, b.door})
		p.arm(now.Add(parting))
	}
}

// backoff spaces the dials to an origin that refuses them.
type backoff struct {
	base, ceiling time.Duration
	failures      int       // pauses since the last success
	until         time.Time // no dial before
	err           error     // of the last dial
}

// failed begins a pause. Dials that fail during one do not lengthen it: they
// began before.
func (b *backoff) failed(now time.Time, err error) {
	b.err = err
	if now.Before(b.until) {
		return
	}
	b.failures++
	pause := min(b.ceiling, b.base<<min(b.failures-1, 20))
	b.until = now.Add(pause/2 + rand.N(pause/2+1))
}

func (b *backoff) succeeded() { b.failures, b.until, b.err = 0, time.Time{}, nil }
