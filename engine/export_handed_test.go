package engine

import (
	"context"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
)

// DoAmongMany is Do as it is where many wait, whether they do or not. The request and the engine
// must be such as allow it.
func (e *Engine) DoAmongMany(ctx context.Context, req *Request) (*Response, error) {
	terms := &request.Terms{LimitID: e.defaultLimit()}
	if err := e.misused(ctx, req); err != nil {
		return nil, messages.NewError(req, Admitting, err)
	}
	if e.halts.Any() {
		if err := e.refuseHalted(req, terms.LimitID); err != nil {
			return nil, e.turnAway(req, err)
		}
	}
	if err := e.admit(ctx, req, terms); err != nil {
		return nil, e.turnAway(req, err)
	}
	return e.system.HandOver(ctx, req, terms)
}

// HandsOver reports whether a request would be handed over now.
func (e *Engine) HandsOver(req *Request) bool {
	return e.system.HandsOver(req, &request.Terms{LimitID: e.defaultLimit()})
}
