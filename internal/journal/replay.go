package journal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// state is what records come to, on the clock of the ledger that they are of.
//
// Invariant: a ledger that is told by Restore what is in it counts, from the instant
// of the last record on, at least what the ledger counted that the records are of.
type state struct {
	begun   bool
	boot    string
	zero    time.Duration // what the machine's clock showed at instant zero
	numbers []*account
	meters  map[meterName]*account
	flights []flight // by number
	gone    []gone
	pauses  map[throttle.Scope]time.Duration
	nonces  map[string]uint64
	latest  time.Duration // of all instants at which something happened
	filled  bool
	unsure  bool // what was in flight when it was filled is not known
	fullAt  time.Duration
	unknown bool
}

type meterName struct {
	limit string
	parts throttle.Parts
	by    throttle.By
}

// account is one meter: what was answered, in cells of time. All that was answered in
// one cell is one entry, which counts as answered when the last of it was. Cells are
// those of the machine's clock, so that nothing moves from one into the next however
// often it is written anew.
type account struct {
	throttle.PastMeter
	number uint32        // in a journal that is written anew
	from   time.Duration // the cell of the last entry
	to     time.Duration
}

type flight struct {
	open    bool
	charges []charge
}

type charge struct {
	account *account
	weight  int64
}

// gone is a permit that was given up.
type gone struct {
	charge
	fate throttle.Fate
	at   time.Duration
}

func newState() *state {
	return &state{meters: map[meterName]*account{}, pauses: map[throttle.Scope]time.Duration{}, nonces: map[string]uint64{}}
}

// replayOwn is replay for what this process has written, and kept in memory: nothing
// is to be said of checksums.
func replayOwn(frames []byte) (*state, error) {
	s := newState()
	for len(frames) > 0 {
		size, head := binary.Uvarint(frames)
		end := head + int(size)
		if err := s.read(frames[head:end]); err != nil {
			return s, err
		}
		frames = frames[end+checksum:]
	}
	return s, nil
}

const checksum = 4 // bytes of it, behind a record

// replay reads frames into a new state. With an error the state is what came before.
func replay(frames []byte) (*state, error) {
	s := newState()
	for record, err := range memory.Frames(frames) {
		if err != nil {
			return s, err
		}
		if err := s.read(record); err != nil {
			return s, err
		}
	}
	return s, nil
}

// read takes one record in. A record that cannot be is an error, and may have been
// taken in by halves.
func (s *state) read(record []byte) error {
	r := &reader{left: record}
	k := kind(r.byte())
	if s.begun != (k != kindRun) {
		return fmt.Errorf("%w: record of kind %d out of place", memory.ErrCorrupt, k)
	}
	switch k {
	case kindGrant:
		s.grant(r)
	case kindAnswered, kindUnsent, kindLost, kindClosed:
		s.settle(k, r)
	case kindMeter:
		s.meter(r)
	case kindRun:
		s.begun, s.boot = true, r.text()
		s.zero = time.Duration(r.signed())
		r.bad = r.bad || s.zero > farthest || s.zero < -farthest
	case kindSpent, kindLog, kindTold, kindLevel, kindBudget, kindFull, kindGone:
		s.count(k, r)
	default:
		s.other(k, r)
	}
	if r.bad || len(r.left) > 0 {
		return fmt.Errorf("%w: record of kind %d, %d bytes", memory.ErrCorrupt, k, len(record))
	}
	return nil
}

func (s *state) other(k kind, r *reader) {
	switch k {
	case kindFilled:
		s.filled, s.fullAt, s.unknown, s.unsure = true, s.happened(r), false, r.byte() == 1
	case kindUnknown:
		s.unknown = true
	case kindPaused:
		s.happened(r)
		scope := scopeIn(r)
		s.pauses[scope] = max(s.pauses[scope], r.instant())
	case kindResumed:
		s.happened(r)
		s.resume(scopeIn(r))
	case kindNonce:
		lane := r.text()
		s.nonces[lane] = max(s.nonces[lane], r.unsigned())
	default:
		r.bad = true
	}
}

