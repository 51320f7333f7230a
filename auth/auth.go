package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-engine/sluice/messages"
)

// Authenticator adds credentials to a call in the instant before it leaves. It
// is called last, on every attempt, on the request's own goroutine, and must be
// safe for concurrent use. It may change the call but must not keep it, and must
// not write into the arrays behind its Body. What it waits for it waits for by
// messages.Call.Await: the request holds its connection and its permit meanwhile. An error
// ends the request, of which nothing has been sent then, and must not have a secret in it.
type Authenticator interface {
	Authenticate(call *messages.Call, clock Clock) error
}

// Func is a function as an Authenticator.
type Func func(call *messages.Call, clock Clock) error

// Authenticate calls f.
func (f Func) Authenticate(call *messages.Call, clock Clock) error { return f(call, clock) }

// Validate reports that f is nil.
func (f Func) Validate() error {
	if f == nil {
		return fail("Func", "", errors.New("is nil"))
	}
	return nil
}

// Ordered marks an authenticator whose calls must reach the server in the order
// they were authenticated, because they carry strictly increasing nonces. Calls
// of one lane are to be sent one after the other: the next is authenticated when
// the bytes of the one before it have been written, or better, answered.
type Ordered interface {
	// Lane names the sequence, in the whole process: see LaneOf. Equal keys give
	// equal lanes; the name does not disclose the key. The empty name means that
	// order does not matter.
	Lane() string
}

// BodyUnsigned marks an authenticator that may leave bodies alone, so that they
// can be streamed: what it adds depends on nothing of them.
type BodyUnsigned interface {
	// BodyUnsigned reports whether no body is ever read, signed or changed. The
	// answer must always be the same.
	BodyUnsigned() bool
}

// SignsBody reports whether a may look at the bodies of its calls: unless it
// says otherwise as a BodyUnsigned, it may. A body that is streamed is not in
// the call, so such an authenticator cannot be asked for it.
func SignsBody(a Authenticator) bool {
	b, ok := a.(BodyUnsigned)
	return !ok || !b.BodyUnsigned()
}

// WithoutBody says of any authenticator, a Func for example, that it leaves
// bodies alone. That must be true: the body of a streamed request is not signed.
type WithoutBody struct{ Authenticator }

// BodyUnsigned returns true.
func (WithoutBody) BodyUnsigned() bool { return true }

// Validate reports every mistake of the authenticator.
func (w WithoutBody) Validate() error {
	switch {
	case w.Authenticator == nil:
		return fail("WithoutBody", "Authenticator", ErrMissing)
	case messages.HoldsNil(w.Authenticator):
		return fail("WithoutBody", "Authenticator", fmt.Errorf("is a nil %T", w.Authenticator))
	}
	return Validate(w.Authenticator)
}

// Lane returns the authenticator's lane, if it has one.
func (w WithoutBody) Lane() string {
	if o, ok := w.Authenticator.(Ordered); ok {
		return o.Lane()
	}
	return ""
}

// Validator is an authenticator that can tell before the first request whether
// it is set up right. All schemes of this package are.
type Validator interface {
	// Validate reports every mistake, without any secret in the text.
	Validate() error
}

// Validate reports every mistake in a's configuration, if a is a Validator.
func Validate(a Authenticator) error {
	if v, ok := a.(Validator); ok {
		return v.Validate()
	}
	return nil
}

// Chain applies several authenticators in order, each on what the one before it
// left: Chain{A, B} signs as B(A(call)).
//
// What is signed first would grow old while a later member waits for its credentials, as
// oauth2.Tokens does when its token has expired. So every Rejecter but one that stands
// first is called beforehand too, for a copy of the call that is thrown away: what it fails
// with then is the Chain's error. Any other member that may wait, a Func for example, is best
// put first.
//
// A Chain without members is a mistake, and not a way to send requests unsigned: it fails.
type Chain []Authenticator

var errNoMembers = errors.New("auth: Chain has no members, and nothing would be signed")

