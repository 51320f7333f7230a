package throttle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/quotient"
)

// midnight is a server time at which windows of any length up to a day begin.
const midnight = 1_795_392_000 * sec

// spentAt is a past in which so much was answered of limit "a" at each of some instants.
func spentAt(of Limit, w int64, instants ...time.Duration) Past {
	p := PastMeter{Limit: of.ID, Terms: Terms{Window: of.Window}}
	for _, at := range instants {
		p.Spent = append(p.Spent, Spent{at, w})
	}
	return Past{Meters: []PastMeter{p}}
}

// knows has somebody look as the clock becomes known, as whoever waits does: a moment later it is
// as good as it will be.
func knows(l *Ledger, now, lo, hi time.Duration) {
	l.SetClock(now, lo, hi)
	l.Snapshot(now)
}

func roomOf(l *Ledger, now time.Duration) int64 { return limitOf(l, now, "a").Room }

// byPer and byCalendar count 20 in windows that begin at midnight.
var (
	byPer      = Limit{ID: "a", Window: Fixed, Quota: 20, Per: 20 * sec}
	byCalendar = Limit{ID: "a", Window: Fixed, Quota: 20, Per: 24 * time.Hour, Location: time.UTC}
)

func TestAfterARestartTheWindowBeforeTakesNoRoomOfThePresentOne(t *testing.T) {
	l := exact(t, Options{}, byPer)
	l.Restore(0, spentAt(byPer, 20, -3500*ms)) // the window has turned half a second before
	require.Zero(t, roomOf(l, 0), "nobody knows yet")
	knows(l, 100*ms, midnight+500*ms, midnight+500*ms)
	require.EqualValues(t, 20, roomOf(l, 100*ms+1))

	l = newLedger(t, Options{}, byCalendar)
	l.Restore(0, spentAt(byCalendar, 20, -70*time.Minute)) // at eleven at night, and now it is ten past midnight
	require.Zero(t, roomOf(l, 0))
	knows(l, sec, midnight+10*time.Minute-50*ms, midnight+10*time.Minute+50*ms)
	require.EqualValues(t, 20, roomOf(l, sec+200*ms), "a fresh quota at the edge")
}

func TestWhatWasAnsweredBeforeTheClockWasKnownCountsInNoLaterWindow(t *testing.T) {
	l := exact(t, Options{}, byPer)
	for range 20 {
		l.Settle(2*sec, granted(t, l, 0, "a"), Outcome{})
	}
	knows(l, 3*sec, midnight-3*sec, midnight-3*sec) // it turns just now
	require.EqualValues(t, 20, roomOf(l, 3*sec+1))
}

func TestAfterARestartWhatMayHaveArrivedInThePresentWindowCounts(t *testing.T) {
	clock := func(l *Ledger, err time.Duration) { // the window has begun 500 ms before the restart
		knows(l, 100*ms, midnight+500*ms-err, midnight+500*ms+err)
	}
	l := exact(t, Options{}, byPer)
	l.Restore(0, spentAt(byPer, 3, -501*ms, -500*ms, -499*ms))
	clock(l, 0)
	require.EqualValues(t, 14, roomOf(l, sec), "what was answered as the window turned may have arrived then")

	l = exact(t, Options{}, byPer)
	l.Restore(0, spentAt(byPer, 3, -521*ms, -520*ms, -499*ms))
	clock(l, 20*ms)
	require.EqualValues(t, 14, roomOf(l, sec), "by the latest that the server's clock can have shown")

	l = newLedger(t, Options{ClockRate: 1e-3}, byPer)
	l.Restore(0, spentAt(byPer, 3, -10*sec, -505*ms, -499*ms))
	knows(l, 4500*ms, midnight+500*ms, midnight+500*ms)
	require.EqualValues(t, 14, roomOf(l, 5*sec), "by as much as the clocks may have drifted apart since")
}

