package permit

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/throttle"
)

// A permit that its caller has forgotten would count as in flight for ever. The collector
// finds it, and tells Forgotten.

// dropped are the bearers of permits that were forgotten, until they are settled.
type dropped struct {
	found  atomic.Pointer[bearer] // a list, by bearer.next; the collector's goroutine adds to it
	recent atomic.Bool            // a permit was issued since the last look; set by issue, cleared by look

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu; nil before the first watch
	watches bool        // guarded by mu: the timer is set
	quiet   int         // guarded by mu: looks in a row with no permit issued before them
	closed  bool        // guarded by mu
}

const (
	// watchEvery is how often forgotten permits are looked for while nobody asks for
	// others.
	watchEvery = 5 * time.Second
	// quietLooks is how many looks follow the last permit: the collector runs at least
	// every two minutes, and may need three runs to find one.
	quietLooks = 120
)

func (d *dropped) add(b *bearer) {
	for {
		b.next = d.found.Load()
		if d.found.CompareAndSwap(b.next, b) {
			return
		}
	}
}

// watch sees to it that forgotten permits are looked for. It is called for every permit.
func (d *dropped) watch(i *Issuer) {
	if d.recent.Load() {
		return
	}
	d.recent.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed || d.watches:
		return
	case d.timer == nil:
		d.timer = time.AfterFunc(watchEvery, i.look)
	default:
		d.timer.Reset(watchEvery)
	}
	d.watches = true
}

// look settles what was forgotten, and sees to the next look.
func (i *Issuer) look() {
	i.settleDropped()
	d := &i.dropped
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quiet++; d.recent.Swap(false) {
		d.quiet = 0
	}
	if d.watches = !d.closed && d.quiet < quietLooks; d.watches {
		d.timer.Reset(watchEvery)
	}
}

func (d *dropped) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// settleDropped takes the permits that were forgotten for lost: nobody knows what was sent
// under them.
func (i *Issuer) settleDropped() {
	if i.dropped.found.Load() == nil {
		return
	}
	for b := i.dropped.found.Swap(nil); b != nil; {
		next := b.next
		b.next = nil
		b.tell()
		b.settle(throttle.Outcome{Fate: throttle.Lost}, nil)
		b = next
	}
}

// tell warns of a permit that was forgotten.
func (b *bearer) tell() {
	p := &b.ticket.Permit
	held := time.Since(b.issuer.needs.Epoch) - p.GrantedAt()
	about := []any{"limit", p.Limit, "origin", p.Origin, "issued ago", held.Round(time.Millisecond)}
	if len(b.from) > 0 {
		about = append(about, "acquired_at", callsite.Of(b.from))
	} else {
		about = append(about, "hint", "call Done on every permit; Config.TracePermits tells where they were acquired")
	}
	b.issuer.needs.Logger.Warn("a permit was forgotten without Done, and is taken for lost", about...)
}

// mostFrames is how much is noted of the stack of whoever asks.
const mostFrames = 32

// note remembers who asks.
func (b *bearer) note() {
	if b.from == nil {
		b.from = make([]uintptr, 0, mostFrames)
	}
	b.from = b.from[:runtime.Callers(2, b.from[:mostFrames])]
}
