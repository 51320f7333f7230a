package throttler

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

const ms = time.Millisecond

// caller is one life of a ticket: who brings it, and the pool it goes on to.
type caller struct {
	*ticket.Ticket
	id    int // in which order they asked
	world *world

	limit, key string
	weight     int64
	priority   int
	deadline   time.Duration

	left     bool // whether or not the desk knows
	passed   bool // sent on to the pool
	held     bool // and answered there: its permit is to be settled
	refused  bool // by the desk
	settled  bool
	followed int // how often the pool was told that it left
	arrivals []*arrival
}

// world is everybody around a desk: callers and their pools, the server with its
// clock, an alarm.
type world struct {
	*rapid.T
	now   time.Duration
	alarm time.Duration // as the desk has set it last; zero once it has rung
	desk  *Desk

	per, maxDelay map[string]time.Duration // of each limit, for good
	table         table
	servers       map[place]*server
	paused        map[string]time.Duration // until when, by scope
	ahead         time.Duration            // the server's clock, of ours
	reading       *reading                 // what is known of it; nil is nothing

	closed  bool
	breaks  int     // so many more things are done for the desk before its call fails; zero means it does not
	torn    bool    // the ledger is no more, and whoever uses it fails
	failing *caller // whom the last failure was about
	asked   int     // for the server's time
	warned  map[string]bool

	mailbox []*caller        // who is about to ask
	callers []*caller        // who has asked
	inside  []*caller        // whom the desk has: queued, or in flight; as they came
	leaving []*caller        // who left, and the desk does not know
	rest    []*ticket.Ticket // that nobody uses
}

var limitIDs = []string{"window", "keyed", "slots", "route", "fixed", "budget", "nowhere"}

func newWorld(t *rapid.T) *world {
	w := &world{
		T: t, now: time.Duration(rapid.IntRange(0, 1000).Draw(t, "begin")) * ms,
		per: map[string]time.Duration{}, maxDelay: map[string]time.Duration{},
		servers: map[place]*server{}, paused: map[string]time.Duration{}, warned: map[string]bool{},
	}
	w.ahead = 1000*time.Hour + w.span("ahead", 0, 5000)
	for _, id := range limitIDs {
		w.per[id], w.maxDelay[id] = w.span("Per", 50, 400), w.span("MaxDelay", 1, 800)
	}
	w.table = w.drawTable()
	options := throttle.Options{
		MaxQueued: rapid.SampledFrom([]int{0, 3}).Draw(t, "MaxQueued"),
		Aging:     rapid.SampledFrom([]time.Duration{0, 100 * ms}).Draw(t, "Aging"),
	}
	ledger, err := throttle.New(w.table, options)
	require.NoError(t, err)
	w.desk = NewDesk(ledger, w.table, options, w)
	return w
}

func (w *world) span(name string, least, most int) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(w.T, name)) * ms
}

func (w *world) chance(name string, one int) bool {
	return rapid.IntRange(1, one).Draw(w.T, name) == one
}

// drawTable draws a table in which some limits always are, and some may be.
func (w *world) drawTable() (drawn table) {
	add := func(l throttle.Limit) {
		l.Quota = rapid.Int64Range(1, 5).Draw(w.T, l.ID)
		l.MaxDelay = w.maxDelay[l.ID]
		if l.Window != throttle.Concurrency && l.Window != throttle.Lifetime {
			l.Per = w.per[l.ID]
		}
		drawn = append(drawn, l)
	}
	add(throttle.Limit{ID: "window"})
	add(throttle.Limit{ID: "slots", Window: throttle.Concurrency, Scope: "other"})
	drawn = append(drawn, throttle.Limit{ID: "route", Linked: []throttle.Link{{ID: "window", Weight: 1}, {ID: "slots", Weight: 1}}})
	for _, l := range []throttle.Limit{
		{ID: "keyed", Keyed: true, Linked: []throttle.Link{{ID: "window", Weight: 1}}},
		{ID: "fixed", Window: throttle.Fixed, Offset: 10 * ms},
		{ID: "budget", Window: throttle.Lifetime},
	} {
		if rapid.Bool().Draw(w.T, l.ID+" is there") {
			add(l)
		}
	}
	return drawn
}

