package throttle

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// newLedger returns a ledger whose clock rate is so small that spans up to
// minutes come out exact but for one nanosecond.
func newLedger(t testing.TB, o Options, limits ...Limit) *Ledger {
	t.Helper()
	l, err := New(limits, o)
	require.NoError(t, err)
	return l
}

// exact makes a ledger that takes the server's clock to run exactly as ours.
func exact(t testing.TB, o Options, limits ...Limit) *Ledger {
	t.Helper()
	l := newLedger(t, o, limits...)
	l.clock.rate = 0
	require.NoError(t, l.Replace(0, limits))
	return l
}

func acquire(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := &Permit{Limit: limit}
	require.NoError(t, l.Acquire(now, p))
	return p
}

func granted(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := acquire(t, l, now, limit)
	require.Equal(t, Granted, p.State(), "at %v", now)
	return p
}

func queued(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := acquire(t, l, now, limit)
	require.Nil(t, l.Next(now))
	require.Equal(t, Queued, p.State(), "at %v", now)
	return p
}

func wakesAt(t testing.TB, l *Ledger, want time.Duration) {
	t.Helper()
	at, ok := l.Wake()
	require.True(t, ok)
	require.Equal(t, want, at)
}

func TestASlidingPermitComesBackItsWindowAfterTheAnswer(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	p := granted(t, l, 0, "a")
	q := queued(t, l, 10*ms, "a")
	_, ok := l.Wake()
	require.False(t, ok, "only an answer can bring room")

	l.Settle(50*ms, p, Outcome{})
	require.Nil(t, l.Next(50*ms))
	wakesAt(t, l, 1050*ms)
	require.Nil(t, l.Next(1050*ms-1))
	require.Same(t, q, l.Next(1050*ms))
	require.Equal(t, Granted, q.State())
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := New([]Limit{
		{Quota: 1, Per: sec},
		{ID: "zero", Per: sec},
		{ID: "timeless", Quota: 1},
		{ID: "twice", Quota: 1, Per: sec},
		{ID: "twice", Quota: 1, Per: sec},
		{ID: "lost", Quota: 1, Per: sec, Linked: []Link{{ID: "nowhere"}}},
		{ID: "a", Quota: 1, Per: sec, Linked: []Link{{ID: "b"}}},
		{ID: "b", Quota: 1, Per: sec, Linked: []Link{{ID: "a"}}},
		{ID: "heavy", Quota: 5, Per: sec, Weight: 6},
		{ID: "odd", Quota: 1, Per: sec, Window: 99, Burst: 3, Offset: sec},
		{ID: "reserved", Quota: 5, Per: sec, Reserve: []Reserve{{1, 3}, {2, 2}}},
		{ID: "negative", Quota: -1, Per: -sec, MaxDelay: -1},
	}, Options{Share: 2, SafetyMargin: 1, MaxQueued: -1})
	require.Error(t, err)
	for _, part := range []string{
		"has no id", `"zero": quota 0`, `"timeless": per is 0`, `"twice": is declared more than once`,
		`"lost": is linked to unknown limit "nowhere"`, `"heavy": weight 6`,
		`"odd": window 99`, "burst and tick", "offset, months and location are for", `"reserved": reserves of 5`,
		`"negative": quota -1`, "per -1s", "share 2", "safety margin 1", "max queued -1",
	} {
		require.ErrorContains(t, err, part)
	}
	var limitErr *LimitError
	require.ErrorAs(t, err, &limitErr)
}

func TestACycleOfLinksIsRefused(t *testing.T) {
	_, err := New([]Limit{
		{ID: "a", Quota: 1, Per: sec, Linked: []Link{{ID: "b"}}},
		{ID: "b", Linked: []Link{{ID: "c"}}},
		{ID: "c", Quota: 1, Per: sec, Linked: []Link{{ID: "a"}}},
	}, Options{})
	require.EqualError(t, err, `limit "a": is linked to itself: a → b → c → a`, "and nothing that only follows from it")
}

func TestALongCycleIsToldByItsBeginningAndItsEnd(t *testing.T) {
	limits := chained(5000)
	limits[4999].Linked = []Link{{ID: "0"}}
	_, err := New(limits, Options{})
	require.EqualError(t, err,
		`limit "0": is linked to itself: 0 → 1 → 2 → 3 → 4 → 5 → 6 → 7 → (4985 more) → 4993 → 4994 → 4995 → 4996 → 4997 → 4998 → 4999 → 0`)
}

// texts are those of all mistakes, in their order.
func texts(err error) []string { return strings.Split(err.Error(), "\n") }

