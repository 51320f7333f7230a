package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

const ms = time.Millisecond

// world is everybody around a pool: callers, connections, an alarm. It tells
// core and oracle the same, and compares what they have others do.
type world struct {
	crowd bool
	*rapid.T
	config Config
	now    time.Duration
	core   *Core
	oracle *oracle

	done     done          // by the core, in this event
	alarm    time.Duration // as the core has set it last; zero once it has rung
	failing  bool          // the next dial to be begun fails the call that begins it
	traces   [3]*httptrace.ClientTrace
	dialling []int               // the trace of every dial under way
	urgent   []messages.Priority // the same dials: how urgent each is
	closing  []*conn             // handed out to be closed, and not closed yet
	callers  []*caller
	waiting  []*caller // at the throttler, for a permit, as the pool has sent them
	leaving  []*caller // who left, and the pool does not know
	holding  []*caller // who has a lease
	conns    []*conn
	comings  int // of callers to the pool
	warmers  int
	ended    int
	gaveUp   bool // nobody waits for what is dialling and closing

	places     int  // taken
	registered bool // a place is waited for
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: time.Duration(rapid.IntRange(0, 1000).Draw(t, "begin")) * ms}
	w.traces[1], w.traces[2] = new(httptrace.ClientTrace), new(httptrace.ClientTrace)
	w.config = Config{
		MaxConns:    rapid.IntRange(1, 5).Draw(t, "MaxConns"),
		MaxTotal:    5,
		MaxWaiters:  rapid.IntRange(0, 8).Draw(t, "MaxWaiters"),
		MinIdle:     max(0, rapid.IntRange(-2, 3).Draw(t, "MinIdle")),
		Rotate:      rapid.Bool().Draw(t, "Rotate"),
		IdleTimeout: w.span("IdleTimeout", 1, 1000),
		MaxAge:      max(0, w.span("MaxAge", -1000, 1000)),
		Backoff:     w.span("Backoff", 1, 100),
		BackoffCap:  w.span("BackoffCap", 1, 500),
		Passivate:   max(0, w.span("Passivate", -1500, 1500)),
	}
	w.core = NewCore(w.now, w.config, w)
	w.oracle = &oracle{Config: w.config, empty: w.now, pressAfter: w.span("pressAfter", 1, 500)}
	w.recover(nil)
	w.compare()
	return w
}

func (w *world) span(name string, least, most int) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(w.T, name)) * ms
}

func (w *world) chance(name string, one int) bool {
	return rapid.IntRange(1, one).Draw(w.T, name) == one
}

// ---- what the core has others do ----

// Dial is part of Outlet.
func (w *world) Dial(_ context.Context, trace *httptrace.ClientTrace, urgent messages.Priority) {
	w.done.urgent, w.urgent = append(w.done.urgent, urgent), append(w.urgent, urgent)
	w.done.dials = append(w.done.dials, slices.Index(w.traces[:], trace))
	w.dialling = append(w.dialling, slices.Index(w.traces[:], trace))
	if w.failing {
		w.failing = false
		panic("as a test wants it")
	}
}

// Reserve is part of Outlet. Whether there is a place is the same for the oracle.
func (w *world) Reserve(waits bool) bool {
	require.False(w, w.registered, "a place is asked for that is waited for")
	if w.oracle.full {
		w.registered = waits
		return false
	}
	w.places++
	return true
}

// Cede is part of Outlet.
func (w *world) Cede() bool { return w.oracle.ceding }

// Release is part of Outlet.
func (w *world) Release() {
	w.places--
	require.GreaterOrEqual(w, w.places, 0)
}

// Press is part of Outlet.
func (w *world) Press() time.Duration {
	require.True(w, w.registered, "no place is waited for")
	w.done.pressed++
	return w.now + w.oracle.pressAfter
}

// CloseHangs is part of Outlet.
func (w *world) CloseHangs() { w.done.hangs++ }

// Withdraw is part of Outlet.
func (w *world) Withdraw() {
	require.True(w, w.registered, "no place is waited for")
	w.registered = false
}

