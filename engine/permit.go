package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/permit"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Permit is leave to send one thing that is no request of the engine's: a message on a
// WebSocket, a call of gRPC, a request of another client. It counts against its limits
// until Done, like a request in flight. Use it at once: it says that there is room now.
//
//	permit, err := eng.Acquire(ctx, engine.Charge{LimitID: "orders"})
//	if err != nil {
//		return err
//	}
//	defer permit.Done(engine.Unknown) // whatever happens; only the first Done counts
//	if permit.Paused() {
//		permit.Done(engine.NotSent)
//		return errPaused
//	}
//	answer, err := order(conn)
//	if err == nil {
//		permit.Done(engine.Done)
//	}
//
// All methods are safe for concurrent use, and those of a nil *Permit do nothing. A Permit
// that is forgotten without Done takes up its limits' room until the garbage collector
// finds it, which it cannot while another permit that was acquired about then is held, and
// some seconds more: it counts as Unknown from there on, and a warning in the log says so;
// see Config.TracePermits.
type Permit struct{ held permit.Permit }

// Done says what became of what the permit was taken for, and gives it back:
//
//   - NotSent: not one byte of it left. Everything is given back at once.
//   - engine.Done, Rejected: it was answered.
//   - Refused: it was answered by a limit of the server's, which pauses what shares a scope
//     with it, as a 429 does. To say for how long, use Settle.
//   - Unknown: it may have arrived, or may still. What it cost stays in flight for as long
//     as the limits' MaxDelay says.
//
// OutcomeOf says it of an error of the engine's. Only the first call of Done or Settle
// counts, also of several at once and however late the others come; so
// "defer permit.Done(engine.NotSent)" is what happens unless another Done was before it.
// After the engine was closed it does nothing.
func (p *Permit) Done(outcome Outcome) {
	switch {
	case p == nil:
	case outcome == Refused:
		p.Settle(Settlement{Outcome: Refused})
	default:
		p.held.Done(fateOf(outcome, false))
	}
}

// Settle is Done for whoever knows more: how long the server wants to be left alone, what
// it counted, what the message really cost. A pause stands when it returns.
func (p *Permit) Settle(s Settlement) {
	if p != nil {
		p.held.Settle(s.outcome(), s.said())
	}
}

// Paused reports whether nothing may be sent under the permit by now: what it is charged
// to was paused after it was granted, the limits were replaced, or it is done. Look in the
// last moment before sending, as the engine does for its requests: it takes some
// nanoseconds. A permit that is paused is given back with Done(NotSent), and acquired anew.
func (p *Permit) Paused() bool { return p == nil || p.held.Paused() }

// String says what it is.
func (p *Permit) String() string { return "engine.Permit" }

// Format prints what String returns for every verb and flag.
func (p *Permit) Format(f fmt.State, _ rune) { show(f, p.String()) }

// LogValue returns what String does.
func (p *Permit) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON writes what String returns.
func (p *Permit) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// Acquire waits for a permit to send something that is no request of the engine's. It
// queues with the requests, by priority, obeys the same limits and pauses, and is refused
// at once if it could not be granted before the deadline of ctx or Charge.Timeout. The
// permit is to be given back with Done.
//
// The error is an *Error, of Stage Throttled if the limits refused it: Limit is the one
// that was full, and RetryAt from when on another try is worthwhile; Wait waits until
// then, and OutcomeOf is NotSent. After Close or Shutdown it is ErrClosed, and Close
// refuses those that wait with it. Shutdown waits for the permits that are held, as long
// as its context lasts; Close does not.
//
// Permits do not count in Admission: what is held is bounded by the limits, and what waits
// by Throttle.MaxQueued and the caller's own goroutines. Stats tells of both.
func (e *Engine) Acquire(ctx context.Context, charge Charge) (*Permit, error) {
	ask, err := e.asked(ctx, &charge)
	if err != nil {
		return nil, e.unasked(&charge, err)
	}
	if err := e.permits.enter(); err != nil {
		return nil, e.unasked(&charge, err)
	}
	defer e.permits.asking.leave()
	var granted permit.Granted
	// The context's methods may be the caller's own code, which panics.
	panicked := wire.Guard(Throttled, func() {
		if ctx.Err() != nil {
			err = e.unasked(&charge, messages.ContextError(ctx))
			return
		}
		ask.Deadline = e.deadline(ctx, charge.Timeout)
		granted, err = e.system.Acquire(ctx, &ask)
	})
	if panicked != nil {
		err = e.unasked(&charge, panicked)
	}
	if err != nil {
		return nil, err
	}
	p := e.permits.handle() // not before: those forgotten beside it could not be found while it waits
	granted.Into(&p.held)
	return e.permits.issued(p, nil)
}

