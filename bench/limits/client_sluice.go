package limits

import (
	"time"

	"github.com/sluice-engine/sluice/actors/throttler"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// sluice is the throttler's own desk in virtual time: what the throttler actor
// does with a mailbox, an alarm and a pool, the world does here. A request that
// is sent on to its pool leaves at once.
type sluice struct {
	w     *world
	desk  *throttler.Desk
	timer int // number of the latest alarm; earlier ones are void

	change func(*throttle.Limit) // made to the limits it is told of; nil: they are the server's
}

func newSluice(w *world) *sluice {
	c := &sluice{w: w}
	limits := w.ledgerLimits()
	ledger, err := throttle.New(limits, w.options)
	if err != nil {
		panic(err) // setups are made in this package
	}
	c.desk = throttler.NewDesk(throttler.DeskNeeds{Ledger: ledger, Limits: limits, Options: w.options}, c)
	return c
}

// ledgerLimits describes the rules, and a route for each flow.
func (s *setup) ledgerLimits() []throttle.Limit {
	var limits []throttle.Limit
	for _, r := range s.rules {
		l := r.limit()
		l.MaxDelay = s.maxDelay
		l.Shared = s.shared
		if r.counting == Sliding && s.rttFloor < r.per {
			l.RTTFloor = s.rttFloor
		}
		limits = append(limits, l)
	}
	for _, f := range s.flows {
		if f.foreign {
			continue
		}
		route := throttle.Limit{ID: routeID(f.name)}
		for _, c := range f.charges {
			route.Linked = append(route.Linked, throttle.Link{ID: s.rules[c.rule].id, Weight: c.weight})
		}
		limits = append(limits, route)
	}
	return limits
}

func routeID(flow string) string { return "route " + flow }

func (c *sluice) submit(r *request) {
	t := &r.ticket
	t.Reopen()
	t.Owner, t.Pool, t.Limited = r, r, true
	t.Permit.Limit, t.Permit.Key, t.Permit.Priority = routeID(r.flow.name), r.key, r.flow.priority
	c.desk.Acquire(c.w.now, t)
}

// Tell is part of protocol.Recipient: a request is its ticket's owner and pool.
func (r *request) Tell(message any) {
	switch m := message.(type) {
	case ticket.AcquireLease:
		if m.Answer() { // there is always a connection
			r.w.send(r)
		}
	case ticket.TicketRefused:
		r.w.log(r, "not admitted: %v", m.Refused)
		r.w.end(r)
	default:
		panic(message) // nobody leaves once a connection is asked for
	}
}

// cancel has the caller of r leave, if it still waits, and reports whether it
// did.
func (c *sluice) cancel(r *request) bool {
	if !r.ticket.Cancel() {
		return false
	}
	c.desk.Abandon(c.w.now, &r.ticket)
	return true
}

func (c *sluice) answered(r *request, a answer) {
	o := throttle.Outcome{ServerTime: a.serverTime, Resolution: a.resolution}
	for _, cost := range a.costs {
		o.Costs = append(o.Costs, throttle.Cost{ID: c.w.rules[cost.rule].id, Weight: cost.weight})
	}
	if a.used >= 0 {
		usage := feedback.Usage{Limit: c.w.rules[0].id, Key: r.key, Used: a.used}
		if a.serverTime != 0 {
			usage.At = time.Unix(0, int64(a.serverTime))
		}
		r.ticket.Say(feedback.Feedback{Usage: []feedback.Usage{usage}})
	}
	c.settle(r, o)
}

func (c *sluice) lost(r *request)   { c.settle(r, throttle.Outcome{Fate: throttle.Lost}) }
func (c *sluice) unsent(r *request) { c.settle(r, throttle.Outcome{Fate: throttle.NeverSent}) }

func (c *sluice) settle(r *request, o throttle.Outcome) {
	r.ticket.Conclude(o)
	c.desk.Settle(c.w.now, &r.ticket)
}

// RingAt is part of throttler.Outlet.
func (c *sluice) RingAt(at time.Duration) {
	c.timer++
	timer := c.timer
	c.w.at(at, func() {
		if timer == c.timer {
			c.desk.Due(c.w.now)
		}
	})
}

// ServerClock is part of throttler.Outlet.
func (c *sluice) ServerClock() throttler.Reading {
	if c.w.clockError < 0 {
		return nil // nothing is ever known
	}
	return c
}

// Ahead is part of throttler.Reading: bounds that are drawn anew each time. They
// hold now; the ledger widens them by more than the clocks of a world differ.
func (c *sluice) Ahead(time.Duration) (lo, hi time.Duration) { return c.w.clockBounds() }

// Pass is part of throttler.Outlet.
func (c *sluice) Pass(t *ticket.Ticket) { t.Pool.Tell(ticket.AcquireLease{Ticket: t}) }

// Follow is part of throttler.Outlet.
func (c *sluice) Follow(t *ticket.Ticket, word any) { t.Pool.Tell(word) }

// AskForTime is part of throttler.Outlet.
func (c *sluice) AskForTime() {}

// Post is part of throttler.Outlet: here nobody waits between a permit and the
// network.
func (c *sluice) Post([]throttle.PausedScope) {}

// PostTable is part of throttler.Outlet: the limits are never replaced.
func (c *sluice) PostTable(uint32) {}

// Warn is part of throttler.Outlet.
func (c *sluice) Warn(text string, args ...any) { c.w.note("warning: %s %v", text, args) }
