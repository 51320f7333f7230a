package journal

import (
	"errors"

	"github.com/sluice-engine/sluice/internal/contain"
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

// panicError is a panic of the user's own code.
type panicError struct{ cut *contain.Cut }

// Error is part of error.
func (e *panicError) Error() string {
	text := "memory: its code panicked"
	if at := contain.Place(e.cut.Stack); at != "" {
		text += " in " + at
	}
	said, _ := contain.Said(e.cut.Value)
	return text + ": " + said
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
func apart(call func() error) (err error) {
	switch cut := contain.Apart(func() { err = call() }); {
	case cut == nil:
		return err
	case cut.Value == contain.ErrGoexit:
		return errCutOff
	default:
		return &panicError{cut}
	}
}