// AbortDials is part of Outlet.
func (w *world) AbortDials() { w.done.dialsAborted++ }

// Close is part of Outlet.
func (w *world) Close(c protocol.Connection) {
	one := c.(*conn)
	one.closed++
	w.closing = append(w.closing, one)
	w.done.closed = append(w.done.closed, one.id)
}

// Park is part of Outlet.
func (w *world) Park(t *ticket.Ticket) {
	c := t.Owner.(*caller)
	require.True(w, c.limited && c.waits && !c.gaveBack, "%d has no permit to give back", c.id)
	c.gaveBack = true
	w.done.parked = append(w.done.parked, c.id)
}

// Requeue is part of Outlet.
func (w *world) Requeue(t *ticket.Ticket) {
	c := t.Owner.(*caller)
	require.True(w, c.gaveBack && c.waits, "%d has its permit", c.id)
	require.Positive(w, w.core.Describe().Leased+w.core.Describe().Idle, "%d is to have a permit for no connection", c.id)
	c.waits, c.gaveBack = false, false
	w.waiting = append(w.waiting, c)
	w.done.requeued = append(w.done.requeued, c.id)
}

// Forsake is part of Outlet.
func (w *world) Forsake(t *ticket.Ticket) {
	c := t.Owner.(*caller)
	c.forsaken++
	c.waits = false
	w.done.forsaken = append(w.done.forsaken, c.id)
}

// RingAt is part of Outlet.
func (w *world) RingAt(at time.Duration) { w.alarm = at }

// Draw is part of Outlet.
func (w *world) Draw(d time.Duration) time.Duration { return w.oracle.draw(d) }

// Unused is part of Outlet.
func (w *world) Unused() { w.done.unused++ }

func (w *world) Crowd(there bool) { w.crowd = there }

// WarnOfStreams is part of Outlet.
func (w *world) WarnOfStreams(full *messages.PoolFullError) {
	require.Positive(w, w.core.Describe().Waiting, "there is nobody to warn of it")
	w.done.warned = append(w.done.warned, full.Error())
}

// HookFailed is part of Outlet.
func (w *world) HookFailed(*messages.PanicError) { w.done.hooksFailed++ }

// End is part of Outlet.
func (w *world) End() {
	w.done.ended++
	w.ended++
}

// Tell is part of protocol.Recipient: a ticket is answered.
func (c *caller) Tell(message any) {
	w := c.world
	c.answers++
	switch m := message.(type) {
	case ticket.LeaseGranted:
		require.True(w, c.waits && !c.gaveBack, "%d has no permit", c.id)
		w.nobodyBefore(c)
		w.holding = append(w.holding, c)
		w.tell("%d has %d, fresh: %t", c.id, m.Lease.Conn.(*conn).id, m.Lease.Fresh())
	case ticket.TicketRefused:
		if m.Stage == messages.Leasing { // otherwise it is the throttler's business
			w.tell("%d is refused: %v", c.id, m.Refused)
		}
	}
	c.waits = false
}

func (w *world) tell(format string, args ...any) {
	w.done.told = append(w.done.told, fmt.Sprintf(format, args...))
}

// nobodyBefore demands that nobody waits who is more urgent than c, or as urgent
// and came before; but for those who have left.
func (w *world) nobodyBefore(c *caller) {
	for _, other := range w.callers {
		before := other.priority > c.priority || other.priority == c.priority && other.came < c.came
		require.False(w, before && other.waits && !other.left, "%d is served before %d", c.id, other.id)
	}
}

// asker waits for connections to be open.
type asker struct {
	id    int
	world *world
}

// Tell is part of protocol.Recipient.
func (a asker) Tell(message any) {
	a.world.tell("warmer %d: %v", a.id, message.(protocol.PoolWarmed).Err)
}

// conn is a connection that counts how often it is closed.
type conn struct {
	id     int
	world  *world
	closed int
	hint   time.Duration
	age    time.Duration // of what it lies upon
}

