package request

import (
	"context"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
)

// lane is the turn that requests of an ordered authenticator take: a nonce must
// not be overtaken, so a request is signed only when the one signed before it
// has been answered, or has failed. A nil lane orders nothing.
//
// The price is one signed request in flight at a time: with a round trip of
// 50 ms, twenty a second. The wait comes after permit and connection, so that
// the nonce is as late as everything else in signing, and the more urgent
// request is ahead; it holds both while it lasts.
type lane chan struct{}

// laneOf returns the lane of an authenticator, nil if it wants none.
func laneOf(a auth.Authenticator) lane {
	if ordered, ok := a.(auth.Ordered); ok && ordered.Lane() != "" {
		return make(lane, 1)
	}
	return nil
}

// takeTurn waits for the lane; the request's goroutine is its own, and may.
func (a *attempt) takeTurn() error {
	if a.lane == nil || !a.asked.Auth {
		return nil
	}
	var late <-chan time.Time
	if !a.deadline.IsZero() {
		timer := time.NewTimer(time.Until(a.deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case a.lane <- struct{}{}:
		a.turn = true
		return nil
	case <-a.ctx.Done():
		return messages.ContextError(a.ctx)
	case <-late:
		return context.DeadlineExceeded
	case <-a.needs.Closing:
		return messages.ErrClosed
	}
}

func (a *attempt) endTurn() {
	if a.turn {
		a.turn = false
		<-a.lane // the place is ours: this never waits
	}
}