func TestAfterARestartWhatMayStillArriveCounts(t *testing.T) {
	limit := byPer
	limit.MaxDelay = 10 * sec
	past := spentAt(limit, 4, -3500*ms)
	charge := PastCharge{Limit: "a", Weight: 5}
	past.Flights = []PastFlight{{Charges: []PastCharge{charge}}}
	past.Lost = []PastLost{{charge, Lost, -4 * sec}} // it had a while to arrive behind the turn
	l := exact(t, Options{}, limit)
	l.Restore(0, past)
	knows(l, 0, midnight+500*ms, midnight+500*ms)
	require.EqualValues(t, 10, roomOf(l, 1))
	require.EqualValues(t, 10, roomOf(l, 19*sec), "it may have arrived when its time was up")
	require.EqualValues(t, 20, roomOf(l, 19500*ms), "and so in the window that is over")
}

func TestWhatAServerSaysBeforeItsClockIsKnownCountsInItsWindow(t *testing.T) {
	ahead := midnight + 500*ms
	for name, say := range map[string]func(*Ledger) error{
		"a number":  func(l *Ledger) error { return l.Sync(0, "a", Parts{}, 12, 0) },
		"a refusal": func(l *Ledger) error { _, _, err := l.RefusedAlone(0, 0, "a", Parts{}, 0); return err },
	} {
		for _, before := range []int64{0, 7, 20} { // all of it in the window before
			l := exact(t, Options{}, byPer)
			l.Restore(0, spentAt(byPer, before, -3500*ms))
			require.NoError(t, say(l))
			knows(l, 100*ms, ahead, ahead)
			require.EqualValues(t, map[string]int64{"a number": 8, "a refusal": 0}[name], roomOf(l, sec), "%s, %d before", name, before)
			require.EqualValues(t, 20, roomOf(l, 20*sec-500*ms), name)
		}
	}
	l := exact(t, Options{}, byPer)
	l.Restore(0, spentAt(byPer, 10, -3500*ms))
	require.NoError(t, l.Sync(0, "a", Parts{}, 12, 0))
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	require.NoError(t, l.Adjust(0, "a", Parts{}, 2))
	require.NoError(t, l.Adjust(0, "a", Parts{}, -1))
	knows(l, 100*ms, ahead, ahead)
	require.EqualValues(t, 6, roomOf(l, sec), "what came later comes on top")
}

func TestWhatCountedAsFullBeforeTheClockWasKnownIsFullInItsWindow(t *testing.T) {
	full := spentAt(byPer, 20, -3500*ms)
	full.Meters[0].Full, full.Meters[0].FullAt = true, -400*ms
	otherBy := full
	otherBy.Meters = slices.Clone(full.Meters)
	otherBy.Meters[0].By = ByAccount
	filled := spentAt(byPer, 20, -3500*ms)
	filled.Filled, filled.FilledAt = true, -400*ms
	for name, past := range map[string]Past{"one meter": full, "one that was told apart": otherBy, "all": filled} {
		l := exact(t, Options{}, byPer)
		l.Restore(0, past)
		knows(l, 100*ms, midnight+500*ms, midnight+500*ms)
		require.Zero(t, roomOf(l, 10*sec), name)
		require.EqualValues(t, 20, roomOf(l, 19500*ms), name)
	}
}

func TestWhatFormerMetersWereSaidToCountAddsUp(t *testing.T) {
	past := spentAt(byPer, 7, -3500*ms)
	past.Meters[0].By, past.Meters[0].Told = ByAccount, Told{{-400 * ms, 5}}
	past.Meters = append(past.Meters, past.Meters[0])
	past.Meters[1].Parts.Account = "x"
	l := exact(t, Options{}, byPer)
	l.Restore(0, past)
	knows(l, 100*ms, midnight+500*ms, midnight+500*ms)
	require.EqualValues(t, 10, roomOf(l, sec))
}

func TestARecorderIsToldWhatAWindowCountsThatTheLogDoesNotTell(t *testing.T) {
	r := &told{}
	l := exact(t, Options{}, byPer)
	l.Restore(0, spentAt(byPer, 10, -3500*ms))
	l.Record(r)
	require.NoError(t, l.Sync(0, "a", Parts{}, 7, 0))
	require.NoError(t, l.Sync(0, "a", Parts{}, 11, 0))
	require.Equal(t, []int64{1}, r.spent)
	require.Equal(t, []int64{7, 11}, r.windows)
	knows(l, sec, midnight+500*ms, midnight+500*ms)
	require.NoError(t, l.Sync(sec, "a", Parts{}, 11, 0))
	require.NoError(t, l.Sync(sec, "a", Parts{}, 12, 0))
	require.Equal(t, []int64{1, 1}, r.spent)
	require.Equal(t, []int64{7, 11, 12}, r.windows)

	l = exact(t, Options{}, byPer)
	past := spentAt(byPer, 7, -3500*ms)
	past.Meters[0].Told = Told{{0, 7}}
	l.Restore(sec, past)
	knows(l, sec, midnight+500*ms, midnight+500*ms)
	require.EqualValues(t, 13, roomOf(l, 2*sec))
}