// ---- what the desk has others do ----

// oops is how a call of the desk fails in this world.
var oops = errors.New("as a test wants it")

// done fails the desk's call if its time has come: whatever it had others do
// until then is done.
func (w *world) done() {
	if w.breaks > 0 {
		w.breaks--
		if w.breaks == 0 {
			panic(oops)
		}
	}
}

// RingAt is part of Outlet.
func (w *world) RingAt(at time.Duration) {
	w.alarm = at
	w.done()
}

// ServerClock is part of Outlet.
func (w *world) ServerClock() Reading {
	w.done()
	if w.reading == nil {
		return nil
	}
	return w.reading
}

// AskForTime is part of Outlet.
func (w *world) AskForTime() {
	w.asked++
	require.Equal(w, 1, w.asked)
	require.Nil(w, w.reading)
	_, found := w.table.limit("fixed")
	require.True(w, found, "no limit of the table needs a clock")
	w.done()
}

// Warn is part of Outlet.
func (w *world) Warn(text string, args ...any) {
	if text == "pausing a scope of limits" {
		scope := args[1].(string)
		w.paused[scope] = max(w.paused[scope], w.now+args[3].(time.Duration))
	} else {
		said := fmt.Sprint(text, args[1])
		require.False(w, w.warned[said], "%s is said twice", said)
		w.warned[said] = true
	}
	w.done()
}

// reading is true: the clock's true distance is within its bounds.
type reading struct{ lo, hi time.Duration }

// Ahead is part of Reading.
func (r *reading) Ahead(time.Duration) (lo, hi time.Duration) { return r.lo, r.hi }

// Tell is part of protocol.Recipient: the caller, and its pool.
func (c *caller) Tell(message any) {
	switch m := message.(type) {
	case ticket.AcquireLease:
		require.Same(c.world, c.Ticket, m.Ticket)
		c.world.passes(c)
	case ticket.AbandonLease:
		require.Same(c.world, c.Ticket, m.Ticket)
		c.followed++
	case ticket.TicketRefused:
		c.world.refuses(c, m.Stage, m.Refused)
	case ticket.LeaseGranted:
		return // the pool's, which is no part of this
	}
	c.world.done()
}

// passes demands that a caller may leave, as far as the order of its equals and
// the pauses go, and has the servers count it.
func (w *world) passes(c *caller) {
	require.Contains(w, w.inside, c)
	require.False(w, c.passed, "%d is passed on twice", c.id)
	require.False(w, w.closed, "%d is passed on by a closed desk", c.id)
	for _, before := range w.inside {
		if before.id < c.id && before.lane() == c.lane() {
			require.NotEqual(w, throttle.Queued, before.Permit.State(), "%d overtakes %d", c.id, before.id)
		}
	}
	for _, scope := range w.table.scopes(c.limit) {
		require.LessOrEqual(w, w.paused[scope], w.now, "%d leaves during a pause of %q", c.id, scope)
	}
	c.passed = true
	for at, weight := range w.table.charges(c.limit, c.key, c.weight) {
		a := &arrival{weight: weight, from: w.now, end: throttle.Never, id: at.id, delay: w.maxDelay[at.id]}
		s := w.serverAt(at)
		s.log = append(s.log, a)
		c.arrivals = append(c.arrivals, a)
	}
}

func (w *world) serverAt(at place) *server {
	s := w.servers[at]
	if s == nil {
		s = new(server)
		w.servers[at] = s
	}
	s.limit, _ = w.table.limit(at.id)
	s.most = max(s.most, s.limit.Quota)
	return s
}

// lane tells apart who must be served first in, first out.
func (c *caller) lane() any {
	key := ""
	if c.limit == "keyed" {
		key = c.key
	}
	return [...]any{c.limit, key, c.priority}
}

