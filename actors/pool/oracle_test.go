package pool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// caller is who brings a ticket. The oracle reads its plain fields only.
type caller struct {
	id       int
	deadline time.Duration // zero means never
	trace    int           // which hooks are told of a dial; zero means none
	limited  bool
	left     bool // whether or not the pool knows

	ticket   ticket.Ticket
	world    *world
	waits    bool // it has asked, and has not been answered
	answers  int
	forsaken int
}

// done is what a pool has had others do in one event.
type done struct {
	told     []string // to callers and to who asked for warmth, in their order
	dials    []int    // begun, each with the trace that is told of it
	closed   []int    // connections, in any order
	aborted  []int    // likewise
	forsaken []int    // permits of callers who left, in their order

	dialsAborted, unused, hooksFailed, ended int
}

func (d *done) sorted() done {
	slices.Sort(d.closed)
	slices.Sort(d.aborted)
	return *d
}

// line is a connection as the oracle remembers it.
type line struct {
	id           int
	usedAt, ends time.Duration // ends is zero for one that does not age
	uses         int
	rested       bool
}

// warmer is who asked for so many connections to be open.
type warmer struct{ id, n int }

// oracle is the slow and obvious pool: lists, searched from end to end. It says
// what a pool must have others do, event by event.
type oracle struct {
	Config
	share float64 // of what may be drawn, that is drawn
	done  done

	idle     []*line // longest idle first
	lent     []*line
	dialling []int // the trace of every dial
	waiting  []*caller
	warming  []warmer

	failures int // pauses since the last success
	until    time.Duration
	err      error // of the last dial

	alarm   time.Duration // zero means none
	empty   time.Duration // since when nothing is open
	parts   time.Duration // when the pool is to end because its door is shut; zero means not
	closing bool

	dialled, dialsFailed, retired, broken, refused int64
}

func (o *oracle) open() int { return len(o.idle) + len(o.lent) }

func (o *oracle) draw(d time.Duration) time.Duration { return time.Duration(o.share * float64(d)) }

func (o *oracle) ring(at time.Duration) {
	if o.alarm == 0 || at < o.alarm {
		o.alarm = at
	}
}

func (o *oracle) acquire(now time.Duration, c *caller) {
	switch {
	case o.closing:
		o.refuse(c, messages.ErrClosed)
	case len(o.idle) > 0:
		at := len(o.idle) - 1
		if o.Rotate {
			at = 0
		}
		l := o.idle[at]
		o.idle = slices.Delete(o.idle, at, at+1)
		if c.left {
			o.forsake(c)
			o.keep(l)
		} else {
			o.lend(l, c)
		}
		if o.MinIdle > 0 {
			o.dial(now)
		}
	case len(o.waiting) >= o.MaxWaiters:
		o.refuse(c, messages.ErrTooManyWaiters)
	case o.failures > 0 && o.open()+len(o.dialling) == 0 && c.deadline != 0 && c.deadline <= o.until:
		o.refuse(c, fmt.Errorf("%w: no connection before then: %w", context.DeadlineExceeded, o.err))
	default:
		o.waiting = append(o.waiting, c)
		o.dial(now)
	}
}

// hand gives a connection to whoever has waited longest and can still use it.
func (o *oracle) hand(now time.Duration, l *line) {
	for len(o.waiting) > 0 {
		c := o.waiting[0]
		o.waiting = o.waiting[1:]
		switch {
		case c.deadline != 0 && c.deadline <= now:
			o.refuse(c, context.DeadlineExceeded)
		case c.left:
			o.forsake(c)
		default:
			o.lend(l, c)
			return
		}
	}
	o.keep(l)
}

func (o *oracle) lend(l *line, c *caller) {
	o.lent = append(o.lent, l)
	o.tell("%d has %d, fresh: %t", c.id, l.id, l.uses == 0 && !l.rested)
}

func (o *oracle) keep(l *line) {
	l.rested = l.uses == 0
	o.idle = append(o.idle, l)
	o.ring(o.retires(l))
}

