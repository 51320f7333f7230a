package load

import (
	"context"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// ClientFunc makes a client of a function that makes one request, for load that is not HTTP's
// or goes by a library of the user's. It must be safe for concurrent use, and return soon
// after its context ends. What it does not say is filled in: Sent is when it was called, End
// when it returned. A Status of zero is no error, if Err is nil.
type ClientFunc func(ctx context.Context, r *targets.Request, a *Answer)

// Do calls the function.
func (f ClientFunc) Do(ctx context.Context, r *targets.Request, a *Answer) {
	begun := time.Now()
	f(ctx, r, a)
	if a.Sent.IsZero() {
		a.Sent = begun
	}
	if a.End.IsZero() {
		a.End = time.Now()
	}
}

// Limits knows of none.
func (ClientFunc) Limits() []results.LimitUse { return nil }

// Connections knows of none.
func (ClientFunc) Connections() int { return 0 }

// Close does nothing.
func (ClientFunc) Close() {}
