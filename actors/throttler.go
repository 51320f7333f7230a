package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// throttler says when: it asks the ledger, hands granted tickets on to their
// pool, and rings one timer for the earliest possible grant.
type throttler struct {
	system *System
	book   *throttlerBook
	ledger *throttle.Ledger
	timer  *time.Timer
	armed  time.Duration   // when the timer rings; zero means it does not
	told   *clock.Snapshot // what the ledger was last told of the server's clock, ...
	toldAt time.Duration   // ... and when
	asked  bool            // for the server's clock
}

// throttlerBook is what outlives a failure of the actor: who waits, and who is
// in flight. Every request writes to what stands first.
type throttlerBook struct {
	handling *messages.Ticket // whose message is being handled
	tickets  ticketSet        // queued and in flight
	limits   []throttle.Limit // the table as it stands
	failed   bool             // a predecessor failed: its ledger is lost
	closed   bool
	warned   map[string]bool // what the log has been told
}

// roomDue is the throttler's own alarm.
type roomDue struct{}

func newThrottler(s *System) actor.Producer {
	book := &throttlerBook{limits: s.config.Limits, warned: make(map[string]bool)}
	return func() actor.Actor { return &throttler{system: s, book: book} }
}

// Receive is part of actor.Actor.
func (t *throttler) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case messages.AcquirePermit:
		t.book.handling = m.Ticket
		t.acquire(m.Ticket)
		t.book.handling = nil
	case messages.SettlePermit:
		t.book.handling = m.Ticket
		t.settle(m.Ticket)
		t.book.handling = nil
	case messages.AbandonPermit:
		t.abandon(m.Ticket)
	case roomDue:
		t.armed = 0
		t.grant(t.system.now())
	case messages.ReplaceLimits:
		m.Done <- t.replace(m.Limits)
	case messages.AdjustLimit:
		m.Done <- t.adjust(m)
	case messages.DescribeLimits:
		m.Done <- t.ledger.Snapshot(t.system.now())
	case messages.CloseThrottler:
		t.close()
	case *actor.Started:
		t.start()
	case *actor.Restarting:
		t.book.failed = true
		t.stopTimer()
	case *actor.Stopping:
		t.stopTimer()
	}
}

func (t *throttler) acquire(ticket *messages.Ticket) {
	ticket.Passed = false
	if t.book.closed {
		t.refuse(ticket, messages.ErrClosed)
		return
	}
	t.book.tickets.add(ticket)
	t.ask(ticket)
}

// ask puts a ticket of the book before the ledger.
func (t *throttler) ask(ticket *messages.Ticket) {
	now := t.system.now()
	t.readClock(now)
	ticket.Permit.Owner = ticket
	switch err := t.ledger.Acquire(now, &ticket.Permit); {
	case err != nil:
		t.book.tickets.remove(ticket)
		t.refuse(ticket, err)
	case ticket.Permit.State() == throttle.Granted:
		t.pass(ticket)
	default:
		t.grant(now)
	}
}

// pass hands a granted ticket straight on: the request is woken once, with
// permit and connection.
func (t *throttler) pass(ticket *messages.Ticket) {
	ticket.Passed = true
	ticket.Pool.Tell(messages.AcquireLease{Ticket: ticket})
}

func (t *throttler) refuse(ticket *messages.Ticket, err error) {
	owner := ticket.Owner
	ticket.Refused, ticket.Stage = err, messages.Throttled
	if ticket.Answer() {
		owner.Tell(messages.TicketRefused{Ticket: ticket})
	}
}

func (t *throttler) settle(ticket *messages.Ticket) {
	ticket.Passed = false
	now := t.system.now()
	t.ledger.Settle(now, &ticket.Permit, ticket.Outcome)
	t.heed(now, ticket)
	t.book.tickets.remove(ticket)
	ticket.Close() // from here on it is the request's again
	if t.ledger.Len() > 0 {
		t.grant(now)
	}
}

