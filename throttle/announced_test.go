package throttle

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func announce(t testing.TB, l *Ledger, now time.Duration, id, key string, quota int64) (was, is int64) {
	t.Helper()
	was, is, err := l.Announce(now, id, Parts{Key: key}, quota)
	require.NoError(t, err)
	return was, is
}

func TestALowerQuotaCountsAtOnceAndAHigherOneByOption(t *testing.T) {
	for adopt, want := range map[Adopt][]int64{
		AdoptLower: {40, 60, 100, 100},
		AdoptBoth:  {40, 60, 100, 250},
	} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec, Adopt: adopt})
		for i, quota := range []int64{40, 60, 100, 250} {
			_, is := announce(t, l, 0, "a", "", quota)
			require.Equal(t, want[i], is)
			require.Equal(t, want[i], limitOf(l, 0, "a").Quota, "%v: a later one replaces an earlier one", adopt)
			now, burst, known := l.QuotaOf("a", Parts{})
			require.Equal(t, []any{want[i], want[i], true}, []any{now, burst, known})
		}
	}
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec, Adopt: AdoptNothing})
	_, _, err := l.Announce(0, "a", Parts{}, 40)
	require.ErrorIs(t, err, ErrNothingAdopt)
	require.EqualValues(t, 100, limitOf(l, 0, "a").Quota)
}

func TestAnAnnouncedQuotaIsThatOfOneMeter(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, Keyed: true, Keys: []string{"x", "y", "z"}})
	room := func(key string) (n int) {
		for range 20 {
			p := &Permit{Limit: "a", Key: key}
			require.NoError(t, l.Acquire(0, p))
			if p.State() == Granted {
				n++
			}
		}
		return n
	}
	announce(t, l, 0, "a", "x", 3)
	announce(t, l, 0, "a", "y", 10)
	announce(t, l, 0, "a", "z", 3)
	require.Equal(t, []int{3, 10, 3}, []int{room("x"), room("y"), room("z")})
	_, _, err := l.Announce(0, "a", Parts{}, 3)
	require.ErrorIs(t, err, ErrNoKey)
	_, _, err = l.Announce(0, "a", Parts{Key: "w"}, 3)
	require.ErrorIs(t, err, ErrUnknownKey)
	_, _, err = l.Announce(0, "b", Parts{}, 3)
	require.ErrorIs(t, err, ErrUnknownLimit)
}

// A key that comes back finds what it would have found.
func TestAnAnnouncedQuotaOutlivesItsMeter(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, Keyed: true})
	announce(t, l, 0, "a", "x", 3)
	for at := sec; at < 10*time.Minute; at += 10 * sec {
		l.Forget(at)
	}
	require.Empty(t, l.Snapshot(10*time.Minute).Limits, "it is forgotten")
	p := &Permit{Limit: "a", Key: "x", Weight: 4}
	require.ErrorIs(t, l.Acquire(10*time.Minute, p), ErrWeight)
	require.EqualValues(t, 3, limitOf(l, 10*time.Minute, "a").Quota)
}

func TestNonsenseIsNotBelieved(t *testing.T) {
	limits := []Limit{
		{ID: "a", Quota: 1000, Per: sec, Adopt: AdoptBoth, Weight: 20, Reserve: []Reserve{{Priority: 1, Weight: 30}}},
		{ID: "ever", Quota: 1000, Window: Lifetime, Adopt: AdoptBoth},
	}
	l := exact(t, Options{}, limits...)
	announce(t, l, 0, "a", "", 500)
	for _, quota := range []int64{0, -1, 9, 100_000 + 100, maxWeight + 1, 19, 30} {
		was, is, err := l.Announce(0, "a", Parts{}, quota)
		require.ErrorIs(t, err, ErrQuota, quota)
		require.Equal(t, []int64{500, 500}, []int64{was, is})
		require.EqualValues(t, 500, limitOf(l, 0, "a").Quota)
	}
	announce(t, l, 0, "a", "", 100_000)
	announce(t, l, 0, "ever", "", 1_000_000_000)
	require.EqualValues(t, 1_000_000_000, limitOf(l, 0, "ever").Quota, "a budget may grow to anything")
}

func TestShareAndMarginApplyToAnAnnouncedQuota(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec, Share: 0.5})
	before := l.Table()
	announce(t, l, 0, "a", "", 40)
	require.Equal(t, before+1, l.Table(), "what was granted under the larger quota is to ask again")
	require.EqualValues(t, 20, limitOf(l, 0, "a").Quota)
	require.NoError(t, l.SetShare(0, "a", 0.25, 0))
	require.EqualValues(t, 10, limitOf(l, 0, "a").Quota)
	require.ErrorContains(t, l.SetShare(0, "a", 0.02, 0), "the quota 40 that was announced")
	require.EqualValues(t, 10, limitOf(l, 0, "a").Quota)
	announce(t, l, 0, "a", "", 100)
	require.EqualValues(t, 25, limitOf(l, 0, "a").Quota)
}

