package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// Journal writes into an open memory. A ledger tells it what it does, and signers how
// far nonces are used; each on its own goroutine.
//
// Invariant, outside of the lock: history is frames that replay to what the ledger
// did, and the store has it, or will before any request leaves that is in it.
type Journal struct {
	clock   memory.Clock
	now     func() time.Duration // on the ledger's clock
	warn    func(text string, args ...any)
	inPlace memory.InPlace // nil if the store takes its time
	post    *post          // nil if it does not

	mu       sync.Mutex // guards what follows
	history  []byte     // all frames since the store was last given others in place of all
	base     int        // how much of it that was
	other    []byte     // room for the next history
	series   uint32     // of the numbers of meters: those of an earlier one are void
	meters   uint32     // that have a number of this series
	flights  uint32     // the most that there were at once
	free     []uint32   // numbers of flights that have ended
	room     []byte     // for one record
	compacts bool       // a goroutine writes the history anew
	lost     bool       // the store failed: nothing is written any more
	closed   bool
	hastens  bool // nobody waits for the store any longer
	working  sync.WaitGroup
	written  uint64            // bytes, in all
	floors   map[string]*Floor // by lane
}

// append writes a record, whose array is room for the next one from then on. It reports
// whether the store has it, or is to have it: it does not once the memory is given up or
// closed. It requires that mu is held.
func (j *Journal) append(record []byte) bool {
	j.room = record[:0]
	if j.lost || j.closed {
		return false
	}
	if len(record) > memory.MostRecord {
		j.giveUp(errLongRecord)
		return false
	}
	at := len(j.history)
	j.history = binary.AppendUvarint(j.history, uint64(len(record)))
	j.history = append(j.history, record...)
	j.history = binary.LittleEndian.AppendUint32(j.history, crc32.Checksum(record, castagnoli))
	frame := j.history[at:]
	j.written += uint64(len(frame))
	if j.post != nil {
		j.post.append(frame)
		return true
	}
	if err := j.inPlace.Append(frame); err != nil {
		j.giveUp(err)
		return false
	}
	if !j.compacts && j.isLong() {
		j.compacts = true
		j.working.Go(j.compact)
	}
	return true
}

// errLongRecord is about what nobody could read again. The ledger refuses names that are
// so long before it tells anybody of them.
var errLongRecord = errors.New("memory: a record is longer than any that is read")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// compactAfter is how much is appended at least before a journal is written anew;
// tests have less do.
var compactAfter = 1 << 20

// giveUp goes on without memory: whoever opens it next takes everything for full. It
// requires that mu is held.
func (j *Journal) giveUp(err error) {
	if j.post != nil { // it has no other way to say so
		j.post.append(memory.AppendFrame(nil, []byte{byte(kindUnknown)}))
	} else {
		j.inPlace.Forsake()
	}
	j.lost, j.history, j.other = true, nil, nil
	j.warn("the memory cannot be written any more: the engine goes on without it, and after the next start every limit counts as full at first; requests that need a nonce end with an error once those that are reserved are used; make room on the disk and restart when that is convenient",
		"error", err)
}

// Granted is part of throttle.Recorder.
func (j *Journal) Granted(now time.Duration, p *throttle.Permit) uint32 {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := p.Charges()
	for i := range n {
		note, _ := p.Charge(i)
		j.number(now, note)
	}
	flight := j.takeOff()
	b := binary.AppendUvarint(append(j.room, byte(kindGrant)), uint64(flight))
	for i := range n {
		if note, w := p.Charge(i); w != 0 {
			b = appendCharge(b, note.Number, w)
		}
	}
	j.append(b)
	return flight
}

// takeOff returns the number of a flight. It requires that mu is held.
func (j *Journal) takeOff() uint32 {
	if last := len(j.free) - 1; last >= 0 {
		n := j.free[last]
		j.free = j.free[:last]
		return n
	}
	j.flights++
	return j.flights - 1
}