func (*conn) Exchange(*messages.Call, time.Time) (*messages.Response, messages.Sent, error) {
	panic("nobody uses it")
}
func (*conn) Reusable() bool            { panic("nobody asks") }
func (*conn) Close() error              { panic("the outlet closes it") }
func (c *conn) IdleHint() time.Duration { return c.hint }
func (c *conn) Age() time.Duration      { return c.age }
func (c *conn) Abort()                  { c.world.done.aborted = append(c.world.done.aborted, c.id) }

// ---- what happens ----

func (w *world) timePasses() {
	to := w.now + w.span("as much", 1, 300)
	if w.alarm != 0 && w.alarm <= to && !w.chance("late", 4) {
		w.now = max(w.now, w.alarm)
		w.upkeep()
		return
	}
	w.now = to
}

func (w *world) alarmRings() {
	if w.alarm != 0 {
		w.now = max(w.now, w.alarm)
		w.upkeep()
	}
}

func (w *world) upkeep() {
	w.alarm = 0
	w.core.Upkeep(w.now)
	w.oracle.upkeep(w.now)
}

func (w *world) newCaller() *caller {
	c := &caller{
		id: len(w.callers), world: w, limited: rapid.Bool().Draw(w.T, "limited"),
		priority: messages.Priority(rapid.IntRange(0, 2).Draw(w.T, "priority")),
	}
	if w.chance("deadline", 3) {
		c.deadline = max(1, w.now+w.span("deadline", -10, 400))
	}
	if w.chance("traced", 3) {
		c.trace = rapid.IntRange(1, 2).Draw(w.T, "trace")
	}
	c.ticket.Reopen()
	c.ticket.Asked = ticket.Asked{Owner: c, Deadline: c.deadline, Trace: w.traces[c.trace], Priority: c.priority}
	c.ticket.Limited = c.limited
	w.callers = append(w.callers, c)
	return c
}

func (w *world) someoneAsks() {
	c := w.newCaller()
	if w.chance("left on the way", 10) {
		w.leaves(c)
	}
	w.comes(c)
	w.oracle.acquire(w.now, c)
	w.core.Acquire(w.now, &c.ticket)
}

// comes has a caller be with the pool from now on.
func (w *world) comes(c *caller) {
	w.comings++
	c.came, c.waits = w.comings, true
}

// theThrottlerPassesOneOn that the pool has sent there.
func (w *world) theThrottlerPassesOneOn() {
	if len(w.waiting) > 0 {
		c := take(w, &w.waiting)
		w.comes(c)
		w.oracle.acquire(w.now, c)
		w.core.Acquire(w.now, &c.ticket)
	}
}

func (w *world) theThrottlerRefusesOne() {
	if len(w.waiting) > 0 {
		c := take(w, &w.waiting)
		c.dropped = !c.ticket.Refuse(messages.Throttled, errors.New("no permit"))
	}
}

func (w *world) leaves(c *caller) {
	require.True(w, c.ticket.Cancel())
	c.left = true
	w.leaving = append(w.leaving, c)
}

// someoneLeaves is not known to the pool yet: a grant may cross it.
func (w *world) someoneLeaves() {
	if some := w.someWaiting(); len(some) > 0 {
		w.leaves(take(w, &some))
	}
}

func (w *world) someWaiting() []*caller {
	return slices.DeleteFunc(slices.Clone(w.callers), func(c *caller) bool { return c.answers > 0 || c.left })
}

// someonesTimeIsUp, wherever the ticket is by now.
func (w *world) someonesTimeIsUp() {
	if some := w.someWaiting(); len(some) > 0 {
		c := take(w, &some)
		w.oracle.expire(w.now, c)
		w.core.Expire(w.now, &c.ticket)
	}
}

func (w *world) poolLearnsWhoLeft() {
	if len(w.leaving) > 0 {
		c := take(w, &w.leaving)
		w.oracle.abandon(w.now, c)
		w.core.Abandon(w.now, &c.ticket)
	}
}

