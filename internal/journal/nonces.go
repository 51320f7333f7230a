package journal

import (
	"sync"

	"github.com/sluice-engine/sluice/memory"
)

// Floor remembers up to where the nonces of one key may have been used. It is an
// auth.NonceFloor, and safe for concurrent use.
type Floor struct {
	journal *Journal
	lane    string
	mu      sync.Mutex
	stored  uint64
}

// Floor returns that of a lane, which names a key and does not disclose it. Equal
// lanes have the same one.
func (j *Journal) Floor(lane string) *Floor {
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.floors[lane]
	if f == nil {
		f = &Floor{journal: j, lane: lane}
		j.floors[lane] = f
	}
	return f
}

// Load is part of auth.NonceFloor.
func (f *Floor) Load() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored, nil
}

// Store is part of auth.NonceFloor. It waits for a memory that takes its time, and fails
// with memory.ErrGivenUp if nothing is written any more: a nonce that the next process
// may use again must not leave, though the limits do without memory.
func (f *Floor) Store(floor uint64) error {
	return f.StoreAwaited(floor, func(ready <-chan struct{}) error {
		<-ready
		return nil
	})
}

// StoreAwaited is Store for somebody who waits by a function, such as messages.Call.Await, and whose
// error it returns if that fails. Then it is not known whether the floor is stored.
func (f *Floor) StoreAwaited(floor uint64, await func(ready <-chan struct{}) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if floor <= f.stored {
		return nil
	}
	if err := f.journal.storeNonce(f.lane, floor, await); err != nil {
		return err
	}
	f.stored = floor
	return nil
}

func (j *Journal) storeNonce(lane string, floor uint64, await func(ready <-chan struct{}) error) error {
	j.mu.Lock()
	written := j.append(appendNonce(j.room, lane, floor))
	j.mu.Unlock()
	switch {
	case !written:
		return memory.ErrGivenUp
	case j.post == nil:
		return nil
	}
	return j.wait(await)
}
