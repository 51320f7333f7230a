package throttler

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Desk puts tickets before the ledger and sends those that are granted straight
// on to their pool. It has no clock, goroutine or lock: `now` is an argument, on
// the ledger's clock, and one goroutine owns it. It outlives a failure of the
// actor around it.
//
// Invariants, between two calls:
//
//   - The book has exactly the tickets that are queued in the ledger, whose
//     Passed is false, and those in flight, whose Passed is true.
//   - Nobody is queued who could leave by now; the alarm is set for the earliest
//     instant at which somebody may, or at which something may be forgotten.
type Desk struct {
	out     Outlet
	options throttle.Options
	limits  []throttle.Limit  // the table as it stands; for Recover alone, no request goes through it
	tariffs *throttle.Tariffs // of it; likewise
	ledger  *throttle.Ledger
	tickets book
	armed   time.Duration   // when the alarm rings; zero means it does not
	closed  bool            // whoever comes is refused
	halts   *throttle.Halts // what is refused; nil for nothing

	needsClock bool          // a limit of the table counts in windows of the server's clock
	told       Reading       // what the ledger was last told of that clock
	toldAt     time.Duration // when it was told
	asked      bool          // the server's clock was asked for

	posted uint64                     // version of the pauses that were posted last
	table  uint32                     // number of the table that was posted last
	pauses map[throttle.Scope]pausing // what answers have paused
	lastTold

	counts Counts // any goroutine may read them

	crashed bool             // the ledger is torn: Recover makes another
	failed  *ticket.Ticket   // whose word it was torn by; nil if it was none's
	warned  map[warning]bool // what has been warned of once
}

// Counts are of what has happened since the desk was made, its failures included.
type Counts struct {
	Pauses atomic.Int64 // begun by an answer, and by hand
	Lost   atomic.Int64 // permits whose requests were given up, and may still have arrived
}

// lastTold is what was told of what comes again and again, and so is told once in a while.
type lastTold struct {
	busy  map[throttle.Scope]busy  // overloads, by scopes as a whole
	waits map[string]time.Duration // when it was told last that a route waits
	lost  map[string]time.Duration // when it was told last that lost permits hold most of a limit
}

// Outlet is what a Desk has others do. Every call returns at once, and calls
// nothing of the Desk. Tickets are answered by what they carry themselves.
type Outlet interface {
	// Pass sends a granted ticket on to its pool, perhaps once the present call of the
	// Desk is over. Tickets are sent on in the order in which they are passed.
	Pass(t *ticket.Ticket)
	// Follow tells the pool of a ticket that an earlier call has passed a word about it,
	// after the pool has got the ticket.
	Follow(t *ticket.Ticket, word any)
	// RingAt has Due called at an instant, instead of the one set before.
	RingAt(at time.Duration)
	// ServerClock returns what is known of the server's clock; nil if nothing is.
	ServerClock() Reading
	// AskForTime has the server's clock read soon.
	AskForTime()
	// Post publishes what is paused, for requests that are about to leave.
	Post([]throttle.PausedScope)
	// PostTable publishes the number of the table, for requests that wait for their
	// connection.
	PostTable(number uint32)
	// Warn tells whoever runs the engine; args are as in slog.
	Warn(text string, args ...any)
}

// Reading is what is known of the server's clock. Two readings that compare
// equal say the same.
type Reading interface {
	// Ahead returns the least and the most that the server's Unix time can be
	// ahead of the ledger's clock at an instant of that.
	Ahead(at time.Duration) (lo, hi time.Duration)
}

// DeskNeeds are what a desk is handed.
type DeskNeeds struct {
	Ledger  *throttle.Ledger // unused, and made of Limits and Options; the desk's own from now on
	Limits  []throttle.Limit
	Tariffs *throttle.Tariffs // of Limits; nil without any
	Options throttle.Options
	Halts   *throttle.Halts // what is halted, and so refused; nil for nothing
	Crowds  *ticket.Crowds  // is told where many are queued; nil if nobody wants to know
}

// NewDesk returns a desk that nobody has come to.
func NewDesk(needs DeskNeeds, out Outlet) *Desk {
	needs.Ledger.WeighBy(needs.Tariffs)
	return &Desk{
		out: out, options: needs.Options, limits: needs.Limits, tariffs: needs.Tariffs, ledger: needs.Ledger, halts: needs.Halts,
		tickets: book{crowds: needs.Crowds}, needsClock: NeedsClock(needs.Limits),
		warned: make(map[warning]bool), pauses: make(map[throttle.Scope]pausing),
		lastTold: lastTold{make(map[throttle.Scope]busy), make(map[string]time.Duration), make(map[string]time.Duration)},
	}
}

