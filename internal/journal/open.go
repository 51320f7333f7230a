package journal

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// Needs are what a journal is handed.
type Needs struct {
	Memory memory.Memory
	Clock  memory.Clock         // of this machine
	Now    func() time.Duration // the ledger's clock
	// Warn tells whoever runs the engine; args are as in slog. Any goroutine may call
	// it, and it returns at once.
	Warn func(text string, args ...any)
}

// Open opens a memory, and begins a journal in it with what matters still of what it
// held. That is returned for Ledger.Restore; the journal is for Ledger.Record, before.
//
// Within one boot of a machine its clock tells exactly how long ago everything was.
// Otherwise nobody knows, for wall clocks are set: then no time at all is taken to
// have passed since the last word that was written.
func Open(needs Needs) (*Journal, throttle.Past, error) {
	store, held, err := open(needs.Memory)
	if err != nil {
		return nil, throttle.Past{}, err
	}
	j := &Journal{
		clock: needs.Clock, now: needs.Now, warn: needs.Warn,
		series: 1, floors: map[string]*Floor{},
	}
	j.inPlace, _ = store.(memory.InPlace)
	s, err := j.recall(held)
	if err == nil {
		j.history = s.frames()
		j.base, j.written = len(j.history), uint64(len(j.history))
		err = store.Replace(j.history)
	}
	if err != nil {
		_ = store.Close()
		return nil, throttle.Past{}, err
	}
	for lane, floor := range s.nonces {
		j.floors[lane] = &Floor{journal: j, lane: lane, stored: floor}
	}
	if own, is := store.(*guarded); is {
		j.post = newPost(j, own)
	}
	return j, s.past(), nil
}

// recall reads what a memory held, and goes over to this ledger's clock.
func (j *Journal) recall(held memory.Held) (*state, error) {
	s, err := replay(held.Records)
	torn, why := held.Torn, held.Warning
	if err != nil {
		torn, why = true, err.Error()
		if j.inPlace != nil {
			name, err := j.inPlace.SetAside()
			if err != nil {
				return nil, fmt.Errorf("memory: what is damaged could not be set aside: %w", err)
			}
			why += "; it is kept as " + name
		}
	}
	if torn {
		s.unknown = true
		j.warn("the memory is not whole: every limit counts as full at first, and nonces begin at the clock, or above the highest that could be read", "why", why)
	} else if why != "" {
		j.warn("memory", "note", why)
	}
	at := j.now()
	s.goOver(j.clock.Boot, j.clock.Now()-at, at)
	return s, nil
}

// goOver goes over to the clock of a ledger that begins at now, in a boot whose clock
// showed zero at instant zero of it.
func (s *state) goOver(boot string, zero, now time.Duration) {
	shift := now - s.latest
	if s.boot != "" && s.boot == boot && s.zero+s.latest <= zero+now {
		shift = s.zero - zero
	}
	s.shift(shift)
	s.giveUpFlights(now)
	s.latest = max(s.latest, now)
	s.begun, s.boot, s.zero = true, boot, zero
	s.settleGone(now)
}
