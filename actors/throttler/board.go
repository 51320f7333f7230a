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

// notice is what was posted last, by origin and scope: until when it is paused,
// in the past while it only starts slowly. It does not change.
type notice map[string]map[string]time.Duration

func (b *board) post(paused []throttle.PausedScope) {
	if len(paused) == 0 {
		b.notice.Store(nil)
		return
	}
	n := make(notice)
	for _, p := range paused {
		if n[p.Origin] == nil {
			n[p.Origin] = make(map[string]time.Duration)
		}
		n[p.Origin][p.Name] = p.Until
	}
	b.notice.Store(&n)
}

// held reports whether an origin is paused, or one of the scopes that a permit is
// charged in there. A request that has none, or whose permit is charged in none,
// is held by every pause of its origin. For one without a permit that includes
// what is paused everywhere: the ledger, which may not know the origin, was not
// asked.
func (b *board) held(now func() time.Duration, origin string, charged *throttle.Charged) bool {
	n := b.notice.Load()
	if n == nil {
		return false
	}
	paused := (*n)[origin]
	if charged == nil {
		at := now()
		return isAnyPaused(at, paused) || isAnyPaused(at, (*n)[throttle.AnyOrigin])
	}
	if len(paused) == 0 {
		return false
	}
	at := now()
	if scopes := charged.Scopes(); len(scopes) > 0 {
		return at < paused[throttle.WholeOrigin] || slices.ContainsFunc(scopes, func(name string) bool { return at < paused[name] })
	}
	return isAnyPaused(at, paused)
}

func isAnyPaused(at time.Duration, scopes map[string]time.Duration) bool {
	for _, until := range scopes {
		if at < until {
			return true
		}
	}
	return false
}

// gated reports whether anything at an origin is paused or starting slowly. What
// is paused at every origin is so where none was used yet, too: that the ledger
// knows, and the first to come asks it.
func (b *board) gated(origin string) bool {
	n := b.notice.Load()
	return n != nil && len((*n)[origin])+len((*n)[throttle.AnyOrigin]) > 0
}
