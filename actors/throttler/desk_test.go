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

	origin, limit, key string
	weight             int64
	priority           messages.Priority
	deadline           time.Duration
	tries              bool // it does not wait

	left     bool  // whether or not the desk knows
	queues   bool  // it was told so, if it wants to be
	passed   bool  // sent on to the pool
	parked   bool  // and waits there without its permit
	held     bool  // and answered there: its permit is to be settled
	refused  error // by the desk
	settled  bool
	granted  time.Duration // when
	followed int           // how often the pool was told that it left
	expired  int           // how often the pool was told that its time is up
	arrivals []*arrival
}

// world is everybody around a desk: callers and their pools, the server with its
// clock, an alarm.
type world struct {
	*rapid.T
	now   time.Duration
	alarm time.Duration // as the desk has set it last; zero once it has rung
	desk  *Desk

	per, maxDelay, closeDelay map[string]time.Duration // of each limit, for good

	options throttle.Options
	table   table
	servers map[place]*server
	pauses  pauses
	heard   Heard                   // what the desk is being told of an answer
	expects []overload              // the pauses that it is to begin for that, if the server is busy
	busy    map[throttle.Scope]busy // what was told of servers that are
	posted  []throttle.PausedScope  // what is published
	number  uint32                  // of the table, as it is published
	ahead   time.Duration           // the server's clock, of ours
	reading *reading                // what is known of it; nil is nothing

	closed   bool
	breaks   int                      // so many more things are done for the desk before its call fails; zero means it does not
	torn     bool                     // the ledger is no more, and whoever uses it fails
	failing  *caller                  // whom the last failure was about
	expiring *caller                  // whose time is up
	asked    int                      // for the server's time
	warned   map[string]time.Duration // until when a warning must not be repeated

	mailbox []*caller        // who is about to ask
	callers []*caller        // who has asked
	inside  []*caller        // whom the desk has: queued, or in flight; as they came
	leaving []*caller        // who left, and the desk does not know
	strays  []*caller        // whom the desk has let go of in a failure, and who do not know
	rest    []*ticket.Ticket // that nobody uses
}

var limitIDs = []string{"window", "keyed", "slots", "route", "fixed", "budget", "nowhere", throttle.NoLimit}

