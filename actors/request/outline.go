package request

import (
	"fmt"
	"io"
	"slices"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Outline is a request as far as it can be told without sending it: where it goes, and
// what it asks the throttler for.
type Outline struct {
	Stage   messages.Stage // where an error has met it
	Origin  messages.Origin
	Subject throttle.Subject
	Permit  throttle.Permit // unused
}

// Outline looks at a request as its caller made it: no pre-processor runs, no cookie is
// asked for, and no reader that is its body is read, opened or taken. The error is what a
// request is refused with before it queues.
func (c *Carrier) Outline(asked *messages.Request, defaultLimit string) (o Outline, err error) {
	o.Stage = messages.Preparing
	r := &slot{Carrier: c} // of no life: nothing of it is ever told
	r.asked, r.terms.LimitID, r.common = asked, defaultLimit, c.needs.Plan.Fields
	defer func() {
		o.Subject.LimitID = r.limit
		if v := recover(); v != nil { // the caller's own code encodes values, and knows costs
			err = wire.Panicked(o.Stage, v)
		}
	}()
	if err = r.sketch(); err != nil {
		return o, err
	}
	o.Stage, o.Origin, o.Subject = messages.Throttled, r.call.Origin, r.subject()
	charge(&o.Permit, asked, r.limit, r.target.name)
	o.Permit.Weights, _, err = r.weigh(nil) // whatever table comes meanwhile: it is foreseen, and not charged
	return o, err
}

// charge writes into a permit what a request asks the throttler for, its weights apart.
func charge(p *throttle.Permit, asked *messages.Request, limit, origin string) {
	p.Limit, p.Origin = limit, origin
	p.Account, p.Key, p.Egress = asked.Account, asked.Key, asked.Egress
	p.Weight, p.Priority = asked.Weight, asked.Priority
}

// sketch is build for a request that will not be sent: it refuses what build refuses, but
// for what only the pre-processors or the readers of a body would tell.
func (r *slot) sketch() error {
	if err := r.resolve(); err != nil {
		return err
	}
	contentType, err := r.sketchBody()
	if err != nil {
		return invalid(err)
	}
	return r.layHead(contentType, nil)
}

// sketchBody lays a body out as far as nothing need be read for it.
func (r *slot) sketchBody() (contentType string, err error) {
	if r.asked.Upload.Stream && r.asked.Body != nil {
		unread := *r.asked
		unread.Body = withoutReaders(unread.Body)
		if r.upload, err = r.newUpload(&unread); err != nil {
			return "", err
		}
		return r.upload.mediaType, nil
	}
	switch body := r.asked.Body.(type) {
	case io.Reader: // all of it would be read first
		return "", nil
	case messages.Multipart:
		parts, err := withoutReaders(body).(messages.Multipart).Lay()
		if err != nil {
			return "", fmt.Errorf("body: %w", err)
		}
		r.call.Body = []byte(parts.ContentType) // in the place of what is never empty
		return parts.ContentType, nil
	}
	r.call.Body, contentType, err = r.encodeBody()
	return contentType, err
}

// withoutReaders has functions stand for the readers of a body that is streamed, and for those
// of a Multipart. Nobody calls them.
func withoutReaders(body any) any {
	switch b := body.(type) {
	case messages.Multipart:
		b.Files = slices.Clone(b.Files)
		for i := range b.Files {
			b.Files[i].Content = withoutReaders(b.Files[i].Content)
		}
		return b
	case io.Reader:
		if !messages.HoldsNil(b) { // which is refused for that
			return func() (io.Reader, error) { return b, nil }
		}
	}
	return body
}