// take takes any of a list out of it.
func take[E any](w *world, from *[]E) E {
	i := rapid.IntRange(0, len(*from)-1).Draw(w.T, "which")
	e := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return e
}

// someonesAnswerIsAStream, which may be closed at once, or never.
func (w *world) someonesAnswerIsAStream() {
	exchanging := slices.DeleteFunc(slices.Clone(w.holding), func(c *caller) bool { return c.ticket.Lease.Streaming })
	if len(exchanging) > 0 {
		l := take(w, &exchanging).ticket.Lease
		w.oracle.stream(w.now, l.Conn.(*conn).id)
		w.core.Streams(w.now, l)
	}
}

func (w *world) someoneReturns() {
	if len(w.holding) > 0 {
		w.returns(take(w, &w.holding), !w.chance("doubt", 4))
	}
}

func (w *world) returns(c *caller, reusable bool) {
	l := c.ticket.Lease
	l.Reusable = reusable
	if w.chance("hint", 4) {
		l.Conn.(*conn).hint = w.span("hint", 0, 200)
	}
	if w.chance("used", 2) {
		l.Uses++
		l.UsedAt = max(l.UsedAt, w.now-w.span("told late by", 0, 20))
	}
	w.oracle.giveBack(w.now, wire{id: l.Conn.(*conn).id, usedAt: l.UsedAt, uses: l.Uses, hint: l.Conn.(*conn).hint}, l.Reusable)
	w.core.Return(w.now, l)
}

func (w *world) aDialConnects() {
	if w.aDialIsUnderWay() {
		i, trace, urgent := w.takeDial()
		c := &conn{id: len(w.conns), world: w, age: max(0, w.span("age", -300, 1000))}
		w.conns = append(w.conns, c)
		w.oracle.connected(w.now, i, c.id, c.age)
		w.core.Dialled(w.now, c, nil, w.traces[trace], urgent)
	}
}

func (w *world) aDialFails() {
	if w.aDialIsUnderWay() {
		i, trace, urgent := w.takeDial()
		err := fmt.Errorf("refused at %v", w.now)
		w.oracle.dialFailed(w.now, i, err, false)
		w.core.Dialled(w.now, nil, err, w.traces[trace], urgent)
	}
}

// lastingError is one that says so.
type lastingError struct{ error }

func (lastingError) Permanent() bool { return true }

func (w *world) aDialFailsForGood() {
	if w.aDialIsUnderWay() {
		i, trace, urgent := w.takeDial()
		err := fmt.Errorf("dial: %w", lastingError{fmt.Errorf("unknown at %v", w.now)})
		w.oracle.dialFailed(w.now, i, err, true)
		w.core.Dialled(w.now, nil, err, w.traces[trace], urgent)
	}
}

// aDialYields its place to another origin.
func (w *world) aDialYields() {
	if w.aDialIsUnderWay() {
		i, trace, urgent := w.takeDial()
		w.oracle.dialYields(w.now, i)
		w.core.Dialled(w.now, nil, errYielded, w.traces[trace], urgent)
	}
}

// aDialPanics in a hook if it has one, or in the dialer.
func (w *world) aDialPanics() {
	if !w.aDialIsUnderWay() {
		return
	}
	i, trace, urgent := w.takeDial()
	err := fmt.Errorf("dial: %w", &messages.PanicError{Value: "at " + w.now.String()})
	var reason *messages.PanicError
	errors.As(err, &reason)
	if trace != 0 {
		w.oracle.hookFailed(w.now, i, reason)
	} else {
		w.oracle.dialFailed(w.now, i, err, false)
	}
	w.core.Dialled(w.now, nil, judge(context.Background(), w.traces[trace], err), w.traces[trace], urgent)
}

// spared is in the place of the trace of a dial that is told that nobody wants it.
const spared = -1

func (w *world) aDialIsUnderWay() bool {
	return slices.ContainsFunc(w.dialling, func(trace int) bool { return trace != spared })
}

