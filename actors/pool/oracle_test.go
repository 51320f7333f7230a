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
	told     []string            // to callers and to who asked for warmth, in their order
	dials    []int               // begun, each with the trace that is told of it
	urgent   []messages.Priority // the same dials: how urgent each is
	closed   []int               // connections, in any order
	aborted  []int               // likewise
	parked   []int               // callers whose permit goes back, in their order
	requeued []int               // callers who are sent for a permit again, in their order
	forsaken []int               // permits of callers who left, in their order

	warned  []string // of streams
	hangs   int      // closes that hang
	pressed int

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
	streaming    bool
	began        time.Duration // the stream
}

// shut is a connection that is being closed.
type shut struct {
	id    int
	since time.Duration
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
	shutting []shut              // connections being closed, longest first
	hanging  int                 // that hang, and are not counted
	dialling []int               // the trace of every dial
	urgent   []messages.Priority // how urgent every dial is
	waiting  []*caller           // who is served first stands first
	warming  []warmer

	since    time.Duration // when the first of the dials under way began, with always one since
	failures int           // pauses since the last success
	yields   int           // dials in a row that gave up their places
	until    time.Duration
	err      error // of the last dial
	lasting  bool  // which is one that no pause mends

	full       bool // there is no other place
	lacks      bool // one is waited for
	granted    bool // one is there
	pressAfter time.Duration
	ceding     bool
	places     int // taken

	moved          time.Duration // when a connection was last lent
	streamsChanged time.Duration // when a stream began or ended
	streamsWarned  time.Duration // zero means never

	alarm   time.Duration // zero means none
	empty   time.Duration // since when nothing is open
	parts   time.Duration // when the pool is to end because its door is shut; zero means not
	closing bool
	waitsTo time.Duration // when a pool that closes waits no longer
	gaveUp  bool          // it has stopped waiting
	ended   bool

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
			o.lend(now, l, c)
		}
		if o.MinIdle > 0 {
			o.dial(now)
		}
	case len(o.waiting) >= o.MaxWaiters && !o.makesRoom(now, c):
		o.refuse(c, o.tooMany(now))
	default:
		o.queue(c)
		o.dial(now)
		o.park(now)
		o.warn(now)
	}
}

// makesRoom refuses the last of the least urgent, if c is more urgent than that.
func (o *oracle) makesRoom(now time.Duration, c *caller) bool {
	if len(o.waiting) == 0 {
		return false
	}
	last := o.waiting[len(o.waiting)-1]
	if last.priority >= c.priority {
		return false
	}
	o.waiting = o.waiting[:len(o.waiting)-1]
	o.refuse(last, o.tooMany(now))
	return true
}

func (o *oracle) tooMany(now time.Duration) error {
	if full := o.isFull(now); full != nil {
		return fmt.Errorf("%w: %w", messages.ErrTooManyWaiters, full)
	}
	return messages.ErrTooManyWaiters
}

// room is how many more dials there may be.
func (o *oracle) room() int { return o.MaxConns - o.open() - len(o.dialling) - len(o.shutting) }

// streams are the connections that streams hold, oldest first.
func (o *oracle) streams() (all []*wire) {
	for _, l := range o.lent {
		if l.streaming {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *wire) int { return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.id, b.id)) })
	return all
}

// isFull is why there is no room; nil if there is.
func (o *oracle) isFull(now time.Duration) *messages.PoolFullError {
	switch {
	case o.lacks:
		return o.fullTotal(now)
	case o.room() <= 0:
		return o.describe(now)
	}
	return nil
}

func (o *oracle) describe(now time.Duration) *messages.PoolFullError {
	full := &messages.PoolFullError{Cap: "Connections.Max", Most: o.MaxConns, Streams: len(o.streams())}
	if full.Streams > 0 {
		full.Oldest = now - o.streams()[0].began
	}
	return full
}

// stream is told that a lent connection is held by a stream.
func (o *oracle) stream(now time.Duration, id int) {
	l := o.lent[slices.IndexFunc(o.lent, func(l *wire) bool { return l.id == id })]
	l.streaming, l.began = true, now
	o.streamsChanged = now
	o.dial(now)
	o.park(now)
	o.warn(now)
}

// warn tells of streams that hold everything for which somebody waits: a second
// after the last one began or ended, and then once a minute.
func (o *oracle) warn(now time.Duration) {
	if o.closing || len(o.waiting) == 0 || len(o.streams()) < o.MaxConns {
		return
	}
	due := o.streamsChanged + time.Second
	if o.streamsWarned != 0 {
		due = max(due, o.streamsWarned+time.Minute)
	}
	if now >= due {
		o.done.warned = append(o.done.warned, o.describe(now).Error())
		o.streamsWarned = now
		due = now + time.Minute
	}
	o.ring(due)
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
			o.lend(now, l, c)
			return
		}
	}
	o.keep(l)
}

