package throttler

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// board is where what is paused is posted: requests look at it in the last
// moment before their bytes leave, without a message. The throttler writes it, on
// its turn; everybody reads. While nothing is paused it is empty, and a look is
// one load of a word that nobody writes.
type board struct {
	notice atomic.Pointer[notice]
	table  atomic.Uint32 // the number of the table of limits
}

// notice is what was posted last. It does not change.
type notice struct {
	until map[throttle.Scope]time.Duration // it is paused; in the past while it only starts slowly
	at    map[string][]time.Duration       // the same, by origin
}

func (b *board) post(paused []throttle.PausedScope) {
	if len(paused) == 0 {
		b.notice.Store(nil)
		return
	}
	n := notice{until: make(map[throttle.Scope]time.Duration, len(paused)), at: make(map[string][]time.Duration)}
	for _, p := range paused {
		n.until[p.Scope] = p.Until
		n.at[p.Origin] = append(n.at[p.Origin], p.Until)
	}
	b.notice.Store(&n)
}

// held reports whether an origin is paused, or one of the scopes that a permit is
// charged in there, as far as they are of its own account and egress. One whose permit is
// charged in none is held by every such pause of its origin, and a request that has none
// by every pause there, whosever it is, and by what is paused everywhere: the ledger was
// not asked, and may let it pass when it is.
func (b *board) held(now func() time.Duration, origin string, charged *throttle.Charged) bool {
	n := b.notice.Load()
	if n == nil {
		return false
	}
	if charged == nil {
		at := now()
		isPaused := func(until time.Duration) bool { return at < until }
		return slices.ContainsFunc(n.at[origin], isPaused) || slices.ContainsFunc(n.at[throttle.AnyOrigin], isPaused)
	}
	return len(n.at[origin]) > 0 && charged.Paused(now(), n.until)
}

// gated reports whether anything at an origin is paused or starting slowly. What
// is paused at every origin is so where none was used yet, too: that the ledger
// knows, and the first to come asks it.
func (b *board) gated(origin string) bool {
	n := b.notice.Load()
	return n != nil && len(n.at[origin])+len(n.at[throttle.AnyOrigin]) > 0
}