// aDialHasLeave, and asks whether it is still wanted.
func (w *world) aDialHasLeave() {
	if !w.aDialIsUnderWay() {
		return
	}
	i := w.drawDial()
	wanted := w.oracle.wants(i)
	require.Equal(w, wanted, w.core.Wants())
	if !wanted && !w.oracle.closing {
		w.dialling[i] = spared
	}
}

// aSparedDialEnds without a connection.
func (w *world) aSparedDialEnds() {
	if i := slices.Index(w.dialling, spared); i >= 0 {
		urgent := w.urgent[i]
		w.endDial(i)
		w.oracle.dialSpared(w.now, i)
		w.core.Dialled(w.now, nil, judge(context.Background(), nil, fmt.Errorf("dial: %w", errUnwanted)), nil, urgent)
	}
}

// drawDial draws one that is not spared.
func (w *world) drawDial() (i int) {
	for i = rapid.IntRange(0, len(w.dialling)-1).Draw(w.T, "which dial"); w.dialling[i] == spared; i = (i + 1) % len(w.dialling) {
	}
	return i
}

func (w *world) takeDial() (i, trace int, urgent messages.Priority) {
	i = w.drawDial()
	trace, urgent = w.dialling[i], w.urgent[i]
	w.endDial(i)
	return i, trace, urgent
}

func (w *world) endDial(i int) {
	w.dialling, w.urgent = slices.Delete(w.dialling, i, i+1), slices.Delete(w.urgent, i, i+1)
}

func (w *world) aConnectionIsClosed() {
	if len(w.closing) > 0 {
		c := take(w, &w.closing)
		w.oracle.closed(w.now, c.id)
		w.core.Closed(w.now, c)
	}
}

func (w *world) someoneWarms() {
	w.warmers++
	n := rapid.IntRange(0, 7).Draw(w.T, "connections")
	w.oracle.warm(w.now, warmer{w.warmers, n})
	w.core.Warm(w.now, protocol.WarmPool{N: n, Owner: asker{w.warmers, w}})
}

// otherPoolsOpen as many connections as there may be, or close some.
func (w *world) otherPoolsOpen() { w.oracle.full = !w.oracle.full }
func (w *world) otherPoolsWait() { w.oracle.ceding = !w.oracle.ceding }

// allDialsYield again and again, each of them.
func (w *world) allDialsYield() {
	for range 2 * mostYields {
		w.aDialYields()
	}
}

// aCloseHangs for so long that the pool counts it no more.
func (w *world) aCloseHangs() {
	if len(w.closing) > 0 && w.alarm != 0 {
		w.now = max(w.now, w.alarm, w.now+closePatience)
		w.upkeep()
	}
}

// aPlaceIsGranted that was waited for, or is not waited for any more.
func (w *world) aPlaceIsGranted() {
	if w.registered || w.chance("crossing a withdrawal", 10) {
		w.registered = false
		w.places++
		w.oracle.grant(w.now)
		w.core.Granted(w.now)
	}
}

func (w *world) idleIsWanted() {
	n, keep := rapid.IntRange(0, 3).Draw(w.T, "as many"), rapid.IntRange(0, 2).Draw(w.T, "keep")
	w.oracle.giveUpIdle(w.now, n, keep)
	w.core.GiveUp(w.now, n, keep)
}

func (w *world) idleIsDropped() {
	w.oracle.dropIdle(w.now)
	w.core.DropIdle(w.now)
}

func (w *world) doorIsShut() {
	if w.oracle.parts == 0 && w.chance("really", 8) {
		w.oracle.part(w.now)
		w.core.Part(w.now)
	}
}

func (w *world) poolCloses() {
	if w.chance("really", 20) {
		w.closes()
	}
}

func (w *world) closes() {
	w.oracle.shut(w.now)
	w.core.Close(w.now)
}

// ---- how the actor around the core fails ----

// aWordFails before it did anything.
func (w *world) aWordFails() { w.recover(nil) }