func (o *oracle) lend(now time.Duration, l *wire, c *caller) {
	o.moved = now
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

func (o *oracle) abandon(now time.Duration, c *caller) {
	if o.leave(c) {
		o.forsake(c)
		o.nobodyWaits(now)
	}
}

func (o *oracle) expire(now time.Duration, c *caller) {
	if !o.leave(c) {
		return
	}
	late := fmt.Errorf("no connection before then: %w", context.DeadlineExceeded)
	if full := o.isFull(now); full != nil {
		late = fmt.Errorf("%w: %w", late, full)
	}
	if o.err != nil {
		late = fmt.Errorf("%w: %w", late, o.err)
	}
	o.refuse(c, late)
	o.nobodyWaits(now)
}

// doubt is from when on nobody who waits knows for how long any more; never if
// whoever has a connection is about to return it.
func (o *oracle) doubt() time.Duration {
	switch {
	case len(o.waiting) == 0 || o.open() > len(o.streams()):
		return never
	case o.failures > 0 || o.lacks && len(o.dialling) == 0:
		return 0
	case len(o.dialling) > 0:
		return o.since + 250*time.Millisecond
	case o.open() > 0:
		return o.streamsChanged + 250*time.Millisecond
	case len(o.shutting) > 0:
		return o.shutting[0].since + 250*time.Millisecond
	}
	return never
}

// park has the permits of all who wait go back, once each.
func (o *oracle) park(now time.Duration) {
	if doubt := o.doubt(); now < doubt {
		if doubt != never {
			o.ring(doubt)
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
	for !o.closing && len(o.dialling) < o.wanted() && o.room() > 0 {
		if o.failures > 0 && len(o.dialling) > 0 {
			return
		}
		asked := len(o.waiting)+len(o.warming) > 0
		if o.failures > 0 && now < o.until && !(o.lasting && asked) {
			err := fmt.Errorf("not dialled again yet: %w", o.err)
			o.warmed(err)
			if o.returning(now) {
				o.ring(o.moved + 2*time.Second)
			} else {
				o.refuseAll(now, err)
			}
			if len(o.waiting) > 0 || o.MinIdle > len(o.idle) {
				o.ring(o.until)
			}
			return
		}
		if !o.place(now) {
			return
		}
		if len(o.dialling) == 0 {
			o.since = now
		}
		trace := 0
		if n := len(o.dialling); n < len(o.waiting) {
			trace = o.waiting[n].trace
		}
		o.done.urgent, o.urgent = append(o.done.urgent, o.urgency()), append(o.urgent, o.urgency())
		o.dialling = append(o.dialling, trace)
		o.done.dials = append(o.done.dials, trace)
	}
}

// urgency is that of the most urgent who waits such that, of those who are as urgent, there
// are more than dials.
func (o *oracle) urgency() messages.Priority {
	for _, c := range o.waiting {
		waiting := slices.DeleteFunc(slices.Clone(o.waiting), func(other *caller) bool { return other.priority < c.priority })
		dials := slices.DeleteFunc(slices.Clone(o.urgent), func(urgent messages.Priority) bool { return urgent < c.priority })
		if len(waiting) > len(dials) {
			return c.priority
		}
	}
	return messages.Background
}

// endDial takes out the i-th of the dials.
func (o *oracle) endDial(i int) {
	o.dialling, o.urgent = slices.Delete(o.dialling, i, i+1), slices.Delete(o.urgent, i, i+1)
}

// place takes a place for a dial, if there is one.
func (o *oracle) place(now time.Duration) bool {
	switch {
	case o.granted:
		o.granted = false
		return true
	case o.lacks:
		return false
	case !o.full:
		o.places++
		return true
	case len(o.waiting) > len(o.dialling):
		o.lacks = true
		o.press(now)
		return false
	}
	o.warmed(o.fullTotal(now))
	if len(o.waiting)+max(0, o.MinIdle-len(o.idle)) > len(o.dialling) {
		o.ring(now + time.Second)
	}
	return false
}

// press asks for room again, as often as it is told.
func (o *oracle) press(now time.Duration) {
	if o.lacks {
		o.done.pressed++
		o.ring(now + o.pressAfter)
	}
}

func (o *oracle) fullTotal(now time.Duration) *messages.PoolFullError {
	full := o.describe(now)
	full.Cap, full.Most = "Connections.MaxTotal", o.MaxTotal
	return full
}

// grant is told that there is a place that was waited for.
func (o *oracle) grant(now time.Duration) {
	o.lacks, o.granted = false, true
	o.places++
	o.dial(now)
	if o.granted {
		o.granted = false
		o.places--
		o.noteEmpty(now)
	}
	o.park(now)
}

// nobodyWaits has no place waited for any more if that is so.
func (o *oracle) nobodyWaits(now time.Duration) {
	if len(o.waiting) == 0 && o.lacks {
		o.lacks = false
		o.noteEmpty(now)
	}
}

// giveUp closes n of the idle ones, or as many as leave so many.
func (o *oracle) giveUpIdle(now time.Duration, n, keep int) {
	for ; n > 0 && len(o.idle) > keep; n-- {
		l := o.idle[0]
		o.idle = o.idle[1:]
		o.retired++
		o.close(now, l)
	}
}

// returning reports whether somebody who has a connection, and no stream, was lent
// it just now.
func (o *oracle) returning(now time.Duration) bool {
	return o.open() > len(o.streams()) && now < o.moved+2*time.Second
}

func (o *oracle) wanted() int {
	n := len(o.waiting) + max(0, o.MinIdle-len(o.idle))
	for _, w := range o.warming {
		n = max(n, w.n-o.open())
	}
	return n
}

// connected ends the i-th of the dials with a connection of that number.
func (o *oracle) connected(now time.Duration, i, id int, age time.Duration) {
	if o.gaveUp {
		o.done.closed = append(o.done.closed, id)
		return
	}
	o.endDial(i)
	if o.closing {
		o.done.closed = append(o.done.closed, id)
		o.shutting = append(o.shutting, shut{id, now})
		return
	}
	o.dialled++
	o.failures, o.until, o.err, o.lasting, o.yields = 0, 0, nil, false, 0
	l := &wire{id: id, usedAt: now}
	if o.MaxAge > 0 {
		l.ends = max(1, now, now+o.MaxAge-o.draw(o.MaxAge/10)-age)
	}
	o.idle = append(o.idle, l) // for a moment: it counts as open
	o.warmed(nil)
	o.idle = o.idle[:len(o.idle)-1]
	o.requeue()
	o.hand(now, l)
	o.dial(now)
	o.nobodyWaits(now)
	o.park(now)
}

func (o *oracle) dialFailed(now time.Duration, i int, err error, lasting bool) {
	if o.gaveUp {
		return
	}
	o.yields = 0
	if lasting != o.lasting {
		o.failures, o.until, o.lasting = 0, 0, lasting
	}
	o.endDial(i)
	o.places--
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
	if len(o.dialling) == 0 && (lasting || !o.returning(now)) {
		o.refuseAll(now, err)
		o.noteEmpty(now)
	}
	o.dial(now)
	o.nobodyWaits(now)
	o.park(now)
	o.endIfDone()
}

// wants is asked by the i-th of the dials, which has leave, and ends if it is not wanted.
func (o *oracle) wants(i int) bool {
	if o.closing {
		return false
	}
	going := 0
	for _, trace := range o.dialling {
		if trace != spared {
			going++
		}
	}
	if going <= o.wanted() {
		return true
	}
	o.dialling[i] = spared
	return false
}

// dialSpared is told of a dial that ended because it was not wanted.
func (o *oracle) dialSpared(now time.Duration, i int) {
	if o.gaveUp {
		return
	}
	o.endDial(i)
	o.places--
	o.noteEmpty(now)
	o.dial(now)
	o.nobodyWaits(now)
	o.park(now)
	o.endIfDone()
}

// dialYields is told of a dial that gave up its place.
func (o *oracle) dialYields(now time.Duration, i int) {
	if o.gaveUp {
		return
	}
	if o.yields++; o.yields == 8 {
		o.dialFailed(now, i, fmt.Errorf("none of 8 dials succeeded before another origin had need of its place: %w", o.fullTotal(now)), false)
		return
	}
	o.endDial(i)
	o.places--
	o.noteEmpty(now)
	o.dial(now)
	o.nobodyWaits(now)
	o.park(now)
	o.endIfDone()
}

func (o *oracle) hookFailed(now time.Duration, i int, err error) {
	if o.gaveUp {
		return
	}
	trace := o.dialling[i]
	o.endDial(i)
	o.places--
	o.done.hooksFailed++
	for _, c := range slices.Clone(o.waiting) {
		if c.trace == trace {
			o.leave(c)
			o.refuse(c, err)
		}
	}
	o.noteEmpty(now)
	o.dial(now)
	o.nobodyWaits(now)
	o.park(now)
	o.endIfDone()
}

func (o *oracle) refuseAll(now time.Duration, err error) {
	for _, c := range o.waiting {
		o.refuse(c, err)
	}
	o.waiting = nil
	o.nobodyWaits(now)
}

// giveBack is told of the connection as its holder leaves it.
func (o *oracle) giveBack(now time.Duration, left wire, reusable bool) {
	at := slices.IndexFunc(o.lent, func(l *wire) bool { return l.id == left.id })
	l := o.lent[at]
	o.lent = slices.Delete(o.lent, at, at+1)
	l.usedAt, l.uses, l.hint = left.usedAt, left.uses, left.hint
	streamed := l.streaming
	if streamed {
		l.streaming, o.streamsChanged = false, now
	}
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
	case len(o.waiting) > 0 && o.ceding:
		o.retired++
		o.close(now, l)
		o.dial(now)
	default:
		if streamed {
			o.idle = append(o.idle, l) // for a moment: it counts as open
			o.requeue()
			o.idle = o.idle[:len(o.idle)-1]
		}
		o.hand(now, l)
	}
	o.nobodyWaits(now)
	o.park(now)
}

// close closes a connection that is on no list any more.
func (o *oracle) close(now time.Duration, l *wire) {
	o.done.closed = append(o.done.closed, l.id)
	switch {
	case o.gaveUp:
		o.places--
	default:
		o.shutting = append(o.shutting, shut{l.id, now})
		if !o.closing {
			o.ring(now + 5*time.Second)
		}
	}
	o.noteEmpty(now)
}

// closed is told that one of those that are being closed is.
func (o *oracle) closed(now time.Duration, id int) {
	if o.gaveUp {
		return
	}
	if at := slices.IndexFunc(o.shutting, func(s shut) bool { return s.id == id }); at >= 0 {
		o.shutting = slices.Delete(o.shutting, at, at+1)
		o.places--
		o.noteEmpty(now)
	} else {
		o.hanging--
		o.disown(now)
	}
	o.dial(now)
	o.park(now)
	o.endIfDone()
}

// disown counts no longer what has been closing for five seconds, but for so many.
func (o *oracle) disown(now time.Duration) {
	for len(o.shutting) > 0 && !o.closing && o.hanging < o.MaxConns {
		if due := o.shutting[0].since + 5*time.Second; now < due {
			o.ring(due)
			return
		}
		o.shutting = o.shutting[1:]
		o.hanging++
		o.done.hangs++
		o.places--
		o.noteEmpty(now)
	}
}

func (o *oracle) noteEmpty(now time.Duration) {
	if o.open() == 0 && o.Passivate > 0 && !o.closing {
		o.empty = now
		o.ring(now + o.Passivate)
	}
}

func (o *oracle) endIfDone() {
	if o.closing && !o.ended && o.open()+len(o.dialling)+len(o.shutting) == 0 {
		o.done.ended, o.ended = 1, true
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
	o.disown(now)
	o.dial(now)
	o.press(now)
	o.offer(now)
	o.park(now)
	o.warn(now)
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
	o.places -= len(o.dialling) + len(o.shutting)
	o.dialling, o.urgent, o.shutting = nil, nil, nil
	o.endIfDone()
}

// offer tells that the pool is of no use to anybody.
func (o *oracle) offer(now time.Duration) {
	used := o.open() + len(o.dialling) + len(o.shutting) + len(o.waiting) + len(o.warming)
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
	o.refuseAll(now, messages.ErrClosed)
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
		o.nobodyWaits(now)
	}
	o.alarm = 0
	o.dropIdle(now)
	o.noteEmpty(now)
	o.disown(now)
	if o.parts != 0 {
		o.ring(o.parts)
	}
	if o.closing {
		o.ring(o.waitsTo)
	}
	o.dial(now)
	o.press(now)
	o.park(now)
	o.warn(now)
	o.endIfDone()
}

// takeBack forgets what a call did after it had begun n dials: there it failed.
func (o *oracle) takeBack(n int) {
	o.places -= len(o.done.dials) - n
	o.urgent = o.urgent[:len(o.dialling)-(len(o.done.dials)-n)]
	o.dialling = o.dialling[:len(o.dialling)-(len(o.done.dials)-n)]
	o.done.dials, o.done.urgent = o.done.dials[:n], o.done.urgent[:n]
	for _, c := range o.waiting {
		if slices.Contains(o.done.parked, c.id) {
			c.parked = false
		}
	}
	o.done.parked, o.done.warned = nil, nil
}