// Acquire queues a ticket, or sends it on at once.
func (d *Desk) Acquire(now time.Duration, t *ticket.Ticket) {
	t.Passed, t.Since = false, now
	d.tickets.add(t) // first: whoever is not in the book has been answered
	d.ask(now, t)
}

// ask puts a ticket of the book before the ledger.
func (d *Desk) ask(now time.Duration, t *ticket.Ticket) {
	if d.mayAsk(now, t) {
		d.proceed(now, t, d.ledger.Acquire(now, &t.Permit))
	}
}

// mayAsk reports whether a ticket of the book may be put before the ledger, which has been
// told the time then; otherwise it is answered.
func (d *Desk) mayAsk(now time.Duration, t *ticket.Ticket) bool {
	if d.closed { // perhaps it failed while it closed
		d.dismiss(t, messages.ErrClosed)
		return false
	}
	if err := d.halted(t); err != nil {
		d.dismiss(t, err)
		return false
	}
	d.readClock(now)
	t.Permit.Owner = t
	return true
}

// proceed goes on with a ticket as the ledger has decided.
func (d *Desk) proceed(now time.Duration, t *ticket.Ticket, err error) {
	switch {
	case err != nil:
		d.dismiss(t, err)
	case t.Permit.State() == throttle.Granted:
		d.pass(t)
	}
	if d.ledger.Len() > 0 {
		d.grant(now) // it may be ahead of others who now keep room for it, and a clock just read may let others go
		d.tellQueued(t)
		d.tellWaiting(now, t)
	} else {
		d.arm() // there may be something new to be forgotten
	}
	d.post(now) // what is paused everywhere is so at an origin that was just seen for the first time
}

// pass hands a granted ticket straight on: the request is woken once, with
// permit and connection.
func (d *Desk) pass(t *ticket.Ticket) {
	t.Queued += t.Permit.GrantedAt() - t.Since
	t.Charged = t.Permit.Charged()
	d.tickets.countOut(t)
	if t.TellsQueue {
		t.Dequeue()
	}
	t.Passed = true // before the pool has it: a caller who leaves is followed there
	d.out.Pass(t)
}

// dismiss takes a ticket out of the book, and answers it. Its caller may have
// left, and then nobody is told, as it reports.
func (d *Desk) dismiss(t *ticket.Ticket, err error) (told bool) {
	d.tickets.remove(t)
	return t.Refuse(messages.Throttled, err)
}

// Park takes the permit of a ticket back that stays at its pool: no connection is
// in sight, and others can use the permit meanwhile.
func (d *Desk) Park(now time.Duration, t *ticket.Ticket) {
	if t.Permit.State() == throttle.Granted { // otherwise it was settled or refused on the way
		d.ledger.Park(now, &t.Permit)
		d.grant(now)
	}
}

// Requeue takes a permit back, unless it is parked, and queues the ticket with
// the rank it had.
func (d *Desk) Requeue(now time.Duration, t *ticket.Ticket) {
	t.Passed, t.Since = false, now
	if t.Place == 0 { // its limit was gone from the table when the desk failed
		d.tickets.add(t)
	}
	if d.closed {
		d.ledger.Settle(now, &t.Permit, throttle.Outcome{Fate: throttle.NeverSent})
		d.dismiss(t, messages.ErrClosed)
		return
	}
	if err := d.halted(t); err != nil {
		d.ledger.Park(now, &t.Permit)
		d.dismiss(t, err)
		d.grant(now) // who waited for what it held may fit
		return
	}
	d.readClock(now)
	d.proceed(now, t, d.ledger.Requeue(now, &t.Permit))
}

// Withdraw takes the permit of a ticket back that was passed and has not left, and refuses it, for the
// engine ends.
func (d *Desk) Withdraw(now time.Duration, t *ticket.Ticket) {
	t.Passed = false
	d.ledger.Settle(now, &t.Permit, throttle.Outcome{Fate: throttle.NeverSent})
	d.dismiss(t, messages.ErrClosed)
}

// Settle takes note of what became of a granted ticket, and closes it.
func (d *Desk) Settle(now time.Duration, t *ticket.Ticket) {
	t.Passed = false
	left := t.Permit.GrantedAt()
	counts := t.Permit.State() == throttle.Granted
	d.ledger.Settle(now, &t.Permit, t.Outcome()) // nothing, if its limit went with a failure and a new table
	if t.Fate == throttle.Lost || t.Fate == throttle.Closed {
		d.counts.Lost.Add(1)
		if counts {
			d.tellLost(now, &t.Permit)
		}
	}
	var heard chan<- struct{}
	if t.Told { // an answer that broke off may have refused all the same
		d.heedTicket(now, left, t)
		heard = t.Said.Heard
	}
	d.tickets.remove(t)
	t.Close() // from here on it is the request's again
	if d.ledger.Len() > 0 {
		d.grant(now)
	}
	d.post(now)
	if heard != nil {
		close(heard)
	}
}

