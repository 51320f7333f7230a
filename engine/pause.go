package engine

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/throttle"
)

// Pause lets nothing leave for d that a scope holds, queued requests included;
// afterwards the scope starts slowly. It never shortens a pause, and none is
// longer than Config.Throttle.MaxPause. A request that waits for its connection
// is called back and keeps its rank; what is on the wire goes on.
//
// Scope.Origin is the URL of an origin, empty for that of Config.BaseURL, and
// throttle.AnyOrigin for all; Scope.Name is a limit's Scope, and
// throttle.WholeOrigin for everything that goes there, requests without a limit
// included. Scope.Account and Scope.Egress are whose part of it is meant, where the
// scope is told apart by them; empty means all, those still to come included. The error
// is that of an unknown scope or part of one, of a malformed URL, or of a negative
// duration.
func (e *Engine) Pause(scope throttle.Scope, d time.Duration) error {
	scope, err := e.scope(scope)
	if err != nil {
		return err
	}
	if d < 0 {
		return fmt.Errorf("%w: a pause of %v is negative; Resume ends one", ErrInvalidRequest, d)
	}
	return e.system.Pause(scope, d)
}

// Resume ends a pause, whoever began it, and the slow start after it. The scope
// is that of Pause: with an empty Account and Egress the pauses of all its parts end too. A
// scope that the table of limits does not have is an error.
func (e *Engine) Resume(scope throttle.Scope) error {
	scope, err := e.scope(scope)
	if err != nil {
		return err
	}
	return e.system.Resume(scope)
}

// scope writes the origin as the throttler knows it.
func (e *Engine) scope(scope throttle.Scope) (throttle.Scope, error) {
	if err := e.made(); err != nil {
		return scope, err
	}
	switch scope.Origin {
	case throttle.AnyOrigin:
		return scope, nil
	case "":
		scope.Origin = e.baseOrigin
		if scope.Origin == "" {
			return scope, fmt.Errorf("%w: the scope names no origin, and the engine has no base URL", ErrInvalidRequest)
		}
		return scope, nil
	}
	origin, err := request.OriginOf(scope.Origin)
	if err != nil {
		return scope, fmt.Errorf("%w: origin of the scope: %w", ErrInvalidRequest, err)
	}
	scope.Origin = origin.String()
	return scope, nil
}
