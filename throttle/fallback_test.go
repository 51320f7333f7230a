package throttle

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A budget of 2 for all that is charged to it, and then one request every 10 s.
func budget(more ...Limit) []Limit {
	return append([]Limit{
		{ID: "budget", Quota: 2, Window: Lifetime, Fallback: "trickle", Scope: "account"},
		{ID: "trickle", Quota: 1, Per: 10 * sec, Scope: "trickle"},
	}, more...)
}

func spend(t testing.TB, l *Ledger, now time.Duration, limit string, n int) {
	t.Helper()
	for range n {
		l.Settle(now, granted(t, l, now, limit), Outcome{})
	}
}

func TestAFallbackTakesOverWhenTheBudgetIsSpent(t *testing.T) {
	l := exact(t, Options{}, budget(
		Limit{ID: "weight", Quota: 100, Per: sec},
		Limit{ID: "order", Linked: []Link{{ID: "budget"}, {ID: "weight", Weight: 3}}})...)
	spend(t, l, 0, "order", 2)
	p := granted(t, l, 0, "order")
	require.Equal(t, []string{"trickle", ""}, l.ScopesOf(p.Limit, p.Charged()))
	require.True(t, p.Charged().fell())
	require.Empty(t, p.Charged().Stand(), "the limit it names is charged still")
	l.Settle(0, p, Outcome{})
	require.EqualValues(t, 2, limitOf(l, 0, "budget").Used)
	require.EqualValues(t, 1, limitOf(l, 0, "trickle").Used)
	require.EqualValues(t, 9, limitOf(l, 0, "weight").Used, "the other tolls stay what they are")

	next := queued(t, l, 0, "order")
	require.Equal(t, "trickle", l.Holding(0, next).Limit)
	require.Equal(t, 10*sec, l.Holding(0, next).Until)
	require.Equal(t, []Class{{0, 1}}, limitOf(l, 0, "trickle").Queued)
	require.Empty(t, limitOf(l, 0, "budget").Queued)
	late := &Permit{Limit: "order", Deadline: 9 * sec}
	var told *LimitError
	require.ErrorAs(t, l.Acquire(0, late), &told)
	require.Equal(t, LimitError{ID: "order", Err: ErrDeadline, Full: "trickle", RetryAt: 10 * sec}, *told)
	require.Empty(t, drain(l, 10*sec-1))
	require.True(t, slices.Equal([]*Permit{next}, drain(l, 10*sec)))
}

func TestALimitThatIsNamedItselfIsReplacedByItsFallback(t *testing.T) {
	l := exact(t, Options{}, budget()...)
	heavy := &Permit{Limit: "budget", Weight: 2}
	require.NoError(t, l.Acquire(0, heavy))
	l.Settle(0, heavy, Outcome{})
	again := &Permit{Limit: "budget", Weight: 2}
	require.NoError(t, l.Acquire(0, again))
	require.Equal(t, Granted, again.State(), "the fallback's own weight, which is 1, and not that of the request")
	require.Equal(t, "trickle", again.Charged().Stand())
	require.EqualValues(t, 1, limitOf(l, 0, "trickle").InFlight)
	l.Settle(0, again, Outcome{Fate: NeverSent})
	require.Zero(t, limitOf(l, 0, "trickle").Used)
}

func TestWhatIsInFlightMayComeBackToTheBudget(t *testing.T) {
	l := exact(t, Options{}, budget()...)
	one, two := granted(t, l, 0, "budget"), granted(t, l, 0, "budget")
	waits := queued(t, l, 0, "budget")
	require.Equal(t, "budget", l.Holding(0, waits).Limit, "it is not spent yet")
	l.Settle(0, one, Outcome{Fate: NeverSent})
	require.True(t, slices.Equal([]*Permit{waits}, drain(l, 0)))
	last := queued(t, l, 0, "budget")
	l.Settle(ms, two, Outcome{})
	require.Empty(t, drain(l, ms))
	l.Settle(ms, waits, Outcome{})
	require.True(t, slices.Equal([]*Permit{last}, drain(l, ms)), "now it is")
	require.EqualValues(t, 1, limitOf(l, ms, "trickle").InFlight)
}

