package throttle

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestALimitHasAShareAndAMarginOfItsOwn(t *testing.T) {
	l := exact(t, Options{Share: 0.5, SafetyMargin: 0.2},
		Limit{ID: "theirs", Quota: 100, Per: sec},
		Limit{ID: "mine", Quota: 100, Per: sec, Share: 1},
		Limit{ID: "all", Quota: 100, Per: sec, Share: 1, SafetyMargin: NoMargin},
		Limit{ID: "careful", Quota: 100, Per: sec, SafetyMargin: 0.5},
		Limit{ID: "bucket", Quota: 100, Per: sec, Share: 0.1, SafetyMargin: NoMargin, Window: Leaky})
	for id, quota := range map[string]int64{"theirs": 40, "mine": 80, "all": 100, "careful": 25, "bucket": 10} {
		require.Equal(t, quota, limitOf(l, 0, id).Quota, id)
	}
	for id, alone := range map[string]bool{"theirs": false, "mine": true, "all": true, "careful": false} {
		require.Equal(t, alone, l.Alone(id), id)
	}
	for range 10 {
		l.Settle(0, granted(t, l, 0, "bucket"), Outcome{})
	}
	require.EqualValues(t, 4, limitOf(l, 499*ms, "bucket").Room, "it falls by 10 a second, and not by 100")
}

func TestAShareOutOfRangeIsAMistake(t *testing.T) {
	for _, wrong := range []Limit{
		{Share: -0.1}, {Share: 1.1}, {Share: math.NaN()}, {SafetyMargin: 1}, {SafetyMargin: -0.5}, {SafetyMargin: math.NaN()}, {Share: 0.05},
	} {
		wrong.ID, wrong.Quota, wrong.Per = "a", 10, sec
		_, err := New([]Limit{wrong}, Options{})
		require.Error(t, err, wrong)
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec})
		require.Error(t, l.SetShare(0, "a", wrong.Share, wrong.SafetyMargin), wrong)
		require.EqualValues(t, 10, limitOf(l, 0, "a").Quota, "nothing has changed")
	}
	_, err := New([]Limit{{ID: "a", Quota: 1, Per: sec}, {ID: "r", Linked: []Link{{ID: "a"}}, Share: 0.5, SafetyMargin: 0.1}}, Options{})
	require.ErrorContains(t, err, "share means nothing")
	require.ErrorContains(t, err, "safety margin means nothing")
}

func TestAShareThatLeavesTooLittleChangesNothing(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "a", Quota: 10, Per: sec, Reserve: []Reserve{{Priority: 1, Weight: 3}}},
		Limit{ID: "heavy", Linked: []Link{{ID: "a", Weight: 6}}})
	require.ErrorIs(t, l.SetShare(0, "b", 1, 0), ErrUnknownLimit)
	require.ErrorIs(t, l.SetShare(0, "heavy", 1, 0), ErrUnknownLimit, "a route has no quota")
	require.ErrorContains(t, l.SetShare(0, "a", 0.3, 0), "reserves of 3 leave nothing of 3")
	require.ErrorContains(t, l.SetShare(0, "a", 0.5, 0), `"heavy" charges 6, which never fits into 5`)
	var told *LimitError
	require.ErrorAs(t, l.SetShare(0, "a", 0.5, 0), &told)
	require.Equal(t, "a", told.ID)
	require.EqualValues(t, 10, limitOf(l, 0, "a").Quota)
	require.Zero(t, l.Table()-1, "exact itself has replaced the table once")
	require.NoError(t, l.SetShare(0, "a", 0.6, 0))
	require.EqualValues(t, 6, limitOf(l, 0, "a").Quota)
}

func TestASmallerShareRefusesWhoNeverFitsAndHasOthersWait(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec})
	first := &Permit{Limit: "a", Weight: 10}
	require.NoError(t, l.Acquire(0, first))
	heavy, light := &Permit{Limit: "a", Weight: 8}, &Permit{Limit: "a", Weight: 2}
	for _, p := range []*Permit{heavy, light} {
		require.NoError(t, l.Acquire(0, p))
		require.Equal(t, Queued, p.State())
	}
	before := l.Table()
	require.NoError(t, l.SetShare(0, "a", 0.5, 0))
	require.Equal(t, before+1, l.Table(), "what has a permit and no connection is to ask again")
	require.Equal(t, []*Permit{heavy}, drain(l, 0))
	require.Equal(t, Refused, heavy.State())
	require.ErrorIs(t, heavy.Err(), ErrWeight)
	require.EqualValues(t, -5, limitOf(l, 0, "a").Room, "what is in flight stays counted")
	l.Settle(0, first, Outcome{})
	wakesAt(t, l, sec)
	require.Equal(t, []*Permit{light}, drain(l, sec))

	require.NoError(t, l.SetShare(sec, "a", 1, 0))
	require.Equal(t, before+1, l.Table(), "a larger share outdates nothing")
	require.EqualValues(t, 8, limitOf(l, sec, "a").Room)
}

func TestALargerShareLetsWhoWaitsGoAtOnce(t *testing.T) {
	l := exact(t, Options{Share: 0.1}, Limit{ID: "a", Quota: 10, Per: sec})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	waiting := queued(t, l, 0, "a")
	require.NoError(t, l.SetShare(0, "a", 0.2, 0))
	require.Equal(t, []*Permit{waiting}, drain(l, 0))
	require.NoError(t, l.SetShare(0, "a", 0, 0))
	require.EqualValues(t, 1, limitOf(l, 0, "a").Quota, "0 is the share of the options")
}

