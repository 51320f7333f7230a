// Package memory is where an engine keeps what it must still know after its process
// has ended: in a file, or in a store of the user's own.
//
//	memory.go   Memory and Store: what a place must do to be one
//	frame.go    records on their way: length, bytes, checksum
//	file.go     the file: what it says of itself, and when it is believed
//	mapped.go   the file's bytes as they are written, without a system call
//	boot.go     the machine's clock, and whether it is still the same one
package memory

import (
	"errors"
	"time"
)

// Memory is a place to remember in. An engine opens it once, in New.
type Memory interface {
	// Open takes the memory for one engine and returns what it holds. It fails with
	// ErrInUse while another engine has it. What it holds must stay until the first
	// Replace has put something else in its place.
	Open() (Store, Held, error)
}

// Held is what a memory had when it was opened.
type Held struct {
	// Records is what Replace was given last, followed by what was given to every
	// Append since that returned nil, in their order. What was given to one that never
	// returned may be there, whole or not at all. Empty means that nothing was ever
	// remembered: the engine begins as if nothing had been spent.
	Records []byte
	// Torn says that some of it may be missing or wrong. Then every limit counts as
	// full at first.
	Torn bool
	// Warning is a line for the log; empty for none.
	Warning string
}

// Store is an open memory. Its calls come one at a time.
//
// Append and Replace may block, as a network does: a Store other than File's is
// called on a goroutine of its own, with everything that has gathered meanwhile, and
// a request leaves once what it spends has been appended. An error is tried again,
// after a pause, until it is none or the engine ends, and a panic or a runtime.Goexit is one of
// these errors, also in the methods of such an error itself; meanwhile requests wait, for
// what is spent and not remembered could be spent again after a restart. When the engine ends they
// end with its ErrClosed, and what was not appended is tried once more before Close. An Append that
// fails is to have kept nothing: records that stand there twice are taken for damage, and every limit
// for full. So whoever would rather send without memory than wait has Append return nil, and Open say
// Torn the next time.
type Store interface {
	// Append adds records; it returns nil once they would survive the end of the
	// process. It must not keep the slice.
	Append(records []byte) error
	// Replace puts records in the place of everything there is, all at once: whoever
	// opens the memory next finds either the old ones or these. It must not keep the
	// slice.
	Replace(records []byte) error
	// Close gives the memory back. Nothing is called after it.
	Close() error
}

// InPlace is a Store whose Append never waits, so that whoever grants a request may
// call it, and that can be replaced in two steps: the long one beside everything
// else. Only File's is one.
type InPlace interface {
	Store
	// Stage writes records to where nobody looks yet, while Append goes on.
	Stage(records []byte) (Staged, error)
	// Forsake has whoever opens the memory next find it torn: from now on the engine
	// goes on without it.
	Forsake()
	// SetAside keeps what was found under another name, for somebody to look at, and
	// returns the name.
	SetAside() (string, error)
}

// Staged is what is to be in the place of all.
type Staged interface {
	// Commit puts it there, with what was appended since at its end. With an error all
	// is as it was.
	Commit(rest []byte) error
	// Discard drops it.
	Discard()
}

var (
	// ErrInUse means that another engine has the memory open.
	ErrInUse = errors.New("memory is in use by another engine")
	// ErrUnsupported means that this system cannot do what File needs.
	ErrUnsupported = errors.New("memory in a file is not supported on this system")
	// ErrCorrupt means that records are not what was written.
	ErrCorrupt = errors.New("memory is damaged, or not one of this program's")
)

// ErrSilent means that a request was not sent in its time, and the memory has not answered, or
// has failed, for most of the time that it waited: nothing leaves before it is remembered. It may
// fare better later.
var ErrSilent error = silent{}

type silent struct{}

func (silent) Error() string { return "the memory has not taken what is to be remembered" }

// Temporary says that waiting may mend it.
func (silent) Temporary() bool { return true }

// ErrGivenUp means that a nonce could not be remembered, for nothing is any more: the
// memory could not be written, and its engine goes on without it, or it is closed. No
// waiting mends that.
var ErrGivenUp error = givenUp{}

type givenUp struct{}

func (givenUp) Error() string {
	return "memory: a nonce could not be remembered, for nothing is written any more: the memory failed, or its engine is closed"
}

// Permanent says that no waiting mends it.
func (givenUp) Permanent() bool { return true }

// Clock tells the instants of this machine from one start of a process to the next.
type Clock struct {
	// Boot names what the clock runs for; equal names mean that Now can be compared.
	// Empty means that nobody knows.
	Boot string
	// Now is the time since some instant of that, and never falls.
	Now func() time.Duration
}