// aStrangerIsReturned, as nobody ever should.
func (w *world) aStrangerIsReturned() {
	if !w.oracle.closing {
		w.oracle.broken++
	}
	require.Panics(w, func() { w.core.Return(w.now, &ticket.Lease{Conn: &conn{world: w}}) })
	w.recover(nil)
}

func (w *world) aConnectionIsClosedTwice() {
	if len(w.closing) == 0 && !w.gaveUp {
		require.Panics(w, func() { w.core.Closed(w.now, &conn{}) })
		w.recover(nil)
	}
}

func (w *world) aDialEndsTwice() {
	if len(w.dialling) == 0 && !w.gaveUp {
		require.Panics(w, func() { w.core.Dialled(w.now, nil, errors.New("once more"), nil, 0) })
		w.recover(nil)
	}
}

// askingFails as it begins its first dial.
func (w *world) askingFails() {
	c := w.newCaller()
	if w.chance("left on the way", 4) {
		w.leaves(c)
	}
	w.comes(c)
	began := len(w.oracle.done.dials)
	w.oracle.acquire(w.now, c)
	w.failing = len(w.oracle.done.dials) > began
	if !w.failing {
		w.core.Acquire(w.now, &c.ticket)
		return
	}
	w.oracle.takeBack(began + 1)
	require.Panics(w, func() { w.core.Acquire(w.now, &c.ticket) })
	w.recover(c)
}

func (w *world) recover(failed *caller) {
	w.alarm = 0 // whoever starts the actor anew stops it
	if failed != nil {
		w.core.Failed(&failed.ticket)
	}
	w.oracle.recovered(w.now, failed)
	w.core.Recover(w.now)
}

type event struct {
	name string
	do   func(*world)
}

// events are more likely if they are listed twice; the first makes what led to a
// failure short.
var events = slices.Concat(
	[]event{{"nothing", func(*world) {}}},
	slices.Repeat([]event{{"someone asks", (*world).someoneAsks}}, 6),
	slices.Repeat([]event{{"a dial connects", (*world).aDialConnects}, {"someone returns", (*world).someoneReturns}, {"a connection is closed", (*world).aConnectionIsClosed}, {"time passes", (*world).timePasses}}, 3),
	slices.Repeat([]event{{"someone leaves", (*world).someoneLeaves}, {"the pool learns of it", (*world).poolLearnsWhoLeft}}, 2),
	[]event{
		{"someone's time is up", (*world).someonesTimeIsUp},
		{"the throttler passes one on", (*world).theThrottlerPassesOneOn}, {"the throttler refuses one", (*world).theThrottlerRefusesOne},
		{"the alarm rings", (*world).alarmRings}, {"a dial fails", (*world).aDialFails}, {"a dial yields", (*world).aDialYields}, {"a dial yields", (*world).aDialYields}, {"all of them yield", (*world).allDialsYield}, {"a close hangs", (*world).aCloseHangs}, {"a dial fails for good", (*world).aDialFailsForGood},
		{"someone's answer is a stream", (*world).someonesAnswerIsAStream}, {"someone's answer is a stream", (*world).someonesAnswerIsAStream},
		{"a dial panics", (*world).aDialPanics}, {"a dial has leave", (*world).aDialHasLeave}, {"a dial has leave", (*world).aDialHasLeave},
		{"a spared dial ends", (*world).aSparedDialEnds}, {"a spared dial ends", (*world).aSparedDialEnds},
		{"someone warms", (*world).someoneWarms}, {"idle is dropped", (*world).idleIsDropped},
		{"a word fails", (*world).aWordFails}, {"asking fails", (*world).askingFails}, {"asking fails", (*world).askingFails},
		{"a stranger is returned", (*world).aStrangerIsReturned}, {"a dial ends twice", (*world).aDialEndsTwice}, {"a connection is closed twice", (*world).aConnectionIsClosedTwice},
		{"other pools open or close", (*world).otherPoolsOpen}, {"other pools wait or do not", (*world).otherPoolsWait},
		{"a place is granted", (*world).aPlaceIsGranted}, {"idle is wanted", (*world).idleIsWanted},
		{"the door is shut", (*world).doorIsShut}, {"the pool closes", (*world).poolCloses},
	},
)