// life is a world of one Fixed limit whose process ends again and again, and whose server counts
// by its own windows.
type life struct {
	rng    *rand.Rand
	limit  Limit
	rate   int64 // of the clocks, at most, parts per billion
	drift  int64
	offset time.Duration
	least  time.Duration // that a way takes
	cell   time.Duration // within which the memory tells no instants apart
	most   int64         // the server's quota; the table's may be less
	counts map[int64]int64

	now    time.Duration
	l      *Ledger
	memory *keeper
	flying []*ride
	err    error
}

// ride is a request. What has arrived counts at the server, whoever remembers it.
type ride struct {
	Permit
	arrives, answered time.Duration
	lost              bool // it is given up when it is answered, and may arrive later
	in                bool // it has arrived
	stamp             time.Duration
	orphan            bool // its process has ended
}

// keeper remembers what a ledger tells, as a journal does.
type keeper struct {
	cell    time.Duration
	flights map[uint32]int64
	next    uint32
	PastMeter
	lost []PastLost
}

func (k *keeper) Granted(_ time.Duration, p *Permit) uint32 {
	note, w := p.Charge(0)
	k.Limit, k.Terms = note.Limit, note.Terms
	k.next++
	k.flights[k.next] = w
	return k.next
}

func (k *keeper) Settled(now time.Duration, p *Permit, o Outcome) {
	w := k.flights[p.Flight()]
	delete(k.flights, p.Flight())
	switch o.Fate {
	case Answered:
		k.spend(now, w)
	case Lost, Closed:
		k.lost = append(k.lost, PastLost{PastCharge{Limit: k.Limit, Weight: w}, o.Fate, now})
	}
}

func (k *keeper) Spent(now time.Duration, _ *Note, w int64) { k.spend(now, w) }

// spend keeps all of one cell as of its end, or of now if that comes first.
func (k *keeper) spend(now time.Duration, w int64) {
	k.PastMeter.Told.Add(w)
	if last := len(k.PastMeter.Spent) - 1; last >= 0 && quotient.Floor(k.PastMeter.Spent[last].At, k.cell) == quotient.Floor(now, k.cell) {
		k.PastMeter.Spent[last] = Spent{now, k.PastMeter.Spent[last].Weight + w}
		return
	}
	k.PastMeter.Spent = append(k.PastMeter.Spent, Spent{now, w})
}

func (k *keeper) Told(now time.Duration, _ *Note, w int64) { k.PastMeter.Told.Tell(now, w) }

func (k *keeper) Budgeted(time.Duration, *Note, int64, bool) {}
func (k *keeper) Filled(time.Duration, bool)                 {}
func (k *keeper) Paused(time.Duration, Scope, time.Duration) {}
func (k *keeper) Resumed(time.Duration, Scope)               {}

// past is what is remembered at the end; later says that its instants are all taken to be later,
// as if no time had passed since, nobody knowing how much it was.
func (k *keeper) past(now time.Duration, later bool) Past {
	p := Past{Lost: slices.Clone(k.lost)}
	m := k.PastMeter
	m.Spent, m.Told = slices.Clone(m.Spent), slices.Clone(m.Told)
	latest := time.Duration(-1 << 62)
	for _, s := range slices.Concat(m.Spent, []Spent(m.Told)) {
		latest = max(latest, s.At)
	}
	if shift := now - latest; later {
		for i := range m.Spent {
			m.Spent[i].At += shift
		}
		for i := range m.Told {
			m.Told[i].At += shift
		}
		for i := range p.Lost {
			p.Lost[i].At = min(p.Lost[i].At+shift, now)
		}
	}
	for _, w := range k.flights {
		p.Flights = append(p.Flights, PastFlight{[]PastCharge{{Limit: "a", Weight: w}}})
	}
	p.Meters = []PastMeter{m}
	return p
}