// Authenticate applies every authenticator until one fails.
func (c Chain) Authenticate(call *messages.Call, clock Clock) error {
	if len(c) == 0 {
		return errNoMembers
	}
	if len(c) > 1 {
		if err := c[1:].await(call, clock); err != nil {
			return err
		}
	}
	for _, a := range c {
		if err := a.Authenticate(call, clock); err != nil {
			return err
		}
	}
	return nil
}

// await has the members that fetch their credentials do so, until one fails: nobody is to sign
// then.
func (c Chain) await(call *messages.Call, clock Clock) (err error) {
	for _, a := range c {
		switch member := a.(type) {
		case Chain:
			err = member.await(call, clock)
		case *Chain:
			err = member.await(call, clock)
		case WithoutBody:
			err = Chain{member.Authenticator}.await(call, clock)
		case *WithoutBody:
			err = Chain{member.Authenticator}.await(call, clock)
		case Rejecter:
			aside := *call
			aside.Fields = slices.Clone(call.Fields)
			err = a.Authenticate(&aside, clock)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate reports every mistake of every member.
func (c Chain) Validate() error {
	if len(c) == 0 {
		return errNoMembers
	}
	var errs []error
	for i, a := range c {
		if a == nil {
			errs = append(errs, fmt.Errorf("auth: Chain[%d] is nil", i))
			continue
		}
		if messages.HoldsNil(a) {
			errs = append(errs, fmt.Errorf("auth: Chain[%d] is a nil %T", i, a))
			continue
		}
		errs = append(errs, Validate(a))
	}
	return errors.Join(errs...)
}

// Lane returns the lane of the first member that has one.
func (c Chain) Lane() string {
	for _, a := range c {
		if o, ok := a.(Ordered); ok && o.Lane() != "" {
			return o.Lane()
		}
	}
	return ""
}

// BodyUnsigned reports whether no member signs bodies.
func (c Chain) BodyUnsigned() bool { return !slices.ContainsFunc(c, SignsBody) }

// Causes an Error may have.
var (
	// ErrNoClock means that the scheme signs a timestamp and was given no clock.
	ErrNoClock = errors.New("no clock to sign with")
	// ErrReserved means that the request already has a parameter or field that is
	// the scheme's to set, however its name is spelt.
	ErrReserved = errors.New("set by the caller, but belongs to the scheme")
	// ErrTooLate means that the call's deadline has passed on the server's clock, so that
	// whatever is signed would be refused. It is a context.DeadlineExceeded.
	ErrTooLate = fmt.Errorf("on the server's clock: %w", context.DeadlineExceeded)
	// ErrMissing means that a setting the scheme needs is empty.
	ErrMissing = errors.New("missing")
	// ErrKey means that a key cannot be decoded or is of the wrong kind.
	ErrKey = errors.New("unusable key")
	// ErrOdd means that a key or a secret has something around it that is hardly
	// part of it, such as the line feed of the file it was read from.
	ErrOdd = errors.New("is not as it was handed out")
	// ErrBody means that the body is not of the form the scheme needs.
	ErrBody = errors.New("unusable body")
)

// Error says which scheme could not sign, and what was wrong with what. It never
// holds a secret.
type Error struct {
	Scheme string // the scheme's type, such as "HMACQuery"
	Field  string // the setting, parameter or header concerned, or ""
	Err    error
}

// Error is part of error.
func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("auth: %s: %v", e.Scheme, e.Err)
	}
	return fmt.Sprintf("auth: %s: %s: %v", e.Scheme, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fail(scheme, field string, err error) error {
	return &Error{Scheme: scheme, Field: field, Err: err}
}

// required collects an error for every setting that is empty, or odd; names and
// values alternate.
func required(scheme string, settings ...string) error {
	var errs []error
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i+1] == "" {
			errs = append(errs, fail(scheme, settings[i], ErrMissing))
		} else if err := CheckSecret(Secret(settings[i+1])); err != nil {
			errs = append(errs, fail(scheme, settings[i], err))
		}
	}
	return errors.Join(errs...)
}

// named is an error of a setting, or nil.
func named(scheme, field string, err error) error {
	if err == nil {
		return nil
	}
	return fail(scheme, field, err)
}