func TestOfACounterTheRateIsAnnounced(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, Burst: 20, Window: Leaky, Adopt: AdoptBoth},
		Limit{ID: "b", Quota: 10, Per: sec, Window: Leaky, Adopt: AdoptBoth})
	announce(t, l, 0, "a", "", 5)
	announce(t, l, 0, "b", "", 5)
	require.EqualValues(t, 10, limitOf(l, 0, "a").Quota, "the burst shrinks in proportion")
	require.EqualValues(t, 5, limitOf(l, 0, "b").Quota)
	for range 10 {
		l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	}
	require.EqualValues(t, 5, limitOf(l, 1001*ms, "a").Room, "it falls by 5 a second")
	announce(t, l, 1001*ms, "a", "", 20)
	announce(t, l, 1001*ms, "b", "", 20)
	require.EqualValues(t, 20, limitOf(l, 1001*ms, "a").Quota, "and does not grow")
	require.EqualValues(t, 20, limitOf(l, 1001*ms, "b").Quota)
	require.EqualValues(t, 20, limitOf(l, 1260*ms, "a").Room, "it falls by 20 a second")
}

func TestWhoNeverFitsIntoAnAnnouncedQuotaIsRefused(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, Adopt: AdoptBoth}, Limit{ID: "heavy", Linked: []Link{{ID: "a", Weight: 8}}})
	l.Settle(0, granted(t, l, 0, "heavy"), Outcome{})
	heavy, light := acquire(t, l, 0, "heavy"), &Permit{Limit: "a", Weight: 3}
	require.NoError(t, l.Acquire(0, light))
	announce(t, l, 0, "a", "", 5)
	require.Same(t, heavy, l.Next(0))
	require.ErrorIs(t, heavy.Err(), ErrWeight)
	require.ErrorContains(t, heavy.Err(), "8 is more than 5")
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "heavy"}), ErrWeight)
	require.Nil(t, l.Next(0))
	announce(t, l, 0, "a", "", 30)
	require.Same(t, light, l.Next(0), "there is room at once")
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Weight: 19}), "what the declared quota could not hold")
}

func TestAReplacementKeepsWhatWasAnnouncedForTheSameQuota(t *testing.T) {
	limit := Limit{ID: "a", Quota: 10, Per: sec, Adopt: AdoptBoth}
	for _, c := range []struct {
		change func(*Limit)
		want   int64
	}{
		{func(l *Limit) { l.Scope = "s" }, 30},
		{func(l *Limit) { l.Adopt = AdoptLower }, 10},
		{func(l *Limit) { l.Adopt = AdoptNothing }, 10},
		{func(l *Limit) { l.Quota = 20 }, 20},
		{func(l *Limit) { l.Per = 2 * sec }, 10},
		{func(l *Limit) { l.Window = Leaky }, 10},
		{func(l *Limit) { l.Reserve = []Reserve{{1, 5}} }, 30},
	} {
		l := exact(t, Options{}, limit)
		announce(t, l, 0, "a", "", 30)
		other := limit
		c.change(&other)
		require.NoError(t, l.Replace(0, []Limit{other}))
		require.Equal(t, c.want, limitOf(l, 0, "a").Quota)
		next, err := l.Successor(0, []Limit{limit})
		require.NoError(t, err)
		if c.want == 30 {
			require.EqualValues(t, 30, limitOf(next, 0, "a").Quota, "and so does a ledger that goes on after a failure")
		}
	}
}

// So a budget that grows with what is traded is told: Hyperliquid's nRequestsCap.
func TestABudgetThatGrowsTakesBackWhoWaitsAtItsFallback(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "ever", Quota: 2, Window: Lifetime, Fallback: "trickle", Adopt: AdoptBoth}, Limit{ID: "trickle", Quota: 1, Per: 10 * sec})
	spend(t, l, 0, "ever", 3)
	one, two := queued(t, l, 0, "ever"), queued(t, l, 0, "ever")
	require.Equal(t, "trickle", l.Holding(0, one).Limit)
	announce(t, l, 5*sec, "ever", "", 3)
	require.Same(t, one, l.Next(5*sec))
	require.Nil(t, l.Next(5*sec))
	require.Equal(t, "ever", l.Holding(5*sec, two).Limit)
}

func TestAServerThatAnnouncesEverOtherQuotasFillsNoMemory(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1000, Per: sec})
	for i := range int64(900) {
		announce(t, l, 0, "a", "", 1000-i)
	}
	r := l.table.rules["a"]
	require.Len(t, r.announced.tiers, 1)
	require.Len(t, r.announced.of, 1)
	announce(t, l, 0, "a", "", 1000)
	require.Equal(t, announcements{}, r.announced)
}