func TestNoMistakeHidesAnother(t *testing.T) {
	circle := []Limit{
		{ID: "a", Quota: 10, Per: sec, Linked: []Link{{ID: "b"}}},
		{ID: "b", Quota: 3, Per: sec, Linked: []Link{{ID: "a"}}},
	}
	around := `limit "a": is linked to itself: a → b → a`
	calls := Limit{ID: "c", Quota: 10, Per: sec}
	for name, c := range map[string]struct {
		limits []Limit
		want   []string
	}{
		"a cycle beside a limit": {append(circle, Limit{ID: "c", Quota: -1, Per: sec}),
			[]string{`limit "c": quota -1 is not in [0, 1099511627776]`, around}},
		"a cycle and a route": {append(circle, calls, Limit{ID: "r", Linked: []Link{{ID: "c", Weight: 50}}}),
			[]string{around, `limit "r": charges 50 to "c", which never fits into 10`}},
		"a link of a cycle": {[]Limit{{ID: "a", Linked: []Link{{ID: "b"}}}, {ID: "b", Linked: []Link{{ID: "a"}, {ID: "c", Weight: 50}}}, calls},
			[]string{around, `limit "b": charges 50 to "c", which never fits into 10`}},
		"a cycle below a route": {append(circle, calls, Limit{ID: "r", Linked: []Link{{ID: "a", Weight: 11}, {ID: "c", Weight: 50}}}),
			[]string{around, `limit "r": charges 11 to "a", which never fits into 10`, `limit "r": charges 50 to "c", which never fits into 10`}},
		"an unknown link": {[]Limit{calls, {ID: "m", Linked: []Link{{ID: "c", Weight: 6}}}, {ID: "r", Linked: []Link{{ID: "x", Weight: -1}, {ID: "m"}, {ID: "c", Weight: 6}}}},
			[]string{`limit "r": is linked to unknown limit "x"`, `limit "r": link to "x": weight -1 is not in [0, 1099511627776]`, `limit "r": charges 12 to "c", which never fits into 10`}},
		"a link that is there twice": {[]Limit{calls, {ID: "r", Linked: []Link{{ID: "c", Weight: 6}, {ID: "c", Weight: -1}}}, {ID: "s", Linked: []Link{{ID: "c", Weight: 6}, {ID: "c", Weight: 7}}}},
			[]string{`limit "r": is linked to "c" more than once`, `limit "r": link to "c": weight -1 is not in [0, 1099511627776]`, `limit "s": is linked to "c" more than once`}},
		"weights out of range": {[]Limit{calls, {ID: "q"}, {ID: "r", Linked: []Link{{ID: "c", Weight: math.MaxInt64}, {ID: "q", Weight: 2}}}, {ID: "s", Linked: []Link{{ID: "r", Weight: 1}, {ID: "c"}}}},
			[]string{`limit "q": quota 0 admits nothing`, `limit "q": per is 0`, `limit "r": link to "c": weight 9223372036854775807 is not in [0, 1099511627776]`,
				`limit "s": link to "r": a route without a quota takes no weight`}},
		"no id": {[]Limit{{Quota: -1, Per: sec, Linked: []Link{{ID: "x"}}}},
			[]string{`limit "": has no id`, `limit "": quota -1 is not in [0, 1099511627776]`, `limit "": is linked to unknown limit "x"`}},
		"an id that is another's": {[]Limit{calls, {ID: "c", Quota: 1}, {ID: NoLimit, Quota: 1}},
			[]string{`limit "c": is declared more than once`, `limit "c": per is 0`, `limit "` + NoLimit + `": is reserved for requests without a limit`, `limit "` + NoLimit + `": per is 0`}},
		"a long name": {[]Limit{{ID: strings.Repeat("x", MostName+1), Quota: 1}, {ID: "r", Linked: []Link{{ID: strings.Repeat("x", MostName+1)}}}},
			[]string{`limit "` + strings.Repeat("x", 40) + `": has an id, a scope or a key of more than 65536 bytes`, `limit "` + strings.Repeat("x", 40) + `": per is 0`}},
		"a share": {[]Limit{{ID: "a", Quota: 1, Per: sec, Share: 5, SafetyMargin: 7}},
			[]string{`limit "a": share 5 is not in (0, 1], nor 0 for that of the options`, `limit "a": safety margin 7 is not in [0, 1), nor NoMargin`}},
		"a weight and reserves": {[]Limit{{ID: "a", Quota: 5, Per: sec, Weight: 6, Reserve: []Reserve{{1, 5}}, Tariff: Tariff{{Weight: 7}}}},
			[]string{`limit "a": weight 6 never fits into 5`, `limit "a": reserves of 5 leave nothing of 5`, `limit "a": tariff: a fee of 7 never fits into 5`}},
		"a weight of one that is linked": {[]Limit{{ID: "a", Quota: 5, Per: sec, Weight: 6}, {ID: "r", Linked: []Link{{ID: "a"}}}, {ID: "s", Linked: []Link{{ID: "a", Weight: 50}}}},
			[]string{`limit "a": weight 6 never fits into 5`, `limit "s": charges 50 to "a", which never fits into 5`}},
		"a fallback": {[]Limit{{ID: "a", Quota: 1, Per: sec, Fallback: "x", Share: 2}},
			[]string{`limit "a": share 2 is not in (0, 1], nor 0 for that of the options`,
				`limit "a": has a fallback, which is for lifetime windows only: any other has room again by itself`, `limit "a": falls back on unknown limit "x"`}},
		"a circle of fallbacks": {[]Limit{{ID: "a", Quota: 1, Window: Lifetime, Fallback: "b"}, {ID: "b", Quota: 1, Window: Lifetime, Fallback: "a", Share: 2}},
			[]string{`limit "b": share 2 is not in (0, 1], nor 0 for that of the options`, `limit "a": falls back on itself in the end`}},
		"fees": {[]Limit{{ID: "a", Quota: 9, Per: sec, Tariff: Tariff{{UpTo: 3}, {Param: "n", Count: true, Per: 2}}}},
			[]string{`limit "a": tariff: fee 1: has no param, and goes by one`, `limit "a": tariff: fee 1: applies always, and so what follows it never does`,
				`limit "a": tariff: fee 2: per and most are of each, and there is none`, `limit "a": tariff: fee 2: count is for each and up_to, and there is neither`}},
	} {
		_, err := New(c.limits, Options{})
		require.Error(t, err, name)
		require.Equal(t, c.want, texts(err), "beside %s, and nothing that only follows", name)
	}
}