func (w *life) server(t time.Duration) time.Duration {
	return t + w.offset + time.Duration(quotient.Floor(t*time.Duration(w.drift), billion))
}

func (w *life) span(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most) + 1))
}

func newLife(seed uint64, rate float64) *life {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := &life{rng: rng, rate: int64(rate * billion), counts: map[int64]int64{}, cell: 1}
	w.limit = Limit{ID: "a", Window: Fixed, Quota: 3 + rng.Int64N(6), Per: time.Duration(200+rng.IntN(800)) * ms, MaxDelay: 300 * ms, CloseDelay: 100 * ms}
	w.limit.Offset, w.most = w.span(w.limit.Per), w.limit.Quota
	if rng.IntN(3) == 0 {
		w.least = 20 * ms
		w.limit.RTTFloor = 2*w.least - 1
	}
	if rng.IntN(2) == 0 {
		w.cell = w.limit.Per / 16
	}
	w.drift = []int64{-w.rate, 0, w.rate}[rng.IntN(3)]
	w.offset = midnight + w.span(w.limit.Per)
	w.begin(Past{})
	return w
}

// begin has a process begin with a past.
func (w *life) begin(past Past) {
	l, err := New([]Limit{w.limit}, Options{ClockRate: float64(w.rate) / billion})
	if err != nil {
		w.err = err
		return
	}
	w.memory = &keeper{cell: w.cell, flights: map[uint32]int64{}}
	if len(past.Meters) > 0 {
		w.memory.PastMeter, w.memory.lost = past.Meters[0], past.Lost
		for _, f := range past.Flights {
			w.memory.lost = append(w.memory.lost, PastLost{f.Charges[0], Lost, w.now})
		}
	}
	l.Record(w.memory)
	l.Restore(w.now, past)
	w.l = l
}

// restart ends the process, and has another begin some time later.
func (w *life) restart() {
	for _, r := range w.flying {
		if !r.in && !r.orphan { // it arrives as it would have, or lies about somewhere for as long as it may
			if w.rng.IntN(2) == 0 {
				r.arrives = max(r.GrantedAt()+w.least, w.now+w.span(w.limit.MaxDelay))
			}
			r.arrives = min(r.arrives, w.now+w.limit.MaxDelay)
		}
		r.orphan = true
	}
	w.pass(w.now + w.span([]time.Duration{ms, w.limit.Per}[w.rng.IntN(2)]))
	w.limit.Quota = max(2, w.most-w.rng.Int64N(3))
	w.begin(w.memory.past(w.now, w.rng.IntN(4) == 0))
}

// pass lets time pass up to an instant, and has arrive and be answered what does by then.
func (w *life) pass(until time.Duration) {
	for w.err == nil {
		var next *ride
		at := until
		for _, r := range w.flying {
			if due := r.due(); due <= at {
				next, at = r, due
			}
		}
		w.now = max(w.now, at)
		if next == nil {
			return
		}
		w.move(next)
	}
}

func (r *ride) due() time.Duration {
	if r.orphan || r.State() != Granted {
		return r.arrives
	}
	if r.in {
		return r.answered
	}
	return min(r.arrives, r.answered)
}

func (w *life) move(r *ride) {
	if !r.in && w.now >= r.arrives {
		r.in, r.stamp = true, w.server(w.now)
		k := quotient.Floor(r.stamp-w.limit.Offset, w.limit.Per)
		if w.counts[k] += max(1, r.Weight); w.counts[k] > w.most {
			w.err = fmt.Errorf("at %v the server has %d of %d in window %d", w.now, w.counts[k], w.most, k)
		}
	} else if !r.orphan {
		o := Outcome{Fate: Answered}
		if r.lost {
			o.Fate = Lost
		} else if w.rng.IntN(3) == 0 {
			o.ServerTime = r.stamp
		}
		w.l.Settle(w.now, &r.Permit, o)
		if w.rng.IntN(3) == 0 && o.Fate == Answered {
			w.sync()
		}
		r.orphan = true // nobody waits for it
	}
	if r.in && r.orphan {
		w.flying = slices.DeleteFunc(w.flying, func(q *ride) bool { return q == r })
	}
}

