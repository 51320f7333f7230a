package auth

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"
)

// nonces holds the last nonce of every key, so that two schemes of one process
// that share a key share its sequence. It maps a key's lane and its unit to an
// *atomic.Uint64, which every goroutine that signs reads and advances. Nothing is
// ever removed: a nonce that was forgotten could be given twice.
var nonces sync.Map

// nextNonce returns the next nonce of the key: the time in units, or one more
// than the last, whichever is greater. Starting from the time keeps the sequence
// rising across restarts, as long as fewer nonces are used than units pass. Keys
// must not change to a coarser unit: their nonces would start below old ones.
func nextNonce(key Secret, clock Clock, unit time.Duration) uint64 {
	unit = cmp.Or(unit, time.Microsecond)
	name := lane(key) + unit.String()
	last, ok := nonces.Load(name)
	if !ok { // only the first of those that meet here stores its own
		last, _ = nonces.LoadOrStore(name, new(atomic.Uint64))
	}
	return after(last.(*atomic.Uint64), uint64(clock.Now().UnixNano()/int64(unit)))
}

func after(last *atomic.Uint64, now uint64) uint64 {
	for {
		old := last.Load()
		next := max(old+1, now)
		if last.CompareAndSwap(old, next) {
			return next
		}
	}
}

// lane names a key without disclosing it.
func lane(key Secret) string {
	sum := sha256.Sum256([]byte(key))
	return "nonce-" + hex.EncodeToString(sum[:8])
}
