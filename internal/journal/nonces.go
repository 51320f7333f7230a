package journal

import (
	"sync"
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

// Store is part of auth.NonceFloor. It waits for a memory that takes its time.
func (f *Floor) Store(floor uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if floor <= f.stored {
		return nil
	}
	if err := f.journal.storeNonce(f.lane, floor); err != nil {
		return err
	}
	f.stored = floor
	return nil
}

func (j *Journal) storeNonce(lane string, floor uint64) error {
	j.mu.Lock()
	j.append(appendNonce(j.room, lane, floor))
	j.mu.Unlock()
	if j.post == nil {
		return nil
	}
	return j.wait()
}