func TestARouteIsGivenNothingThatOnlyAQuotaHas(t *testing.T) {
	weight := Limit{ID: "weight", Quota: 100, Per: sec}
	links := []Link{{ID: "weight"}}
	for field, route := range map[string]Limit{
		"weight":  {ID: "depth", Linked: links, Weight: 25}, // would be charged 1
		"per":     {ID: "depth", Linked: links, Per: sec},
		"keyed":   {ID: "depth", Linked: links, Keyed: true},
		"reserve": {ID: "depth", Linked: links, Reserve: []Reserve{{High, 5}}},
		"scope":   {ID: "depth", Linked: links, Scope: "ip"},
		"window":  {ID: "depth", Linked: links, Window: Fixed},
	} {
		_, err := New([]Limit{weight, route}, Options{})
		require.ErrorContains(t, err, `limit "depth": is a route, for it has links and no quota, and so `+field+" means nothing")
	}
}

func TestLinksOfLinksAddUp(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 10, Per: sec},
		Limit{ID: "orders", Quota: 10, Per: sec, Linked: []Link{{ID: "pool", Weight: 2}}},
		Limit{ID: "order", Linked: []Link{{ID: "orders"}, {ID: "pool", Weight: 3}}})
	granted(t, l, 0, "order")
	require.EqualValues(t, 5, limitOf(l, 0, "pool").InFlight)
	require.EqualValues(t, 1, limitOf(l, 0, "orders").InFlight)
}

func limitOf(l *Ledger, now time.Duration, id string) LimitSnapshot {
	for _, s := range l.Snapshot(now).Limits {
		if s.ID == id {
			return s
		}
	}
	return LimitSnapshot{}
}

func TestChargesAreAllOrNothing(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 1, Per: sec},
		Limit{ID: "a", Quota: 10, Per: sec, Linked: []Link{{ID: "pool"}}})
	granted(t, l, 0, "a")
	queued(t, l, 0, "a")
	require.EqualValues(t, 1, limitOf(l, 0, "a").InFlight)
}

