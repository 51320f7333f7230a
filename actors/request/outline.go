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

// Outline looks at a request as its caller made it: no pre-processor runs, and no reader
// that is its body is read. The error is what a request is refused with before it queues.
func (c *Carrier) Outline(asked *messages.Request, defaultLimit string) (Outline, error) {
	if err := sensible(asked, false); err != nil {
		return Outline{}, fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	}
	if asked.Egress != "" && !c.needs.Plan.Egress[asked.Egress] {
		return Outline{}, messages.ErrUnknownEgress
	}
	if (asked.Account != "" || asked.Auth || asked.KeyOnly) && c.accounts.of(asked.Account) == nil {
		return Outline{}, messages.ErrUnknownAccount
	}
	var at target
	if err := c.aim(&at, asked); err != nil {
		return Outline{}, invalid(err)
	}
	about := c.Subject(asked, defaultLimit)
	if about.LimitID == "" {
		return Outline{}, messages.ErrNoLimit
	}
	permit := permitOf(asked, about.LimitID, at.name)
	var err error
	if permit.Weights, err = c.weights(asked, about.LimitID, &at); err != nil {
		return Outline{}, err
	}
	return Outline{Origin: at.origin, Subject: about, Permit: permit}, nil
}

// permitOf is what a request asks the throttler for, its weights apart.
func permitOf(asked *messages.Request, limit, origin string) throttle.Permit {
	return throttle.Permit{
		Limit: limit, Origin: origin, Account: asked.Account, Key: asked.Key, Egress: asked.Egress,
		Weight: asked.Weight, Priority: asked.Priority,
	}
}