func TestThoseWhoWaitGoOverAndComeBackInOrder(t *testing.T) {
	for name, ease := range map[string]func(*Ledger) error{
		"Adjust":   func(l *Ledger) error { return l.Adjust(sec, "budget", Parts{}, -3) },
		"SetShare": func(l *Ledger) error { return l.SetShare(sec, "budget", 0.5, 0) },
		"Replace": func(l *Ledger) error {
			return l.Replace(sec, []Limit{{ID: "budget", Quota: 5, Window: Lifetime, Fallback: "trickle"}, {ID: "trickle", Quota: 1, Per: 10 * sec}})
		},
	} {
		l := exact(t, Options{}, Limit{ID: "budget", Quota: 10, Share: 0.2, Window: Lifetime, Fallback: "trickle"}, Limit{ID: "trickle", Quota: 1, Per: 10 * sec})
		flying := []*Permit{granted(t, l, 0, "budget"), granted(t, l, 0, "budget")}
		var waiting []*Permit
		for i := range 8 {
			waiting = append(waiting, &Permit{Limit: "budget", Priority: Priority(i % 2)})
			require.NoError(t, l.Acquire(0, waiting[i]))
		}
		slices.SortStableFunc(waiting, func(a, b *Permit) int { return cmp.Compare(b.Priority, a.Priority) })
		for _, p := range flying {
			l.Settle(0, p, Outcome{})
		}
		require.True(t, slices.Equal(waiting[:1], drain(l, 0)), "the fallback has room for one")
		l.Settle(0, waiting[0], Outcome{})
		require.Empty(t, drain(l, sec))
		require.EqualValues(t, 4, limitOf(l, sec, "trickle").Queued[1].N)
		require.NoError(t, ease(l), name)
		require.True(t, slices.Equal(waiting[1:4], drain(l, sec)), name)
		require.Len(t, limitOf(l, sec, "budget").Queued, 1, "%s: the budget can pay for the others, unless what is in flight is answered", name)
		for _, p := range waiting[1:4] {
			l.Settle(sec, p, Outcome{})
		}
		require.Empty(t, drain(l, sec))
		require.EqualValues(t, 4, limitOf(l, sec, "trickle").Queued[0].N, "%s: all are at the fallback again", name)
		require.True(t, slices.Equal(waiting[4:5], drain(l, 11*sec)), name)
	}
}

// To the server there is no reserve: what falls back on our side takes from it.
func TestAReserveOfABudgetIsLeftToUrgentRequests(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "budget", Quota: 4, Window: Lifetime, Fallback: "trickle", Reserve: []Reserve{{Priority: 1, Weight: 2}}},
		Limit{ID: "trickle", Quota: 1, Per: 10 * sec})
	spend(t, l, 0, "budget", 2)
	bulk := granted(t, l, 0, "budget")
	require.Equal(t, "trickle", bulk.Charged().Stand())
	urgent := []*Permit{{Limit: "budget", Priority: 1}, {Limit: "budget", Priority: 1}}
	for _, p := range urgent {
		require.NoError(t, l.Acquire(0, p))
	}
	require.Equal(t, Granted, urgent[0].State())
	require.Empty(t, urgent[0].Charged().Stand())
	require.Equal(t, Queued, urgent[1].State(), "the one in flight may take it")
	l.Settle(0, bulk, Outcome{})
	require.EqualValues(t, 4, limitOf(l, 0, "budget").Used)
	l.Settle(0, urgent[0], Outcome{})
	require.Empty(t, drain(l, 0))
	require.Equal(t, "trickle", l.Holding(0, urgent[1]).Limit)
}