// refuses demands that a refusal has its reason.
func (w *world) refuses(c *caller, stage messages.Stage, err error) {
	require.Equal(w, messages.Throttled, stage)
	require.False(w, c.left, "%d has left", c.id)
	require.False(w, c.refused || c.passed, "%d is answered twice", c.id)
	require.Contains(w, w.inside, c)
	c.refused = true
	w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	_, known := w.table.limit(c.limit)
	switch {
	case w.closed:
		require.Equal(w, messages.ErrClosed, err)
	case errors.Is(err, messages.ErrActorFailed):
		require.Same(w, w.failing, c)
	case !known:
		require.ErrorIs(w, err, throttle.ErrUnknownLimit)
	case errors.Is(err, throttle.ErrDeadline):
		require.NotZero(w, c.deadline)
	case errors.Is(err, throttle.ErrWeight), errors.Is(err, throttle.ErrRouteWeight):
		require.NotZero(w, c.weight)
	case errors.Is(err, throttle.ErrSpent):
		require.Equal(w, "budget", c.limit)
	default:
		require.ErrorIs(w, err, throttle.ErrQueueFull)
	}
	c.Close()
	w.rest = append(w.rest, c.Ticket)
}

// ---- what happens ----

func (w *world) timePasses() {
	to := w.now + w.span("as much", 1, 200)
	if w.alarm != 0 && w.alarm <= to && !w.chance("late", 4) {
		w.alarmRings()
		return
	}
	w.now = to
}

func (w *world) alarmRings() {
	if w.alarm != 0 {
		w.now = max(w.now, w.alarm)
		w.alarm = 0
		w.word(nil, func() { w.desk.Due(w.now) })
	}
}

// someoneSends has a message on its way to the desk.
func (w *world) someoneSends() {
	t := new(ticket.Ticket)
	if n := len(w.rest); n > 0 && w.chance("used again", 2) {
		t, w.rest = w.rest[n-1], w.rest[:n-1]
	}
	w.sends(t)
}

func (w *world) sends(t *ticket.Ticket) {
	c := &caller{
		Ticket: t, world: w,
		limit: rapid.SampledFrom(limitIDs).Draw(w.T, "limit"), key: rapid.SampledFrom([]string{"a", "b"}).Draw(w.T, "key"),
		priority: rapid.IntRange(0, 2).Draw(w.T, "priority"),
	}
	if w.chance("heavy", 4) {
		c.weight = rapid.Int64Range(-1, 4).Draw(w.T, "weight")
	}
	if w.chance("deadline", 3) {
		c.deadline = max(1, w.now+w.span("deadline", -10, 600))
	}
	t.Reopen()
	t.Asked = ticket.Asked{Owner: c, Pool: c, Deadline: c.deadline}
	t.Limited = true
	t.Report = ticket.Report{}
	p := &t.Permit
	p.Limit, p.Key, p.Weight, p.Priority, p.Deadline = c.limit, c.key, c.weight, c.priority, c.deadline
	w.mailbox = append(w.mailbox, c)
}

func (w *world) someoneAsks() {
	if len(w.mailbox) == 0 {
		w.someoneSends()
	}
	c := w.mailbox[0]
	w.mailbox = w.mailbox[1:]
	w.inside = append(w.inside, c)
	c.id = len(w.callers)
	w.callers = append(w.callers, c)
	w.word(c, func() { w.desk.Acquire(w.now, c.Ticket) })
}

// anyOf draws one of those callers for whom it is so.
func (w *world) anyOf(so func(*caller) bool) *caller {
	some := slices.DeleteFunc(slices.Concat(w.inside, w.mailbox), func(c *caller) bool { return !so(c) })
	if len(some) == 0 {
		return nil
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(w.T, "which")]
}

func (w *world) aPoolAnswers() {
	if c := w.anyOf(func(c *caller) bool { return c.passed && !c.held && !c.left }); c != nil {
		require.True(w, c.Grant(nil))
		c.held = true
	}
}

// aRequestEnds with whatever fate.
func (w *world) aRequestEnds() {
	if c := w.anyOf(func(c *caller) bool { return c.held }); c != nil {
		c.Outcome.Fate = rapid.SampledFrom([]throttle.Fate{throttle.Answered, throttle.NeverSent, throttle.Lost}).Draw(w.T, "fate")
		if w.chance("signals", 4) {
			c.Signals = w.drawSignals()
		}
		w.settles(c)
	}
}

