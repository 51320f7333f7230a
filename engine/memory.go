package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// Memory is where an engine keeps what it must know after its process has ended: what
// was spent of every limit, what was lost, what is paused, and how far the nonces of
// its keys may have been used. MemoryFile is one; a store of another kind takes its place by
// doing what memory.Memory asks for. No secret is kept there: a key is named by a
// checksum of it.
type Memory interface{ memory.Memory }

// MemoryFile is a Memory in a file of this machine's, which is made if it is not there. One
// engine at a time can have it: another gets ErrMemoryInUse from New. It survives the
// end of the process, kill -9 included. After a crash of the machine, or if the file
// is damaged, every limit counts as full at first, and the log says so; a damaged file
// is kept under another name. What was on the wire at the crash is not known then either,
// and so limits stay full for MaxDelay and a window. See memory.File.
func MemoryFile(path string) Memory { return memory.File(path) }

var (
	// ErrMemoryInUse means that another engine has the memory open.
	ErrMemoryInUse = memory.ErrInUse
	// ErrMemorySilent means that a request was not sent in its time, and that no limit is why: a
	// memory that waits, which those of other kinds than MemoryFile do, has not answered, or has
	// failed, and nothing leaves before it is remembered. It is said where the request had its permit
	// and waited for the memory alone for at least half of its last wait, as long as it was more than
	// an instant; and so where it waited for its nonce, for a first look at the server's clock by
	// TimeEndpoint, or for an answer that it shares. The error says for how long; the same request may
	// fare better later. Who waits for a connection that Connections.LimitID keeps from being opened
	// is told that, and not that its limit waits for the memory.
	ErrMemorySilent = memory.ErrSilent
	// ErrMemoryGivenUp means that a request needs a nonce and was not signed, for its memory
	// could not be written, as on a disk that is full, and is not any more. A nonce that a
	// process might use again after a restart does not leave; limits do without memory. Make
	// room, and restart.
	ErrMemoryGivenUp = memory.ErrGivenUp
)

// remembering is what an engine has of its memory. The zero value is of one without.
type remembering struct {
	journal *journal.Journal // nil without a memory
	looking atomic.Pointer[looking]
}

// looking is where the look at the server's clock that is under way has asked for its permit.
type looking struct{ request.Queue }

// lookUnremembered is for how long, until now, that look has waited for the memory alone; zero if
// none does.
func (r *remembering) lookUnremembered(now time.Duration) time.Duration {
	in := r.looking.Load()
	if in == nil {
		return 0
	}
	silent := in.Unremembered(now)
	if r.looking.Load() != in { // its place may have been another request's by then
		return 0
	}
	return silent
}

// remember has an engine begin with what a memory holds, and write down what it does
// from then on.
func (e *Engine) remember(p *plan, parts *actors.Config) error {
	if p.Memory == nil {
		return nil
	}
	parts.Epoch = time.Now()
	j, past, err := journal.Open(journal.Needs{
		Memory: p.Memory, Clock: memory.ThisMachine(), Now: func() time.Duration { return time.Since(parts.Epoch) }, Warn: e.scribe.Logger().Warn,
	})
	if err != nil {
		return fmt.Errorf("sluice: Config.Memory: %w", err)
	}
	p.ledger.Record(j)
	e.tellRestored(p.ledger.Restore(time.Since(parts.Epoch), past))
	parts.NonceFloor = func(lane string) auth.NonceFloor { return j.Floor(lane) }
	if j.TakesTime() {
		parts.After, parts.Silence, parts.LookUnremembered = j.After, journal.Silence, e.lookUnremembered
	}
	e.journal = j
	return nil
}

// tellRestored says once what of a memory counts in another way than it did, or not at all.
func (e *Engine) tellRestored(r throttle.Restored) {
	if n := len(r.Gone); n > 0 {
		e.scribe.Logger().Warn("the memory knows limits that the table does not have, and what was spent of them counts for no other: one that was renamed begins unused",
			"limits", r.Gone[:min(n, mostNamed)], "in_all", n)
	}
	for _, a := range r.Apart {
		e.scribe.Logger().Warn("a limit is told apart by something else than before, and what was spent of it counts for every part that it may have been of: another id would have it begin unused",
			"limit", a.Limit, "was_by", a.Was, "by", a.Is)
	}
}

const mostNamed = 10 // in a line of the log

// forget gives the memory back, once nothing is left that could be told it.
func (e *Engine) forget() {
	if e.journal == nil {
		return
	}
	if err := e.journal.Close(); err != nil {
		e.scribe.Logger().Warn("the memory could not be closed: after the next start limits may count as full at first", "error", err)
	}
}