// TryAcquire takes a permit if there is room now, and never waits for that: not for room, nor
// behind others, whatever Charge.Timeout. It is refused with ErrNoRoom if a limit is
// full, something is paused, or whoever waits already goes first; the error is that of
// Acquire, with Limit and RetryAt. Limits are looked at on the caller's own goroutine;
// while that is being done for others, it gives up after a millisecond, with ErrNoRoom as
// well.
//
// Beside a Memory that waits, which MemoryFile does not, a permit that is granted is waited for
// until it is remembered, as the next process must know of it: mostly for as long as one write
// takes, and after a second it goes back unused, and the error is ErrMemorySilent.
func (e *Engine) TryAcquire(charge Charge) (*Permit, error) {
	ask, err := e.asked(context.Background(), &charge)
	if err != nil {
		return nil, e.unasked(&charge, err)
	}
	if err := e.permits.enter(); err != nil {
		return nil, e.unasked(&charge, err)
	}
	defer e.permits.asking.leave()
	p := e.permits.handle()
	return e.permits.issued(p, e.system.TryAcquire(&ask, &p.held))
}

// asked checks a charge, and says it in the throttler's words, but for the deadline.
func (e *Engine) asked(ctx context.Context, charge *Charge) (ask permit.Ask, err error) {
	switch err := e.made(); {
	case err != nil:
		return ask, err
	case ctx == nil:
		return ask, fmt.Errorf("%w: the context is nil", ErrInvalidRequest)
	case charge.Weight < 0:
		return ask, fmt.Errorf("%w: the Weight %d of the charge is negative", ErrInvalidRequest, charge.Weight)
	}
	if err := unit.Missing(charge.Timeout, time.Microsecond); err != nil { // what is left of a time may be short
		return ask, fmt.Errorf("%w: Timeout of the charge: %w", ErrInvalidRequest, err)
	}
	for id, weight := range charge.Weights {
		if weight < 0 {
			return ask, fmt.Errorf("%w: the weight %d of %q in the charge is negative", ErrInvalidRequest, weight, id)
		}
	}
	if err := e.knowsParts(charge); err != nil {
		return ask, err
	}
	ask = permit.Ask{
		Limit: charge.LimitID, Account: charge.Account, Key: charge.Key, Egress: charge.Egress,
		Weight: charge.Weight, Weights: charge.Weights, Priority: charge.Priority,
	}
	if ask.Limit == "" {
		if ask.Limit = e.defaultLimit(); ask.Limit == "" {
			return ask, ErrNoLimit
		}
	}
	ask.Origin, err = e.permits.originOf(charge.Origin, e.baseOrigin)
	return ask, err
}

// knowsParts returns an error if the engine does not know the account or the egress of a
// charge: it would be charged to a quota that no request has.
func (e *Engine) knowsParts(charge *Charge) error {
	if charge.Account != "" {
		if _, known := e.system.Auth(charge.Account); !known {
			return ErrUnknownAccount
		}
	}
	if !e.system.HasEgress(charge.Egress) {
		return ErrUnknownEgress
	}
	if charge.LimitID == Unlimited && len(charge.Weights) > 0 {
		return fmt.Errorf("%w: the charge has Weights, and no limit charges it", ErrInvalidRequest)
	}
	return nil
}