// aPoolMeetsWhoLeft, and gives the permit back.
func (w *world) aPoolMeetsWhoLeft() {
	if c := w.anyOf(func(c *caller) bool { return c.passed && c.left }); c != nil {
		c.Outcome.Fate = throttle.NeverSent
		w.settles(c)
	}
}

func (w *world) settles(c *caller) {
	for _, a := range c.arrivals {
		switch c.Outcome.Fate {
		case throttle.Answered:
			a.end = w.now
		case throttle.NeverSent:
			a.weight = 0
		case throttle.Lost:
			a.end = w.now + a.delay
		}
	}
	c.settled = true
	w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	if w.word(c, func() { w.desk.Settle(w.now, c.Ticket) }) {
		require.True(w, c.Closed(), "%d is settled", c.id)
		w.letGo(c)
	}
}

// letGo has a settled ticket used again, unless a word about it is on its way.
func (w *world) letGo(c *caller) {
	if !slices.Contains(w.leaving, c) {
		w.rest = append(w.rest, c.Ticket)
	}
}

func (w *world) drawSignals() (f feedback.Feedback) {
	if w.chance("pause", 2) {
		f.Pause = w.span("pause", 1, 400)
		f.Scope = rapid.SampledFrom([]string{"", "other", "no scope"}).Draw(w.T, "scope")
	}
	for range rapid.IntRange(0, 2).Draw(w.T, "usage") {
		f.Usage = append(f.Usage, feedback.Usage{
			Limit: rapid.SampledFrom(limitIDs).Draw(w.T, "usage of"), Key: "a",
			Used: rapid.Int64Range(-1, 6).Draw(w.T, "used"), Remaining: rapid.Int64Range(0, 5).Draw(w.T, "remaining"),
			Quota: rapid.Int64Range(0, 5).Draw(w.T, "server's quota"),
		})
	}
	return f
}

// someoneLeaves whom nobody has answered, or heard of. The desk learns of it later.
func (w *world) someoneLeaves() {
	if c := w.anyOf(func(c *caller) bool { return !c.held && !c.left }); c != nil {
		require.True(w, c.Cancel())
		c.left = true
		w.leaving = append(w.leaving, c)
	}
}

func (w *world) theDeskLearnsOfIt() {
	if len(w.leaving) == 0 || slices.Contains(w.mailbox, w.leaving[0]) {
		return // words come in their order
	}
	c := w.leaving[0]
	w.leaving = w.leaving[1:]
	queued := slices.Contains(w.inside, c) && !c.passed
	flying := c.passed && !c.settled
	if w.word(nil, func() { w.desk.Abandon(w.now, c.Ticket) }) && queued {
		w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	}
	if flying {
		require.Equal(w, 1, c.followed, "%d left, and is at its pool", c.id)
	} else {
		require.Zero(w, c.followed, "%d left, and is not at its pool", c.id)
	}
}

func (w *world) limitsAreReplaced() {
	before := w.table
	w.table = w.drawTable()
	bad := w.chance("bad", 4)
	if bad {
		w.table = before
	}
	var err error
	told := w.table
	if bad {
		told = append(slices.Clone(before), throttle.Limit{ID: "bad", Quota: -1})
	}
	if w.word(nil, func() { err = w.desk.Replace(w.now, told) }) {
		require.Equal(w, bad, err != nil)
	}
}

func (w *world) someoneElseSpends() {
	id := rapid.SampledFrom(limitIDs).Draw(w.T, "limit")
	l, known := w.table.limit(id)
	var err error
	if w.word(nil, func() {
		err = w.desk.Adjust(w.now, id, "a", rapid.Int64Range(0, 5).Draw(w.T, "spent"))
	}) {
		require.Equal(w, known && l.Quota > 0, err == nil)
	}
}

func (w *world) aScopeIsPaused() {
	scope := rapid.SampledFrom([]string{"", "other", "no scope"}).Draw(w.T, "scope")
	until := w.now + w.span("pause", 0, 400)
	if w.word(nil, func() {
		require.Equal(w, scope == "no scope", w.desk.Pause(w.now, scope, until) != nil)
	}) {
		w.paused[scope] = max(w.paused[scope], until)
	}
}

