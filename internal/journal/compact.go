package journal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// isLong reports whether it is time to write the history anew. It requires that mu is
// held.
func (j *Journal) isLong() bool { return len(j.history) > j.base+max(j.base, compactAfter) }

// beginAnew has the numbers of meters begin anew, so that what is appended from now on
// says of itself what it is about, and returns all that was there before. It requires
// that mu is held.
func (j *Journal) beginAnew() []byte {
	j.series++
	j.meters = 0
	return j.history[:len(j.history):len(j.history)]
}

// rewrite returns what matters still of frames.
func rewrite(all []byte) ([]byte, error) {
	s, err := replayOwn(all)
	if err != nil {
		return nil, fmt.Errorf("memory: what was written cannot be read: %w", err)
	}
	s.settleGone(s.latest)
	return s.frames(), nil
}

// compact puts what matters still in the place of all that was written. Most of it is
// done while others append: what was there before is read, written anew and staged;
// and at last what was appended meanwhile is put behind it.
func (j *Journal) compact() {
	j.mu.Lock()
	all := j.beginAnew()
	j.mu.Unlock()
	anew, err := rewrite(all)
	var staged memory.Staged
	if err == nil {
		staged, err = j.inPlace.Stage(anew)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.compacts = false
	if err == nil && j.lost {
		staged.Discard()
		return
	}
	if err == nil {
		err = staged.Commit(j.history[len(all):])
	}
	if err != nil {
		j.base = len(j.history) // it is tried again once there is twice as much
		j.warn("the memory cannot be written anew, and grows: make room on the disk", "error", err)
		return
	}
	rest := j.history[len(all):]
	j.written += uint64(len(anew) + len(rest))
	j.base = len(anew)
	j.history, j.other = append(append(j.other[:0], anew...), rest...), j.history
}

// frames writes a state down, so that replay makes an equal one of it. Meters that
// nothing is known of any more are left out.
func (s *state) frames() []byte {
	w := &writer{state: s}
	w.add(appendRun(w.room, s.boot, s.zero))
	if s.filled {
		w.add(appendFilled(w.room, s.fullAt, s.unsure))
	}
	if s.unknown {
		w.add(append(w.room, byte(kindUnknown)))
	}
	used := s.used()
	for _, a := range s.meters {
		if used[a] || a.holds() {
			w.account(a)
		}
	}
	w.numbered()
	for scope, until := range s.pauses {
		w.add(appendInstant(appendScope(w.room, kindPaused, s.latest, scope), until))
	}
	for lane, floor := range s.nonces {
		w.add(appendNonce(w.room, lane, floor))
	}
	return w.frames
}

// used are the meters that permits in flight, or given up, are charged to.
func (s *state) used() map[*account]bool {
	used := map[*account]bool{}
	for i := range s.flights {
		if s.flights[i].open {
			for _, c := range s.flights[i].charges {
				used[c.account] = true
			}
		}
	}
	for _, g := range s.gone {
		used[g.account] = true
	}
	return used
}

// holds reports whether anything of a meter is worth remembering.
func (a *account) holds() bool {
	return len(a.Spent) > 0 || len(a.Told) > 0 || a.Level > 0 || a.Total != 0 || a.Assumed || a.Full
}

// writer writes frames.
type writer struct {
	*state
	frames []byte
	room   []byte
	next   uint32
}

func (w *writer) add(record []byte) {
	w.frames = memory.AppendFrame(w.frames, record)
	w.room = record[:0]
}

func (w *writer) account(a *account) {
	a.number = w.next
	w.next++
	w.add(appendMeter(w.room, a.number, a.since(w.latest), a.Limit, a.Parts, a.Terms))
	for spent := range slices.Chunk(a.Spent, 1024) {
		b := binary.AppendUvarint(append(w.room, byte(kindLog)), uint64(a.number))
		for _, e := range spent {
			b = binary.AppendVarint(appendInstant(b, e.At), e.Weight)
		}
		w.add(b)
	}
	for _, told := range a.Told { // what came on top of it is in it
		w.add(appendTold(w.room, told.At, a.number, told.Weight))
	}
	if a.Window == throttle.Leaky && a.Level > 0 {
		b := binary.AppendUvarint(append(w.room, byte(kindLevel)), uint64(a.number))
		w.add(binary.AppendVarint(appendInstant(b, a.LevelAt), a.Level))
	}
	if a.Total != 0 || a.Assumed {
		w.add(appendBudget(w.room, w.latest, a.number, a.Total, a.Assumed))
	}
	if a.Full {
		b := binary.AppendUvarint(append(w.room, byte(kindFull)), uint64(a.number))
		w.add(appendInstant(b, a.FullAt))
	}
}

// since is an instant that a meter is written as of: a level is not to fall for it.
func (a *account) since(latest time.Duration) time.Duration {
	if a.Window == throttle.Leaky {
		return min(latest, a.LevelAt)
	}
	return latest
}

// numbered writes what refers to meters: permits in flight, and those given up.
func (w *writer) numbered() {
	for i := range w.flights {
		f := &w.flights[i]
		if !f.open {
			continue
		}
		b := binary.AppendUvarint(append(w.room, byte(kindGrant)), uint64(i))
		for _, c := range f.charges {
			b = appendCharge(b, c.account.number, c.weight)
		}
		w.add(b)
	}
	for _, g := range w.gone {
		b := binary.AppendUvarint(append(w.room, byte(kindGone), byte(g.fate)), uint64(g.account.number))
		w.add(binary.AppendVarint(appendInstant(b, g.at), g.weight))
	}
}
