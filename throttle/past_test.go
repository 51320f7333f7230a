package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told notes what a Recorder is told.
type told struct {
	flights uint32
	granted []uint32
	settled []uint32
	spent   []int64
	paused  []Scope
	resumed []Scope
	windows []int64
	budgets []int64
	filled  int
}

func (r *told) Granted(_ time.Duration, p *Permit) uint32 {
	r.flights++
	for i := range p.Charges() {
		note, w := p.Charge(i)
		if note.Limit == "" || w <= 0 {
			panic("a charge says what it is of")
		}
	}
	r.granted = append(r.granted, r.flights)
	return r.flights
}

func (r *told) Settled(_ time.Duration, p *Permit, _ Outcome) {
	r.settled = append(r.settled, p.Flight())
}
func (r *told) Spent(_ time.Duration, _ *Note, w int64) { r.spent = append(r.spent, w) }
func (r *told) Told(_ time.Duration, _ *Note, w int64)  { r.windows = append(r.windows, w) }
func (r *told) Budgeted(_ time.Duration, _ *Note, spent int64, _ bool) {
	r.budgets = append(r.budgets, spent)
}
func (r *told) Filled(time.Duration, bool)                       { r.filled++ }
func (r *told) Paused(_ time.Duration, s Scope, _ time.Duration) { r.paused = append(r.paused, s) }
func (r *told) Resumed(_ time.Duration, s Scope)                 { r.resumed = append(r.resumed, s) }

func TestARecorderIsToldOfEveryGrantBeforeItsPermitIsUsed(t *testing.T) {
	r := &told{}
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec}, Limit{ID: "b", Quota: 9, Per: sec, Linked: []Link{{ID: "a"}}})
	l.Record(r)
	first, second := granted(t, l, 0, "b"), granted(t, l, 0, "a")
	waits := queued(t, l, 0, "a")
	require.Equal(t, []uint32{1, 2}, r.granted)
	l.Settle(0, first, Outcome{Fate: NeverSent})
	require.Same(t, waits, l.Next(0))
	require.Equal(t, []uint32{1, 2, 3}, r.granted)
	l.Park(0, second)
	require.NoError(t, l.Requeue(0, second))
	require.Equal(t, []uint32{1, 2, 3, 4}, r.granted)
	l.Settle(0, waits, Outcome{})
	l.Settle(0, second, Outcome{Fate: Lost})
	require.Equal(t, []uint32{1, 2, 3, 4}, r.settled)
}

func TestARecorderIsToldWhatElseCounts(t *testing.T) {
	r := &told{}
	l := exact(t, Options{}, Limit{ID: "a", Quota: 9, Per: sec}, Limit{ID: "n", Quota: 9, Window: Lifetime})
	l.Record(r)
	require.NoError(t, l.Adjust(0, "a", Parts{}, 4))
	require.NoError(t, l.Sync(0, "a", Parts{}, 6, 0))
	require.NoError(t, l.Sync(0, "a", Parts{}, 3, 0))
	require.NoError(t, l.Adjust(0, "a", Parts{}, -1))
	require.Equal(t, []int64{4, 2, -1}, r.spent)
	require.NoError(t, l.Adjust(0, "n", Parts{}, 4))
	require.NoError(t, l.Sync(0, "n", Parts{}, 6, 0))
	l.assumeFull(l.at(0), false)
	require.Equal(t, []int64{4, 6, 9}, r.budgets)
	require.Equal(t, 1, r.filled)
	_, err := l.Refused(0, 0, Scope{Origin: "o"}, sec)
	require.NoError(t, err)
	require.NoError(t, l.Resume(0, Scope{Origin: "o"}))
	require.Error(t, l.Pause(0, Scope{Name: "unknown"}, sec))
	require.Equal(t, []Scope{{Origin: "o"}}, r.paused)
	require.Equal(t, r.paused, r.resumed)
}

func TestAPastOfLimitsThatAreGoneIsPassedOver(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 9, Per: sec, Keyed: true, Keys: []string{"x"}, Scope: "ip"})
	gone, unknown := PastCharge{Limit: "gone", Weight: 3}, PastCharge{Limit: "a", Parts: Parts{Key: "y"}, Weight: 3}
	l.Restore(0, Past{
		Meters:  []PastMeter{{Limit: "gone", Spent: []Spent{{0, 5}}}, {Limit: "a", Parts: Parts{Key: "y"}, Spent: []Spent{{0, 5}}}},
		Flights: []PastFlight{{Charges: []PastCharge{gone, unknown}}},
		Lost:    []PastLost{{PastCharge: gone, Fate: Closed}},
		Pauses:  []PastPause{{Scope{Origin: "o", Name: "gone"}, sec}, {Scope{Origin: "o", Name: "ip"}, sec}, {Scope{Origin: "p", Name: "ip"}, -sec}},
	})
	require.Len(t, l.Paused(0), 1)
	p := &Permit{Limit: "a", Key: "x", Weight: 9}
	require.NoError(t, l.Acquire(0, p))
	require.Equal(t, Granted, p.State())
}

