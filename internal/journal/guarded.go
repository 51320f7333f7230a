package journal

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/sluice-engine/sluice/memory"
)

// guarded is a store of the user's own. Each of its calls has a goroutine to itself, of which a
// panic or a runtime.Goexit is an error of that call, and ends nothing else.
type guarded struct{ store memory.Store }

// Append is part of memory.Store.
func (g guarded) Append(records []byte) error {
	return apart(func() error { return g.store.Append(records) })
}

// Replace is part of memory.Store.
func (g guarded) Replace(records []byte) error {
	return apart(func() error { return g.store.Replace(records) })
}

// Close is part of memory.Store.
func (g guarded) Close() error { return apart(g.store.Close) }

var (
	errNoStore = errors.New("memory: Open returned neither a Store nor an error")
	errCutOff  = errors.New("memory: its code ended the goroutine that it was called on")
)

// panicError is a panic of the user's own code. Its text has nothing of what that said, which may be
// anything, unless it was Go's runtime that said it.
type panicError struct {
	value any
	stack string
}

// Error is part of error.
func (e *panicError) Error() string {
	if err, is := e.value.(runtime.Error); is {
		return "memory: its code panicked: " + err.Error()
	}
	return fmt.Sprintf("memory: its code panicked with a %T", e.value)
}

// open opens a memory, and guards a store that is the user's own.
func open(m memory.Memory) (store memory.Store, held memory.Held, err error) {
	err = apart(func() (err error) {
		store, held, err = m.Open()
		return err
	})
	switch _, own := store.(memory.InPlace); {
	case err != nil:
		return nil, held, err
	case store == nil:
		return nil, held, errNoStore
	case own:
		return store, held, nil
	}
	return guarded{store}, held, nil
}

// apart calls code of the user's on a goroutine of its own, and waits for it.
func apart(call func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := errCutOff
		defer func() {
			if v := recover(); v != nil {
				err = &panicError{v, string(debug.Stack())}
			}
			ended <- err
		}()
		err = call()
	}()
	return <-ended
}