func (o *oracle) tell(format string, args ...any) {
	o.done.told = append(o.done.told, fmt.Sprintf(format, args...))
}

func (o *oracle) refuse(c *caller, err error) {
	o.refused++
	if c.left {
		o.forsake(c)
		return
	}
	o.tell("%d is refused: %v", c.id, err)
}

func (o *oracle) forsake(c *caller) {
	if c.limited {
		o.done.forsaken = append(o.done.forsaken, c.id)
	}
}

func (o *oracle) abandon(c *caller) {
	if i := slices.Index(o.waiting, c); i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
		o.forsake(c)
	}
}

// dial begins as many dials as are of use and allowed.
func (o *oracle) dial(now time.Duration) {
	for !o.closing && len(o.dialling) < o.wanted() && o.open()+len(o.dialling) < o.MaxConns {
		if o.failures > 0 && len(o.dialling) > 0 {
			return
		}
		if o.failures > 0 && now < o.until {
			o.ring(o.until)
			return
		}
		trace := 0
		if n := len(o.dialling); n < len(o.waiting) {
			trace = o.waiting[n].trace
		}
		o.dialling = append(o.dialling, trace)
		o.done.dials = append(o.done.dials, trace)
	}
}

func (o *oracle) wanted() int {
	n := len(o.waiting) + max(0, o.MinIdle-len(o.idle))
	for _, w := range o.warming {
		n = max(n, w.n-o.open())
	}
	return n
}

// connected ends the i-th of the dials with a connection of that number.
func (o *oracle) connected(now time.Duration, i, id int) {
	o.dialling = slices.Delete(o.dialling, i, i+1)
	if o.closing {
		o.done.closed = append(o.done.closed, id)
		o.endIfDone()
		return
	}
	o.dialled++
	o.failures, o.until, o.err = 0, 0, nil
	l := &line{id: id, usedAt: now}
	if o.MaxAge > 0 {
		l.ends = now + o.MaxAge - o.draw(o.MaxAge/10)
	}
	o.idle = append(o.idle, l) // for a moment: it counts as open
	o.warmed(nil)
	o.idle = o.idle[:len(o.idle)-1]
	o.hand(now, l)
	o.dial(now)
}

func (o *oracle) dialFailed(now time.Duration, i int, err error) {
	o.dialling = slices.Delete(o.dialling, i, i+1)
	o.dialsFailed++
	o.err = err
	if now >= o.until {
		pause := o.Backoff
		for range o.failures {
			pause = min(o.BackoffCap, 2*pause)
		}
		pause = min(o.BackoffCap, pause)
		o.failures++
		o.until = now + pause/2 + o.draw(pause/2)
	}
	o.warmed(err)
	if o.open()+len(o.dialling) == 0 {
		o.refuseAll(err)
		o.noteEmpty(now)
	}
	o.dial(now)
	o.endIfDone()
}

func (o *oracle) hookFailed(now time.Duration, i int, err error) {
	trace := o.dialling[i]
	o.dialling = slices.Delete(o.dialling, i, i+1)
	o.done.hooksFailed++
	for _, c := range slices.Clone(o.waiting) {
		if c.trace == trace {
			o.waiting = slices.DeleteFunc(o.waiting, func(w *caller) bool { return w == c })
			o.refuse(c, err)
		}
	}
	o.noteEmpty(now)
	o.dial(now)
	o.endIfDone()
}

func (o *oracle) refuseAll(err error) {
	for _, c := range o.waiting {
		o.refuse(c, err)
	}
	o.waiting = nil
}

func (o *oracle) giveBack(now time.Duration, id int, reusable bool, usedAt time.Duration, uses int) {
	at := slices.IndexFunc(o.lent, func(l *line) bool { return l.id == id })
	l := o.lent[at]
	o.lent = slices.Delete(o.lent, at, at+1)
	l.usedAt, l.uses = usedAt, uses
	switch {
	case o.closing:
		o.close(now, l)
	case !reusable:
		o.broken++
		o.close(now, l)
		o.dial(now)
	case l.ends != 0 && l.usedAt >= l.ends:
		o.retired++
		o.close(now, l)
		o.dial(now)
	default:
		o.hand(now, l)
	}
}

