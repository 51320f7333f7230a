package request

import (
	"cmp"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// kept is what a parked request keeps of its blueprint, because it must not be made a second
// time, or could not be: what the caller's own code has laid out, what was read, what others
// were told of. What follows from the request and the engine's configuration alone is laid
// out again instead, and a request that has nothing else keeps nothing.
type kept struct {
	watch     *Watch        // what observers were told of the request; nil if there are none
	submitted time.Duration // when that was, if it has been prepared

	asked       *messages.Request // the pre-processors' copy, or the caller's own value; nil until it has been prepared
	url, query  string
	forceQuery  bool
	fields      []messages.Field
	common      []messages.Field
	askedAt     string // where its stream was asked for; empty if nobody wants to know
	body        []byte
	contentType string
	upload      *upload
	borrowed    borrowed

	admitted time.Duration // for how long it has waited for its credit
	opened   time.Duration // and for a first pool, before it waited for anything else
	looked   time.Duration // and for a first sample of the server's time

	codings    messages.Codings
	close      bool
	connection string
	upgrade    string
}

// keep returns what is to be kept of a slot's blueprint; nil if that is nothing. One that
// has waited before keeps since when it has been on its journey.
func (r *slot) keep(waited bool) *kept {
	if !waited && r.isPlain() {
		return nil
	}
	return &kept{
		watch: r.terms.Watch, submitted: r.terms.Begun,
		asked: r.asked, url: r.url, query: r.call.Query, forceQuery: r.call.ForceQuery,
		askedAt: r.askedAt, fields: r.call.Fields, common: r.common, body: r.call.Body, contentType: r.contentType,
		upload: r.upload, borrowed: r.borrowed,
		admitted: r.timing.Admitted, opened: r.timing.Leased, looked: r.timing.Signed,
		codings: r.call.Codings, close: r.call.Close, connection: r.call.Connection, upgrade: r.call.Upgrade,
	}
}

// isPlain reports whether the blueprint follows from the request's own texts: there is
// nothing in it but a target and the engine's header lines.
func (r *slot) isPlain() bool {
	a, c := r.asked, &r.call
	return a == r.caller && a.Body == nil && len(a.Query) == 0 && len(a.Header) == 0 && len(a.Upload.Trailer) == 0 &&
		r.askedAt == "" && !r.observed && r.timing.Admitted == 0 && r.home &&
		c.Codings == r.needs.Plan.Codings && len(c.Fields) == len(r.needs.Plan.Fields) && len(r.common) == len(c.Fields)
}

// layAgain lays out the blueprint of a request that was parked, as it was: nothing of what
// keep has kept is asked for again. The slot has the request, its deadline and its terms.
// The error is that of a target that could be found before.
func (r *slot) layAgain(k *kept) error {
	if err := r.locate(); err != nil {
		return err
	}
	c, plan := &r.call, &r.needs.Plan
	c.Method, c.Deadline = cmp.Or(r.asked.Method, http.MethodGet), r.deadline
	c.Stream, c.Continue, c.Trailer = r.asked.Stream, r.asked.Upload.ExpectContinue, r.asked.Upload.Trailer
	c.Trace, c.OnHead = r.trace.hooks, r.onHead
	if k == nil {
		r.common = plan.Fields
		c.Fields, c.Codings, c.Close = plan.Fields, plan.Codings, r.asked.Close
		return nil
	}
	r.askedAt = k.askedAt
	r.timing.Admitted, r.timing.Leased, r.timing.Signed = k.admitted, k.opened, k.looked
	r.url, c.Query, c.ForceQuery = k.url, k.query, k.forceQuery
	r.common, c.Fields, c.Body, r.contentType = k.common, k.fields, k.body, k.contentType
	r.upload, r.borrowed = k.upload, k.borrowed
	c.Codings, c.Close, c.Connection, c.Upgrade = k.codings, k.close, k.connection, k.upgrade
	return nil
}

// spent reports whether the body is one that another request would not find.
func (k *kept) spent() bool { return k.borrowed != nil && k.borrowed.Spent() }

// giveBack lets go of what is kept of a request that ends without a slot. It calls the
// caller's code.
func (k *kept) giveBack() {
	if k == nil {
		return
	}
	k.upload.abandon()
	if k.borrowed != nil {
		_ = wire.Guard(messages.Finishing, k.borrowed.End) // nobody is left to tell
	}
}

// lodge has a life in this slot go the way of a ticket that is a parked request's own, whose
// answers come there.
func (r *slot) lodge(p *Parked) {
	r.lodger = p
	r.aside, r.ticket = r.ticket, &p.ticket
}

// takeBackTicket lets go of a parked request's ticket, if the slot has had one.
func (r *slot) takeBackTicket() {
	if r.aside != nil {
		// The one before the last may be the parked request's too, and would keep all of it.
		r.ticket, r.aside, r.spare = r.aside, nil, nil
	}
}

// recipient is who is told the answers to what a life asks for.
func (r *slot) recipient() protocol.Recipient {
	if r.lodger != nil {
		return r.lodger
	}
	return r
}