func TestWhatCanNeverBeIsRefusedAtOnce(t *testing.T) {
	l := exact(t, Options{MaxQueued: 1},
		Limit{ID: "a", Quota: 3, Per: sec, Reserve: []Reserve{{Priority: 5, Weight: 2}}},
		Limit{ID: "route", Linked: []Link{{ID: "a"}}},
		Limit{ID: "once", Quota: 1, Window: Lifetime})
	refused := func(want error, p Permit) {
		t.Helper()
		err := l.Acquire(0, &p)
		require.ErrorIs(t, err, want)
		var limitErr *LimitError
		require.ErrorAs(t, err, &limitErr)
		require.Equal(t, Idle, p.State())
	}
	refused(ErrUnknownLimit, Permit{Limit: "b"})
	refused(ErrWeight, Permit{Limit: "a", Weight: 2})
	refused(ErrWeight, Permit{Limit: "a", Weight: -1})
	refused(ErrRouteWeight, Permit{Limit: "route", Weight: 1})

	p := granted(t, l, 0, "a")
	require.ErrorIs(t, l.Acquire(0, p), ErrPermitInUse)
	refused(ErrDeadline, Permit{Limit: "once", Deadline: -1})
	queued(t, l, 0, "a")
	refused(ErrQueueFull, Permit{Limit: "a"})

	l.Settle(0, granted(t, l, 0, "once"), Outcome{})
	refused(ErrSpent, Permit{Limit: "once"})
}

func TestTheLeastUrgentLeavesAFullQueueForAMoreUrgentOne(t *testing.T) {
	l := exact(t, Options{MaxQueued: 3}, Limit{ID: "a", Quota: 1, Per: sec}, Limit{ID: "b", Quota: 1, Per: sec})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	l.Settle(0, granted(t, l, 0, "b"), Outcome{})
	asks := func(limit string, priority Priority) *Permit {
		p := &Permit{Limit: limit, Priority: priority}
		require.NoError(t, l.Acquire(0, p))
		return p
	}
	early, between, late := asks("a", Background), asks("a", Normal), asks("a", Background)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "b", Priority: Background}), ErrQueueFull, "nobody leaves for one of the same rank")

	for _, leaves := range []*Permit{late, early} {
		urgent := asks("b", Urgent)
		require.Same(t, leaves, l.Next(0))
		require.Equal(t, Refused, leaves.State())
		require.ErrorIs(t, leaves.Err(), ErrQueueFull)
		require.Equal(t, Queued, urgent.State())
		require.Equal(t, 3, l.Len())
	}
	asks("b", High)
	require.Same(t, between, l.Next(0))
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a"}), ErrQueueFull)
	require.Equal(t, Urgent, l.Next(sec).Priority)
}

func TestADeadlineThatCannotBeMetIsRefusedAtOnce(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a", Deadline: sec - 1}), ErrDeadline)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a", Deadline: sec}), ErrDeadline, "then it is over")
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Deadline: sec + 1}))
	require.Equal(t, Granted, l.Next(sec).State())

	l = exact(t, Options{}, Limit{ID: "a", Quota: 1, Window: Concurrency})
	flies := granted(t, l, 0, "a")
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Deadline: sec}))
	l.Settle(sec, flies, Outcome{})
	require.Equal(t, Granted, l.Next(sec).State(), "an answer may bring it at the deadline, and that is in time")
}

func TestAQueuedPermitExpiresAtItsDeadline(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	granted(t, l, 0, "a")
	p := &Permit{Limit: "a", Deadline: 70 * ms}
	require.NoError(t, l.Acquire(0, p))
	require.Nil(t, l.Next(0))
	wakesAt(t, l, 70*ms)
	require.Same(t, p, l.Next(70*ms))
	require.Equal(t, Expired, p.State())
	require.ErrorIs(t, p.Err(), ErrDeadline)
	require.Zero(t, l.Len())
}

func TestACancelledWaiterGivesEverythingBack(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	heavy := &Permit{Limit: "a", Weight: 2, Priority: 1}
	require.NoError(t, l.Acquire(0, heavy))
	light := queued(t, l, 0, "a") // the heavy one keeps the room that is left
	require.True(t, l.Cancel(0, heavy))
	require.False(t, l.Cancel(0, heavy))
	require.Same(t, light, l.Next(0))
	require.NoError(t, l.Acquire(0, heavy), "it can be used again")
}

func TestAPermitThatWasNeverSentIsFreeAtOnce(t *testing.T) {
	for _, kind := range allKinds() {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: perOf(kind, sec), Window: kind})
		p := granted(t, l, 0, "a")
		q := queued(t, l, 0, "a")
		l.Settle(ms, p, Outcome{Fate: NeverSent})
		require.Same(t, q, l.Next(ms), kind)
	}
}

func TestALostPermitIsHeldUntilItCannotArrive(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, MaxDelay: 8 * sec})
	l.Settle(2*sec, granted(t, l, 0, "a"), Outcome{Fate: Lost})
	q := queued(t, l, 2*sec, "a")
	require.Equal(t, 1, l.Snapshot(2*sec).Lost)
	require.Nil(t, l.Next(11*sec-1))
	require.Same(t, q, l.Next(11*sec))
	require.Zero(t, l.Snapshot(11*sec).Lost)
}