// heed takes note of what an answer said. A pause stops every scope of the
// request's limits unless it names one; usage corrects counters upwards only,
// so answers that overtake one another loosen nothing.
func (t *throttler) heed(now time.Duration, ticket *messages.Ticket) {
	f := &ticket.Signals
	if f.Pause > 0 {
		t.pause(now, ticket.Permit.Limit, f)
	}
	for _, u := range f.Usage {
		t.correct(now, u)
	}
}

func (t *throttler) pause(now time.Duration, limit string, f *feedback.Feedback) {
	scopes := []string{f.Scope}
	if f.Scope == "" {
		scopes = t.ledger.Scopes(limit)
	}
	for _, scope := range scopes {
		if err := t.ledger.PauseUntil(now, scope, now+f.Pause); err != nil {
			t.warnOnce(scope, "feedback names an unknown scope", "scope", scope)
			continue
		}
		t.system.config.Logger.Warn("pausing a scope of limits", "scope", scope, "pause", f.Pause)
	}
}

// correct passes on what the server counts. With a share of the quota the
// server's count says nothing about ours.
func (t *throttler) correct(now time.Duration, u feedback.Usage) {
	i := slices.IndexFunc(t.book.limits, func(l throttle.Limit) bool { return l.ID == u.Limit })
	if i < 0 {
		t.warnOnce(u.Limit, "feedback names an unknown limit", "limit", u.Limit)
		return
	}
	quota := t.book.limits[i].Quota
	if u.Quota > 0 && u.Quota != quota {
		t.warnOnce(u.Limit, "server's quota is not the table's", "limit", u.Limit, "server", u.Quota, "table", quota)
		quota = u.Quota
	}
	if share := t.system.config.Throttle.Share; share != 0 && share != 1 {
		return
	}
	used := u.Used
	if used < 0 {
		used = quota - u.Remaining
	}
	var window time.Duration
	if !u.At.IsZero() {
		window = time.Duration(u.At.UnixNano())
	}
	if err := t.ledger.Sync(now, u.Limit, u.Key, used, window); err != nil {
		t.warnOnce(u.Limit, "feedback could not be used", "limit", u.Limit, "error", err)
	}
}

// warnOnce says a thing about a name once in the life of the engine.
func (t *throttler) warnOnce(name, text string, args ...any) {
	if key := name + ": " + text; !t.book.warned[key] {
		t.book.warned[key] = true
		t.system.config.Logger.Warn(text, args...)
	}
}

// abandon follows a ticket to wherever it is: still queued, or at the pool.
func (t *throttler) abandon(ticket *messages.Ticket) {
	switch {
	case ticket.Passed:
		ticket.Pool.Tell(messages.AbandonLease{Ticket: ticket})
	case ticket.Permit.State() == throttle.Queued:
		now := t.system.now()
		t.ledger.Cancel(now, &ticket.Permit)
		t.book.tickets.remove(ticket)
		t.grant(now)
	}
}

// grant answers everyone in the queue who has an answer by now.
func (t *throttler) grant(now time.Duration) {
	t.readClock(now)
	for p := t.ledger.Next(now); p != nil; p = t.ledger.Next(now) {
		ticket := p.Owner.(*messages.Ticket)
		if p.State() == throttle.Granted {
			t.pass(ticket)
			continue
		}
		t.book.tickets.remove(ticket)
		t.refuse(ticket, p.Err())
	}
	t.arm()
}

// arm sets the one timer for the earliest instant at which asking again is
// worthwhile.
func (t *throttler) arm() {
	at, ok := t.ledger.Wake()
	if !ok || at == t.armed {
		return
	}
	t.armed = at
	wait := max(0, at-t.system.now())
	if t.timer != nil {
		t.timer.Reset(wait)
		return
	}
	self := t.system.throttler
	t.timer = time.AfterFunc(wait, func() { self.Tell(roomDue{}) })
}

