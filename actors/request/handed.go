package request

import (
	"cmp"
	"context"
	"runtime"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// handed is a request whose caller is one of very many that wait. It goes the way of one that
// was submitted: what needs room, from the bytes to the exchange, is done by goroutines that are
// lent to it. Its caller waits where next to nothing has been called, on the 2 KB of stack that
// his goroutine began with, and tells it when his context ends.
type handed struct {
	Parked
	asked   *messages.Request
	limitID string          // charged by a request that names none
	done    <-chan struct{} // of the caller's context

	over     chan struct{} // closed when it has ended
	response *messages.Response
	err      error // written before over is closed, as response is
}

// HandsOver reports whether a request is to be handed over: many wait already where it goes, and
// nothing about it is code of the caller's that is promised his own goroutine, or that may take
// its time there. It has no term but its deadline, its limit, and when it began.
func (c *Carrier) HandsOver(asked *messages.Request, terms *Terms) bool {
	return c.needs.Crowds.Any() && c.canHandOver(asked, terms) && c.joinsCrowd(asked, terms)
}

func (c *Carrier) canHandOver(asked *messages.Request, terms *Terms) bool {
	plan := &c.needs.Plan
	switch {
	case len(plan.PreProcessors) > 0, len(plan.PostProcessors) > 0, len(plan.Costs) > 0, terms.Watch != nil, terms.Standby != nil:
		return false
	case terms.Stranger, terms.MethodAsSpelt, terms.Errand, terms.ReaderAsHTTP, terms.Rehearsed != nil:
		return false
	}
	return !asked.Stream && !reads(asked.Body)
}

// joinsCrowd is false of a request whose site is not known yet.
func (c *Carrier) joinsCrowd(asked *messages.Request, terms *Terms) bool {
	crowds := c.needs.Crowds
	if crowds.At(crowds.OfLimit(cmp.Or(asked.LimitID, terms.LimitID))) {
		return true
	}
	at := c.base
	if asked.URL != "" {
		if at = c.sites.find(asked.URL[:endOfSite(asked.URL)]); at == nil {
			return false
		}
	}
	return crowds.At(crowds.OfPool(at.origin, asked.Egress))
}

// HandOver is Carry for a request that holds a credit, and that may be handed over. It gives the
// credit back.
func (c *Carrier) HandOver(ctx context.Context, asked *messages.Request, terms *Terms) (*messages.Response, error) {
	h, err := c.hand(ctx, asked, terms)
	if err != nil {
		return nil, err
	}
	c.lender.queue(&h.Parked)
	select {
	case <-h.over:
	case <-h.done:
		h.leave()
	}
	if h.wasCut() {
		runtime.Goexit()
	}
	return h.response, h.err
}

// leave tells a request that its caller's context has ended, and returns when it has ended: also
// behind a context that ends this goroutine when it is asked for its error. What the caller does
// from then on with his request is his own business.
//
//go:noinline
func (h *handed) leave() {
	defer func() { <-h.over }()
	h.notify(newsEnded)
}

// hand makes a request that is still to begin. It is apart from HandOver, because the room it
// takes is free again when the wait begins. If the context's Done panics or ends this goroutine,
// for it may be the caller's own code, the request has ended as it would in a slot.
//
//go:noinline
func (c *Carrier) hand(ctx context.Context, asked *messages.Request, terms *Terms) (h *handed, err error) {
	made := false
	defer func() {
		if !made {
			err = messages.NewError(asked, messages.Preparing, wire.Panicked(messages.Preparing, recover()))
			c.slots.note(lifeSum{outcome: messages.NotSent})
			c.needs.Returned()
		}
	}()
	h = &handed{asked: asked, limitID: terms.LimitID, done: ctx.Done(), over: make(chan struct{})}
	h.by, h.parent, h.group = h, ctx, &c.crowd.told
	if h.since = terms.Begun; h.since == 0 && !terms.Waited {
		h.since = c.now()
	}
	h.ticket.Deadline, h.ticket.Permit.Limit = c.instant(terms.Deadline), terms.LimitID
	h.phase, h.next, h.news = called, toBegin, newsCredit
	if terms.Waited {
		h.news |= newsQueued
	}
	made = true
	return h, nil
}

// Request is part of Submitter.
func (h *handed) Request() *messages.Request { return h.asked }

// DefaultLimitID is part of Submitter.
func (h *handed) DefaultLimitID() string { return h.limitID }

// Withdraw is part of Submitter: it has been admitted.
func (h *handed) Withdraw() bool { return false }

// Standby is part of Submitter.
func (h *handed) Standby() Standby { return nil }

// Ended is part of Submitter. The credit is back before the caller goes on, who might want it.
func (h *handed) Ended(response *messages.Response, _ *Stream, err error, _ bool) {
	h.carrier().needs.Returned()
	h.response, h.err = response, err
	close(h.over)
}

// wasCut reports whether code of the caller's has ended the goroutine that was lent: it meant
// his own.
func (h *handed) wasCut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.news&newsCut != 0
}
