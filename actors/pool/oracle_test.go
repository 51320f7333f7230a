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

// caller is who brings a ticket. The oracle reads its plain fields only, and
// writes parked.
type caller struct {
	id       int
	priority messages.Priority
	deadline time.Duration // zero means never
	trace    int           // which hooks are told of a dial; zero means none
	limited  bool
	left     bool // whether or not the pool knows
	parked   bool // it waits here without its permit

	ticket   ticket.Ticket
	world    *world
	came     int  // to the pool, in which order
	waits    bool // it is with the pool, which has not answered
	gaveBack bool // its permit is with the throttler
	answers  int
	forsaken int
	dropped  bool // it left, and the throttler was the one to notice
}

// done is what a pool has had others do in one event.
type done struct {
	told     []string // to callers and to who asked for warmth, in their order
	dials    []int    // begun, each with the trace that is told of it
	closed   []int    // connections, in any order
	aborted  []int    // likewise
	parked   []int    // callers whose permit goes back, in their order
	requeued []int    // callers who are sent for a permit again, in their order
	forsaken []int    // permits of callers who left, in their order

	dialsAborted, unused, hooksFailed, ended int
}

func (d *done) sorted() done {
	slices.Sort(d.closed)
	slices.Sort(d.aborted)
	return *d
}

// wire is a connection as the oracle remembers it.
type wire struct {
	id           int
	usedAt, ends time.Duration // ends is zero for one that does not age
	hint         time.Duration // how long it may rest, as the server says; zero if it does not
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

	idle     []*wire // longest idle first
	lent     []*wire
	shutting int       // connections being closed
	dialling []int     // the trace of every dial
	waiting  []*caller // who is served first stands first
	warming  []warmer

	since    time.Duration // when the first of the dials under way began, with always one since
	failures int           // pauses since the last success
	until    time.Duration
	err      error // of the last dial

	alarm   time.Duration // zero means none
	empty   time.Duration // since when nothing is open
	parts   time.Duration // when the pool is to end because its door is shut; zero means not
	closing bool
	waitsTo time.Duration // when a pool that closes waits no longer
	gaveUp  bool          // it has stopped waiting

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
	c.parked = false
	if o.closing {
		o.refuse(c, messages.ErrClosed)
		return
	}
	switch l := o.pick(now); {
	case l != nil:
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
		o.queue(c)
		o.dial(now)
		o.park(now)
	}
}

// pick takes an idle connection, and closes those that are overdue on the way.
func (o *oracle) pick(now time.Duration) *wire {
	for len(o.idle) > 0 {
		at := len(o.idle) - 1
		if o.Rotate {
			at = 0
		}
		l := o.idle[at]
		o.idle = slices.Delete(o.idle, at, at+1)
		if now < o.retires(l) {
			return l
		}
		o.retired++
		o.close(now, l)
	}
	return nil
}

// queue puts a caller behind everyone who is as urgent, or more.
func (o *oracle) queue(c *caller) {
	at := len(o.waiting)
	for at > 0 && o.waiting[at-1].priority < c.priority {
		at--
	}
	o.waiting = slices.Insert(o.waiting, at, c)
}