func (t *throttler) stopTimer() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// clockLasts is how long the ledger may go on with what it was told of the
// server's clock; what it is told is true for as long.
const clockLasts = time.Second

// readClock tells the ledger how far the server's clock may be from its own.
func (t *throttler) readClock(now time.Duration) {
	snapshot := t.system.clock.published.Load()
	if snapshot == t.told && now-t.toldAt < clockLasts || !t.needsClock() {
		return
	}
	if snapshot == nil {
		t.askForTime()
		return
	}
	t.told, t.toldAt = snapshot, now
	at := now + clockLasts // the claim widens with time, so the later one covers both
	lo, hi := snapshot.Range(t.system.epoch.Add(at))
	t.ledger.SetClock(time.Duration(lo.UnixNano())-at, time.Duration(hi.UnixNano())-at)
}

// askForTime has the server's clock read, for limits in windows of that clock:
// until it is known they are kept more strictly than they need be.
func (t *throttler) askForTime() {
	if t.system.config.Sample != nil && !t.asked {
		t.asked = true
		t.system.timesync.Tell(messages.ResampleTime{})
	}
}

func (t *throttler) needsClock() bool { return needClock(t.book.limits) }

// needClock reports whether any limit depends on the server's clock.
func needClock(limits []throttle.Limit) bool {
	return slices.ContainsFunc(limits, func(l throttle.Limit) bool { return l.Window == throttle.Fixed })
}

func (t *throttler) replace(limits []throttle.Limit) error {
	now := t.system.now()
	if err := t.ledger.Replace(now, limits); err != nil {
		return err
	}
	t.book.limits = limits
	t.grant(now)
	return nil
}

func (t *throttler) adjust(m messages.AdjustLimit) error {
	now := t.system.now()
	err := t.ledger.Adjust(now, m.ID, m.Key, m.Delta)
	t.grant(now)
	return err
}

// close refuses everyone who waits, now and later. Permits are still settled.
func (t *throttler) close() {
	t.book.closed = true
	t.stopTimer()
	for _, ticket := range t.book.tickets.inOrder() {
		if ticket.Permit.State() == throttle.Queued {
			t.ledger.Cancel(t.system.now(), &ticket.Permit)
			t.book.tickets.remove(ticket)
			t.refuse(ticket, messages.ErrClosed)
		}
	}
}

// start makes the ledger. After a failure it takes every window for full,
// counts what is in flight again, and asks again for whoever was queued: a
// crash may delay, but neither lets too much through nor loses a waiter.
func (t *throttler) start() {
	ledger, err := throttle.New(t.book.limits, t.system.config.Throttle)
	if err != nil {
		panic(err) // Start and Replace have accepted this very table
	}
	t.ledger = ledger
	if !t.book.failed {
		return
	}
	t.ledger.AssumeFull(t.system.now())
	t.dropHandled()
	t.readmit()
}

// dropHandled answers the ticket whose message the predecessor failed on: to
// ask for it again might fail again. One that was passed on is answered by the
// pool.
func (t *throttler) dropHandled() {
	ticket := t.book.handling
	t.book.handling = nil
	if ticket == nil || ticket.Passed {
		return
	}
	t.book.tickets.remove(ticket)
	t.refuse(ticket, messages.ErrActorFailed)
}

// readmit counts what is in flight before it asks for anybody.
func (t *throttler) readmit() {
	now := t.system.now()
	tickets := t.book.tickets.inOrder()
	for _, ticket := range tickets {
		if !ticket.Passed {
			continue
		}
		if err := t.ledger.Adopt(now, &ticket.Permit); err != nil {
			t.book.tickets.remove(ticket) // its limit is gone from the table, and so is what it counted for
		}
	}
	for _, ticket := range tickets {
		if !ticket.Passed {
			ticket.Permit.Reset()
			t.ask(ticket)
		}
	}
}
