package throttle

import "time"

// fixed counts in windows aligned to the server's clock, each request in every
// window in which it may have arrived.
//
// Invariant: while the clock is known and now >= blind, every request that may
// have been counted in a window from first on is in flight or in charge of
// that window. So if quota covers flight, charge and the new weight in every
// window the new request can still meet, no window sees more than quota.
//
// Beside the windows it keeps the sliding log, and grants what either of the
// two allows. That is safe: of the requests counted in one window, the one
// sent last was let through by one of them, and each of them then accounted
// for all the others. The log alone serves while the clock is unknown, as it is at
// first after a restart; what it holds by then is charged to the windows once the
// clock is known, each part to those in which it may have arrived.
type fixed struct {
	sliding
	first  int64 // the earliest window a request sent now can meet; never falls while the clock holds
	blind  time.Duration
	told   Told // while the clock is unknown
	unseen bool // something was answered, or told, that no window is charged with
	dated  bool // something in the log ends by a timestamp

	// What advance worked out last: good while the clock is set no anew, and
	// until the instant at which first rises.
	sharp   bool
	version int
	until   time.Duration

	from, to time.Duration // the server time that window `first` lasts
	begun    time.Duration // our instant by which it had certainly begun

	charge []int64     // answered weight of the windows first, first+1, ...
	mine   []int64     // of that, our own
	few    [2][2]int64 // room for both, if the windows are not too many

	others others // nearly the last, for mostly there are none
	asked  bool   // something was granted since window first has begun
}

// maxSpread bounds how many windows one request may be charged to. With a
// clock so uncertain the log is the better of the two by far.
const maxSpread = 16

// youngPart is the part of a window in which the first of ours may go whatever the margin is.
const youngPart = 4

func (f *fixed) begin(t *terms) {
	f.sliding.begin(t)
	f.first, f.others = beforeAll, newOthers(t)
	f.charge, f.mine = f.few[0][:0], f.few[1][:0]
}

// beforeAll is the number of a window that lies before all others.
const beforeAll = -1 << 62

// advance brings first up to now and reports whether the clock is good enough
// to tell windows apart.
func (f *fixed) advance(now time.Duration) bool {
	if now >= f.until || f.version != f.clock.version {
		f.look(now)
	}
	return f.sharp
}

func (f *fixed) look(now time.Duration) {
	f.version, f.until = f.clock.version, never
	f.sharp = f.clock.known && f.clock.latest(now)-f.clock.earliest(now) < maxSpread*f.per
	if !f.sharp {
		return
	}
	k := f.first
	if earliest := f.clock.earliest(now); k == beforeAll || earliest >= f.to {
		k = f.grid.index(earliest)
	}
	if gone := k - f.first; gone > 0 {
		keep := copy(f.charge, f.charge[min(gone, int64(len(f.charge))):])
		copy(f.mine, f.mine[min(gone, int64(len(f.mine))):])
		f.charge, f.mine = f.charge[:keep], f.mine[:keep]
		ended := f.clock.notBefore(f.to)
		f.first, f.from, f.to, f.begun, f.asked = k, f.grid.start(k), f.grid.start(k+1), now, false
		// Others began with the window, however long after that somebody of ours looks at it.
		began := min(now, f.clock.notBefore(f.from))
		f.others.turn(f.per, min(ended, began), began)
	}
	// The bounds may have widened by a new setting; first does not fall for that.
	f.until = f.begins(f.first + 1)
	if f.unseen {
		f.catchUp(now)
	}
}

// catchUp charges what was answered while the clock was not good enough. A
// request that has left the log arrived at least per before the server's
// present time, which may still be inside a window that the earliest reading
// of the clock is in; once that reading has moved on by the width of the
// bounds, and by what the floor let the log forget early, it cannot be.
//
// What is in the log still counts in no window that begins after the latest instant at which it
// can have arrived.
func (f *fixed) catchUp(now time.Duration) {
	f.unseen = false
	f.log.expire(now)
	width := f.clock.latest(now) - f.clock.earliest(now)
	f.blind = max(f.blind, now+width+f.rttFloor+1)
	for i := range f.span(f.clock.latest(now)) {
		start := f.grid.start(f.first + int64(i))
		w := f.log.endingLate(func(end time.Duration) bool { return f.arrivedBy(end) >= start })
		told := f.told.since(func(at time.Duration) bool { return f.clock.latest(at) >= start })
		f.charge[i] = plus(f.charge[i], min(max(w, told), maxWeight))
	}
	f.told = nil
}