func scopeIn(r *reader) throttle.Scope {
	return throttle.Scope{Origin: r.text(), Name: r.text(), Account: r.text(), Egress: r.text()}
}

// resume ends a pause and all that are part of it. The other way round nothing is
// known: a pause everywhere goes on though it was ended at one origin, and one of all
// accounts though it was ended for one.
func (s *state) resume(scope throttle.Scope) {
	maps.DeleteFunc(s.pauses, func(p throttle.Scope, _ time.Duration) bool {
		return p.Name == scope.Name && (scope.Origin == throttle.AnyOrigin || p.Origin == scope.Origin) &&
			(scope.Account == "" || p.Account == scope.Account) && (scope.Egress == "" || p.Egress == scope.Egress)
	})
}

func (s *state) happened(r *reader) time.Duration {
	at := r.instant()
	s.latest = max(s.latest, at)
	return at
}

func (s *state) meter(r *reader) {
	n, at := r.number(), s.happened(r)
	name := meterName{limit: r.text(), parts: throttle.Parts{Account: r.text(), Key: r.text(), Egress: r.text()}}
	t := throttle.Terms{Window: throttle.Window(r.byte())}
	t.Keep, t.Rate, t.Drain = r.span(), r.signed(), r.span()
	t.MaxDelay, t.CloseDelay = r.span(), r.span()
	if r.more() {
		t.By = throttle.By(r.byte())
	}
	t.By |= name.parts.By() // of an older journal that is all that is known
	name.by = t.By
	if t.By > everything || t.Window > throttle.Lifetime || t.Rate < 0 || t.Window == throttle.Leaky && t.Drain == 0 {
		r.bad = true
	}
	if r.bad {
		return
	}
	a := s.meters[name]
	if a == nil {
		a = &account{PastMeter: throttle.PastMeter{Limit: name.limit, Parts: name.parts, Terms: t}}
		s.meters[name] = a
	}
	if a.Window != t.Window {
		// It counts in another way now, and what it begins with the records do not say.
		a.PastMeter = throttle.PastMeter{Limit: name.limit, Parts: name.parts, Full: true, FullAt: at}
	}
	if a.Window == throttle.Leaky {
		a.drain(at)
	}
	a.Terms, a.from, a.to = t, 0, 0
	if int(n) >= len(s.numbers) {
		s.numbers = slices.Grow(s.numbers, int(n)+1-len(s.numbers))[:n+1]
	}
	s.numbers[n] = a
}

const everything = throttle.ByAccount | throttle.ByKey | throttle.ByEgress

// account returns the meter of a number; one that none has makes the record bad.
func (s *state) account(r *reader) *account {
	n := r.number()
	if r.bad || int(n) >= len(s.numbers) || s.numbers[n] == nil {
		r.bad = true
		return &account{}
	}
	return s.numbers[n]
}

func (s *state) grant(r *reader) {
	n := r.number()
	if r.bad || int(n) > len(s.flights)+mostSkipped {
		r.bad = true
		return
	}
	for int(n) >= len(s.flights) {
		s.flights = append(s.flights, flight{})
	}
	f := &s.flights[n]
	if f.open {
		r.bad = true // two of one number
		return
	}
	f.open, f.charges = true, f.charges[:0]
	for r.more() {
		a := s.account(r)
		f.charges = append(f.charges, charge{a, r.weight()})
	}
}

// mostSkipped bounds how many flights of lower numbers may have ended before a
// journal was written anew.
const mostSkipped = 1 << 22

func (s *state) settle(k kind, r *reader) {
	n := r.number()
	at := s.happened(r)
	if r.bad || int(n) >= len(s.flights) || !s.flights[n].open {
		r.bad = true
		return
	}
	f := &s.flights[n]
	f.open = false
	if k == kindAnswered {
		s.correct(f, r)
	}
	for _, c := range f.charges {
		switch k {
		case kindAnswered:
			s.answered(c, at)
		case kindLost:
			s.gone = append(s.gone, gone{c, throttle.Lost, at})
		case kindClosed:
			s.gone = append(s.gone, gone{c, throttle.Closed, at})
		}
	}
}

