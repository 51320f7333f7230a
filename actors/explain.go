package actors

import (
	"context"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Explained is what is known of a request that is not sent.
type Explained struct {
	request.Outline
	Forecast throttle.Forecast
	Pool     protocol.PoolStats // of its origin
	Pooled   bool               // there is one
}

// Explain returns what would become of a request as its caller made it. It asks the
// throttler and the pool of its origin, and changes nothing at either.
func (s *System) Explain(ctx context.Context, asked *messages.Request, defaultLimit string) (Explained, error) {
	outline, err := s.requests.Outline(asked, defaultLimit)
	e := Explained{Outline: outline}
	if err != nil {
		return e, err
	}
	e.Forecast, err = s.foresee(ctx, outline.Permit)
	if err != nil {
		return e, err
	}
	if door := s.enterPool(outline.Origin, asked.Egress); door != nil {
		e.Pool, e.Pooled = s.describePool(ctx, door)
	}
	return e, nil
}

func (s *System) foresee(ctx context.Context, p throttle.Permit) (throttle.Forecast, error) {
	answer, err := ask[protocol.PermitForeseen](ctx, s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.ForeseePermit{Permit: p, Owner: owner}
	})
	if err != nil {
		return throttle.Forecast{}, err
	}
	return answer.Forecast, answer.Err
}

// describePool asks a pool that was entered, and leaves it. It reports false if the pool ends.
func (s *System) describePool(ctx context.Context, door protocol.Door) (protocol.PoolStats, bool) {
	defer door.Leave()
	answer, err := ask[protocol.PoolDescribed](ctx, door, s.closing, func(owner protocol.Recipient) any {
		return protocol.DescribePool{Owner: owner}
	})
	return answer.Stats, err == nil
}