func TestEachLimitLetsGoOfALostPermitInItsOwnTime(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 1, Per: sec, MaxDelay: 5 * sec},
		Limit{ID: "a", Quota: 1, Per: sec, MaxDelay: 2 * sec, Linked: []Link{{ID: "pool"}}})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{Fate: Lost})
	for _, c := range []struct {
		now     time.Duration
		a, pool int64 // in flight
		lost    int
	}{{2*sec - 1, 1, 1, 1}, {2 * sec, 0, 1, 1}, {5*sec - 1, 0, 1, 1}, {5 * sec, 0, 0, 0}} {
		require.Equal(t, c.a, limitOf(l, c.now, "a").InFlight, "at %v", c.now)
		require.Equal(t, c.pool, limitOf(l, c.now, "pool").InFlight, "at %v", c.now)
		require.Equal(t, c.lost, l.Snapshot(c.now).Lost, "at %v", c.now)
	}
}

func TestTheRealCostCountsOnceItIsKnown(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 10, Per: sec},
		Limit{ID: "a", Quota: 10, Per: sec, Linked: []Link{{ID: "pool", Weight: 5}}})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{Costs: []Cost{{"pool", 0}}})
	require.EqualValues(t, 0, limitOf(l, 0, "pool").Used)
	require.EqualValues(t, 1, limitOf(l, 0, "a").Used)
	l.Settle(0, granted(t, l, 0, "a"), Outcome{Costs: []Cost{{"pool", 8}}})
	require.EqualValues(t, 8, limitOf(l, 0, "pool").Used)
}

func TestATimestampBringsAPermitBackSooner(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	const ahead = 1000 * time.Hour
	l.SetClock(0, ahead-ms, ahead+ms)
	l.Settle(50*ms, granted(t, l, 0, "a"), Outcome{ServerTime: ahead + 10*ms, Resolution: ms})
	require.Equal(t, 1012*ms, limitOf(l, 50*ms, "a").Next)

	p := granted(t, l, 2*sec, "a")
	l.Settle(2050*ms, p, Outcome{ServerTime: ahead, Resolution: ms})
	require.Equal(t, 3050*ms, limitOf(l, 2050*ms, "a").Next, "a stale timestamp is not believed")
}

func TestAnRTTFloorBringsAPermitBackSooner(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, RTTFloor: 40 * ms})
	l.Settle(50*ms, granted(t, l, 0, "a"), Outcome{})
	require.Equal(t, 1010*ms, limitOf(l, 50*ms, "a").Next)
}

func TestAFixedWindowIsSpentInFullAndComesBackAtOnce(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec, Window: Fixed})
	l.SetClock(0, 1000*time.Hour, 1000*time.Hour)
	l.Settle(950*ms, granted(t, l, 900*ms, "a"), Outcome{})
	p := granted(t, l, 980*ms, "a")
	granted(t, l, sec, "a") // a new window, in which p may be counted too
	queued(t, l, sec, "a")
	l.Settle(1010*ms, p, Outcome{ServerTime: 1000*time.Hour + 999*ms})
	require.NotNil(t, l.Next(1010*ms), "p was counted in the old one")
}

func TestASteppedClockGrantsNothingOnItsStrengthForAWindow(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, Window: Fixed})
	l.SetClock(0, 1000*time.Hour, 1000*time.Hour)
	l.Settle(900*ms, granted(t, l, 900*ms, "a"), Outcome{})
	l.SetClock(0, 1001*time.Hour, 1001*time.Hour)
	queued(t, l, sec, "a")
	wakesAt(t, l, 1900*ms)
}

func TestABurstAgainstAWindowFromTheFirstRequestComesBackTogether(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec, Window: FixedFromFirst})
	l.Settle(20*ms, granted(t, l, 0, "a"), Outcome{})
	l.Settle(900*ms, granted(t, l, 800*ms, "a"), Outcome{})
	queued(t, l, 900*ms, "a")
	queued(t, l, 900*ms, "a")
	require.NotNil(t, l.Next(1020*ms))
	require.NotNil(t, l.Next(1020*ms))
}

func TestKeysHaveQuotasOfTheirOwnAndAreForgottenWhenIdle(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, Keyed: true})
	for i := range 1000 {
		p := &Permit{Limit: "a", Key: string(rune('a' + i))}
		now := time.Duration(i) * 100 * ms
		require.NoError(t, l.Acquire(now, p))
		require.Equal(t, Granted, p.State())
		l.Settle(now, p, Outcome{})
	}
	require.Less(t, l.idlers.n, 30)
	require.Equal(t, l.idlers.n, l.table.rules["a"].meters.n)
}

