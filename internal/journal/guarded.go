package journal

import (
	"errors"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/memory"
)

// guarded is a store of the user's own. Each of its calls has a goroutine to itself, of which a
// panic or a runtime.Goexit is an error of that call, and ends nothing else.
type guarded struct {
	store memory.Store
	call  atomic.Pointer[string] // which of its methods is being called; nil for none. Anybody may read it
}

// Append is part of memory.Store.
func (g *guarded) Append(records []byte) error {
	return g.apart("Append", func() error { return g.store.Append(records) })
}

// Replace is part of memory.Store.
func (g *guarded) Replace(records []byte) error {
	return g.apart("Replace", func() error { return g.store.Replace(records) })
}

// Close is part of memory.Store.
func (g *guarded) Close() error { return g.apart("Close", g.store.Close) }

func (g *guarded) apart(method string, call func() error) error {
	g.call.Store(&method)
	defer g.call.Store(nil)
	return apart(call)
}

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
	return &guarded{store: store}, held, nil
}

// theirs is an error of the user's own code. What it says it has said once, where it came in; what
// else is asked of it is asked apart. So nobody meets its methods, which may do anything.
type theirs struct {
	text string
	err  error
}

// Error is part of error.
func (t *theirs) Error() string { return t.text }

// Is reports whether an error is found in it.
func (t *theirs) Is(target error) (found bool) {
	cut := contain.Apart(func() { found = errors.Is(t.err, target) })
	return cut == nil && found
}

// As finds in it what the target is for.
func (t *theirs) As(target any) (found bool) {
	cut := contain.Apart(func() { found = errors.As(t.err, target) })
	return cut == nil && found
}

// apart calls code of the user's on a goroutine of its own, and waits for it. There its error is
// asked what it says as well, for that is such code, too.
func apart(call func() error) (err error) {
	cut := contain.Apart(func() {
		if failed := call(); failed != nil {
			err = &theirs{failed.Error(), failed}
		}
	})
	switch {
	case cut == nil:
		return err
	case cut.Value == contain.ErrGoexit:
		return errCutOff
	default:
		return &panicError{cut}
	}
}