// unasked is the error of a charge that the throttler did not hear of.
func (e *Engine) unasked(charge *Charge, err error) error {
	return &Error{
		Stage: Admitting, Route: messages.LimitName(charge.LimitID), Account: charge.Account, Key: charge.Key, Egress: charge.Egress, Err: err,
	}
}

// permits counts what Acquire and TryAcquire are about: who asks, and what is held. It is
// safe for concurrent use.
type permits struct {
	asking *admission // inside Acquire and TryAcquire
	held   *admission // from there to Done
	blocks sync.Pool  // of *block: those with a Permit left
	// origins are those that charges have named, by their text. It is replaced when
	// there is another, and has knownOrigins at most.
	origins atomic.Pointer[map[string]string]
}

const knownOrigins = 64

// newPermits bounds neither: the limits do.
func newPermits() *permits {
	return &permits{asking: newAdmission(math.MaxInt, 0), held: newAdmission(math.MaxInt, 0)}
}

// enter takes note of who asks. The error is ErrClosed.
func (p *permits) enter() error { return p.asking.take() }

// issued takes note of a permit that is held from now on, until the issuer says that it
// was returned.
func (p *permits) issued(issued *Permit, err error) (*Permit, error) {
	if err != nil {
		return nil, err
	}
	_ = p.held.take() // Shutdown closes held when nobody asks any more, and this one does
	return issued, nil
}

// originOf is an origin as the throttler knows it.
func (p *permits) originOf(raw, base string) (string, error) {
	if raw == "" {
		if base == "" {
			return "", fmt.Errorf("%w: the charge names no origin, and the engine has no base URL", ErrInvalidRequest)
		}
		return base, nil
	}
	known := p.origins.Load()
	if known != nil {
		if origin, ok := (*known)[raw]; ok {
			return origin, nil
		}
	}
	origin, err := request.OriginOf(asHTTP(raw))
	if err != nil {
		return "", fmt.Errorf("%w: origin of the charge: %w", ErrInvalidRequest, err)
	}
	more := make(map[string]string, knownOrigins)
	if known != nil && len(*known) < knownOrigins { // otherwise it begins anew
		maps.Copy(more, *known)
	}
	more[raw] = origin.String()
	p.origins.Store(&more)
	return origin.String(), nil
}

// asHTTP writes the URL of a WebSocket as what it is opened by.
func asHTTP(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	switch {
	case found && strings.EqualFold(scheme, "wss"):
		return "https://" + rest
	case found && strings.EqualFold(scheme, "ws"):
		return "http://" + rest
	}
	return raw
}

// shutdown waits for those that ask, and then for what is held. Nobody may ask any more.
func (p *permits) shutdown(ctx context.Context) error {
	select {
	case <-p.asking.idle:
	case <-ctx.Done():
		return messages.ContextError(ctx)
	}
	p.held.close()
	select {
	case <-p.held.idle:
		return nil
	case <-ctx.Done():
		return messages.ContextError(ctx)
	}
}

// stats tells of who asks and what is held. One that is being handed over may count as
// both.
func (p *permits) stats() PermitStats {
	waiting, _ := p.asking.credits()
	held, _ := p.held.credits()
	return PermitStats{Held: held, Waiting: waiting}
}

// block is where Permits are cut from: one allocation for many, each of which is handed
// out once, so that a late Done meets nobody else's.
//
// A Permit that was forgotten is found with its block, when nobody has any of that any
// more. The block that is being cut rests in a sync.Pool, which the collector empties, and
// so one of an engine that needs no more permits is found as well.
type block struct {
	used    int // handed out; of whoever has the block from permits.blocks
	permits [blockSize]Permit
}

const blockSize = 32

// handle returns a Permit that nobody has had before.
func (p *permits) handle() *Permit {
	b, _ := p.blocks.Get().(*block)
	if b == nil {
		b = new(block)
		runtime.SetFinalizer(b, (*block).collected)
	}
	one := &b.permits[b.used]
	if b.used++; b.used < blockSize {
		p.blocks.Put(b)
	}
	return one
}

// collected is called by the collector.
func (b *block) collected() {
	for i := range b.permits {
		b.permits[i].held.Forgotten()
	}
}