// arrivedBy returns the most that the server's clock can have shown when that arrived which the
// log holds up to an instant of ours. An entry may end later than it must, and never earlier.
//
// What was answered at r ends at r + hold, less the floor: r is the latest at which it arrived.
// With a timestamp S it may end as soon as the clock has certainly reached S + per; it arrived by
// S, and so at least per on the server's clock, and short on ours, before its end.
func (f *fixed) arrivedBy(end time.Duration) time.Duration {
	end += f.rttFloor
	if f.dated {
		return min(f.clock.latest(end)-f.per, f.clock.latest(end-f.short))
	}
	return f.clock.latest(end - f.hold)
}

// tell takes note that the window which holds an instant counts at least w, though it is not known
// when it begins.
func (f *fixed) tell(at time.Duration, w int64) {
	if w <= 0 {
		return
	}
	f.told.Forget(at - f.hold)
	f.told.Tell(at, w)
	f.unseen, f.until = true, min(f.until, at) // the next look charges it
}

func (f *fixed) room(now time.Duration) int64 {
	free := f.sliding.room(now)
	if !f.advance(now) {
		return free - min(f.others.inAny(f.per), f.quota-free)
	}
	if now < f.blind {
		return free - f.others.margin(now, now+f.per)
	}
	aligned := f.quota - f.flying - f.worst()
	if f.others.rate > 0 {
		return min(aligned, f.quota-f.flying-f.own()-f.left(now))
	}
	return max(free, aligned)
}

// left is the margin that is left to others. The first of a window is bound by what is known of
// them alone, as long as the window is young: it may ask for more than a margin leaves at any
// time, and would otherwise wait for ever. In a young window they have spent least.
func (f *fixed) left(now time.Duration) int64 {
	if f.isYoung(now) {
		return f.others.least
	}
	return f.others.margin(now, f.until)
}

// isYoung reports whether nothing was granted since the present window has begun, and little of it
// is over.
func (f *fixed) isYoung(now time.Duration) bool {
	return !f.asked && now < f.begins(f.first)+f.per/youngPart
}

func (f *fixed) grant(now time.Duration, w int64) {
	f.sliding.grant(now, w)
	f.asked = true
}

// own is what of ours was answered and may count in window first.
func (f *fixed) own() int64 {
	if len(f.mine) == 0 {
		return 0
	}
	return f.mine[0]
}

func (f *fixed) worst() int64 {
	var w int64
	for _, c := range f.charge {
		w = max(w, c)
	}
	return w
}

func (f *fixed) when(now time.Duration, w, flying int64) time.Duration {
	return f.whenTurned(now, w, flying, surely)
}

// whenTurned is when, if windows turn when the server's clock reaches their ends so surely. At
// best that is now for one that may turn at any moment.
func (f *fixed) whenTurned(now time.Duration, w, flying int64, how sureness) time.Duration {
	sharp := f.advance(now)
	switch {
	case !sharp && f.clock.known && how == atBest && flying+w <= f.quota:
		return now // with the next look at the clock it may be sharp, and a window just turn
	case f.others.rate > 0:
		return f.whenShared(now, w, flying, how)
	}
	at := f.sliding.when(now, w, flying)
	if !sharp || flying+w > f.quota {
		return at
	}
	k := len(f.charge)
	for k > 0 && f.charge[k-1]+flying+w <= f.quota {
		k--
	}
	aligned := now
	if k > 0 {
		aligned = max(now, f.turns(f.first+int64(k), how))
	}
	return min(at, max(aligned, f.blind))
}

// whenShared is when for a limit that others spend from: room comes back as
// the window passes without them, or with the next window. It may be early;
// the ledger then asks again.
func (f *fixed) whenShared(now time.Duration, w, flying int64, how sureness) time.Duration {
	if !f.advance(now) {
		// The most of ours beside which there is room, as room has it.
		if free := f.quota - w; free >= 0 {
			w = f.quota - max(free/2, free-f.others.inAny(f.per))
		}
		return f.sliding.when(now, w, flying)
	}
	until := max(now, f.turns(f.first+1, how))
	if now < f.blind {
		return min(f.sliding.when(now, w+f.others.margin(now, now+f.per), flying), f.blind, until)
	}
	switch {
	case f.worst()+flying+w > f.quota:
		return until
	case f.isYoung(now) && flying+f.own()+f.others.least+w <= f.quota:
		return now
	}
	if until == now {
		return now
	}
	return max(now+1, f.others.falls(now, until, f.quota-flying-f.own()-w))
}

// begins returns our first instant at which window k has certainly begun.
func (f *fixed) begins(k int64) time.Duration { return f.turns(k, surely) }

// turns returns our first instant at which window k has begun so surely.
func (f *fixed) turns(k int64, how sureness) time.Duration {
	edge := f.to
	if k != f.first+1 {
		edge = f.grid.start(k)
	}
	return f.clock.reached(edge, how)
}