func TestShareAndMarginShrinkEveryQuota(t *testing.T) {
	l := newLedger(t, Options{Share: 0.29}, Limit{ID: "a", Quota: 100, Per: sec})
	require.EqualValues(t, 29, limitOf(l, 0, "a").Quota)
	l = newLedger(t, Options{Share: 0.5, SafetyMargin: 0.1}, Limit{ID: "a", Quota: 100, Per: sec, Window: Leaky, Burst: 10})
	require.EqualValues(t, 4, limitOf(l, 0, "a").Quota)
	_, err := New([]Limit{{ID: "a", Quota: 1, Per: sec}}, Options{Share: 0.5})
	require.ErrorContains(t, err, "admits nothing")
}

func TestAReserveIsForUrgentRequestsOnly(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec, Reserve: []Reserve{{Priority: 10, Weight: 1}}})
	granted(t, l, 0, "a")
	queued(t, l, 0, "a")
	p := &Permit{Limit: "a", Priority: 10}
	require.NoError(t, l.Acquire(0, p))
	require.Equal(t, Granted, p.State())
}

func TestAPauseStopsItsScopeAndEndsSlowly(t *testing.T) {
	l := exact(t, Options{MaxPause: time.Minute},
		Limit{ID: "a", Quota: 100, Per: sec, Scope: "ip"}, Limit{ID: "b", Quota: 1, Per: sec})
	require.Equal(t, []string{"ip"}, l.scopes("a"))
	require.NoError(t, l.Pause(0, Scope{Origin: "", Name: "ip"}, time.Hour))
	require.NoError(t, l.Pause(0, Scope{Origin: "", Name: "ip"}, sec), "a pause is never shortened")
	require.ErrorIs(t, l.Pause(0, Scope{Origin: "", Name: "nowhere"}, sec), ErrUnknownScope)
	granted(t, l, 0, "b")
	for range 10 {
		queued(t, l, 0, "a")
	}
	wakesAt(t, l, time.Minute)
	flight := drain(l, time.Minute)
	for _, want := range []int{1, 2, 4} {
		require.Len(t, flight, want)
		for _, p := range flight {
			l.Settle(time.Minute, p, Outcome{})
		}
		flight = drain(l, time.Minute)
	}
	require.NoError(t, l.Pause(time.Minute, Scope{Origin: "", Name: "ip"}, time.Hour))
	require.NoError(t, l.Resume(time.Minute, Scope{Origin: "", Name: "ip"}))
	granted(t, l, time.Minute, "a")
}

func drain(l *Ledger, now time.Duration) (all []*Permit) {
	for p := l.Next(now); p != nil; p = l.Next(now) {
		all = append(all, p)
	}
	return all
}

func TestTheServersCountHoldsWhenItIsTheLarger(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency, Lifetime} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind})
		l.SetClock(0, 1000*time.Hour, 1000*time.Hour)
		require.NoError(t, l.Sync(0, "a", Parts{}, 7, 0))
		require.NoError(t, l.Sync(0, "a", Parts{}, 4, 0), "an older answer")
		require.EqualValues(t, 7, limitOf(l, 0, "a").Used, kind)
		require.NoError(t, l.Adjust(0, "a", Parts{}, 2))
		require.EqualValues(t, 9, limitOf(l, 0, "a").Used, kind)
		require.NoError(t, l.Adjust(0, "a", Parts{}, -5))
		require.EqualValues(t, 4, limitOf(l, 0, "a").Used, kind)
		require.ErrorIs(t, l.Sync(0, "b", Parts{}, 1, 0), ErrUnknownLimit)
		require.ErrorIs(t, l.Adjust(0, "b", Parts{}, 1), ErrUnknownLimit)
	}
}

func TestANumberAboutAWindowThatIsOverIsIgnored(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind})
		l.SetClock(0, 1000*time.Hour, 1000*time.Hour)
		require.NoError(t, l.Sync(1500*ms, "a", Parts{}, 7, 1000*time.Hour+1))
		want := int64(0)
		if kind != Fixed {
			want = 7 // begun 1.5 s ago would be over; this one is not aligned
			require.NoError(t, l.Sync(1500*ms, "a", Parts{}, 7, 1000*time.Hour+sec))
		}
		require.EqualValues(t, want, limitOf(l, 1500*ms, "a").Used, kind)
	}
}