// close closes a connection that is on no list any more.
func (o *oracle) close(now time.Duration, l *line) {
	o.done.closed = append(o.done.closed, l.id)
	o.noteEmpty(now)
	o.endIfDone()
}

func (o *oracle) noteEmpty(now time.Duration) {
	if o.open() == 0 && o.Passivate > 0 && !o.closing {
		o.empty = now
		o.ring(now + o.Passivate)
	}
}

func (o *oracle) endIfDone() {
	if o.closing && o.open()+len(o.dialling) == 0 {
		o.done.ended = 1
	}
}

func (o *oracle) dropIdle(now time.Duration) {
	for len(o.idle) > 0 {
		l := o.idle[0]
		o.idle = o.idle[1:]
		o.close(now, l)
	}
}

func (o *oracle) warm(now time.Duration, w warmer) {
	w.n = min(w.n, o.MaxConns)
	switch {
	case o.closing:
		o.tell("warmer %d: %v", w.id, messages.ErrClosed)
	case o.open() >= w.n:
		o.tell("warmer %d: %v", w.id, nil)
	default:
		o.warming = append(o.warming, w)
		o.dial(now)
	}
}

func (o *oracle) warmed(err error) {
	o.warming = slices.DeleteFunc(o.warming, func(w warmer) bool {
		answered := err != nil || o.open() >= w.n
		if answered {
			o.tell("warmer %d: %v", w.id, err)
		}
		return answered
	})
}

func (o *oracle) retires(l *line) time.Duration {
	return min(l.usedAt+o.IdleTimeout, cmp.Or(l.ends, 1<<62))
}

func (o *oracle) upkeep(now time.Duration) {
	o.alarm = 0
	if o.parts != 0 && now >= o.parts {
		o.shut(now)
		return
	}
	if o.parts != 0 {
		o.ring(o.parts)
	}
	for _, l := range slices.Clone(o.idle) {
		if o.retires(l) <= now {
			o.idle = slices.DeleteFunc(o.idle, func(i *line) bool { return i == l })
			o.retired++
			o.close(now, l)
		}
	}
	o.dial(now)
	o.offer(now)
	for _, l := range o.idle {
		o.ring(o.retires(l))
	}
}

// offer tells that the pool is of no use to anybody.
func (o *oracle) offer(now time.Duration) {
	used := o.open() + len(o.dialling) + len(o.waiting) + len(o.warming)
	if o.Passivate == 0 || o.MinIdle > 0 || used > 0 {
		return
	}
	if now < o.empty+o.Passivate {
		o.ring(o.empty + o.Passivate)
		return
	}
	o.ring(now + o.Passivate)
	o.done.unused++
}

func (o *oracle) part(now time.Duration) {
	o.parts = now + time.Second
	o.ring(o.parts)
}

func (o *oracle) shut(now time.Duration) {
	o.closing = true
	o.done.dialsAborted++
	o.refuseAll(messages.ErrClosed)
	o.warmed(messages.ErrClosed)
	o.dropIdle(now)
	for _, l := range o.lent {
		o.done.aborted = append(o.done.aborted, l.id)
	}
	o.endIfDone()
}

// recovered goes on after a failure; failed is whose word it was about, or nil.
func (o *oracle) recovered(now time.Duration, failed *caller) {
	if i := slices.Index(o.waiting, failed); i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
		o.refuse(failed, messages.ErrActorFailed)
	}
	o.alarm = 0
	o.dropIdle(now)
	o.noteEmpty(now)
	if o.parts != 0 {
		o.parts = now + time.Second
		o.ring(o.parts)
	}
	o.dial(now)
}

// takeBackDials forgets the dials of an event beyond the first n: the call that
// was to begin them failed.
func (o *oracle) takeBackDials(n int) {
	o.dialling = o.dialling[:len(o.dialling)-(len(o.done.dials)-n)]
	o.done.dials = o.done.dials[:n]
}