// theClockIsRead anew, with more or less doubt.
func (w *world) theClockIsRead() {
	w.reading = &reading{w.ahead - w.span("early", 0, 100), w.ahead + w.span("late", 0, 100)}
}

func (w *world) theDeskCloses() {
	if w.chance("really", 20) {
		w.closes()
	}
}

func (w *world) closes() {
	w.closed = true
	w.word(nil, func() { w.desk.Close(w.now) })
}

// ---- how the desk fails ----

// word tells the desk something, and has it recover if it fails. about is whose
// ticket came with it. It reports whether the desk did not fail.
func (w *world) word(about *caller, say func()) (well bool) {
	ledger := w.desk.ledger
	if w.torn {
		w.desk.ledger = nil
	}
	failed := w.fails(say)
	w.breaks = 0
	if !failed {
		w.desk.ledger = ledger
		w.torn = false
		return true
	}
	w.recover(about)
	return false
}

// fails reports whether something fails as the world wants it.
func (w *world) fails(do func()) (failed bool) {
	defer func() {
		v := recover()
		if _, wild := v.(runtime.Error); v == nil || v == oops || wild && w.torn {
			failed = v != nil
			return
		}
		panic(v)
	}()
	do()
	return false
}

func (w *world) recover(about *caller) {
	w.torn = false
	w.failing = about
	var failed *ticket.Ticket
	if about != nil {
		failed = about.Ticket
		if about.settled && about.Closed() {
			w.letGo(about)
		}
		if i := slices.Index(w.rest, failed); i >= 0 && w.chance("used at once", 2) {
			w.rest = slices.Delete(w.rest, i, i+1)
			w.sends(failed)
		}
	}
	w.table = w.desk.limits
	if w.chance("pause", 2) {
		w.now += w.span("pause", 0, 300)
	}
	w.alarm = 0 // whoever starts the actor anew stops it
	w.desk.Failed(failed)
	w.breaks = rapid.IntRange(0, 3).Draw(w.T, "fails again after")
	for w.fails(func() { w.desk.Recover(w.now) }) {
		w.alarm = 0
		w.desk.Failed(nil)
	}
	w.breaks = 0
	w.forget(about)
	w.failing = nil
}

// forget drops whom a failure may drop: who left before the failure that their
// word brought about, and who is in flight for limits that are all gone.
func (w *world) forget(about *caller) {
	w.inside = slices.DeleteFunc(w.inside, func(c *caller) bool {
		gone := c.passed && !slices.ContainsFunc(c.arrivals, func(a *arrival) bool { _, known := w.table.limit(a.id); return known })
		return gone || c == about && c.left && !c.passed
	})
	for at, s := range w.servers {
		l, known := w.table.limit(at.id)
		switch {
		case !known:
			delete(w.servers, at)
		case l.Quota < s.most: // a full window is taken to hold no more than that, whatever its quota becomes
			s.log = slices.DeleteFunc(s.log, func(a *arrival) bool { return a.end <= w.now })
		}
	}
	if about != nil {
		require.True(w, about.refused || about.passed || about.left, "%d has no answer", about.id)
	}
}

// theNextWordFails once a few more things are done.
func (w *world) theNextWordFails() { w.breaks = rapid.IntRange(1, 4).Draw(w.T, "fails after") }

// theLedgerIsTorn, and whoever needs it next fails.
func (w *world) theLedgerIsTorn() { w.torn = true }

// somethingFails that has nothing to do with the desk.
func (w *world) somethingFails() { w.recover(nil) }