// number sees to it that a meter has a number of the present series. It requires that
// mu is held.
func (j *Journal) number(now time.Duration, n *throttle.Note) {
	if n.Series == j.series {
		return
	}
	n.Series, n.Number = j.series, j.meters
	j.meters++
	j.append(appendMeter(j.room, n.Number, now, n.Limit, n.Parts, n.Terms))
}

var kindOf = [...]kind{
	throttle.Answered: kindAnswered, throttle.NeverSent: kindUnsent, throttle.Lost: kindLost, throttle.Closed: kindClosed,
}

// Settled is part of throttle.Recorder.
func (j *Journal) Settled(now time.Duration, p *throttle.Permit, o throttle.Outcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k := kindLost // what is not known may still arrive
	if int(o.Fate) < len(kindOf) {
		k = kindOf[o.Fate]
	}
	if k == kindAnswered && len(o.Costs) > 0 {
		j.numberAll(now, p)
	}
	flight := p.Flight()
	b := binary.AppendUvarint(append(j.room, byte(k)), uint64(flight))
	b = appendInstant(b, now)
	if k == kindAnswered {
		b = appendCosts(b, p, o.Costs)
	}
	j.append(b)
	j.free = append(j.free, flight)
}

func (j *Journal) numberAll(now time.Duration, p *throttle.Permit) {
	for i := range p.Charges() {
		note, _ := p.Charge(i)
		j.number(now, note)
	}
}

// appendCosts appends what a permit really cost, where that was not what was reserved.
func appendCosts(b []byte, p *throttle.Permit, costs []throttle.Cost) []byte {
	if len(costs) == 0 {
		return b
	}
	for i := range p.Charges() {
		note, w := p.Charge(i)
		cost := w
		for _, c := range costs {
			if c.ID == note.Limit {
				cost = min(max(0, c.Weight), mostWeight)
			}
		}
		if cost != w {
			b = appendCharge(b, note.Number, cost)
		}
	}
	return b
}

// Spent is part of throttle.Recorder.
func (j *Journal) Spent(now time.Duration, n *throttle.Note, w int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number(now, n)
	j.append(appendCharge(appendInstant(append(j.room, byte(kindSpent)), now), n.Number, w))
}

// Told is part of throttle.Recorder.
func (j *Journal) Told(now time.Duration, n *throttle.Note, w int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number(now, n)
	j.append(appendTold(j.room, now, n.Number, w))
}

func appendTold(b []byte, at time.Duration, number uint32, w int64) []byte {
	return appendCharge(appendInstant(append(b, byte(kindTold)), at), number, w)
}

// Budgeted is part of throttle.Recorder.
func (j *Journal) Budgeted(now time.Duration, n *throttle.Note, spent int64, assumed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number(now, n)
	j.append(appendBudget(j.room, now, n.Number, spent, assumed))
}

func appendBudget(b []byte, now time.Duration, number uint32, spent int64, assumed bool) []byte {
	b = appendCharge(appendInstant(append(b, byte(kindBudget)), now), number, spent)
	if assumed {
		return append(b, 1)
	}
	return append(b, 0)
}

// Filled is part of throttle.Recorder.
func (j *Journal) Filled(now time.Duration, unsure bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(appendFilled(j.room, now, unsure))
}

func appendFilled(b []byte, now time.Duration, unsure bool) []byte {
	b = appendInstant(append(b, byte(kindFilled)), now)
	if unsure {
		return append(b, 1)
	}
	return append(b, 0)
}

// Paused is part of throttle.Recorder.
func (j *Journal) Paused(now time.Duration, s throttle.Scope, until time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(appendInstant(appendScope(j.room, kindPaused, now, s), until))
}

// Resumed is part of throttle.Recorder.
func (j *Journal) Resumed(now time.Duration, s throttle.Scope) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(appendScope(j.room, kindResumed, now, s))
}

// Written is how many bytes were appended so far, what was written anew included.
func (j *Journal) Written() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written
}

// Lost reports whether the store failed, so that nothing is written any more.
func (j *Journal) Lost() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// Close gives the memory back, with all that it was told. It comes once, and after
// it nothing is written.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.working.Wait()
	if j.post != nil {
		return j.post.close()
	}
	return j.inPlace.Close()
}