func TestEachKeyHasABudgetAndAFallbackOfItsOwn(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "budget", Quota: 1, Window: Lifetime, Keyed: true, Fallback: "trickle"},
		Limit{ID: "trickle", Quota: 1, Per: 10 * sec, Keyed: true, Keys: []string{"a", "b"}})
	state := func(key string) State {
		p := &Permit{Limit: "budget", Key: key}
		require.NoError(t, l.Acquire(0, p))
		if p.State() == Granted {
			l.Settle(0, p, Outcome{})
		}
		return p.State()
	}
	require.Equal(t, []State{Idle, Idle, Queued}, []State{state("a"), state("a"), state("a")})
	require.Equal(t, []State{Idle, Idle, Queued}, []State{state("b"), state("b"), state("b")})
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "budget", Key: "c"}), ErrUnknownKey, "at once, and not only when the budget is spent")
}

// One that is charged by no key may fall back on a limit that is.
func TestAFallbackMayBeToldApartByMoreThanTheBudget(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "budget", Quota: 1, Window: Lifetime, Fallback: "trickle"},
		Limit{ID: "trickle", Quota: 1, Per: 10 * sec, Keyed: true})
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "budget"}), ErrNoKey)
	for i, key := range []string{"a", "a", "b"} {
		p := &Permit{Limit: "budget", Key: key}
		require.NoError(t, l.Acquire(0, p))
		require.Equal(t, Granted, p.State(), i)
		l.Settle(0, p, Outcome{})
	}
}

func TestBudgetsMayFallBackOneOnAnotherAndOnTheSame(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "day", Quota: 1, Window: Lifetime, Fallback: "week"},
		Limit{ID: "week", Quota: 1, Window: Lifetime, Fallback: "trickle"},
		Limit{ID: "other", Quota: 2, Window: Lifetime, Fallback: "trickle"},
		Limit{ID: "trickle", Quota: 5, Weight: 2, Per: 10 * sec},
		Limit{ID: "order", Linked: []Link{{ID: "day"}, {ID: "other"}}})
	used := func() (all []int64) {
		for _, id := range []string{"day", "week", "other", "trickle"} {
			all = append(all, limitOf(l, 0, id).Used)
		}
		return all
	}
	for i, want := range [][]int64{{1, 0, 1, 0}, {1, 1, 2, 0}, {1, 1, 2, 4}} {
		spend(t, l, 0, "order", 1)
		require.Equal(t, want, used(), i)
	}
	queued(t, l, 0, "order")
}

func TestABudgetWithoutRoomAndWithoutAFallbackStillRefuses(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "day", Quota: 1, Window: Lifetime, Fallback: "week"},
		Limit{ID: "week", Quota: 1, Window: Lifetime})
	one, two := granted(t, l, 0, "day"), queued(t, l, 0, "day")
	spend(t, l, 0, "week", 1)
	l.Settle(0, one, Outcome{})
	require.True(t, slices.Equal([]*Permit{two}, drain(l, 0)))
	require.Equal(t, Refused, two.State())
	require.ErrorIs(t, two.Err(), ErrSpent)
	require.ErrorContains(t, two.Err(), `"week"`)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "day"}), ErrSpent)
}