func newWorld(t *rapid.T) *world {
	w := &world{
		T: t, now: time.Duration(rapid.IntRange(0, 1000).Draw(t, "begin")) * ms,
		per: map[string]time.Duration{}, maxDelay: map[string]time.Duration{}, closeDelay: map[string]time.Duration{},
		servers: map[place]*server{}, pauses: pauses{}, warned: map[string]time.Duration{}, busy: map[throttle.Scope]busy{},
	}
	w.ahead = 1000*time.Hour + w.span("ahead", 0, 5000)
	for _, id := range limitIDs {
		w.per[id], w.maxDelay[id], w.closeDelay[id] = w.span("Per", 50, 400), w.span("MaxDelay", 1, 800), w.span("CloseDelay", 1, 200)
	}
	w.table = w.drawTable()
	w.options = throttle.Options{
		MaxQueued:  rapid.SampledFrom([]int{0, 3}).Draw(t, "MaxQueued"),
		Aging:      rapid.SampledFrom([]time.Duration{0, 100 * ms}).Draw(t, "Aging"),
		LeastPause: w.span("LeastPause", 1, 100),
	}
	ledger, err := throttle.New(w.table, w.options)
	require.NoError(t, err)
	w.desk = NewDesk(DeskNeeds{Ledger: ledger, Limits: w.table, Options: w.options, Crowds: ticket.NewCrowds()}, w)
	for place := range 256 { // one more at any of them is a crowd
		w.desk.tickets.crowds.Add(ticket.Place(place), ticket.Many-1)
	}
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
		l.MaxDelay, l.CloseDelay = w.maxDelay[l.ID], w.closeDelay[l.ID]
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

// errOops is how a call of the desk fails in this world.
var errOops = errors.New("as a test wants it")

// done fails the desk's call if its time has come: whatever it had others do
// until then is done.
func (w *world) done() {
	if w.breaks > 0 {
		w.breaks--
		if w.breaks == 0 {
			panic(errOops)
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

// Pass is part of Outlet.
func (w *world) Pass(t *ticket.Ticket) {
	require.False(w, t.Queues(), "what has its permit does not queue")
	t.Pool.Tell(ticket.AcquireLease{Ticket: t})
}

// Follow is part of Outlet.
func (w *world) Follow(t *ticket.Ticket, word any) { t.Pool.Tell(word) }

// AskForTime is part of Outlet.
func (w *world) AskForTime() {
	w.asked++
	require.Equal(w, 1, w.asked)
	require.Nil(w, w.reading)
	_, found := w.table.limit("fixed")
	require.True(w, found, "no limit of the table needs a clock")
	w.done()
}

// Post is part of Outlet.
func (w *world) Post(paused []throttle.PausedScope) {
	w.posted = slices.Clone(paused)
	w.done()
}

// PostTable is part of Outlet.
func (w *world) PostTable(number uint32) {
	require.Greater(w, number, w.number)
	w.number = number
	w.done()
}

// Warn is part of Outlet. It demands that a warning is true, and is not repeated
// too soon.
func (w *world) Warn(text string, args ...any) {
	said := map[string]any{}
	for i := 0; i < len(args); i += 2 {
		said[args[i].(string)] = args[i+1]
	}
	scope := func() throttle.Scope {
		return throttle.Scope{Origin: said["origin"].(string), Name: said["scope"].(string)}
	}
	once := func(name any, again time.Duration) {
		at, warned := w.warned[fmt.Sprint(text, name)]
		require.False(w, warned && w.now < at, "%s: %v is said twice", text, name)
		w.warned[fmt.Sprint(text, name)] = again
	}
	switch text {
	case "refused, pausing":
		w.isRefused(scope(), w.now+said["pause"].(time.Duration))
	case "server is busy, pausing":
		w.isBusy(scope(), said["pause"].(time.Duration))
	case "refused, taking the limit for full":
		require.True(w, w.heard.Said.OwnLimit)
		require.Equal(w, w.heard.Limit, said["limit"])
	case "a limit is reached, and requests wait for it":
		once(said["route"], w.now+tellsEvery)
	case "requests without an answer hold most of a limit, for they may still arrive":
		once(said["limit"], w.now+tellsEvery)
	case "limits are gone from the table, and what was spent of them counts for no other: one that was renamed begins unused":
		require.Positive(w, said["in_all"])
	case "another quota counts, as the server announces":
		once([]any{said["limit"], said["now"]}, throttle.Never)
		w.isAdopted(said["limit"].(string), said["now"].(int64))
	default:
		once(args[1], throttle.Never)
	}
	w.done()
}

// isAdopted demands that a quota that counts was announced, and that none is above the
// declared one.
func (w *world) isAdopted(id string, quota int64) {
	l, known := w.table.limit(id)
	require.True(w, known)
	require.LessOrEqual(w, quota, l.Quota)
	require.True(w, slices.ContainsFunc(w.heard.Said.Usage, func(u feedback.Usage) bool {
		return u.Limit == id && min(u.Quota, l.Quota) == quota
	}), "%q has %d, which nobody said", id, quota)
}

// isRefused demands that a scope is paused for as long as was said, and for longer
// with each refusal.
func (w *world) isRefused(s throttle.Scope, until time.Duration) {
	require.True(w, w.heard.Said.Refused)
	ends := w.pauses.refused(w.now, w.heard.Left, s, w.options.LeastPause, w.heard.Said.Pause)
	if everywhere := (throttle.Scope{Origin: throttle.AnyOrigin, Name: s.Name}); w.pauses.of(everywhere).until > w.now {
		require.GreaterOrEqual(w, until, slices.Min(ends))
	} else {
		require.Contains(w, ends, until, "%v was refused %d times", s, w.pauses.of(s).refusals)
	}
	if until != ends[0] {
		w.pauses.of(s).refusals = 1
	}
	w.pauses.pause(w.now, s, until)
}

// overload is a pause for an overload.
type overload struct {
	throttle.Scope
	before, until time.Duration // when the scope's pause ended, and when it ends now
}

// hears takes note of the pauses that the desk begins for an overload of which it is about to be
// told: first, so that whoever leaves in between is caught.
func (w *world) hears() {
	f := w.heard.Said
	if f == nil || f.Refused || !f.Busy {
		return
	}
	for _, scope := range w.table.stopped(w.heard) {
		before := w.pauses.of(scope).until
		w.pauses.pause(w.now, scope, w.now+min(f.Pause, throttle.DefaultMaxBusyPause))
		w.expects = append(w.expects, overload{scope, before, w.pauses.of(scope).until})
	}
}

// isBusy demands that a scope is one that pauses for the overload that was heard, and for so long,
// and that no word is said of it too soon.
func (w *world) isBusy(s throttle.Scope, pause time.Duration) {
	require.True(w, slices.ContainsFunc(w.expects, func(o overload) bool { return o.Scope == s }), "%v is not busy", s)
	require.Equal(w, min(w.heard.Said.Pause, throttle.DefaultMaxBusyPause), pause)
	require.False(w, w.knowsOfBusy(s, pause), "%v is said to be busy twice", s)
	w.busy[s] = busy{w.now, pause}
}

// knowsOfBusy reports whether enough was said of a scope that pauses for an overload.
func (w *world) knowsOfBusy(s throttle.Scope, pause time.Duration) bool {
	b, told := w.busy[s]
	return told && w.now < b.at+tellsEvery && pause < b.pause+longWait
}

// everyOverloadIsTold, unless enough was said before.
func (w *world) everyOverloadIsTold() {
	for _, o := range w.expects {
		require.True(w, w.knowsOfBusy(o.Scope, w.heard.Said.Pause), "nothing is said of %v", o.Scope)
	}
}

// someOverloadsPause, for the desk failed on its way: each scope pauses as it is to or as it did
// before.
func (w *world) someOverloadsPause() {
	ends := map[throttle.Scope]time.Duration{}
	for _, p := range w.desk.ledger.Paused(w.now) {
		ends[p.Scope] = p.Until
	}
	for _, o := range w.expects {
		end := max(ends[o.Scope], ends[throttle.Scope{Origin: throttle.AnyOrigin, Name: o.Name}])
		if max(end, o.before) <= w.now {
			end = o.before
		}
		require.Contains(w, []time.Duration{o.before, o.until}, end, "%v", o.Scope)
		w.pauses.of(o.Scope).until = end
	}
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
	case ticket.ExpireLease:
		require.Same(c.world, c.Ticket, m.Ticket)
		c.expired++
	case ticket.PermitQueued:
		require.Same(c.world, c.Ticket, m.Ticket)
		require.True(c.world, c.TellsQueue, "%d did not want to know", c.id)
		require.Contains(c.world, c.world.inside, c)
		require.Equal(c.world, throttle.Queued, c.Permit.State())
		c.queues = true
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
	for _, scope := range w.table.obeyed(c.limit, c.origin) {
		require.LessOrEqual(w, w.pauses.of(scope).until, w.now, "%d leaves during a pause of %v", c.id, scope)
	}
	c.passed, c.granted = true, w.now
	for at, weight := range w.table.charges(c.limit, c.key, c.weight) {
		l, _ := w.table.limit(at.id)
		a := &arrival{weight: weight, from: w.now, end: throttle.Never, id: at.id, scope: l.Scope}
		s := w.serverAt(at)
		s.log = append(s.log, a)
		c.arrivals = append(c.arrivals, a)
	}
}

// charging returns the scopes that charge a request something, and the whole. Those are scopes of
// the limits that were there when it left, as far as they were there after every failure since: it
// does not matter what became of the limit that it named.
func (c *caller) charging() []throttle.Scope {
	all := []throttle.Scope{{Origin: c.origin, Name: throttle.WholeOrigin}}
	for _, a := range c.arrivals {
		all = append(all, throttle.Scope{Origin: c.origin, Name: a.scope})
	}
	return all
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
	return [...]any{c.origin, c.limit, key, c.priority}
}

// refuses demands that a refusal has its reason.
func (w *world) refuses(c *caller, stage messages.Stage, err error) {
	require.Equal(w, messages.Throttled, stage)
	require.False(w, c.left, "%d has left", c.id)
	require.False(w, c.refused != nil || c.passed, "%d is answered twice", c.id)
	require.Contains(w, w.inside, c)
	c.refused = err
	w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	_, known := w.table.limit(c.limit)
	known = known || c.limit == throttle.NoLimit
	switch {
	case errors.Is(err, messages.ErrActorFailed):
		require.Same(w, w.failing, c)
	case w.closed:
		require.Equal(w, messages.ErrClosed, err)
	case !known:
		require.ErrorIs(w, err, throttle.ErrUnknownLimit)
	case errors.Is(err, throttle.ErrNoRoom):
		require.True(w, c.tries)
		w.saysWhatFor(c, err)
	case errors.Is(err, throttle.ErrDeadline):
		require.True(w, c.deadline != 0 || w.expiring == c)
		w.saysWhatFor(c, err)
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

// saysWhatFor demands that a refusal names a limit that the request waited for, and
// an instant from which on to ask again, if there is one.
func (w *world) saysWhatFor(c *caller, err error) {
	var full *throttle.LimitError
	require.ErrorAs(w, err, &full)
	require.Equal(w, c.limit, full.ID)
	switch {
	case c.limit == throttle.NoLimit:
		require.Empty(w, full.Full)
	case full.Full == "" && (w.expiring == c || c.tries && w.someoneElseWaits(c)): // there is room by now, of which the alarm has not told yet
	case full.Full == "": // whoever came too late need not have been held by any
		require.Less(w, c.Permit.Deadline, w.now)
	default:
		require.Contains(w, w.table.charges(c.limit, c.key, 0), place{full.Full, full.Key})
	}
	if full.RetryAt != 0 {
		require.Greater(w, full.RetryAt, w.now)
	}
}

func (w *world) someoneElseWaits(c *caller) bool {
	return slices.ContainsFunc(w.inside, func(other *caller) bool { return other != c && !other.passed })
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
		origin: rapid.SampledFrom(origins).Draw(w.T, "origin"), limit: rapid.SampledFrom(limitIDs).Draw(w.T, "limit"),
		key:      rapid.SampledFrom([]string{"a", "b"}).Draw(w.T, "key"),
		priority: messages.Priority(rapid.IntRange(0, 2).Draw(w.T, "priority")),
		tries:    w.chance("tries", 5),
	}
	if w.chance("heavy", 4) {
		c.weight = rapid.Int64Range(-1, 4).Draw(w.T, "weight")
	}
	if w.chance("deadline", 3) {
		c.deadline = max(1, w.now+w.span("deadline", -10, 600))
	}
	t.Reopen()
	t.Asked = ticket.Asked{Owner: c, Pool: c, Deadline: c.deadline}
	t.Limited, t.TellsQueue = true, w.chance("wants to know that it queues", 2)
	t.Clear()
	p := &t.Permit
	p.Origin, p.Limit, p.Key, p.Weight, p.Priority, p.Deadline = c.origin, c.limit, c.key, c.weight, c.priority, c.deadline
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
	if !c.tries {
		if w.word(c, func() { w.desk.Acquire(w.now, c.Ticket) }) {
			c.knows()
		}
		return
	}
	w.word(c, func() {
		w.desk.Try(w.now, c.Ticket)
		require.True(w, c.passed || c.refused != nil || c.left, "%d waits, and only tries", c.id)
	})
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
	if c := w.anyOf(func(c *caller) bool { return c.passed && !c.parked && !c.held && !c.left }); c != nil {
		require.True(w, c.Grant(0, nil))
		c.held = true
	}
}

// aPoolRefuses, and the request gives the permit back.
func (w *world) aPoolRefuses() {
	if c := w.anyOf(func(c *caller) bool { return c.passed && !c.held && !c.left }); c != nil {
		require.True(w, c.Answer())
		c.Fate = throttle.NeverSent
		w.settles(c)
	}
}

// aPoolParks a ticket for which no connection is in sight.
func (w *world) aPoolParks() {
	c := w.anyOf(func(c *caller) bool { return c.passed && !c.parked && !c.held })
	if c == nil {
		return
	}
	if w.word(nil, func() {
		defer func() { c.parked = c.Permit.State() == throttle.Idle }() // also if what follows the parking fails
		w.desk.Park(w.now, c.Ticket)
	}) {
		require.True(w, c.parked)
	}
	if c.parked {
		c.takeBack()
	}
}

// takeBack has the servers know that a request did not leave.
func (c *caller) takeBack() {
	for _, a := range c.arrivals {
		a.weight = 0
	}
	c.arrivals = nil
}

// aTicketComesBack for a permit: its pool has a connection by now, or its request
// was about to leave into a pause. Its place is the old one: whoever is in passes
// demands that.
func (w *world) aTicketComesBack() {
	if c := w.anyOf(func(c *caller) bool { return c.passed && (c.parked || c.held) }); c != nil {
		w.comesBack(c)
	}
}

func (w *world) comesBack(c *caller) {
	if c.held {
		c.Reopen()
	}
	c.passed, c.parked, c.held, c.queues = false, false, false, false
	c.takeBack()
	if w.word(c, func() { w.desk.Requeue(w.now, c.Ticket) }) && !c.left {
		require.NotErrorIs(w, c.refused, throttle.ErrPermitUnused)
		require.NotErrorIs(w, c.refused, throttle.ErrQueueFull)
		c.knows()
	}
}

// knows demands that a caller who has asked was told that it queues, exactly if it does.
func (c *caller) knows() {
	if c.TellsQueue && !c.left {
		require.Equal(c.world, !c.passed && c.refused == nil, c.queues, "%d queues", c.id)
		require.Equal(c.world, c.queues, c.Queues(), "%d", c.id)
	}
}

// aStrayComesBack whose limits were gone when the desk failed.
func (w *world) aStrayComesBack() {
	if len(w.strays) == 0 {
		return
	}
	c := w.strays[0]
	w.strays = w.strays[1:]
	if c.held && w.chance("for a permit", 2) {
		w.inside = append(w.inside, c)
		w.comesBack(c)
		return
	}
	if !c.held && !c.left {
		require.True(w, c.Answer())
	}
	w.settles(c)
}

// aRequestEnds with whatever fate.
func (w *world) aRequestEnds() {
	if c := w.anyOf(func(c *caller) bool { return c.held }); c != nil {
		c.Fate = rapid.SampledFrom([]throttle.Fate{throttle.Answered, throttle.NeverSent, throttle.Lost, throttle.Closed}).Draw(w.T, "fate")
		if c.Fate == throttle.Answered && w.chance("signals", 3) {
			c.Say(w.drawSignals())
		}
		w.settles(c)
	}
}

// aPoolMeetsWhoLeft, and gives the permit back.
func (w *world) aPoolMeetsWhoLeft() {
	if c := w.anyOf(func(c *caller) bool { return c.passed && c.left }); c != nil {
		c.Fate = throttle.NeverSent
		w.settles(c)
	}
}

func (w *world) settles(c *caller) {
	for _, a := range c.arrivals {
		switch c.Fate {
		case throttle.Answered:
			a.end = w.now
		case throttle.NeverSent:
			a.weight = 0
		case throttle.Lost:
			a.end = w.now + w.maxDelay[a.id]
		case throttle.Closed:
			a.end = w.now + w.closeDelay[a.id]
		}
	}
	good := c.Fate == throttle.Answered && (c.Said == nil || !c.Said.Signals.Refused)
	if good && c.Permit.State() == throttle.Granted && !w.torn { // a stray's permit is not
		w.pauses.answered(c.granted, c.charging())
	}
	c.settled = true
	w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	w.heard = Heard{c.origin, c.limit, throttle.Parts{Key: c.key}, c.granted, nil, c.Charged}
	if c.Said != nil {
		w.heard.Said = &c.Said.Signals
	}
	w.hears()
	if w.word(c, func() { w.desk.Settle(w.now, c.Ticket) }) {
		require.True(w, c.Closed(), "%d is settled", c.id)
		w.letGo(c)
	}
}

// anAnswerIsHeard to a request without a permit.
func (w *world) anAnswerIsHeard() {
	said := w.drawSignals()
	w.heard = Heard{
		Origin: rapid.SampledFrom(origins).Draw(w.T, "origin"), Limit: rapid.SampledFrom(limitIDs).Draw(w.T, "limit"), Of: throttle.Parts{Key: "a"},
		Left: w.now - w.span("left before", 0, 500), Said: &said,
	}
	w.hears()
	w.word(nil, func() { w.desk.Heed(w.now, w.heard) })
}

// letGo has a settled ticket used again, unless a word about it is on its way.
func (w *world) letGo(c *caller) {
	if !slices.Contains(w.leaving, c) {
		w.rest = append(w.rest, c.Ticket)
	}
}

func (w *world) drawSignals() (f feedback.Feedback) {
	switch rapid.IntRange(0, 3).Draw(w.T, "says") {
	case 1, 2:
		f.Refused = true
		f.OwnLimit = w.chance("own limit", 4)
		f.Pause = max(0, w.span("pause", -300, 300))
	case 3:
		f.Busy = true
		f.Pause = w.span("pause", 0, 300)
	}
	f.Whole = w.chance("whole", 4)
	f.Scope = rapid.SampledFrom([]string{"", "other", "no scope"}).Draw(w.T, "scope")
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

// someonesTimeIsUp, and the desk is told, whether or not an answer is on its way.
func (w *world) someonesTimeIsUp() {
	if len(w.inside) == 0 {
		return
	}
	c := w.inside[rapid.IntRange(0, len(w.inside)-1).Draw(w.T, "which")]
	queued, before := !c.passed, c.expired
	w.expiring = c
	well := w.word(nil, func() { w.desk.Expire(w.now, c.Ticket) })
	w.expiring = nil
	switch {
	case !well:
	case !queued:
		require.Equal(w, before+1, c.expired, "%d is at its pool", c.id)
	case c.left:
		w.inside = slices.DeleteFunc(w.inside, func(i *caller) bool { return i == c })
	default:
		require.ErrorIs(w, c.refused, throttle.ErrDeadline)
		require.Equal(w, before, c.expired)
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
	if w.word(nil, func() { err = w.desk.Replace(w.now, told, nil) }) {
		require.Equal(w, bad, err != nil)
	}
}

func (w *world) someoneElseSpends() {
	id := rapid.SampledFrom(limitIDs).Draw(w.T, "limit")
	l, known := w.table.limit(id)
	var err error
	if w.word(nil, func() {
		err = w.desk.Adjust(w.now, id, throttle.Parts{Key: "a"}, rapid.Int64Range(0, 5).Draw(w.T, "spent"))
	}) {
		require.Equal(w, known && l.Quota > 0, err == nil)
	}
}

func (w *world) drawScope() throttle.Scope {
	return throttle.Scope{
		Origin: rapid.SampledFrom(append(origins, throttle.AnyOrigin)).Draw(w.T, "origin"),
		Name:   rapid.SampledFrom(append(scopeNames, "no scope")).Draw(w.T, "scope"),
	}
}

func (w *world) aScopeIsPaused() {
	scope, until := w.drawScope(), w.now+w.span("pause", 0, 400)
	unknown := scope.Name == "no scope"
	if !unknown && !w.torn { // first, so that whoever leaves in between is caught
		w.pauses.pause(w.now, scope, until)
	}
	w.word(nil, func() { require.Equal(w, unknown, w.desk.Pause(w.now, scope, until) != nil) })
}

func (w *world) aPauseIsEnded() {
	scope := w.drawScope()
	unknown := scope.Name == "no scope"
	clear(w.busy) // what is paused again is told again
	if !unknown && !w.torn {
		w.pauses.resume(w.now, scope)
	}
	w.word(nil, func() { require.Equal(w, unknown, w.desk.Resume(w.now, scope) != nil) })
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
	clear(w.desk.pauses) // it is by the warnings, of which none is to be spared, that the world knows of refusals
	defer func() { w.expects = nil }()
	ledger := w.desk.ledger
	if w.torn {
		w.desk.ledger = nil
	}
	failed := w.fails(say)
	w.breaks, w.desk.ledger = 0, ledger
	if !failed {
		w.torn = false
		w.everyOverloadIsTold()
		return true
	}
	w.someOverloadsPause()
	w.recover(about)
	return false
}

// fails reports whether something fails as the world wants it.
func (w *world) fails(do func()) (failed bool) {
	defer func() {
		v := recover()
		if _, wild := v.(runtime.Error); v == nil || v == errOops || wild && w.torn {
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
		c.arrivals = slices.DeleteFunc(c.arrivals, func(a *arrival) bool { _, known := w.table.limit(a.id); return !known })
		gone := c.passed && !c.parked && c.limit != throttle.NoLimit && len(c.arrivals) == 0
		if gone {
			w.strays = append(w.strays, c)
		} else if c.passed && !c.parked {
			c.granted = max(c.granted, w.now)
		}
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
		require.True(w, about.refused != nil || about.passed || about.left, "%d has no answer", about.id)
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
		{"a pause is ended", (*world).aPauseIsEnded}, {"an answer is heard", (*world).anAnswerIsHeard},
		{"a pool refuses", (*world).aPoolRefuses}, {"a pool parks", (*world).aPoolParks}, {"a pool parks", (*world).aPoolParks},
		{"a ticket comes back", (*world).aTicketComesBack}, {"a ticket comes back", (*world).aTicketComesBack},
		{"a stray comes back", (*world).aStrayComesBack}, {"someone's time is up", (*world).someonesTimeIsUp},
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
	w.boardIsRight()
}

// bookIsRight: it has those inside, as they came, and nobody else.
func (w *world) bookIsRight() {
	booked := w.desk.tickets.inOrder()
	w.inside = slices.DeleteFunc(w.inside, func(c *caller) bool {
		return c.left && !c.passed && !slices.Contains(booked, c.Ticket) // refused, and nobody was told
	})
	require.Len(w, booked, len(w.inside))
	queued := 0
	crowds := make(map[ticket.Place]bool)
	for i, c := range w.inside {
		require.Same(w, booked[i], c.Ticket, "%d", c.id)
		require.Equal(w, c.passed, c.Passed, "%d", c.id)
		want := throttle.Granted
		switch {
		case c.parked:
			want = throttle.Idle
		case !c.passed:
			want = throttle.Queued
			queued++
			crowds[w.desk.tickets.crowds.OfLimit(c.Permit.Limit)] = true
		}
		require.Equal(w, want, c.Permit.State(), "%d", c.id)
	}
	require.Equal(w, queued, w.desk.ledger.Len())
	for place := range 256 {
		require.Equal(w, crowds[ticket.Place(place)], w.desk.tickets.crowds.At(ticket.Place(place)), "who waits is counted")
	}
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
		if idle, ok := w.desk.ledger.ForgetAt(); ok {
			at = min(at, idle)
		}
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

// boardIsRight: it shows what the ledger has paused, and whatever else it shows is
// over.
func (w *world) boardIsRight() {
	posted, ledgers := map[throttle.Scope]time.Duration{}, map[throttle.Scope]time.Duration{}
	for _, p := range w.posted {
		posted[p.Scope] = p.Until
	}
	for _, p := range w.desk.ledger.Paused(w.now) {
		ledgers[p.Scope] = p.Until
		require.Contains(w, posted, p.Scope)
		if p.Until > w.now {
			require.Equal(w, p.Until, posted[p.Scope], p.Scope)
		}
	}
	for s, until := range posted {
		require.True(w, until <= w.now || until == ledgers[s], "%v is not paused any more", s)
	}
	for s, p := range w.pauses {
		if p.until > w.now {
			until := max(posted[s], posted[throttle.Scope{Origin: throttle.AnyOrigin, Name: s.Name}])
			require.GreaterOrEqual(w, until, p.until, "nobody knows of a pause of %v", s)
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
		case len(w.strays) > 0:
			w.happens((*world).aStrayComesBack)
		case len(w.leaving) > 0:
			w.happens((*world).theDeskLearnsOfIt)
		case w.anyOf(func(c *caller) bool { return c.passed && c.left }) != nil:
			w.happens((*world).aPoolMeetsWhoLeft)
		case w.anyOf(func(c *caller) bool { return c.held }) != nil:
			w.happens((*world).aRequestEnds)
		case w.anyOf(func(c *caller) bool { return c.parked }) != nil:
			w.happens((*world).aTicketComesBack)
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
		require.True(w, c.refused != nil || c.settled || c.left || c.passed, "%d has no answer", c.id)
	}
	w.now += time.Second // beyond every MaxDelay
	for _, s := range w.desk.Snapshot(w.now).Limits {
		require.Zero(w, s.InFlight, s.ID)
	}
}

func TestADeskForgetsNobodyAndLetsNobodyThroughTooSoon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 200 {
			w.happens(rapid.SampledFrom(events).Draw(t, "event").do)
		}
		w.finish()
		w.settled()
	})
}