func TestAPastThatWasFullIsFullAsLongAsItWouldHaveBeen(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky} {
		limit := Limit{ID: "a", Quota: 5, Per: perOf(kind, 10*sec), Window: kind, Keyed: true}
		l := exact(t, Options{}, limit)
		l.Restore(0, Past{Filled: true, FilledAt: -4 * sec})
		p := &Permit{Limit: "a", Key: "x", Weight: 5}
		require.NoError(t, l.Acquire(0, p))
		require.Equal(t, Queued, p.State(), kind)
		require.Nil(t, l.Next(6*sec-2*ms), kind)
		require.Same(t, p, l.Next(6*sec+100*ms), kind)

		l = exact(t, Options{}, limit)
		l.Restore(0, Past{Filled: true, FilledAt: -60 * sec})
		require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Key: "x", Weight: 5}))
		require.Zero(t, l.Len(), kind)
	}
}

func TestAPastThatMakesNoSenseHoldsNobodyUpForEver(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 5, Per: perOf(kind, 10*sec), Window: kind})
		l.Restore(0, Past{
			Meters: []PastMeter{{
				Limit: "a", Terms: Terms{Window: kind}, Spent: []Spent{{1 << 60, 1 << 62}, {-1 << 60, -5}},
				Level: 1 << 62, LevelAt: 1 << 60, Full: true, FullAt: 1 << 60,
			}},
			Lost: []PastLost{{PastCharge{Limit: "a", Weight: 1 << 62}, Lost, 1 << 60}, {PastCharge{Limit: "a", Weight: -7}, Lost, 0}},
		})
		p := &Permit{Limit: "a"}
		require.NoError(t, l.Acquire(0, p))
		require.Equal(t, Queued, p.State(), kind)
		if kind != Leaky { // its level is what was said, however long that takes
			require.Same(t, p, l.Next(30*sec), kind)
		}
	}
}

// What was answered at an instant had arrived before, and so the window that it opened
// may end earlier than a span after that instant: what was answered just then may be
// in the next one.
func TestAWindowThatOpenedBeforeTheRestartMayEndBeforeItsFirstAnswerSays(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 10 * sec, Window: FixedFromFirst})
	terms := Terms{Window: FixedFromFirst, Keep: 10 * sec}
	l.Restore(0, Past{Meters: []PastMeter{{Limit: "a", Terms: terms, Spent: []Spent{{-9 * sec, 1}}}}}) // it arrived 100 ms before
	l.Settle(100*ms, granted(t, l, 0, "a"), Outcome{})
	p := &Permit{Limit: "a", Weight: 5}
	require.NoError(t, l.Acquire(850*ms, p))
	require.Equal(t, Granted, p.State())
	l.Settle(960*ms, p, Outcome{}) // it arrived at 950 ms, and opened a window up to 10.95 s
	q := &Permit{Limit: "a", Weight: 6}
	require.NoError(t, l.Acquire(10*sec+500*ms, q))
	require.Equal(t, Queued, q.State())
	require.Same(t, q, l.Next(10*sec+960*ms))
}

func TestWhatIsUnknownMayStillBeOnItsWay(t *testing.T) {
	for _, kind := range timedKinds {
		if kind == Concurrency {
			continue
		}
		limit := Limit{ID: "a", Quota: 5, Per: perOf(kind, sec), Window: kind, Keyed: true, MaxDelay: 3 * sec}
		for _, seen := range []time.Duration{0, 2 * sec, 3500 * ms} { // what is met later was unknown too
			if kind == Leaky && seen > limit.MaxDelay {
				continue // there is room by then
			}
			l := exact(t, Options{}, limit)
			l.Restore(0, Past{Unknown: true})
			foreseen, err := l.Foresee(seen, Permit{Limit: "a", Key: "k"})
			require.NoError(t, err)
			require.False(t, foreseen.AtOnce)
			p := &Permit{Limit: "a", Key: "k"}
			require.NoError(t, l.Acquire(seen, p))
			last := 4*sec - 2*ms
			if kind == Leaky { // it falls steadily from the arrival on
				last = 3100 * ms
			}
			require.Empty(t, drain(l, last), "%v, met at %v", kind, seen)
			require.Equal(t, []*Permit{p}, drain(l, 4*sec+10*ms), "%v, met at %v", kind, seen)
		}
	}
}