func TestAFallbackThatMakesNoSenseIsAMistake(t *testing.T) {
	b := func(id, fallback string) Limit { return Limit{ID: id, Quota: 5, Window: Lifetime, Fallback: fallback} }
	slow := Limit{ID: "slow", Quota: 1, Per: 10 * sec}
	for want, limits := range map[string][]Limit{
		"lifetime windows only":                    {{ID: "a", Quota: 1, Per: sec, Fallback: "slow"}, slow},
		`unknown limit "none"`:                     {b("a", "none")},
		"is a route without a quota":               {b("a", "r"), slow, {ID: "r", Linked: []Link{{ID: "slow"}}}},
		"which has links":                          {b("a", "b"), slow, {ID: "b", Quota: 1, Per: sec, Linked: []Link{{ID: "slow"}}}},
		`limit "a": falls back on itself`:          {b("a", "a")},
		`falls back on itself in the end`:          {b("a", "b"), b("b", "c"), b("c", "b")},
		"fallback means nothing":                   {b("a", ""), {ID: "r", Linked: []Link{{ID: "a"}}, Fallback: "a"}},
		`charges 2 to the fallback "slow"`:         {b("a", "slow"), b("b", "slow"), slow, {ID: "r", Linked: []Link{{ID: "a"}, {ID: "b"}}}},
		`limit "slow": quota 1099511627777 is not`: {b("a", "slow"), {ID: "slow", Quota: maxWeight + 1, Per: sec}},
	} {
		_, err := New(limits, Options{})
		require.ErrorContains(t, err, want)
	}
	_, err := New([]Limit{b("a", "b"), b("b", "c"), b("c", "slow"), slow}, Options{})
	require.NoError(t, err)
	l := exact(t, Options{}, b("a", "slow"), Limit{ID: "slow", Quota: 4, Weight: 2, Per: sec})
	require.ErrorContains(t, l.SetShare(0, "slow", 0.25, 0), "never fits")
}

func TestWhatIsLostWithItsLedgerIsCountedWhereItWasCharged(t *testing.T) {
	limits := budget()
	l := exact(t, Options{}, limits...)
	one := granted(t, l, 0, "budget")
	spend(t, l, 0, "budget", 1)
	require.NoError(t, l.Adjust(0, "budget", Parts{}, 1)) // others took what was left, if the first arrives
	fell := granted(t, l, 0, "budget")
	require.Equal(t, "trickle", fell.Charged().Stand())
	next, err := l.Successor(0, limits)
	require.NoError(t, err)
	require.NoError(t, next.Adopt(0, one))
	require.NoError(t, next.Adopt(0, fell))
	require.EqualValues(t, 1, limitOf(next, 0, "budget").InFlight)
	require.EqualValues(t, 1, limitOf(next, 0, "trickle").InFlight)
}

// A server that gives room while a request is in flight that was to be the fallback's
// has counted it at the budget, perhaps.
func TestARequestInFlightWhenTheBudgetIsGivenRoomCountsAtBoth(t *testing.T) {
	for _, fate := range []Fate{Answered, Lost} {
		l := exact(t, Options{}, budget()...)
		spend(t, l, 0, "budget", 2)
		fell := granted(t, l, 0, "budget")
		require.NoError(t, l.Adjust(0, "budget", Parts{}, -2))
		l.Settle(0, fell, Outcome{Fate: fate})
		l.at(10 * sec)
		require.EqualValues(t, 1, limitOf(l, 10*sec, "budget").Used)
		spend(t, l, 10*sec, "budget", 1)
		fell = granted(t, l, 30*sec, "budget")
		l.Settle(30*sec, fell, Outcome{})
		require.EqualValues(t, 2, limitOf(l, 30*sec, "budget").Used)
	}
}

func TestWhatIsSetAsideIsGivenBackThoughTheLimitsAreReplaced(t *testing.T) {
	l := exact(t, Options{}, budget()...)
	spend(t, l, 0, "budget", 2)
	fell := granted(t, l, 0, "budget")
	require.Equal(t, []string{"trickle"}, l.ScopesOf("budget", fell.Charged()))
	require.Equal(t, []string{"account"}, l.ScopesOf("budget", Charged{}))
	require.NoError(t, l.Replace(0, []Limit{{ID: "other", Quota: 1, Per: sec}}))
	l.Settle(sec, fell, Outcome{})
	require.NoError(t, l.Replace(sec, budget()))
	require.NoError(t, l.Adjust(10*sec, "budget", Parts{}, -2))
	require.EqualValues(t, 2, limitOf(l, 10*sec, "budget").Room)
}