func (w *life) sync() {
	s := w.server(w.now)
	start := []time.Duration{0, s}[w.rng.IntN(2)]
	if err := w.l.Sync(w.now, "a", Parts{}, w.counts[quotient.Floor(s-w.limit.Offset, w.limit.Per)], start); err != nil {
		w.err = err
	}
}

// act does one of the things that happen to a process.
func (w *life) act() {
	switch w.rng.IntN(16) {
	case 0:
		w.restart()
	case 1, 2, 3, 4: // by bounds that hold, and may have been unknown for long
		s := w.server(w.now) - w.now
		err := []time.Duration{0, 0, 5 * ms, w.limit.Per / 8, 2 * w.limit.Per}[w.rng.IntN(5)]
		w.l.SetClock(w.now, s-w.span(err), s+w.span(err))
	case 5:
		limit := w.limit
		limit.Quota = max(2, w.most-w.rng.Int64N(3))
		limit.RTTFloor = w.span(limit.RTTFloor)
		w.err = w.l.Replace(w.now, []Limit{limit})
	default:
		for range 1 + w.rng.IntN(4) {
			w.ask()
		}
	}
}

// ask asks for a permit that nobody waits for.
func (w *life) ask() {
	r := &ride{Permit: Permit{Limit: "a", Weight: 1 + w.rng.Int64N(2)}}
	if err := w.l.Acquire(w.now, &r.Permit); err != nil {
		w.err = err
	} else if !w.l.Cancel(w.now, &r.Permit) {
		w.send(r)
	}
}

func (w *life) send(r *ride) {
	most := []time.Duration{ms, 30 * ms}[w.rng.IntN(2)]
	r.arrives = w.now + w.least + w.span(most)
	r.answered = r.arrives + w.least + w.span(most)
	if r.lost = w.rng.IntN(12) == 0; r.lost {
		r.answered = w.now + w.span(50*ms)
		r.arrives = max(w.now+w.least, r.answered+w.span(w.limit.MaxDelay))
	}
	w.flying = append(w.flying, r)
}

// live has so many things happen, close to each other.
func (w *life) live(things int) error {
	for i := 0; i < things && w.err == nil; i++ {
		w.pass(w.now + w.pause())
		if w.err == nil {
			w.act()
		}
	}
	return w.err
}

// pause is until the next thing happens: often that is about when a window of the server turns.
func (w *life) pause() time.Duration {
	if w.rng.IntN(4) > 0 {
		return w.span(w.limit.Per / 12)
	}
	s := w.server(w.now)
	turn := (quotient.Floor(s-w.limit.Offset, w.limit.Per)+1)*int64(w.limit.Per) + int64(w.limit.Offset-s)
	return max(0, time.Duration(turn)-w.least+w.span(4*ms)-2*ms)
}

func TestNoWindowOfAServerSeesMoreThanItsQuotaHoweverLateItsClockIsKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rate := rapid.SampledFrom([]float64{1e-9, 200e-6, 0.01}).Draw(t, "rate")
		if err := newLife(seed, rate).live(1500); err != nil {
			t.Fatal(err)
		}
	})
}

// However the past was, what was surely answered in windows before takes no room once the clock is
// known exactly; what may have arrived in the present one takes its own, and no more.
func TestOnceTheClockIsKnownAPastTakesTheRoomOfThePresentWindowAlone(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		phase := time.Duration(rapid.Int64Range(0, int64(20*sec)-2).Draw(drawn, "phase")) // of the window, at the restart
		late := time.Duration(rapid.Int64Range(0, int64(20*sec-phase)-2).Draw(drawn, "late"))
		ago := rapid.SliceOfN(rapid.Int64Range(0, int64(25*sec)), 0, 40).Draw(drawn, "ago")
		var past []time.Duration
		free := int64(40)
		for _, d := range ago {
			past = append(past, -time.Duration(d))
			if time.Duration(d) <= phase {
				free--
			}
		}
		limit := byPer
		limit.Quota = 40
		l := exact(t, Options{}, limit)
		l.Restore(0, spentAt(limit, 1, past...))
		knows(l, late, midnight+phase, midnight+phase)
		if got := limitOf(l, late+1, "a").Room; got != free {
			drawn.Fatalf("room for %d, and not %d", got, free)
		}
	})
}
