package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Filter selects requests for Halt, by account, way out, key, limit, priority, method and
// path. Fields that are set join by AND; the zero Filter selects everything.
//
// Its fields: go doc github.com/sluice-engine/sluice/throttle.Filter
type Filter = throttle.Filter

// HaltError says which halt refused a request, what it selects, why and since when.
// ErrHalted is found in it.
//
// Its fields: go doc github.com/sluice-engine/sluice/throttle.HaltError
type HaltError = throttle.HaltError

// Halt is what Engine.Halt has halted. Its methods may be called from many goroutines.
type Halt struct {
	engine *Engine
	halt   *throttle.Halt
}

// ID tells the halt apart from all others of its engine; Stats have it, and Engine.Lift
// takes it.
func (h *Halt) ID() uint64 { return h.halt.ID }

// Refused is how many requests and permits it has refused so far.
func (h *Halt) Refused() int64 { return h.halt.Refused() }

// Lift ends the halt, and no other: what another one selects as well is refused on. It
// reports whether the halt stood; a second call changes nothing.
func (h *Halt) Lift() bool { return h.engine.Lift(h.halt.ID) }

// Halt refuses what a filter selects, from now on and until the Halt is lifted, and what
// is on its way at once: whatever waits for its admission, for a permit, for a connection,
// for another attempt or in a run of Stream ends with ErrHalted, and none of it was sent. What
// has begun to leave goes on to its answer. Several halts may stand at once; each is lifted by
// itself.
//
//	halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.Urgent, Reason: "position limit"})
//	defer halt.Lift()
//
// lets cancels pass, if they are sent as Urgent: the zero Filter selects them too. A
// request is judged as its caller made it, and again as the pre-processors left it, so
// what is to pass must say so from the start. A permit without a request has neither
// method nor path, and is selected by no filter that names one. The engine's own looks
// at the server's clock are never halted, for cancels are signed by it; a TimeSource that
// calls Do is a caller as any other.
//
// When Halt returns, every selected request that is not answered yet has either begun to
// leave, which is to say that its connection has taken bytes of it, or will not leave at
// all, as long as the halt stands. For one that is just about to leave it waits until it
// has; a connection that takes none of its bytes for 100 ms is aborted, and what became
// of that one request is not known: its Error says SentMaybe. The answers with ErrHalted
// may come later than Halt returns, a few at a time, so that other requests are not held
// up by them; one that waits for its turn to sign, or is in code of the caller's, has its
// answer once that is over.
//
// The error is ErrInvalidRequest for a filter that can select nothing, mostly because of a
// typing error: an account, an egress or a limit that the engine does not have, a method
// that is not in upper case, a path that does not begin with "/" or has a query; all mistakes
// are told together, and nothing is halted. Otherwise it is that of an engine that has ended.
// A halt outlives failures of the engine's parts, and does not outlive the engine.
func (e *Engine) Halt(filter Filter) (*Halt, error) {
	if err := e.made(); err != nil {
		return nil, err
	}
	if err := e.mistakesOf(&filter); err != nil {
		return nil, err
	}
	h := e.halts.Add(filter, time.Now())
	if err := e.system.TakeHalted(h); err != nil {
		e.halts.Lift(h.ID)
		return nil, err
	}
	e.admission.refuseHalted()
	e.refuseSharers()
	e.runs.refuseHalted()
	e.system.AwaitDepartures(h)
	return &Halt{engine: e, halt: h}, nil
}

// mistakesOf returns an error that names everything for which a filter can select nothing.
func (e *Engine) mistakesOf(f *Filter) error {
	var all []error
	wrong := func(format string, args ...any) {
		all = append(all, fmt.Errorf("%w: filter: "+format, append([]any{ErrInvalidRequest}, args...)...))
	}
	if f.Account != "" && f.Account != throttle.DefaultAccount {
		if _, known := e.system.Auth(f.Account); !known {
			wrong("Account: %w", ErrUnknownAccount)
		}
	}
	if f.Egress != "" && f.Egress != throttle.DefaultEgress && !e.system.HasEgress(f.Egress) {
		wrong("Egress: %w", ErrUnknownEgress)
	}
	if f.LimitID != "" && !e.hasLimit(f.LimitID) {
		wrong("LimitID %q: %w", f.LimitID, ErrUnknownLimit)
	}
	if f.Method != strings.ToUpper(f.Method) {
		wrong("Method %q is not in upper case", f.Method)
	}
	if f.PathPrefix != "" && f.PathPrefix[0] != '/' && f.PathPrefix != "*" {
		wrong("PathPrefix %q does not begin with a slash", f.PathPrefix)
	}
	if strings.ContainsAny(f.PathPrefix, "?#") {
		wrong("PathPrefix has a query or a fragment, and is compared with paths alone")
	}
	return errors.Join(all...)
}

// Lift ends the halt of that ID, as Halt.Lift does. Stats have the IDs of those that
// stand.
func (e *Engine) Lift(id uint64) bool { return e.made() == nil && e.halts.Lift(id) }

// refuseHalted returns the error of a request that is halted; nil if it may begin. Whoever
// calls it asks first whether any halt stands, and it is apart: a Subject is wide, and
// the way of a request is to have no room for one while nothing is halted.
//
//go:noinline
func (e *Engine) refuseHalted(req *messages.Request, defaultLimit string) error {
	return e.halts.Refuse(e.system.Subject(req, defaultLimit))
}