// Nothing that was known of a budget is lost when the keys of its fallback are forgotten.
func TestABudgetIsSpentStillWhenEverythingElseIsForgotten(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "budget", Quota: 1, Window: Lifetime, Keyed: true, Fallback: "trickle"},
		Limit{ID: "trickle", Quota: 1, Per: 10 * sec, Keyed: true})
	for _, key := range []string{"a", "b"} {
		for range 2 {
			p := grantedAs(t, l, 0, Permit{Limit: "budget", Key: key})
			l.Settle(0, p, Outcome{})
		}
	}
	for at := sec; at < 10*time.Minute; at += sec {
		l.Forget(at)
	}
	require.Zero(t, l.table.rules["trickle"].meters.n)
	require.Equal(t, 2, l.table.rules["budget"].meters.n)
	p := grantedAs(t, l, 10*time.Minute, Permit{Limit: "budget", Key: "a"})
	require.Equal(t, "trickle", p.Charged().Stand())
}

// ---- a referee ----

// referee is the server: each key's requests are admitted as long as its budget lasts,
// and then one every trickleEvery. It knows arrivals alone.
type referee struct {
	left    map[string]int64
	extra   map[string]time.Duration // the last one beyond the budget
	extras  int
	refused int
}

const trickleEvery = 10 * time.Second

func (r *referee) arrive(now time.Duration, key string, w int64) {
	last, had := r.extra[key]
	switch {
	case r.left[key] >= w:
		r.left[key] -= w
	case !had || now-last >= trickleEvery:
		r.extra[key] = now
		r.extras++
	default:
		r.refused++
	}
}

// spender is one who asks for more than there is, and what lies between him and the
// referee.
type spender struct {
	*rand.Rand
	referee
	l       *Ledger
	now     time.Duration
	agenda  []event
	made    int64
	waiting []*Permit
	fail    func(format string, args ...any)

	calm     bool // nothing is cancelled or taken back
	loses    bool // some requests are given up, and arrive or not
	limits   []Limit
	spent    map[string]int64          // answered, by the definition
	flying   map[string]int64          // at the budget
	fell     map[string]int            // in flight at the fallback
	since    map[string]time.Duration  // when the fallback's last was answered
	fallback map[*Permit]time.Duration // in flight there, and when it was granted
	eased    map[string]time.Duration  // when the budget was given room
	doubt    map[string]int64          // of spent, what the referee may not have counted
	fallen   map[string]fallen         // when the last of the fallback was answered that the budget may have paid
}

// fallen is what was answered of a fallback, and when.
type fallen struct {
	at time.Duration
	w  int64
}

func newSpender(seed uint64, quota int64, keys []string, fail func(string, ...any)) *spender {
	s := &spender{
		Rand: rand.New(rand.NewPCG(seed, 5)), fail: fail,
		referee: referee{left: map[string]int64{}, extra: map[string]time.Duration{}},
		spent:   map[string]int64{}, flying: map[string]int64{}, fell: map[string]int{}, since: map[string]time.Duration{},
		fallback: map[*Permit]time.Duration{}, eased: map[string]time.Duration{}, fallen: map[string]fallen{}, doubt: map[string]int64{},
		limits: []Limit{
			{ID: "budget", Quota: quota, Window: Lifetime, Keyed: true, Fallback: "trickle"},
			{ID: "trickle", Quota: 1, Per: trickleEvery, Keyed: true},
			{ID: "address", Quota: 1000, Per: time.Second},
			{ID: "order", Linked: []Link{{ID: "budget"}, {ID: "address"}}},
			{ID: "batch", Linked: []Link{{ID: "budget", Weight: 3}, {ID: "address"}}},
		},
	}
	for _, key := range keys {
		s.left[key] = quota
	}
	var err error
	if s.l, err = New(s.limits, Options{}); err != nil {
		panic(err)
	}
	return s
}

func (s *spender) jitter() time.Duration { return 5*ms + time.Duration(s.Int64N(int64(45*ms))) }