func TestReplacedLimitsKeepWhatIsInFlight(t *testing.T) {
	for _, kind := range allKinds() {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 5, Per: sec}, Limit{ID: "gone", Quota: 1, Per: sec})
		l.Settle(0, granted(t, l, 0, "a"), Outcome{})
		p := granted(t, l, 0, "a")
		granted(t, l, 0, "gone")
		waits := queued(t, l, 0, "gone")
		require.NoError(t, l.Replace(ms, []Limit{{ID: "a", Quota: 3, Per: perOf(kind, sec), Window: kind}}))
		require.Same(t, waits, l.Next(ms))
		require.Equal(t, Refused, waits.State())
		require.ErrorIs(t, waits.Err(), ErrUnknownLimit)
		used := 2
		if kind == Leaky {
			used = 4 // all of it, for the counter falls more slowly than the log let through, and the flight
		}
		require.EqualValues(t, used, limitOf(l, ms, "a").Used, kind)
		l.Settle(2*ms, p, Outcome{})
		require.EqualValues(t, 0, limitOf(l, 2*ms, "a").InFlight, kind)

		require.NoError(t, l.Replace(3*ms, []Limit{{ID: "gone", Quota: 1, Per: sec}}))
		require.EqualValues(t, 1, limitOf(l, 3*ms, "gone").InFlight, "it was only out of sight")
	}
}

func TestABadReplacementChangesNothing(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	granted(t, l, 0, "a")
	q := queued(t, l, 0, "a")
	require.Error(t, l.Replace(0, []Limit{{ID: "a", Quota: 2}}))
	require.ErrorContains(t, l.Replace(0, []Limit{{ID: "a", Quota: 1, Per: sec, Keyed: true}}), "was by nothing, and cannot be by key")
	require.Nil(t, l.Next(0))
	require.NoError(t, l.Replace(0, []Limit{{ID: "a", Quota: 2, Per: sec}}))
	require.Same(t, q, l.Next(0))
}

func TestACrashCanDelayButNotBurst(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky} {
		limit := Limit{ID: "a", Quota: 2, Per: perOf(kind, sec), Window: kind, Keyed: true}
		lost := exact(t, Options{}, limit)
		p := &Permit{Limit: "a", Key: "one"}
		require.NoError(t, lost.Acquire(0, p))

		l := exact(t, Options{}, limit)
		require.NoError(t, l.Adopt(10*ms, p))
		l.assumeFull(l.at(10*ms), false)
		require.Equal(t, Granted, p.State())
		q := &Permit{Limit: "a", Key: "other"}
		require.NoError(t, l.Acquire(10*ms, q))
		require.Nil(t, l.Next(500*ms), kind)
		require.Same(t, q, l.Next(1010*ms), kind)
		l.Settle(1010*ms, p, Outcome{})
	}
}

func TestABudgetIsSpentAfterACrashUntilTheServerTells(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Window: Lifetime})
	l.assumeFull(l.at(0), false)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a"}), ErrSpent)
	require.NoError(t, l.Sync(0, "a", Parts{}, 4, 0))
	require.Zero(t, limitOf(l, 0, "a").Room, "the number may be older than the crash")
	l.SetClock(0, 100*sec, 101*sec)
	require.NoError(t, l.Sync(sec, "a", Parts{}, 4, 101*sec))
	require.Zero(t, limitOf(l, sec, "a").Room, "still")
	require.NoError(t, l.Sync(2*sec, "a", Parts{}, 4, 102*sec))
	require.EqualValues(t, 6, limitOf(l, 2*sec, "a").Room)
}

func TestPriorityGoesFirstUnlessOthersHaveWaitedLongEnough(t *testing.T) {
	for _, c := range []struct {
		aging time.Duration
		first Priority
	}{{0, 1}, {sec, 1}, {5 * ms, 0}} {
		l := exact(t, Options{Aging: c.aging}, Limit{ID: "a", Quota: 1, Per: sec})
		l.Settle(0, granted(t, l, 0, "a"), Outcome{})
		queued(t, l, 0, "a")
		require.NoError(t, l.Acquire(10*ms, &Permit{Limit: "a", Priority: 1}))
		require.Equal(t, c.first, l.Next(sec).Priority, "aging %v", c.aging)
	}
}

func TestALaneThatIsBlockedHoldsUpNobodyElse(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec}, Limit{ID: "b", Quota: 1, Per: sec})
	granted(t, l, 0, "a")
	queued(t, l, 0, "a")
	granted(t, l, 0, "b")
}

func TestASnapshotCountsTheQueueByClass(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec}, Limit{ID: "b", Linked: []Link{{ID: "a"}}})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	queued(t, l, 0, "a")
	queued(t, l, 0, "b")
	require.NoError(t, l.Acquire(0, &Permit{Limit: "b", Priority: 3}))
	s := l.Snapshot(0)
	require.Equal(t, []Class{{3, 1}, {0, 2}}, s.Queued)
	require.Equal(t, s.Queued, s.Limits[0].Queued)
	require.Equal(t, sec, s.Limits[0].Next)
}