// ends returns an instant of ours before which the window of a request that
// arrives at `at` cannot be over.
func (f *fixed) ends(at time.Duration) time.Duration {
	return f.clock.notBefore(f.grid.start(f.grid.index(f.clock.earliest(at)) + 1))
}

func (f *fixed) settle(w int64, a answer) time.Duration {
	f.dated = a.dated || f.dated && f.log.sum > 0
	// When the log makes room is of no interest: the windows may make it at once.
	f.sliding.settle(w, a)
	last := f.clock.latest(a.at)
	if a.dated {
		last = min(last, a.by)
	}
	for i := range f.spend(a.at, w, last) {
		f.mine[i] = plus(f.mine[i], w)
	}
	if f.others.rate > 0 {
		f.others.flew(a.at - a.sent)
		if a.sent >= f.begun {
			f.others.answered(a.at, w)
		}
	}
	return a.at
}

// spend charges w to every window from first to the one that holds the server
// time last, and returns how many they are.
func (f *fixed) spend(now time.Duration, w int64, last time.Duration) int {
	if !f.advance(now) {
		f.unseen = true
		f.told.Add(w)
		return 0
	}
	n := f.span(last)
	for i := range n {
		f.charge[i] = plus(f.charge[i], w)
	}
	return n
}

// span makes sure that the windows up to the one holding server time last
// have a charge, and returns how many they are, from first on.
func (f *fixed) span(last time.Duration) int {
	n := 1
	if last >= f.to || last < f.from {
		n = max(0, int(min(f.grid.index(last)-f.first+1, maxSpread+2)))
	}
	for len(f.charge) < n {
		f.charge, f.mine = append(f.charge, 0), append(f.mine, 0)
	}
	return n
}

func (f *fixed) burden(now time.Duration, w int64) {
	if w > 0 {
		f.sliding.burden(now, w)
		f.spend(now, w, f.clock.latest(now))
	}
}

func (f *fixed) relieve(now time.Duration, w int64) {
	f.sliding.relieve(now, w)
	f.told.Add(-w)
	for i := range f.charge {
		f.charge[i] = max(0, f.charge[i]-w)
	}
}

func (f *fixed) sync(now time.Duration, used int64, start time.Duration) {
	if !f.advance(now) {
		if over := start > 0 && f.clock.known && f.clock.earliest(now) >= start+f.per; !over {
			f.tell(now, used-f.flying)
		}
		f.sliding.sync(now, used, start)
		return
	}
	from, to := 0, f.span(f.clock.latest(now))
	if start > 0 {
		k := f.grid.index(start) - f.first
		if k < 0 || k >= int64(to) {
			return // about a window that is over, or that cannot have begun
		}
		from, to = int(k), int(k)+1
	}
	for i := from; i < to; i++ {
		f.charge[i] = max(f.charge[i], used-f.flying)
	}
	if from == 0 && f.others.rate > 0 {
		read := now - readWithin
		if start > 0 {
			read = max(read, f.clock.notBefore(start))
		}
		f.others.note(now, used, f.own()+f.flying, min(read, now))
	}
	f.sliding.sync(now, used, 0)
}

func (f *fixed) fill(now time.Duration) {
	f.sliding.fill(now)
	if !f.advance(now) {
		f.tell(now, f.quota-f.flying)
		return
	}
	for i := range f.span(f.clock.latest(now)) {
		f.charge[i] = max(f.charge[i], f.quota-f.flying)
	}
}

func (f *fixed) resize(now time.Duration, t *terms) {
	if t.grid != f.grid {
		f.forget(now, f.turned(now, t))
	}
	f.sliding.resize(now, t)
}

// turned returns an instant from which on no window is open, neither of f's nor of other
// terms, in which anything that was answered by now may have been counted: the present ones are
// over then. Where it is not known which those are, all are over that were open.
func (f *fixed) turned(now time.Duration, t *terms) time.Duration {
	longest := now + max(t.hold, f.hold)
	if !f.advance(now) {
		return longest
	}
	last := f.clock.latest(now)
	turned := max(f.grid.start(f.grid.index(last)+1), t.grid.start(t.grid.index(last)+1))
	return min(longest, f.clock.reachedBySetBounds(turned))
}

// stepped says that the server's clock left the bounds it was given, so that
// windows counted before mean nothing now.
func (f *fixed) stepped(now time.Duration) { f.forget(now, now+f.hold) }

// forget has the log alone count until an instant, for it is not known what the windows hold that
// are open until then.
func (f *fixed) forget(now, until time.Duration) {
	// The next look, which comes at once, sets first.
	f.charge, f.mine, f.first, f.blind, f.until = f.charge[:0], f.mine[:0], beforeAll, max(f.blind, until), now
	f.others.heard = false // of a window that is none now
}