// ---- what must hold after each event ----

func (w *world) happens(event func(*world)) {
	w.oracle.share = float64(rapid.IntRange(0, 4).Draw(w.T, "drawn")) / 4
	event(w)
	w.compare()
	w.invariants()
}

func (w *world) compare() {
	require.Equal(w, w.oracle.done.sorted(), w.done.sorted())
	require.Equal(w, w.oracle.alarm, w.alarm, "the alarm")
	require.Equal(w, protocol.PoolStats{
		Idle: len(w.oracle.idle), Leased: len(w.oracle.lent), Streams: len(w.oracle.streams()), Dialling: len(w.oracle.dialling), Waiting: len(w.oracle.waiting),
		Dialled: w.oracle.dialled, DialsFailed: w.oracle.dialsFailed,
		Retired: w.oracle.retired, Broken: w.oracle.broken, Refused: w.oracle.refused,
	}, w.core.Describe())
	w.oracle.done, w.done = done{}, done{}
}

func (w *world) invariants() {
	s := w.core.Describe()
	w.gaveUp = w.oracle.gaveUp
	if !w.gaveUp {
		require.Equal(w, s.Dialling, len(w.dialling))
		require.GreaterOrEqual(w, s.Dialling, w.core.dials.spare)
		require.LessOrEqual(w, s.Idle+s.Leased+s.Dialling+w.counted(), w.config.MaxConns)
		require.LessOrEqual(w, w.oracle.hanging, w.config.MaxConns)
	}
	require.Equal(w, w.oracle.places, w.places)
	if !w.gaveUp {
		require.Equal(w, s.Idle+s.Leased+s.Dialling+w.counted(), w.places, "places taken")
	}
	require.Equal(w, w.oracle.lacks, w.registered)
	require.False(w, w.registered && s.Waiting == 0, "a place is waited for by nobody")
	require.False(w, s.Waiting > 0 && s.Idle > 0, "somebody waits beside an idle connection")
	w.whoeverWaitsIsWaitedFor(s)
	w.nobodyHoldsAPermitInDoubt(s)
	require.Equal(w, s.Idle+s.Leased, w.open(), "a connection is open that the pool does not know, or the other way about")
	require.Equal(w, s.Leased, len(w.holding), "a connection is lent to nobody")
	require.LessOrEqual(w, w.ended, 1)
	if w.ended > 0 {
		require.Zero(w, s.Idle+s.Leased+s.Dialling)
	}
}

// whoeverWaitsIsWaitedFor: callers by a connection, or by an alarm; and a pool
// that is of no use by one, too, and one that is closed.
func (w *world) whoeverWaitsIsWaitedFor(s protocol.PoolStats) {
	open := s.Idle + s.Leased + s.Dialling + w.counted()
	if w.registered {
		require.NotZero(w, w.alarm, "nobody presses for a place")
		return // for a place
	}
	if s.Waiting > 0 {
		require.Positive(w, open, "whoever waits, waits for nothing")
	}
	if s.Waiting > 0 && s.Dialling == 0 && open < w.config.MaxConns {
		require.Greater(w, s.Leased, s.Streams, "whoever waits could be dialled for")
		require.NotZero(w, w.alarm)
		require.LessOrEqual(w, w.alarm, min(w.oracle.until, w.oracle.moved+returnPatience))
	}
	unused := !w.oracle.closing && open+s.Waiting+len(w.oracle.warming) == 0 && w.config.Passivate > 0 && w.config.MinIdle == 0
	if unused || w.oracle.closing && w.ended == 0 && !w.gaveUp {
		require.NotZero(w, w.alarm, "the pool lives for ever")
	}
}

