package limits

import (
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// sluice drives a ledger as the throttler actor does: one timer, Next after
// whatever may free room, the server's clock told again after a second.
type sluice struct {
	w      *world
	ledger *throttle.Ledger
	limits []throttle.Limit
	armed  time.Duration // when the timer rings; zero means it does not
	timer  int           // number of the latest timer; earlier ones are void

	clocked bool          // the ledger was told of the server's clock, ...
	toldAt  time.Duration // ... then
	seen    time.Duration // the ledger knows of this instant, or of a later one

	change func(*throttle.Limit) // made to the limits it is told of; nil: they are the server's
}

// clockEvery is how long the ledger goes on with what it was told of the
// server's clock.
const clockEvery = time.Second

func newSluice(w *world) *sluice {
	c := &sluice{w: w, limits: w.ledgerLimits()}
	c.ledger = c.newLedger()
	return c
}

func (c *sluice) newLedger() *throttle.Ledger {
	l, err := throttle.New(c.limits, c.w.options)
	if err != nil {
		panic(err) // setups are made in this package
	}
	return l
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

func (s *setup) needsClock() bool {
	for _, r := range s.rules {
		if r.counting == Fixed && s.clockError >= 0 {
			return true
		}
	}
	return false
}

func (c *sluice) submit(r *request) {
	r.permit = throttle.Permit{
		Limit: routeID(r.flow.name), Key: r.key, Priority: r.flow.priority, Deadline: r.permit.Deadline, Owner: r,
	}
	c.ask(r)
}

func (c *sluice) ask(r *request) {
	c.readClock()
	switch err := c.ledger.Acquire(c.w.now, &r.permit); {
	case err != nil:
		c.refuse(r, err)
	case r.permit.State() == throttle.Granted:
		c.w.send(r)
	default:
		c.grant()
	}
}

func (c *sluice) refuse(r *request, err error) {
	c.w.log(r, "not admitted: %v", err)
	c.w.end(r)
}

func (c *sluice) answered(r *request, a answer) {
	o := throttle.Outcome{ServerTime: a.serverTime, Resolution: a.resolution}
	for _, cost := range a.costs {
		o.Costs = append(o.Costs, throttle.Cost{ID: c.w.rules[cost.rule].id, Weight: cost.weight})
	}
	c.ledger.Settle(c.w.now, &r.permit, o)
	if a.used >= 0 {
		if err := c.ledger.Sync(c.w.now, c.w.rules[0].id, r.key, a.used, a.serverTime); err != nil {
			panic(err) // rule 0 is never taken away
		}
	}
	c.wakeUp()
}

func (c *sluice) lost(r *request) {
	c.ledger.Settle(c.w.now, &r.permit, throttle.Outcome{Fate: throttle.Lost})
	c.wakeUp()
}

func (c *sluice) unsent(r *request) {
	c.ledger.Settle(c.w.now, &r.permit, throttle.Outcome{Fate: throttle.NeverSent})
	c.wakeUp()
}

func (c *sluice) wakeUp() {
	if c.ledger.Len() > 0 {
		c.grant()
	}
}

// grant answers everyone in the queue who has an answer by now.
func (c *sluice) grant() {
	c.readClock()
	for p := c.ledger.Next(c.w.now); p != nil; p = c.ledger.Next(c.w.now) {
		r := p.Owner.(*request)
		if p.State() == throttle.Granted {
			c.w.send(r)
		} else {
			c.refuse(r, p.Err())
		}
	}
	c.arm()
}

func (c *sluice) arm() {
	at, ok := c.ledger.Wake()
	if !ok || at == c.armed {
		return
	}
	c.armed = at
	c.timer++
	timer := c.timer
	c.w.at(at, func() {
		if timer == c.timer {
			c.armed = 0
			c.grant()
		}
	})
}

// readClock tells the ledger bounds of the server's clock that hold, and that
// are about clockError away from the truth on either side.
func (c *sluice) readClock() {
	now := c.w.now
	idle := now - c.seen
	c.seen = now
	if c.clocked && now-c.toldAt < clockEvery || !c.w.needsClock() {
		return
	}
	// The ledger takes bounds to hold at the latest instant it was told of.
	lo, hi := c.w.clockBounds()
	wider := idle/5000 + 1
	c.ledger.SetClock(lo-wider, hi+wider)
	c.clocked, c.toldAt = true, now
}