// post publishes what is paused, and the number of the table, if that has changed.
func (d *Desk) post(now time.Duration) {
	if number := d.ledger.Table(); number != d.table {
		d.table = number
		d.out.PostTable(number)
	}
	if version := d.ledger.PauseVersion(); version != d.posted {
		d.posted = version
		d.out.Post(d.ledger.Paused(now))
	}
}

// tellLost warns that permits whose answers never came hold more than half of a limit that
// one which was just given up is charged to: of each limit once in a while, for all its keys.
func (d *Desk) tellLost(now time.Duration, p *throttle.Permit) {
	for _, l := range d.ledger.LostHolding(now, p) {
		if at, told := d.lost[l.ID]; told && now < at+tellsEvery {
			continue
		}
		d.lost[l.ID] = now
		d.out.Warn("requests without an answer hold most of a limit, for they may still arrive",
			"limit", l.ID, "lost", l.Lost, "quota", l.Quota, "held for", l.Until-now)
	}
}

// Abandon follows a ticket whose caller left to wherever it is: still queued, or
// at the pool. One that was answered meanwhile is nowhere. What the memory has not taken yet is of
// use to nobody, and its permit goes to others at once: it may be long until the pool hears of it.
func (d *Desk) Abandon(now time.Duration, t *ticket.Ticket) {
	switch {
	case t.Passed:
		if t.Left() && t.Unremembered(now) > 0 {
			d.Park(now, t)
		}
		d.out.Follow(t, ticket.AbandonLease{Ticket: t})
	case t.Permit.State() == throttle.Queued:
		d.ledger.Cancel(now, &t.Permit)
		d.tickets.remove(t)
		d.grant(now) // who stood behind it may fit
	}
}

// Expire refuses a ticket whose caller waits no longer, and says what it waited
// for. One that is at its pool is refused there, and one that was answered
// meanwhile is nowhere.
func (d *Desk) Expire(now time.Duration, t *ticket.Ticket) {
	switch {
	case t.Passed:
		d.out.Follow(t, ticket.ExpireLease{Ticket: t})
	case t.Permit.State() == throttle.Queued:
		err := d.ledger.Expire(now, &t.Permit)
		d.dismiss(t, err)
		d.grant(now)
	}
}

// Due does what the alarm was set for.
func (d *Desk) Due(now time.Duration) {
	d.armed = 0
	if at, ok := d.ledger.ForgetAt(); ok && at <= now {
		d.ledger.Forget(now)
	}
	d.grant(now)
}

// grant answers everyone in the queue who has an answer by now.
func (d *Desk) grant(now time.Duration) {
	d.readClock(now)
	d.post(now) // first: whoever is granted now looks at once whether that still stands
	for p := d.ledger.Next(now); p != nil; p = d.ledger.Next(now) {
		t := p.Owner.(*ticket.Ticket)
		if p.State() == throttle.Granted {
			d.pass(t)
			continue
		}
		d.dismiss(t, p.Err())
	}
	d.arm()
	d.post(now)
}

// arm sets the alarm for the earliest instant at which asking again is worthwhile, or
// forgetting. While nobody waits one that rings sooner is left as it is: it is cheaper
// than taking it back, so that a request that need not wait hardly ever sets any.
func (d *Desk) arm() {
	if d.closed { // nobody will wait, and all will be forgotten together
		return
	}
	at, waits := d.ledger.Wake()
	if idle, ok := d.ledger.ForgetAt(); ok && (!waits || idle < at) {
		at = idle
		if !waits && d.armed != 0 && d.armed <= at {
			return
		}
	} else if !waits {
		return
	}
	if at != d.armed {
		d.armed = at
		d.out.RingAt(at)
	}
}

// clockLasts is how long the ledger may go on with what it was told of the
// server's clock; what it is told is true for as long.
const clockLasts = time.Second

// readClock tells the ledger how far the server's clock may be from its own.
func (d *Desk) readClock(now time.Duration) {
	if !d.needsClock {
		return
	}
	reading := d.out.ServerClock()
	if reading == nil {
		d.askForTime()
		return
	}
	if reading == d.told && now-d.toldAt < clockLasts {
		return
	}
	d.told, d.toldAt = reading, now
	lo, hi := reading.Ahead(now + clockLasts) // a claim widens with time: the later one covers all instants up to it
	d.ledger.SetClock(now, lo, hi)
}