// correct makes what was reserved into what it cost.
func (s *state) correct(f *flight, r *reader) {
	for r.more() {
		a, w := s.account(r), r.weight()
		for i := range f.charges {
			if f.charges[i].account == a {
				f.charges[i].weight = w
			}
		}
	}
}

func (s *state) count(k kind, r *reader) {
	switch k {
	case kindSpent:
		at := s.happened(r)
		s.spent(charge{s.account(r), r.weight()}, at)
	case kindLog:
		a := s.account(r)
		for r.more() {
			at, w := s.happened(r), r.weight()
			if w <= 0 {
				r.bad = true
				return
			}
			s.enter(a, at, w)
		}
	case kindTold:
		at, a := s.happened(r), s.account(r)
		a.Told.Tell(at, r.weight())
	case kindLevel:
		a := s.account(r)
		a.LevelAt, a.Level = s.happened(r), max(0, r.weight())
	case kindBudget:
		at, a := s.happened(r), s.account(r)
		s.dropGone(a, at) // they are in the total
		a.Total, a.Assumed = r.weight(), r.byte() == 1
	case kindFull:
		a := s.account(r)
		a.Full, a.FullAt = true, s.happened(r)
	case kindGone:
		fate := throttle.Fate(r.byte())
		a := s.account(r)
		at := s.happened(r)
		if fate != throttle.Lost && fate != throttle.Closed {
			r.bad = true
		}
		s.gone = append(s.gone, gone{charge{a, r.weight()}, fate, at})
	}
}

// answered counts what is in flight no longer.
func (s *state) answered(c charge, at time.Duration) {
	if c.weight <= 0 {
		return
	}
	a := c.account
	switch a.Window {
	case throttle.Concurrency:
	case throttle.Lifetime:
		a.Total = min(a.Total+c.weight, mostWeight)
	case throttle.Leaky:
		a.raise(at, c.weight)
	default:
		s.enter(a, at, c.weight)
		a.Told.Add(c.weight)
	}
}

// spent counts what others spent, and takes back what was given back: from what was
// answered first, for that ends first.
func (s *state) spent(c charge, at time.Duration) {
	a, w := c.account, c.weight
	switch {
	case a.Window == throttle.Concurrency && w > 0:
		s.enter(a, at, w)
	case w >= 0:
		s.answered(c, at)
	case a.Window == throttle.Leaky:
		a.drain(at)
		a.Level = max(0, a.Level+max(w, -mostWeight/throttle.LevelParts)*throttle.LevelParts)
	default:
		a.expire(at)
		a.takeBack(-w)
		a.Told.Add(w)
	}
}

// cells is how many entries a span that is kept comes to.
const cells = 128

// enter adds an entry, to that of the same cell if there is one.
func (s *state) enter(a *account, at time.Duration, w int64) {
	if last := len(a.Spent) - 1; last >= 0 && a.from <= at && at < a.to {
		e := &a.Spent[last]
		e.At, e.Weight = max(e.At, at), min(e.Weight+w, mostWeight)
		return
	}
	grain := max(a.Keep/cells, time.Microsecond)
	a.from = time.Duration(quotient.Floor(at+s.zero, grain))*grain - s.zero
	a.to = a.from + grain
	a.Spent = append(a.Spent, throttle.Spent{At: at, Weight: w})
}

// expire forgets what matters no longer. Entries are hardly ever out of order: one
// that is stays a little longer.
func (a *account) expire(now time.Duration) {
	n := 0
	for n < len(a.Spent) && a.Spent[n].At+a.Keep <= now {
		n++
	}
	if n > 0 {
		a.Spent, a.from, a.to = slices.Delete(a.Spent, 0, n), 0, 0
	}
	a.Told.Forget(now - a.Keep)
	if a.Full && a.Window != throttle.Lifetime && a.FullAt+a.Keep <= now {
		a.Full = false
	}
}

func (a *account) takeBack(w int64) {
	for w > 0 && len(a.Spent) > 0 {
		part := min(w, a.Spent[0].Weight)
		a.Spent[0].Weight -= part
		w -= part
		if a.Spent[0].Weight <= 0 {
			a.from, a.to = 0, 0
			a.Spent = slices.Delete(a.Spent, 0, 1)
		}
	}
}