func (w *world) nothingFails() {
	w.alarm = w.desk.armed
	w.desk.Recover(w.now)
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
	slices.Repeat([]event{{"a pool answers", (*world).aPoolAnswers}, {"a request ends", (*world).aRequestEnds}, {"time passes", (*world).timePasses}}, 4),
	slices.Repeat([]event{{"someone leaves", (*world).someoneLeaves}, {"the desk learns of it", (*world).theDeskLearnsOfIt}}, 2),
	[]event{
		{"someone sends", (*world).someoneSends}, {"a pool meets who left", (*world).aPoolMeetsWhoLeft},
		{"the alarm rings", (*world).alarmRings}, {"limits are replaced", (*world).limitsAreReplaced},
		{"someone else spends", (*world).someoneElseSpends}, {"a scope is paused", (*world).aScopeIsPaused},
		{"the clock is read", (*world).theClockIsRead}, {"the desk closes", (*world).theDeskCloses},
		{"the next word fails", (*world).theNextWordFails}, {"the ledger is torn", (*world).theLedgerIsTorn},
		{"something fails", (*world).somethingFails}, {"nothing fails", (*world).nothingFails},
	},
)

// ---- what must hold after each event ----

func (w *world) happens(do func(*world)) {
	do(w)
	if w.torn || w.breaks > 0 {
		return // and the next word comes before anybody looks
	}
	w.bookIsRight()
	w.nobodyCouldLeave()
	w.serversAreContent()
}

// bookIsRight: it has those inside, as they came, and nobody else.
func (w *world) bookIsRight() {
	booked := w.desk.tickets.inOrder()
	w.inside = slices.DeleteFunc(w.inside, func(c *caller) bool {
		return c.left && !c.passed && !slices.Contains(booked, c.Ticket) // refused, and nobody was told
	})
	require.Len(w, booked, len(w.inside))
	queued := 0
	for i, c := range w.inside {
		require.Same(w, booked[i], c.Ticket, "%d", c.id)
		require.Equal(w, c.passed, c.Passed, "%d", c.id)
		want := throttle.Granted
		if !c.passed {
			want = throttle.Queued
			queued++
		}
		require.Equal(w, want, c.Permit.State(), "%d", c.id)
	}
	require.Equal(w, queued, w.desk.ledger.Len())
	if w.closed {
		require.Zero(w, queued, "the desk is closed")
	}
}

func (w *world) nobodyCouldLeave() {
	rings := w.alarm != 0 && w.alarm <= w.now // late: it is seen to then
	if w.desk.ledger.Len() == 0 || rings {
		return
	}
	if at, known := w.desk.ledger.Wake(); known {
		require.Equal(w, at, w.alarm, "the alarm")
	} else {
		require.True(w, slices.ContainsFunc(w.inside, func(c *caller) bool { return c.passed }), "whoever waits, waits for nothing")
	}
	require.Nil(w, w.desk.ledger.Next(w.now), "somebody waits who could leave")
}

func (w *world) serversAreContent() {
	for at, s := range w.servers {
		if at.id != "budget" {
			require.LessOrEqual(w, s.worst(w.ahead), s.most, "%v can be asked too much", at)
		}
	}
}

// finish lets everybody go.
func (w *world) finish() {
	w.torn, w.breaks = false, 0
	for range 10_000 {
		switch {
		case len(w.mailbox) > 0:
			w.happens((*world).someoneAsks)
		case len(w.leaving) > 0:
			w.happens((*world).theDeskLearnsOfIt)
		case w.anyOf(func(c *caller) bool { return c.passed && c.left }) != nil:
			w.happens((*world).aPoolMeetsWhoLeft)
		case w.anyOf(func(c *caller) bool { return c.held }) != nil:
			w.happens((*world).aRequestEnds)
		case w.anyOf(func(c *caller) bool { return c.passed }) != nil:
			w.happens((*world).aPoolAnswers)
		case len(w.inside) > 0:
			w.happens((*world).alarmRings)
		default:
			return
		}
	}
	require.Empty(w, w.inside, "they wait for ever")
}

func (w *world) settled() {
	for _, c := range w.callers {
		require.True(w, c.refused || c.settled || c.left || c.passed, "%d has no answer", c.id)
	}
	w.now += time.Second // beyond every MaxDelay
	for _, s := range w.desk.Snapshot(w.now).Limits {
		require.Zero(w, s.InFlight, s.ID)
	}
}

func TestADeskForgetsNobodyAndLetsNobodyThroughTooSoon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 250 {
			w.happens(rapid.SampledFrom(events).Draw(t, "event").do)
		}
		w.finish()
		w.settled()
	})
}