// askForTime has the server's clock read, once, for limits in windows of that
// clock: until it is known they are kept more strictly than they need be.
func (d *Desk) askForTime() {
	if !d.asked {
		d.asked = true
		d.out.AskForTime()
	}
}

// NeedsClock reports whether any limit depends on the server's clock.
func NeedsClock(limits []throttle.Limit) bool {
	for i := range limits { // a copy of each is wide
		if limits[i].Window == throttle.Fixed {
			return true
		}
	}
	return false
}

// Replace swaps the table, and the tariffs by which requests are weighed; nil is none. With an
// error nothing has changed.
func (d *Desk) Replace(now time.Duration, limits []throttle.Limit, tariffs *throttle.Tariffs) error {
	dropped := d.ledger.Dropped(now, limits)
	before := d.ledger.WeighBy(tariffs)
	if err := d.ledger.Replace(now, limits); err != nil {
		d.ledger.WeighBy(before)
		return err
	}
	d.tariffs = tariffs
	if n := len(dropped); n > 0 {
		d.out.Warn("limits are gone from the table, and what was spent of them counts for no other: one that was renamed begins unused",
			"limits", dropped[:min(n, mostNamed)], "in_all", n)
	}
	d.limits, d.needsClock = limits, NeedsClock(limits)
	for _, told := range []map[string]time.Duration{d.waits, d.lost} { // or ids that are no more would stay
		maps.DeleteFunc(told, func(_ string, at time.Duration) bool { return now >= at+tellsEvery })
	}
	d.grant(now)
	return nil
}

const mostNamed = 10 // in a line of the log

// SetShare changes share and margin of one limit. With an error nothing has changed.
func (d *Desk) SetShare(now time.Duration, id string, share, margin float64) error {
	if err := d.ledger.SetShare(now, id, share, margin); err != nil {
		return err
	}
	d.limits = slices.Clone(d.limits) // the list is not the desk's alone
	i := slices.IndexFunc(d.limits, func(l throttle.Limit) bool { return l.ID == id })
	d.limits[i].Share, d.limits[i].SafetyMargin = share, margin
	d.grant(now)
	return nil
}

// Pause stops a scope until an instant, by hand. The error is that of an unknown scope.
func (d *Desk) Pause(now time.Duration, scope throttle.Scope, until time.Duration) error {
	err := d.ledger.PauseByHand(now, scope, until)
	if err == nil {
		d.counts.Pauses.Add(1)
	}
	d.grant(now)
	return err
}

// Resume ends a pause, and the slow start after it. The error is that of an
// unknown scope.
func (d *Desk) Resume(now time.Duration, scope throttle.Scope) error {
	clear(d.pauses) // what is paused again is told again
	clear(d.busy)
	err := d.ledger.Resume(now, scope)
	d.grant(now)
	return err
}

// Adjust adds delta to what a limit, or its instance for some parts, counts as used.
func (d *Desk) Adjust(now time.Duration, id string, of throttle.Parts, delta int64) error {
	err := d.ledger.Adjust(now, id, of, delta)
	d.grant(now)
	return err
}

// Foresee returns what would become of a permit that was asked for now.
func (d *Desk) Foresee(now time.Duration, p throttle.Permit) (throttle.Forecast, error) {
	d.readClock(now)
	return d.ledger.Foresee(now, p)
}

// Snapshot returns a picture of the ledger.
func (d *Desk) Snapshot(now time.Duration) throttle.Snapshot { return d.ledger.Snapshot(now) }

// Glance returns a picture of the ledger with n limits and n scopes at most.
func (d *Desk) Glance(now time.Duration, n int) throttle.Snapshot { return d.ledger.Glance(now, n) }

// Waiting tells of the first n in the queue; see throttle.Ledger.Waiters.
func (d *Desk) Waiting(now time.Duration, n int) []protocol.Waiter {
	first := d.ledger.Waiters(now, n)
	all := make([]protocol.Waiter, 0, len(first))
	for _, w := range first {
		t, p := w.Permit.Owner.(*ticket.Ticket), w.Permit
		all = append(all, protocol.Waiter{
			Method: t.Method, Path: t.Path, Limit: p.Limit, Account: p.Account, Origin: p.Origin,
			Priority: messages.Priority(p.Priority), Since: w.Since, Hold: w.Hold, Ahead: w.Ahead, Behind: w.Behind,
		})
	}
	return all
}

// Close refuses everyone who waits, now and later. Permits are still settled.
func (d *Desk) Close(now time.Duration) {
	d.closed = true
	for _, t := range d.tickets.inOrder() {
		if t.Permit.State() == throttle.Queued {
			d.ledger.Cancel(now, &t.Permit)
			d.dismiss(t, messages.ErrClosed)
		}
	}
}