func (s *spender) after(d time.Duration, do func()) {
	s.made++
	e := event{s.now + d, s.made, do}
	i, _ := slices.BinarySearchFunc(s.agenda, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	s.agenda = slices.Insert(s.agenda, i, e)
}

// runTo does what is to be done until then, and asks the ledger when it wants to be.
func (s *spender) runTo(end time.Duration) {
	for {
		next := end
		if len(s.agenda) > 0 {
			next = min(next, s.agenda[0].at)
		}
		if at, ok := s.l.Wake(); ok && at < next {
			s.now = max(s.now, at)
		} else if s.now = next; len(s.agenda) > 0 && s.agenda[0].at <= next {
			do := s.agenda[0].do
			s.agenda = s.agenda[1:]
			do()
		} else {
			return
		}
		s.drain()
	}
}

func (s *spender) drain() {
	for p := s.l.Next(s.now); p != nil; p = s.l.Next(s.now) {
		s.waiting = slices.DeleteFunc(s.waiting, func(q *Permit) bool { return q == p })
		switch p.State() {
		case Granted:
			s.send(p)
		case Expired:
			if p.Deadline != s.now {
				s.fail("expired at %v, and not at %v", s.now, p.Deadline)
			}
		default:
			s.fail("refused: %v", p.Err())
		}
	}
	s.demandNobodyWaitsInVain()
}

func (s *spender) quota() int64 { return s.limits[0].Quota }

// demandNobodyWaitsInVain looks at whoever ranks first of each key and weight.
func (s *spender) demandNobodyWaitsInVain() {
	seen := map[string]bool{}
	slices.SortFunc(s.waiting, func(a, b *Permit) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.seq, b.seq))
	})
	for _, p := range s.waiting {
		if seen[p.Key] {
			continue
		}
		seen[p.Key] = true
		used := s.spent[p.Key] + weightOf(p)
		switch since, had := s.since[p.Key]; {
		case used+s.flying[p.Key]+s.aside(p.Key) <= s.quota():
			s.fail("at %v one waits that the budget has room for", s.now)
		case used <= s.quota(): // what is in flight may come back
		case s.fell[p.Key] == 0 && (!had || s.now >= since+trickleEvery*10003/10000):
			s.fail("at %v one waits that the fallback has room for", s.now)
		}
	}
}

// weightOf is what a request takes of a budget.
func weightOf(p *Permit) int64 {
	if p.Limit == "batch" {
		return 3
	}
	return 1
}

// aside is what is in flight at the fallback of a key, and may count at its budget.
func (s *spender) aside(key string) (w int64) {
	for p := range s.fallback {
		if p.Key == key {
			w += weightOf(p)
		}
	}
	return w
}

func (s *spender) ask(limit, key string, priority Priority, deadline time.Duration) {
	p := &Permit{Limit: limit, Key: key, Priority: priority, Deadline: deadline}
	if err := s.l.Acquire(s.now, p); err != nil {
		var told *LimitError
		if told, _ = err.(*LimitError); told == nil || told.Err != ErrDeadline {
			s.fail("refused: %v", err)
		}
		return
	}
	if p.State() == Granted {
		s.send(p)
		return
	}
	s.waiting = append(s.waiting, p)
	if !s.calm && s.IntN(8) == 0 {
		s.after(s.jitter()*10, func() {
			if s.l.Cancel(s.now, p) {
				s.waiting = slices.DeleteFunc(s.waiting, func(q *Permit) bool { return q == p })
			}
		})
	}
}

