package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// turning is a server that counts by a grid on a clock of its own, as fast or slow as it may be,
// and what a ledger is told of that clock, and when.
type turning struct {
	limit Limit
	grid  grid
	begun time.Duration // its clock at our zero
	drift int64         // parts per billion
	looks []look
	fills []flight
}

// look says that the clock shows up to so much less or more than it does.
type look struct{ at, less, more time.Duration }

// flight is a request that is answered, or lost, so long after it was let through.
type flight struct {
	wait, out time.Duration
	fate      Fate
}

func (s *turning) clock(now time.Duration) time.Duration {
	if s.drift < 0 {
		return s.begun + now - mulDivUp(now, time.Duration(-s.drift), billion)
	}
	return s.begun + now + mulDivDown(now, time.Duration(s.drift), billion)
}

// play fills the limit, and returns the ledger with how often the server has counted in each window.
func (s *turning) play(t *rapid.T) (l *Ledger, now time.Duration, counts map[int64]int64) {
	l, err := New([]Limit{s.limit}, Options{})
	require.NoError(t, err)
	counts = map[int64]int64{}
	s.look(l, 0, s.looks[0])
	for _, f := range s.fills {
		now += f.wait
		p := &Permit{Limit: "a"}
		if l.TryAcquire(now, p) != nil {
			continue
		}
		s.arrive(t, counts, now)
		now += f.out
		l.Settle(now, p, Outcome{Fate: f.fate})
	}
	return l, now, counts
}

func (s *turning) look(l *Ledger, now time.Duration, k look) {
	ahead := s.clock(now) - now
	l.SetClock(now, ahead-k.less, ahead+k.more)
}

func (s *turning) arrive(t *rapid.T, counts map[int64]int64, now time.Duration) {
	k := s.grid.index(s.clock(now))
	counts[k]++
	require.LessOrEqual(t, counts[k], s.limit.Quota, "at %v", now)
}

// leaves asks for a permit at now, and returns when it is granted or expires; an error is that of
// Acquire.
func (s *turning) leaves(t *rapid.T, deadline time.Duration) (granted bool, at time.Duration, err error) {
	l, now, counts := s.play(t)
	p := &Permit{Limit: "a", Deadline: deadline}
	if err := l.Acquire(now, p); err != nil {
		return false, now, err
	}
	looks := s.looks[1:]
	for p.State() == Queued {
		at, ok := l.Wake()
		require.True(t, ok)
		if len(looks) > 0 && looks[0].at < at {
			now = max(now, looks[0].at)
			s.look(l, now, looks[0])
			looks = looks[1:]
		} else {
			now = max(now, at)
		}
		l.Next(now)
	}
	if p.State() != Granted {
		return false, now, nil
	}
	s.arrive(t, counts, now)
	return true, now, nil
}

func drawTurning(t *rapid.T) *turning {
	span := func(name string, most, unit time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(most/unit)).Draw(t, name)) * unit
	}
	s := &turning{limit: rapid.SampledFrom([]Limit{
		{Per: 10 * sec}, {Per: time.Hour, Offset: time.Minute}, {Per: day}, {Months: 1},
		{Per: day, Location: time.FixedZone("here", -8*3600)},
	}).Draw(t, "limit")}
	s.limit.ID, s.limit.Window, s.limit.Quota = "a", Fixed, rapid.Int64Range(1, 3).Draw(t, "quota")
	s.limit.Shared = rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(t, "shared")
	s.grid, _ = s.limit.grid(newZones())
	bound := int64(newLedgerOf(t, s.limit).clock.rate) - 1
	s.drift = rapid.SampledFrom([]int64{-bound, -bound / 2, 0, bound / 3, bound}).Draw(t, "drift")
	month := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s.begun = unix(month) + span("begun", 40*day, sec)
	turn := s.grid.start(s.grid.index(s.begun)+1) - s.begun // about then, by our clock
	wrong := func(at time.Duration) look { return look{at, span("less", sec, ms), span("more", sec, ms)} }
	s.looks = []look{wrong(0)}
	for at := span("first look", turn, sec); at < turn+time.Minute && len(s.looks) < 40; at += span("next", turn, sec)/8 + sec {
		s.looks = append(s.looks, wrong(at))
	}
	if rapid.Bool().Draw(t, "at the turn") { // it is looked at again shortly before, and just behind
		s.looks = append([]look{s.looks[0]}, look{turn - turn>>10, ms, ms}, look{turn, 0, 0}, look{turn + ms, 0, 0})
	}
	for range rapid.IntRange(1, 5).Draw(t, "fills") {
		fate := rapid.SampledFrom([]Fate{Answered, Answered, Lost, Closed}).Draw(t, "fate")
		s.fills = append(s.fills, flight{span("wait", sec, ms), span("out", sec, ms), fate})
	}
	return s
}