func TestAFixedLimitLearnsItsClockWithoutLosingAWindow(t *testing.T) {
	l, err := New([]Limit{{ID: "w", Quota: 3, Per: time.Minute, Window: Fixed}}, Options{})
	require.NoError(t, err)
	server := 1_795_435_200*time.Second + 50*time.Second // at our zero
	permits := make([]Permit, 7)
	granted := func(now time.Duration) (n int) {
		for p := l.Next(now); p != nil; p = l.Next(now) {
			n++
		}
		return n
	}
	for i := range permits {
		permits[i].Limit = "w"
		require.NoError(t, l.Acquire(0, &permits[i]))
	}
	for i := range 3 {
		require.Equal(t, Granted, permits[i].State(), "as by a sliding limit")
		l.Settle(time.Second, &permits[i], Outcome{})
	}

	l.SetClock(0, server-50*time.Millisecond, server+50*time.Millisecond)

	require.Zero(t, granted(2*time.Second), "what went before the clock was known is charged")
	require.Zero(t, granted(10*time.Second))
	require.Equal(t, 3, granted(10*time.Second+60*time.Millisecond), "the next window is whole")
}

func TestOnlyAFixedLimitIsSharedByExpectation(t *testing.T) {
	_, err := New([]Limit{{ID: "a", Quota: 1, Per: sec, Shared: 0.1}, {ID: "b", Quota: 1, Per: sec, Window: Fixed, Shared: 1}}, Options{})
	require.ErrorContains(t, err, `"a"`)
	require.ErrorContains(t, err, `"b"`)
}

func TestALostRequestEarnsNoCreditForAWayHome(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "w", Quota: 1, Per: sec, RTTFloor: 100 * ms, MaxDelay: sec})
	first, second := &Permit{Limit: "w"}, &Permit{Limit: "w"}
	require.NoError(t, l.Acquire(0, first))
	l.Settle(100*ms, first, Outcome{Fate: Lost}) // it may arrive until 1.1 s
	require.NoError(t, l.Acquire(100*ms, second))

	require.Nil(t, l.Next(2099*ms))
	require.Same(t, second, l.Next(2101*ms))
}

func TestPacingNeverReachesPastTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New([]Limit{{ID: "w", Quota: 212, Per: 16 * sec, Window: Fixed}}, Options{Pacing: &Pacing{Bulk: -1}})
		require.NoError(t, err)
		l.SetClock(0, 1_600_000*sec, 1_600_000*sec) // a window begins at our zero
		now := time.Duration(0)
		for range 100 {
			now += time.Duration(rapid.Int64Range(0, int64(2*sec)).Draw(t, "pause"))
			p := &Permit{Limit: "w", Weight: rapid.Int64Range(1, 212).Draw(t, "weight"), Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority"))}
			require.NoError(t, l.Acquire(now, p))
			l.Next(now)
			if p.State() == Queued {
				l.Cancel(now, p)
				continue
			}
			l.Settle(now, p, Outcome{})
			end := (now/(16*sec)+1)*16*sec + 50*ms // what the clock rate makes of it
			require.LessOrEqual(t, anyOf(&l.table.rules["w"].meters).pace.next, end)
		}
	})
}

func TestASpanWithoutAUnitIsRefused(t *testing.T) {
	for text, l := range map[string]Limit{
		`"a": per 60ns is below 1ms: a duration is in nanoseconds, so write 60 * time.Second for seconds`: {ID: "a", Quota: 5, Per: 60},
		`"a": tick 5ns is below 1µs`:                         {ID: "a", Quota: 5, Per: sec, Window: Leaky, Tick: 5},
		`"a": per 1s means nothing for a concurrency window`: {ID: "a", Quota: 5, Per: sec, Window: Concurrency},
		`"a": per 1m0s means nothing for a lifetime window`:  {ID: "a", Quota: 5, Per: time.Minute, Window: Lifetime},
	} {
		_, err := New([]Limit{l}, Options{})
		require.ErrorContains(t, err, text)
	}
	for _, l := range []Limit{{ID: "a", Quota: 5, Per: ms}, {ID: "a", Quota: 6000, Per: sec, Window: Leaky, Tick: sec / 6000}} {
		_, err := New([]Limit{l}, Options{})
		require.NoError(t, err)
	}
}

// perOf is the Per of a limit of any kind; there are some that have none.
func perOf(kind Window, per time.Duration) time.Duration {
	if !kind.timed() {
		return 0
	}
	return per
}