// hand gives a connection to the first of those who can still use it.
func (o *oracle) hand(now time.Duration, l *wire) {
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

func (o *oracle) lend(l *wire, c *caller) {
	o.lent = append(o.lent, l)
	o.tell("%d has %d, fresh: %t", c.id, l.id, l.uses == 0 && !l.rested)
}

func (o *oracle) keep(l *wire) {
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

// leave takes a caller out, and reports whether it was there.
func (o *oracle) leave(c *caller) bool {
	i := slices.Index(o.waiting, c)
	if i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
	}
	return i >= 0
}

func (o *oracle) abandon(c *caller) {
	if o.leave(c) {
		o.forsake(c)
	}
}

func (o *oracle) expire(c *caller) {
	if !o.leave(c) {
		return
	}
	if o.err != nil {
		o.refuse(c, fmt.Errorf("no connection before then: %w: %w", context.DeadlineExceeded, o.err))
		return
	}
	o.refuse(c, fmt.Errorf("no connection before then: %w", context.DeadlineExceeded))
}

// inDoubt: somebody waits, and nobody knows for how long.
func (o *oracle) inDoubt(now time.Duration) bool {
	slow := len(o.dialling) > 0 && now >= o.since+250*time.Millisecond
	return len(o.waiting) > 0 && o.open() == 0 && (slow || o.failures > 0)
}

// park has the permits of all who wait go back, once each.
func (o *oracle) park(now time.Duration) {
	if !o.inDoubt(now) {
		if len(o.waiting) > 0 && o.open() == 0 && len(o.dialling) > 0 {
			o.ring(o.since + 250*time.Millisecond)
		}
		return
	}
	for _, c := range o.waiting {
		if c.limited && !c.parked {
			c.parked = true
			o.done.parked = append(o.done.parked, c.id)
		}
	}
}

// requeue sends everyone for a permit who waits without one.
func (o *oracle) requeue() {
	o.waiting = slices.DeleteFunc(o.waiting, func(c *caller) bool {
		if c.parked {
			o.done.requeued = append(o.done.requeued, c.id)
		}
		return c.parked
	})
}

// dial begins as many dials as are of use and allowed.
func (o *oracle) dial(now time.Duration) {
	for !o.closing && len(o.dialling) < o.wanted() && o.open()+len(o.dialling)+o.shutting < o.MaxConns {
		if o.failures > 0 && len(o.dialling) > 0 {
			return
		}
		if o.failures > 0 && now < o.until {
			o.ring(o.until)
			return
		}
		if len(o.dialling) == 0 {
			o.since = now
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
	if o.gaveUp {
		o.done.closed = append(o.done.closed, id)
		return
	}
	o.dialling = slices.Delete(o.dialling, i, i+1)
	if o.closing {
		o.done.closed = append(o.done.closed, id)
		o.shutting++
		return
	}
	o.dialled++
	o.failures, o.until, o.err = 0, 0, nil
	l := &wire{id: id, usedAt: now}
	if o.MaxAge > 0 {
		l.ends = now + o.MaxAge - o.draw(o.MaxAge/10)
	}
	o.idle = append(o.idle, l) // for a moment: it counts as open
	o.warmed(nil)
	o.idle = o.idle[:len(o.idle)-1]
	o.requeue()
	o.hand(now, l)
	o.dial(now)
	o.park(now)
}

func (o *oracle) dialFailed(now time.Duration, i int, err error) {
	if o.gaveUp {
		return
	}
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
	o.park(now)
	o.endIfDone()
}

func (o *oracle) hookFailed(now time.Duration, i int, err error) {
	if o.gaveUp {
		return
	}
	trace := o.dialling[i]
	o.dialling = slices.Delete(o.dialling, i, i+1)
	o.done.hooksFailed++
	for _, c := range slices.Clone(o.waiting) {
		if c.trace == trace {
			o.leave(c)
			o.refuse(c, err)
		}
	}
	o.noteEmpty(now)
	o.dial(now)
	o.park(now)
	o.endIfDone()
}

func (o *oracle) refuseAll(err error) {
	for _, c := range o.waiting {
		o.refuse(c, err)
	}
	o.waiting = nil
}

// giveBack is told of the connection as its holder leaves it.
func (o *oracle) giveBack(now time.Duration, left wire, reusable bool) {
	at := slices.IndexFunc(o.lent, func(l *wire) bool { return l.id == left.id })
	l := o.lent[at]
	o.lent = slices.Delete(o.lent, at, at+1)
	l.usedAt, l.uses, l.hint = left.usedAt, left.uses, left.hint
	switch {
	case o.closing:
		o.close(now, l)
		o.endIfDone()
	case !reusable:
		o.broken++
		o.close(now, l)
		o.dial(now)
	case now >= o.retires(l):
		o.retired++
		o.close(now, l)
		o.dial(now)
	default:
		o.hand(now, l)
	}
	o.park(now)
}

// close closes a connection that is on no list any more.
func (o *oracle) close(now time.Duration, l *wire) {
	o.done.closed = append(o.done.closed, l.id)
	if !o.gaveUp {
		o.shutting++
	}
	o.noteEmpty(now)
}

// closed is told that one of those that are being closed is.
func (o *oracle) closed(now time.Duration) {
	if o.gaveUp {
		return
	}
	o.shutting--
	o.noteEmpty(now)
	o.dial(now)
	o.park(now)
	o.endIfDone()
}

func (o *oracle) noteEmpty(now time.Duration) {
	if o.open() == 0 && o.Passivate > 0 && !o.closing {
		o.empty = now
		o.ring(now + o.Passivate)
	}
}

func (o *oracle) endIfDone() {
	if o.closing && o.open()+len(o.dialling)+o.shutting == 0 {
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

func (o *oracle) retires(l *wire) time.Duration {
	const never = 1 << 62
	rest := min(o.IdleTimeout, cmp.Or(l.hint, never))
	return min(l.usedAt+rest, cmp.Or(l.ends, never))
}

func (o *oracle) upkeep(now time.Duration) {
	o.alarm = 0
	if o.closing {
		o.giveUp(now)
		return
	}
	if o.parts != 0 && now >= o.parts {
		o.shut(now)
		return
	}
	if o.parts != 0 {
		o.ring(o.parts)
	}
	for _, l := range slices.Clone(o.idle) {
		if o.retires(l) <= now {
			o.idle = slices.DeleteFunc(o.idle, func(i *wire) bool { return i == l })
			o.retired++
			o.close(now, l)
		}
	}
	o.dial(now)
	o.offer(now)
	o.park(now)
	for _, l := range o.idle {
		o.ring(o.retires(l))
	}
}

func (o *oracle) giveUp(now time.Duration) {
	if now < o.waitsTo {
		o.ring(o.waitsTo)
		return
	}
	o.gaveUp = true
	o.dialling, o.shutting = nil, 0
	o.endIfDone()
}

// offer tells that the pool is of no use to anybody.
func (o *oracle) offer(now time.Duration) {
	used := o.open() + len(o.dialling) + o.shutting + len(o.waiting) + len(o.warming)
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
	o.waitsTo = now + 5*time.Second
	o.done.dialsAborted++
	o.refuseAll(messages.ErrClosed)
	o.warmed(messages.ErrClosed)
	o.dropIdle(now)
	for _, l := range o.lent {
		o.done.aborted = append(o.done.aborted, l.id)
	}
	o.ring(o.waitsTo)
	o.endIfDone()
}

// recovered goes on after a failure; failed is whose word it was about, or nil.
func (o *oracle) recovered(now time.Duration, failed *caller) {
	if failed != nil && o.leave(failed) {
		o.refuse(failed, messages.ErrActorFailed)
	}
	o.alarm = 0
	o.dropIdle(now)
	o.noteEmpty(now)
	if o.parts != 0 {
		o.ring(o.parts)
	}
	if o.closing {
		o.ring(o.waitsTo)
	}
	o.dial(now)
	o.park(now)
	o.endIfDone()
}

// takeBack forgets what a call did after it had begun n dials: there it failed.
func (o *oracle) takeBack(n int) {
	o.dialling = o.dialling[:len(o.dialling)-(len(o.done.dials)-n)]
	o.done.dials = o.done.dials[:n]
	for _, c := range o.waiting {
		if slices.Contains(o.done.parked, c.id) {
			c.parked = false
		}
	}
	o.done.parked = nil
}