func newLedgerOf(t require.TestingT, limits ...Limit) *Ledger {
	l, err := New(limits, Options{})
	require.NoError(t, err)
	return l
}

// However the clocks drift, and however often the server's is looked at.
func TestNobodyIsRefusedWhoCouldLeaveBehindTheTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawTurning(t)
		_, left, err := s.leaves(t, 0)
		require.NoError(t, err)
		l, now, _ := s.play(t)
		if left <= now {
			return
		}
		p := Permit{Limit: "a"}
		soonest := l.soonest(now, func() *Permit { p := p; require.NoError(t, l.admit(now, &p, false)); return &p }())
		require.LessOrEqual(t, soonest, left)
		var full *LimitError
		require.ErrorAs(t, l.TryAcquire(now, &p), &full)
		require.Greater(t, full.RetryAt, now, "or whoever asks then spins")
		if soonest > now {
			require.LessOrEqual(t, full.RetryAt, left)
		}
		foreseen, err := l.Foresee(now, Permit{Limit: "a"})
		require.NoError(t, err)
		require.Equal(t, foreseen.Charges[0].Opens, foreseen.Hold.Until)
		require.LessOrEqual(t, full.RetryAt, foreseen.Hold.Until)

		// Around the instant at which it leaves, as far as the clocks may drift and beyond.
		apart := 2*l.clock.drift(left-now) + 2*sec
		deadline := max(now+1, left-apart/4+time.Duration(rapid.Int64Range(0, int64(apart)).Draw(t, "deadline")))
		granted, at, err := s.leaves(t, deadline)
		switch {
		case err != nil:
			require.ErrorIs(t, err, ErrDeadline)
			require.GreaterOrEqual(t, left, deadline)
		case granted:
			require.Equal(t, left, at, "a deadline lets nobody go earlier or later")
		default:
			require.GreaterOrEqual(t, left, deadline)
		}
	})
}

func TestWhatIsToldOfATurnIsWhatTheServersClockIsThoughtToShow(t *testing.T) {
	l := newLedger(t, Options{}, Limit{ID: "a", Quota: 1, Per: day, Window: Fixed})
	l.SetClock(0, 100*day-20*ms, 100*day+40*ms)
	l.Settle(sec, granted(t, l, sec, "a"), Outcome{})
	f, err := l.Foresee(sec, Permit{Limit: "a"})
	require.NoError(t, err)
	require.Equal(t, day-10*ms, f.Hold.Until)
	require.Equal(t, day-10*ms, f.Charges[0].Opens)
	require.Equal(t, day-10*ms, l.Snapshot(sec).Limits[0].Next)
	var full *LimitError
	require.ErrorAs(t, l.TryAcquire(sec, &Permit{Limit: "a"}), &full)
	require.Equal(t, l.clock.notBefore(101*day), full.RetryAt)
	require.Equal(t, full.RetryAt, f.RetryAt)
	require.Equal(t, full.RetryAt, f.Soonest)

	// While it may turn at any moment, the next of these instants is told that lies ahead.
	for _, c := range []struct{ now, told time.Duration }{
		{full.RetryAt, day - 10*ms}, {day - 10*ms, l.clock.reachedBySetBounds(101 * day)},
	} {
		require.ErrorAs(t, l.TryAcquire(c.now, &Permit{Limit: "a"}), &full)
		require.Equal(t, c.told, full.RetryAt)
		f, err := l.Foresee(c.now, Permit{Limit: "a"})
		require.NoError(t, err)
		require.Equal(t, c.told, f.Hold.Until)
		require.LessOrEqual(t, f.Soonest, c.now, "it may leave with the next look at the clock")
	}
	granted(t, l, l.clock.reachedBySetBounds(101*day), "a")
}
