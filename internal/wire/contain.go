package wire

import (
	"errors"

	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/messages"
)

// Code of the caller's may panic, or end its goroutine (runtime.Goexit, which is
// what t.FailNow does): hooks, a connection that was dialled for us, a body, what
// a TLS configuration holds. On the caller's own goroutine, where an exchange
// runs, a deferred contain looks; on any other it is called Apart or under Guard.

// Panicked is the error of code that did not return, for a deferred function on its goroutine. The
// value is what recover said: nil stands for runtime.Goexit.
func Panicked(stage messages.Stage, value any) *messages.PanicError {
	return panicError(stage, contain.NewCut(value))
}

func panicError(stage messages.Stage, cut *contain.Cut) *messages.PanicError {
	return &messages.PanicError{Stage: stage, Value: cut.Value, Stack: cut.Stack}
}

// Apart calls f on a goroutine of its own and waits for it: neither a panic nor a
// runtime.Goexit in f goes any further. The error is nil or a
// *messages.PanicError.
func Apart(stage messages.Stage, f func()) error {
	if cut := contain.Apart(f); cut != nil {
		return panicError(stage, cut)
	}
	return nil
}

// Guard calls f and returns a panic in it as a *messages.PanicError. A
// runtime.Goexit goes on, to the end of a goroutine that is the caller's own.
func Guard(stage messages.Stage, f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(stage, v)
		}
	}()
	f()
	return nil
}

func isPanic(err error) bool {
	var panicked *messages.PanicError
	return errors.As(err, &panicked)
}

// contain ends an exchange that did not return. It is deferred.
func (c *Conn) contain(returned *bool, resp **messages.Response, sent *messages.Sent, err *error) {
	if *returned {
		return
	}
	// Nothing to recover is runtime.Goexit, which goes on behind this: what is held
	// must be let go of all the same.
	*err = Panicked(messages.Exchanging, recover())
	*resp, *sent = c.answer, c.sent()
	c.reusable = false
	_ = Guard(messages.Exchanging, c.end) // it calls the caller's code as well, which may panic again
	_ = c.Close()                         // nobody else may come to do it
}