func TestOfKeysThatAreForgottenTheLastAnnouncementsAreKept(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100_000, Per: sec, Keyed: true})
	r := l.table.rules["a"]
	quota := func(key int) int64 {
		quota, _, _ := l.QuotaOf("a", Parts{Key: strconv.Itoa(key)})
		return quota
	}
	const keys = mostForgotten + 1000
	for key := range keys {
		p := &Permit{Limit: "a", Key: strconv.Itoa(key)}
		require.NoError(t, l.Acquire(0, p))
		announce(t, l, 0, "a", p.Key, int64(50_000+key))
		l.Settle(0, p, Outcome{})
	}
	require.EqualValues(t, 50_000, quota(0), "as long as its key is known each counts")
	for at, ok := l.ForgetAt(); ok; at, ok = l.ForgetAt() {
		l.Forget(at)
	}
	require.Zero(t, r.meters.n)
	require.Len(t, r.announced.of, mostForgotten)
	require.Len(t, r.announced.tiers, mostForgotten)
	require.EqualValues(t, 50_000+keys-1, quota(keys-1))
	require.NoError(t, l.Replace(time.Hour, []Limit{{ID: "a", Quota: 100_000, Per: sec, Keyed: true, Scope: "other"}}))
	require.EqualValues(t, 50_000+keys-1, quota(keys-1), "by a table with the same quota too")
}

// slowAnnouncements are a list that is gone through, the one that lost its meter last at the
// end; those that have one are in no order.
type slowAnnouncements []slowAnnouncement

type slowAnnouncement struct {
	at    Parts
	quota int64
	used  bool
}

func (s *slowAnnouncements) take(at Parts) (one slowAnnouncement, found bool) {
	i := slices.IndexFunc(*s, func(a slowAnnouncement) bool { return a.at == at })
	if i < 0 {
		return slowAnnouncement{at: at}, false
	}
	one = (*s)[i]
	*s = slices.Delete(*s, i, i+1)
	return one, true
}

func TestAnnouncementsAreWhatAListOfThemSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 8))
		var as announcements
		var slow slowAnnouncements
		for range 400 {
			at := Parts{Key: strconv.Itoa(rng.IntN(30))}
			one, found := slow.take(at)
			switch quota := int64(1 + rng.IntN(6)); rng.IntN(4) {
			case 0:
				used := found && one.used
				as.put(at, quota, &terms{quota: quota}, used)
				slow = append(slow, slowAnnouncement{at, quota, used})
			case 1:
				as.remove(at)
			case 2:
				as.meterMade(at)
				if one.used = true; found {
					slow = append(slow, one)
				}
			default:
				as.meterGone(at)
				if one.used = false; found {
					slow = append(slow, one)
				}
			}
			users, forgotten := map[int64]int{}, slowAnnouncements{}
			for _, a := range slow {
				require.Equal(t, a.quota, as.of[a.at].quota)
				require.Equal(t, a.used, as.of[a.at].place == nil)
				users[a.quota]++
				require.LessOrEqual(t, a.quota, as.roomiest)
				if !a.used {
					forgotten = append(forgotten, a)
				}
			}
			require.Len(t, as.of, len(slow))
			require.Len(t, as.tiers, len(users))
			for quota, n := range users {
				require.Equal(t, n, as.tiers[quota].users)
			}
			require.Equal(t, len(forgotten), as.forgotten.Len())
			e := as.forgotten.Front()
			for _, want := range forgotten {
				require.Equal(t, want.at, e.Value.(*announcement).at)
				e = e.Next()
			}
		}
	})
}

// Whatever is announced and shared, nothing goes beyond what counts at that instant, and
// nobody waits for what there is room for.
func TestAnnouncedQuotasThatChangeAtAnyTimeAreNeverOverspent(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, Leaky, Concurrency, Lifetime} {
		t.Run(kind.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				limit := Limit{ID: "a", Quota: sharedQuota, Per: perOf(kind, sec), Window: kind, Adopt: AdoptBoth}
				l, err := New([]Limit{limit}, Options{})
				require.NoError(t, err)
				l.clock.rate = 0
				require.NoError(t, l.Replace(0, []Limit{limit}))
				l.SetClock(0, 1_000_000*sec, 1_000_000*sec)
				s := &sharing{
					Rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4)), kind: kind, l: l,
					quota: sharedQuota, flying: map[*Permit]*usage{},
				}
				for range 150 {
					if s.IntN(5) == 0 {
						s.quota = 1 + s.Int64N(2*sharedQuota)
						_, is, err := l.Announce(s.now, "a", Parts{}, s.quota)
						require.NoError(t, err)
						require.Equal(t, s.quota, is)
						s.drain(t)
					}
					s.step(t, false)
					s.drain(t)
				}
			})
		})
	}
}

func TestAQuotaIsBelievedUpToAHundredTimesTheDeclaredAndDownToAHundredth(t *testing.T) {
	for _, c := range []struct {
		declared, announced int64
		believed            bool
	}{
		{1, 100, true}, {1, 101, false}, {1, 199, false}, {100, 1, true}, {101, 1, false}, {199, 1, false}, {199, 2, true},
		{7, 700, true}, {7, 701, false}, {maxWeight, maxWeight/100 + 1, true}, {maxWeight, 1, false},
	} {
		l := newLedger(t, Options{}, Limit{ID: "a", Quota: c.declared, Per: sec, Adopt: AdoptBoth})
		_, _, err := l.Announce(0, "a", Parts{}, c.announced)
		if c.believed {
			require.NoError(t, err, "%+v", c)
		} else {
			require.ErrorIs(t, err, ErrQuota, "%+v", c)
		}
	}
}