// Another process may have spent all of the larger share before the restart.
func TestALargerShareAfterARestartOpensNothingThatMayBeSpent(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency, Lifetime} {
		l := exact(t, Options{StartFull: true}, Limit{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind, Share: 0.1})
		l.at(0)
		require.Zero(t, limitOf(l, 0, "a").Room)
		require.NoError(t, l.SetShare(ms, "a", 1, 0))
		require.LessOrEqual(t, limitOf(l, ms, "a").Room, int64(0), kind)
		if kind != Lifetime {
			require.EqualValues(t, 10, limitOf(l, 30*sec, "a").Room, kind)
		}
	}
}

// sharing is one limit whose share is changed at random, and a count of what it let
// through that knows of nothing else.
type sharing struct {
	*rand.Rand
	kind     Window
	l        *Ledger
	now      time.Duration
	quota    int64 // in effect
	uses     []*usage
	requests []*Permit
	waiting  []*Permit
	flying   map[*Permit]*usage
	level    float64 // of a Leaky one
	drained  time.Duration
}

const sharedQuota = 20

// count is what still counts at s.now, by the definition of the window.
func (s *sharing) count() int64 {
	var open, answered, recent, inWindow int64
	for _, u := range s.uses {
		if u.answered == never {
			open += u.w
			continue
		}
		answered += u.w
		if s.now < u.answered+sec {
			recent += u.w
		}
		if u.answered/sec == s.now/sec {
			inWindow += u.w
		}
	}
	switch s.kind {
	case Fixed:
		return open + min(recent, inWindow)
	case Leaky:
		return open + int64(math.Ceil(s.level-1e-4))
	case Concurrency:
		return open
	case Lifetime:
		return open + answered
	}
	return open + recent
}

func (s *sharing) advance(to time.Duration) {
	s.level = max(0, s.level-float64(s.quota)*float64(to-s.drained)/float64(sec))
	s.now, s.drained = to, to
}

func (s *sharing) granted(t *rapid.T, p *Permit) {
	u := &usage{p.Weight, s.now, never}
	s.uses = append(s.uses, u)
	s.flying[p] = u
	s.requests = append(s.requests, p)
	require.LessOrEqual(t, s.count(), s.quota, "%v: more than the present share is let through", s.kind)
}

// refused demands that a weight that never fits is refused, or one that is beyond what
// is left of a budget, and no other.
func (s *sharing) refused(t *rapid.T, p *Permit, err error) {
	if s.kind == Lifetime && errors.Is(err, ErrSpent) {
		require.Greater(t, s.count()+p.Weight, s.quota)
		return
	}
	require.ErrorIs(t, err, ErrWeight)
	require.Greater(t, p.Weight, s.quota)
}

// drain takes all answers, and demands that whoever waits then has to.
func (s *sharing) drain(t *rapid.T) {
	for p := s.l.Next(s.now); p != nil; p = s.l.Next(s.now) {
		i := 0
		for s.waiting[i] != p {
			i++
		}
		s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
		if p.State() == Granted {
			require.Zero(t, i, "out of order")
			s.granted(t, p)
			continue
		}
		s.refused(t, p, p.Err())
	}
	if len(s.waiting) > 0 {
		quota := s.quota
		if s.kind == Leaky { // fractions of a weight are rounded
			quota--
		}
		require.Greater(t, s.count()+s.waiting[0].Weight, quota, "%v: it waits though there is room", s.kind)
	}
}

func (s *sharing) step(t *rapid.T, shares bool) {
	switch s.IntN(5) {
	case 0, 1:
		p := &Permit{Limit: "a", Weight: 1 + s.Int64N(4)}
		if err := s.l.Acquire(s.now, p); err != nil {
			s.refused(t, p, err)
			return
		}
		if p.State() == Granted {
			s.granted(t, p)
		} else {
			s.waiting = append(s.waiting, p)
		}
	case 2:
		if len(s.requests) > 0 {
			i := s.IntN(len(s.requests))
			p := s.requests[i]
			s.requests = append(s.requests[:i:i], s.requests[i+1:]...)
			s.l.Settle(s.now, p, Outcome{})
			s.flying[p].answered = s.now
			s.level += float64(p.Weight)
		}
	case 3:
		if !shares {
			return
		}
		share := float64(1+s.IntN(sharedQuota)) / sharedQuota
		require.NoError(t, s.l.SetShare(s.now, "a", share, 0))
		s.quota = int64(math.Round(share * sharedQuota))
		require.Equal(t, s.quota, limitOf(s.l, s.now, "a").Quota)
	case 4:
		to := s.now + time.Duration(s.Int64N(int64(400*ms)))
		for at, ok := s.l.Wake(); ok && at <= to; at, ok = s.l.Wake() {
			s.advance(max(at, s.now))
			s.drain(t)
		}
		s.advance(to)
	}
}

// So in no window more is spent than the larger of the shares in it, and no more than
// the present one from when what was granted before has left the window.
func TestAShareThatChangesAtAnyTimeIsNeverOverspent(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, Leaky, Concurrency, Lifetime} {
		t.Run(kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l, err := New([]Limit{{ID: "a", Quota: sharedQuota, Per: perOf(kind, sec), Window: kind}}, Options{})
				require.NoError(t, err)
				l.clock.rate = 0
				require.NoError(t, l.Replace(0, []Limit{{ID: "a", Quota: sharedQuota, Per: perOf(kind, sec), Window: kind}}))
				l.SetClock(0, 1_000_000*sec, 1_000_000*sec)
				s := &sharing{
					Rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3)), kind: kind, l: l,
					quota: sharedQuota, flying: map[*Permit]*usage{},
				}
				for range 150 {
					s.step(t, true)
					s.drain(t)
				}
			})
		})
	}
}
