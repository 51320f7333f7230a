package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-engine/sluice/actors/permit"
	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// leave is what dials wait for: a permit of the limit that new connections are charged to.
// It is nil if they are charged to none.
func (s *System) leave() pool.Leave {
	if s.config.Pool.Limit == "" {
		return nil
	}
	return s.chargeConnection
}

// chargeConnection waits for a permit to open a connection.
func (s *System) chargeConnection(ctx context.Context, origin messages.Origin, egress string, urgent messages.Priority) (func(protocol.DialEnd), error) {
	p := new(permit.Permit)
	ask := permit.Ask{Limit: s.config.Pool.Limit, Origin: origin.String(), Egress: egress, Priority: urgent, Uncounted: true, Errand: true}
	if err := s.permits.Acquire(ctx, &ask, p); err != nil {
		if failure, ok := errors.AsType[*messages.Error](err); ok {
			err = failure.Err // it is another request's, or nobody's, that is told of it
		}
		return nil, fmt.Errorf("a new connection is charged to %q: %w", s.config.Pool.Limit, err)
	}
	return func(end protocol.DialEnd) { p.Done(fateOf(end)) }, nil
}

// fateOf is what is known of a connection's arrival at the server. One that failed on the
// way may be counted there, and later than it failed here.
func fateOf(end protocol.DialEnd) throttle.Fate {
	switch end {
	case protocol.DialOpened:
		return throttle.Answered
	case protocol.DialUnsent:
		return throttle.NeverSent
	}
	return throttle.Lost
}