// send demands that nobody was overtaken, and has the request arrive and be answered.
func (s *spender) send(p *Permit) {
	fell, w := p.Charged().fell(), weightOf(p)
	for _, q := range s.waiting {
		ahead := q.Key == p.Key && (q.Priority > p.Priority || q.Priority == p.Priority && q.seq < p.seq)
		if ahead && (q.Limit == p.Limit || fell && s.spent[q.Key]+weightOf(q) > s.quota()) {
			s.fail("at %v one is overtaken", s.now)
		}
	}
	if fell {
		s.fell[p.Key]++
		s.fallback[p] = s.now
		if s.spent[p.Key]+w <= s.quota() {
			s.fail("at %v the fallback is charged, and the budget has room", s.now)
		}
	} else {
		s.flying[p.Key] += w
	}
	if !s.calm && s.IntN(10) == 0 {
		s.after(s.jitter(), func() { s.takeBack(p) })
		return
	}
	if s.loses && s.IntN(15) == 0 {
		s.lose(p)
		return
	}
	out, back := s.jitter(), s.jitter()
	s.after(out, func() { s.arrive(s.now, p.Key, w) })
	s.after(out+back, func() { s.answered(p, Outcome{}) })
}

// lose gives a request up of which no answer comes. It may arrive still, as late as the
// limits believe.
func (s *spender) lose(p *Permit) {
	wait := s.jitter()
	if s.IntN(2) == 0 {
		key, w := p.Key, weightOf(p)
		s.after(time.Duration(s.Int64N(int64(wait+defaultMaxDelay))), func() { s.arrive(s.now, key, w) })
	}
	s.after(wait, func() { s.l.Settle(s.now, p, Outcome{Fate: Lost}) })
	s.after(wait+defaultMaxDelay, func() {
		if _, fell := s.fallback[p]; !fell {
			s.doubt[p.Key] += weightOf(p)
		}
		s.land(p, true)
	})
}

// takeBack has the request wait again that never left.
func (s *spender) takeBack(p *Permit) {
	s.land(p, false)
	if err := s.l.Requeue(s.now, p); err != nil {
		return // of its deadline
	}
	if p.State() == Granted {
		s.send(p)
	} else {
		s.waiting = append(s.waiting, p)
	}
}

func (s *spender) answered(p *Permit, o Outcome) {
	s.land(p, true)
	s.l.Settle(s.now, p, o)
}

func (s *spender) land(p *Permit, spent bool) {
	left, fell := s.fallback[p]
	delete(s.fallback, p)
	if !fell {
		s.flying[p.Key] -= weightOf(p)
		if spent {
			s.spent[p.Key] += weightOf(p)
		}
		return
	}
	s.fell[p.Key]--
	if !spent {
		return
	}
	s.since[p.Key] = s.now
	w := weightOf(p)
	if eased, had := s.eased[p.Key]; had && eased >= left {
		s.spent[p.Key] += w
		s.doubt[p.Key] += w
		return
	}
	if s.spent[p.Key]-s.doubt[p.Key]+w <= s.quota() {
		counted := min(w, max(0, s.quota()-s.spent[p.Key]))
		s.spent[p.Key] += counted
		s.doubt[p.Key] += counted
		w -= counted
	}
	s.fallen[p.Key] = fallen{s.now, w}
}

// ease has the server give room to a key's budget, of which we hear later.
func (s *spender) ease(key string, w int64) {
	s.left[key] += w
	s.after(s.jitter(), func() {
		if err := s.l.Adjust(s.now, "budget", Parts{Key: key}, -w); err != nil {
			s.fail("%v", err)
		}
		s.spent[key] -= w
		s.eased[key] = s.now
		if last, had := s.fallen[key]; had && s.now < last.at+time.Second {
			s.spent[key] += last.w
			s.doubt[key] += last.w
		}
		delete(s.fallen, key)
	})
}

// Whatever the load and the jitter: a server that admits a budget, and then one every
// 10 s, refuses nothing; nobody waits in vain, and nobody is overtaken.
func TestARefereeOfBudgetsRefusesNothing(t *testing.T) {
	t.Run("credits", func(t *testing.T) { refereed(t, []string{"order"}, true) })
	// Where it is not known for certain what the server counts, because of credits that are
	// on their way or of requests that were lost, a heavy one that fell back may be ahead
	// of light ones for which there was room.
	t.Run("weights", func(t *testing.T) { refereed(t, []string{"order", "order", "batch"}, false) })
}