// drain lets a leaky counter fall up to an instant.
func (a *account) drain(at time.Duration) {
	if at <= a.LevelAt {
		return
	}
	hi, lo := bits.Mul64(uint64(at-a.LevelAt), uint64(a.Rate))
	over, hi := hi>>(64-20), hi<<20|lo>>(64-20)
	lo <<= 20
	a.LevelAt = at
	if over > 0 || hi >= uint64(a.Drain) {
		a.Level = 0
		return
	}
	fell, _ := bits.Div64(hi, lo, uint64(a.Drain))
	a.Level = int64(uint64(a.Level) - min(fell, uint64(a.Level)))
}

func (a *account) raise(at time.Duration, w int64) {
	a.drain(at)
	a.LevelAt = max(a.LevelAt, at)
	a.Level = min(a.Level+min(w, mostWeight/throttle.LevelParts/2)*throttle.LevelParts, mostWeight)
}

// settleGone counts as answered what was given up so long ago that it cannot arrive
// any more, and forgets what matters no longer.
func (s *state) settleGone(now time.Duration) {
	s.gone = slices.DeleteFunc(s.gone, func(g gone) bool {
		if g.until() > now {
			return false
		}
		s.answered(g.charge, g.until())
		return true
	})
	for _, a := range s.meters {
		s.order(a)
		a.expire(now)
		if a.Window == throttle.Leaky {
			a.drain(now)
		}
	}
	maps.DeleteFunc(s.pauses, func(_ throttle.Scope, until time.Duration) bool { return until <= now })
}

// order puts the entries of a meter in order, and those of one cell together.
func (s *state) order(a *account) {
	all := a.Spent
	slices.SortStableFunc(all, func(x, y throttle.Spent) int { return cmp.Compare(x.At, y.At) })
	a.Spent, a.from, a.to = all[:0], 0, 0
	for _, e := range all {
		s.enter(a, e.At, e.Weight)
	}
}

// until is when it cannot arrive any more.
func (g *gone) until() time.Duration {
	if g.fate == throttle.Closed {
		return g.at + g.account.CloseDelay
	}
	return g.at + g.account.MaxDelay
}

// dropGone forgets what a meter counted as answered by an instant.
func (s *state) dropGone(a *account, at time.Duration) {
	s.gone = slices.DeleteFunc(s.gone, func(g gone) bool { return g.account == a && g.until() <= at })
}

// giveUpFlights counts as lost at an instant what was in flight.
func (s *state) giveUpFlights(now time.Duration) {
	for i := range s.flights {
		if f := &s.flights[i]; f.open {
			for _, c := range f.charges {
				s.gone = append(s.gone, gone{c, throttle.Lost, now})
			}
		}
	}
	s.flights = nil
}

// shift goes over to a clock on which every instant is later by d.
func (s *state) shift(d time.Duration) {
	s.zero -= d
	s.latest += d
	s.fullAt += d
	for _, a := range s.meters {
		a.from, a.to = 0, 0
		a.LevelAt += d
		a.FullAt += d
		for i := range a.Spent {
			a.Spent[i].At += d
		}
		for i := range a.Told {
			a.Told[i].At += d
		}
	}
	for i := range s.gone {
		s.gone[i].at += d
	}
	for scope := range s.pauses {
		s.pauses[scope] += d
	}
}

// past is what a ledger is told.
func (s *state) past() throttle.Past {
	p := throttle.Past{Filled: s.filled, Unsure: s.unsure, FilledAt: s.fullAt, Unknown: s.unknown}
	for _, a := range s.meters {
		p.Meters = append(p.Meters, a.PastMeter)
	}
	for _, g := range s.gone {
		p.Lost = append(p.Lost, throttle.PastLost{
			PastCharge: throttle.PastCharge{Limit: g.account.Limit, Parts: g.account.Parts, By: g.account.By, Weight: g.weight}, Fate: g.fate, At: g.at,
		})
	}
	for scope, until := range s.pauses {
		p.Pauses = append(p.Pauses, throttle.PastPause{Scope: scope, Until: until})
	}
	return p
}
