package request

import (
	"fmt"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Outline is a request as far as it can be told without sending it: where it goes, and
// what it asks the throttler for.
type Outline struct {
	Origin  messages.Origin
	Subject throttle.Subject
	Permit  throttle.Permit // unused
}

// Outline looks at a request as its caller made it: no pre-processor runs, and nothing of
// its body is read. The error is what a request is refused with before it queues.
func (c *Carrier) Outline(asked *messages.Request, defaultLimit string) (Outline, error) {
	if err := sensible(asked, false); err != nil {
		return Outline{}, fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	}
	at, err := c.aim(asked)
	if err != nil {
		return Outline{}, invalid(err)
	}
	about := c.Subject(asked, defaultLimit)
	if about.LimitID == "" {
		return Outline{}, messages.ErrNoLimit
	}
	return Outline{Origin: at.origin, Subject: about, Permit: permitOf(asked, about.LimitID, at.name)}, nil
}

// permitOf is what a request asks the throttler for.
func permitOf(asked *messages.Request, limit, origin string) throttle.Permit {
	return throttle.Permit{
		Limit: limit, Origin: origin, Account: asked.Account, Key: asked.Key, Egress: asked.Egress,
		Weight: asked.Weight, Priority: asked.Priority,
	}
}