func refereed(t *testing.T, routes []string, credits bool) {
	rapid.Check(t, func(t *rapid.T) {
		keys := []string{"a", "b", "c"}
		s := newSpender(rapid.Uint64().Draw(t, "seed"), rapid.Int64Range(3, 20).Draw(t, "quota"), keys, func(format string, args ...any) {
			t.Fatalf("%s", fmt.Sprintf(format, args...))
		})
		s.loses = credits
		for at := time.Duration(0); at < 100*sec; {
			at += time.Duration(s.Int64N(int64(2 * sec)))
			key := keys[s.IntN(3)]
			s.runTo(at)
			switch n := s.IntN(12); {
			case n < 8:
				deadline := time.Duration(0)
				if n < 3 {
					deadline = s.now + time.Duration(s.Int64N(int64(30*sec)))
				}
				for range 1 + s.IntN(3) {
					s.ask(routes[s.IntN(len(routes))], key, Priority(s.IntN(2)), deadline)
				}
			case n < 11 && credits:
				s.ease(key, 1+s.Int64N(4))
			case n == 11:
				require.NoError(t, s.l.Replace(s.now, s.limits))
			}
			s.drain()
		}
		s.runTo(s.now + time.Hour)
		require.Zero(t, s.refused, "of %d beyond the budget", s.extras)
		require.Empty(t, s.waiting)
	})
}

// One every 10 s is what the server admits; what we lose of it is the way there and back.
func TestAFallbackIsUsedAsFarAsTheServerLetsIt(t *testing.T) {
	s := newSpender(1, 50, []string{"a"}, t.Fatalf)
	s.calm = true
	for range 400 {
		s.ask("order", "a", 0, 0)
	}
	s.drain()
	s.runTo(5 * sec)
	begun, before := s.now, s.extras
	for s.now < begun+1000*sec {
		s.runTo(s.now + 100*sec)
	}
	require.Zero(t, s.refused)
	t.Logf("%d of 100", s.extras-before)
	require.GreaterOrEqual(t, s.extras-before, 95)
	require.Zero(t, s.left["a"])
}

// The meter of a key is not forgotten while something at its fallback may count there,
// though the fallback is one for all keys.
func TestWhatIsSetAsideOfAKeyIsNotForgotten(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "budget", Quota: 1, Window: Lifetime, Keyed: true, Fallback: "trickle"},
		Limit{ID: "trickle", Quota: 1, Per: 10 * sec})
	l.Settle(0, grantedAs(t, l, 0, Permit{Limit: "budget", Key: "a"}), Outcome{})
	fell := grantedAs(t, l, 0, Permit{Limit: "budget", Key: "a"})
	require.NoError(t, l.Adjust(0, "budget", Parts{Key: "a"}, -1))
	for at := sec; at < 10*time.Minute; at += sec {
		l.Forget(at)
	}
	p := &Permit{Limit: "budget", Key: "a"}
	require.NoError(t, l.Acquire(10*time.Minute, p))
	require.Equal(t, Queued, p.State(), "the one in flight may have taken it")
	l.Settle(10*time.Minute, fell, Outcome{Fate: NeverSent})
	require.Same(t, p, l.Next(10*time.Minute))
}

func TestALargerShareOfABudgetThatMayBeSpentOpensNothing(t *testing.T) {
	l := exact(t, Options{StartFull: true}, Limit{ID: "budget", Quota: 10, Window: Lifetime, Share: 0.1})
	l.at(0)
	limitOf(l, 0, "budget")
	require.NoError(t, l.SetShare(time.Hour, "budget", 1, 0))
	require.Zero(t, limitOf(l, time.Hour, "budget").Room, "until the server tells what is spent")
}