// nobodyHoldsAPermitInDoubt, and there will be no doubt without the alarm.
func (w *world) nobodyHoldsAPermitInDoubt(s protocol.PoolStats) {
	holds := slices.ContainsFunc(w.callers, func(c *caller) bool { return c.waits && c.limited && !c.gaveBack })
	if !holds || s.Idle+s.Leased > s.Streams || s.Dialling+s.Streams+w.counted() == 0 && !w.registered {
		return
	}
	require.False(w, w.registered && s.Dialling == 0, "no place is in sight, and somebody holds a permit")
	require.Zero(w, w.oracle.failures, "dials fail, and somebody holds a permit")
	doubt := w.oracle.since + doubtAfter
	switch {
	case s.Dialling > 0:
	case s.Streams > 0:
		doubt = w.oracle.streamsChanged + doubtAfter
	default:
		doubt = w.oracle.shutting[0].since + doubtAfter
	}
	require.NotZero(w, w.alarm, "a dial, a stream or a close takes long, and somebody holds a permit")
	require.LessOrEqual(w, w.alarm, doubt)
}

// counted is how many of those that are being closed count.
func (w *world) counted() int { return len(w.closing) - w.oracle.hanging }

func (w *world) open() (n int) {
	for _, c := range w.conns {
		require.LessOrEqual(w, c.closed, 1)
		n += 1 - c.closed
	}
	return n
}

// finish lets everybody go, and closes the pool. What is dialling and closing may
// never come back.
func (w *world) finish() {
	hangs := w.chance("hangs", 3)
	for w.ended == 0 {
		switch {
		case !w.oracle.closing && w.chance("closes first", 4):
			w.happens((*world).closes)
		case len(w.leaving) > 0:
			w.happens((*world).poolLearnsWhoLeft)
		case len(w.waiting) > 0:
			w.happens((*world).theThrottlerPassesOneOn)
		case len(w.holding) > 0 && !(hangs && w.chance("kept for long", 2)):
			w.happens((*world).someoneReturns)
		case hangs && w.oracle.closing && w.alarm != 0:
			w.happens((*world).alarmRings)
		case len(w.closing) > 0 && !hangs:
			w.happens((*world).aConnectionIsClosed)
		case slices.Contains(w.dialling, spared) && !hangs:
			w.happens((*world).aSparedDialEnds)
		case len(w.dialling) > 0 && w.oracle.closing:
			w.happens((*world).aDialFails)
		case len(w.dialling) > 0 && !hangs:
			w.happens((*world).aDialConnects)
		case w.registered && !w.oracle.closing:
			w.happens((*world).aPlaceIsGranted)
		case len(w.oracle.waiting) > 0 && !hangs:
			w.happens((*world).alarmRings)
		case !w.oracle.closing:
			w.happens((*world).closes)
		}
	}
	for len(w.leaving) > 0 {
		w.happens((*world).poolLearnsWhoLeft)
	}
	for len(w.waiting) > 0 {
		w.happens((*world).theThrottlerPassesOneOn)
	}
	for len(w.dialling) > 0 { // late, and there is nobody to count it
		w.happens((*world).aSparedDialEnds)
		w.happens((*world).aDialConnects)
	}
	for len(w.closing) > 0 {
		w.happens((*world).aConnectionIsClosed)
	}
}

func (w *world) settled() {
	require.Equal(w, 1, w.ended)
	require.Zero(w, w.open())
	require.Zero(w, w.places)
	require.False(w, w.registered)
	for _, c := range w.callers {
		if !c.left {
			require.Equal(w, 1, c.answers, "answers to %d", c.id)
			require.Zero(w, c.forsaken, "%d did not leave", c.id)
			continue
		}
		require.Zero(w, c.answers, "%d had left", c.id)
		want := 0
		if c.limited && !c.dropped {
			want = 1
		}
		require.Equal(w, want, c.forsaken, "permits of %d given back", c.id)
	}
}

func TestAPoolIsAListOfConnectionsAndAListOfCallers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 250 {
			if w.ended == 0 {
				w.happens(rapid.SampledFrom(events).Draw(t, "event").do)
			}
		}
		w.finish()
		w.settled()
	})
}
