package throttle

import (
	"fmt"
	"math/bits"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// silence calls Forget whenever it is worth it, up to an instant, and returns how
// often that was.
func silence(l *Ledger, until time.Duration) (calls int) {
	for at, ok := l.ForgetAt(); ok && at <= until; at, ok = l.ForgetAt() {
		l.Forget(at)
		calls++
	}
	return calls
}

func keyedLimit(kind Window) Limit {
	limit := Limit{ID: "k", Quota: 2, Per: perOf(kind, 10*sec), Window: kind, Keyed: true}
	if kind == Concurrency {
		limit.Per = 0
	}
	return limit
}

func TestALedgerThatGoesSilentForgetsEveryKeyWithinTwoWindows(t *testing.T) {
	for _, kind := range timedKinds {
		for _, clock := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " clock=", clock), func(t *testing.T) {
				l := exact(t, Options{}, keyedLimit(kind), Limit{ID: "endpoint", Linked: []Link{{ID: "k"}}})
				if clock {
					l.SetClock(0, 1000*sec, 1000*sec+ms)
				}
				now := time.Duration(0)
				for i := range 1000 {
					now = time.Duration(i) * 5 * ms
					p := &Permit{Limit: "k", Key: fmt.Sprint(i)}
					require.NoError(t, l.Acquire(now, p))
					l.Settle(now+100*ms, p, Outcome{})
				}
				require.Equal(t, 1000, l.idlers.n)
				rest := 10 * sec
				if kind == Concurrency {
					rest = pathRest
				}
				calls := silence(l, now+100*ms+2*rest)
				require.Zero(t, l.idlers.n)
				require.Zero(t, l.table.rules["k"].meters.n)
				require.Empty(t, l.pauses.origins)
				require.LessOrEqual(t, calls, 40, "those that are due one after another are looked at together")
				require.Zero(t, l.table.rules["k"].meters, "what is empty keeps no memory")
				require.Zero(t, l.table.routes["k"].paths)
				_, ok := l.ForgetAt()
				require.False(t, ok, "nothing is left")
			})
		}
	}
}

func TestPathsWithoutAKeyAreForgottenInSilenceToo(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 50, Per: sec})
	for i := range 10 {
		for _, limit := range []string{"a", NoLimit} {
			l.Settle(0, to(t, l, 0, limit, fmt.Sprint(i)), Outcome{})
		}
	}
	silence(l, pathRest-1)
	require.Equal(t, 20, l.idlers.n)
	silence(l, 2*pathRest)
	require.Zero(t, l.idlers.n)
	require.Empty(t, l.pauses.origins)
}

func TestAnOriginWhosePauseIsLongOverIsForgottenInSilence(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 5, Per: sec})
	require.NoError(t, l.Pause(0, Scope{Origin: "host", Name: WholeOrigin}, sec))
	_, err := l.Refused(0, 0, Scope{Origin: "other", Name: WholeOrigin}, sec)
	require.NoError(t, err)
	silence(l, time.Hour)
	require.Empty(t, l.pauses.origins)
	_, ok := l.ForgetAt()
	require.False(t, ok)
}

func TestFewKeysAreLookedAtInOneTurn(t *testing.T) {
	l := exact(t, Options{}, keyedLimit(Sliding))
	const keys = 10*fewAtOnce + 1
	for i := range keys {
		p := &Permit{Limit: "k", Key: fmt.Sprint(i)}
		require.NoError(t, l.Acquire(0, p))
		l.Settle(0, p, Outcome{})
	}
	now := 15 * sec
	for left := keys; left > 0; left = l.idlers.n {
		at, ok := l.ForgetAt()
		require.True(t, ok)
		require.LessOrEqual(t, at, now)
		l.Forget(now)
		require.LessOrEqual(t, left-l.idlers.n, fewAtOnce)
	}
}

func TestAKeyInUseCostsFewLooksInAWindow(t *testing.T) {
	l := exact(t, Options{}, keyedLimit(Sliding))
	p := &Permit{Limit: "k", Key: "busy"}
	looks, looked := 0, time.Duration(0)
	for now := time.Duration(0); now < 100*sec; now += 100 * ms {
		if l.Acquire(now, p) == nil && p.State() == Granted {
			l.Settle(now, p, Outcome{})
		} else {
			l.Cancel(now, p)
		}
		silence(l, now)
		if at := p.path.looked; at != looked {
			looks, looked = looks+1, at
		}
	}
	require.Less(t, looks, 45, "in ten windows")
	require.Equal(t, 1, l.idlers.n)
}

func TestAKeyIsKeptWhileItOwesAnything(t *testing.T) {
	for name, owe := range map[string]func(*testing.T, *Ledger){
		"in flight": func(t *testing.T, l *Ledger) { to(t, l, 0, "k", "") },
		"lost":      func(t *testing.T, l *Ledger) { l.Settle(0, to(t, l, 0, "k", ""), Outcome{Fate: Lost}) },
		"waiting": func(t *testing.T, l *Ledger) {
			require.NoError(t, l.Pause(0, Scope{}, time.Hour))
			require.Equal(t, Queued, to(t, l, 0, "k", "").State())
		},
		"adjusted": func(t *testing.T, l *Ledger) { require.NoError(t, l.Adjust(90*sec, "k", Parts{Key: "key"}, 2)) },
		"synced":   func(t *testing.T, l *Ledger) { require.NoError(t, l.Sync(90*sec, "k", Parts{Key: "key"}, 2, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			limit := keyedLimit(Sliding)
			limit.MaxDelay = 95 * sec
			l := exact(t, Options{}, limit)
			owe(t, l)
			silence(l, 99*sec)
			require.Equal(t, 1, l.idlers.n)
			require.Equal(t, 1, l.table.rules["k"].meters.n)
		})
	}
}

func TestAKeyThatTimeNeverMakesNewWakesNobodyUntilItIsGivenBack(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "k", Quota: 2, Window: Lifetime, Keyed: true}, Limit{ID: "endpoint", Linked: []Link{{ID: "k"}}})
	p := &Permit{Limit: "endpoint", Key: "spent", Origin: "host"}
	require.NoError(t, l.Acquire(0, p))
	l.Settle(0, p, Outcome{})
	silence(l, time.Hour)
	_, ok := l.ForgetAt()
	require.False(t, ok)
	require.Equal(t, 1, l.idlers.n)
	require.EqualValues(t, 1, limitOf(l, time.Hour, "k").Used)

	require.NoError(t, l.Adjust(time.Hour, "k", Parts{Key: "spent"}, -1))
	silence(l, 2*time.Hour)
	require.Zero(t, l.idlers.n)
	require.Empty(t, l.idlers.kept)
	require.Zero(t, l.table.rules["k"].meters.n)
}

func TestAKeyThatIsKeptCanBeUsed(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "k", Quota: 2, Window: Lifetime, Keyed: true})
	for i := range 3 {
		p := &Permit{Limit: "k", Key: "spent"}
		now := time.Duration(i) * time.Hour
		if err := l.Acquire(now, p); i == 2 {
			require.ErrorIs(t, err, ErrSpent)
		} else {
			require.NoError(t, err)
			l.Settle(now, p, Outcome{})
		}
		_, ok := l.ForgetAt()
		require.True(t, ok, "it is in line again")
		silence(l, now+30*time.Minute)
		require.Len(t, l.idlers.kept, 1)
	}
}

func TestWhatIsKnownOfOthersIsKept(t *testing.T) {
	shared := keyedLimit(Fixed)
	shared.Shared = 0.5
	for _, limit := range []Limit{keyedLimit(FixedFromFirst), shared} {
		l := exact(t, Options{}, limit)
		require.NoError(t, l.Adjust(0, "k", Parts{Key: "x"}, 1))
		silence(l, time.Hour)
		require.Len(t, l.idlers.kept, 1)
		_, ok := l.ForgetAt()
		require.False(t, ok)
	}
}

// Windows that may be open, and of which no spell knows, are over after a while.
func TestKeysWhoseWindowsWereInDoubtAreForgottenAllTheSame(t *testing.T) {
	limit := func(change func(*Limit)) []Limit {
		l := Limit{ID: "k", Quota: 10, Per: sec, Keyed: true, Window: FixedFromFirst}
		change(&l)
		return []Limit{l}
	}
	for name, changes := range map[string][]func(*Limit){
		"another span":   {func(*Limit) {}, func(l *Limit) { l.Per *= 2 }},
		"another window": {func(*Limit) {}, func(l *Limit) { l.Window = Sliding }},
		"a counter":      {func(l *Limit) { l.Window = Leaky }},
		"a share":        {func(l *Limit) { l.Share = 0.5 }},
		"full":           {},
	} {
		l := exact(t, Options{}, limit(func(*Limit) {})[0])
		if name == "full" {
			l.assumeFull(0, false)
		}
		for _, change := range changes {
			require.NoError(t, l.Replace(0, limit(change)))
			for i := range 10 {
				p := &Permit{Limit: "k", Key: strconv.Itoa(i)}
				require.NoError(t, l.Acquire(0, p))
				if p.State() == Queued {
					l.Cancel(0, p)
				} else {
					l.Settle(0, p, Outcome{})
				}
			}
		}
		require.NoError(t, l.Replace(0, limit(func(*Limit) {})))
		require.NoError(t, l.Acquire(0, &Permit{Limit: "k", Key: "new"}))
		for at, ok := l.ForgetAt(); ok && at < 12*sec; at, ok = l.ForgetAt() {
			l.Forget(at)
		}
		require.LessOrEqual(t, l.table.rules["k"].meters.n, 1, name)
		require.Empty(t, l.idlers.kept, name)
	}
}

func TestKeysOfALimitThatIsGoneAreForgottenLikeAllOthers(t *testing.T) {
	table := []Limit{{ID: "k", Quota: 10, Per: sec, Keyed: true}, {ID: "ever", Quota: 10, Window: Lifetime, Keyed: true}, {ID: "other", Quota: 10, Per: sec}}
	l := exact(t, Options{}, table...)
	var flying *Permit
	for i := range 500 {
		flying = &Permit{Limit: "k", Key: strconv.Itoa(i)}
		require.NoError(t, l.Acquire(0, flying))
		if i < 499 {
			l.Settle(0, flying, Outcome{})
		}
	}
	budget := &Permit{Limit: "ever", Key: "x"}
	require.NoError(t, l.Acquire(0, budget))
	l.Settle(0, budget, Outcome{})
	forget := func(until time.Duration) {
		for at, ok := l.ForgetAt(); ok && at <= until; at, ok = l.ForgetAt() {
			l.Forget(at)
		}
	}
	require.NoError(t, l.Replace(0, table[2:]))
	forget(10 * sec)
	require.Equal(t, 1, l.retired["k"].meters.n, "what is in flight still counts")
	l.Settle(10*sec, flying, Outcome{})
	forget(20 * sec)
	require.Nil(t, l.retired["k"])
	require.Equal(t, 1, l.retired["ever"].meters.n, "a budget is never as good as new")
	require.NoError(t, l.Replace(20*sec, table))
	require.EqualValues(t, 9, limitOf(l, 20*sec, "ever").Room)
}

// remembering has a ledger forget nothing from here on.
func remembering(l *Ledger) {
	l.idlers.lines, l.idlers.used = newIdlers().lines, 0
}

// A ledger that forgets grants the same permits at the same instants as a twin that
// never does.
func TestWhatIsForgottenIsNoDifferentFromNew(t *testing.T) {
	for range 8 {
		forgetfulAndTwin(t)
	}
}

func forgetfulAndTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency, Lifetime}).Draw(t, "kind")
		limits := []Limit{
			{ID: "k", Quota: 3, Per: perOf(kind, sec), Window: kind, Keyed: true, Scope: "keys", By: rapid.SampledFrom([]By{0, ByAccount}).Draw(t, "by")},
			{ID: "pool", Quota: 6, Per: 2 * sec},
			{ID: "both", Quota: 40, Per: 12 * sec, Keyed: true, Linked: []Link{{ID: "k"}, {ID: "pool"}}},
		}
		if kind == Concurrency || kind == Lifetime {
			limits[0].Per = 0
		}
		var options Options
		if rapid.Bool().Draw(t, "paced") {
			options.Pacing = &Pacing{Bulk: -1}
		}
		w := forgettingPair{forgetful: pairedLedger(t, limits, options), twin: pairedLedger(t, limits, options)}
		if rapid.Bool().Draw(t, "clock") {
			for _, l := range w.both() {
				l.SetClock(0, 1000*sec, 1000*sec+20*ms)
			}
		}
		if rapid.Bool().Draw(t, "full") {
			for _, l := range w.both() {
				l.assumeFull(l.at(0), false)
			}
		}
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			w.step(t)
		}
	})
}

func pairedLedger(t *rapid.T, limits []Limit, o Options) *Ledger {
	l, err := New(limits, o)
	require.NoError(t, err)
	return l
}

// forgettingPair is two ledgers of which one forgets, and what became of their permits.
type forgettingPair struct {
	forgetful, twin *Ledger
	now             time.Duration
	permits         [][2]*Permit
}

func (w *forgettingPair) both() [2]*Ledger { return [2]*Ledger{w.forgetful, w.twin} }

func (w *forgettingPair) step(t *rapid.T) {
	w.pass(t, rapid.SampledFrom([]time.Duration{0, 100 * ms, 300 * ms, 600 * ms, sec, 2 * sec, 15 * sec, 70 * sec}).Draw(t, "passes"))
	key := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key")
	switch rapid.IntRange(0, 9).Draw(t, "do") {
	case 0:
		delta := rapid.Int64Range(-2, 2).Draw(t, "delta")
		for _, l := range w.both() {
			require.NoError(t, l.Adjust(w.now, "k", Parts{Key: key}, delta))
		}
	case 1:
		used := rapid.Int64Range(0, 4).Draw(t, "used")
		for _, l := range w.both() {
			require.NoError(t, l.Sync(w.now, "k", Parts{Key: key}, used, 0))
		}
	case 2:
		w.settle(rapid.SampledFrom([]Fate{NeverSent, Lost, Closed}).Draw(t, "fate"), 1)
	case 3, 4, 5:
		w.settle(Answered, len(w.permits))
	default:
		p := Permit{
			Limit: rapid.SampledFrom([]string{"k", "k", "both"}).Draw(t, "limit"), Key: key,
			Origin:   rapid.SampledFrom([]string{"", "", "", "host"}).Draw(t, "origin"),
			Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority")),
			Account:  rapid.SampledFrom([]string{"", "main"}).Draw(t, "account"),
		}
		if rapid.IntRange(0, 3).Draw(t, "weighs") == 0 {
			p.Weights = []Cost{{"k", rapid.Int64Range(0, 1).Draw(t, "weight")}}
		}
		for range rapid.IntRange(1, 4).Draw(t, "permits") {
			w.ask(t, p)
		}
	}
	w.compare(t)
}

func (w *forgettingPair) ask(t *rapid.T, p Permit) {
	pair := [2]*Permit{}
	var errs [2]error
	for i, l := range w.both() {
		one := p
		pair[i] = &one
		errs[i] = l.Acquire(w.now, pair[i])
	}
	require.Equal(t, errs[0] == nil, errs[1] == nil)
	w.permits = append(w.permits, pair)
}

// settle settles up to so many of those that are in flight.
func (w *forgettingPair) settle(fate Fate, most int) {
	for _, pair := range w.permits {
		if most == 0 || pair[0].State() != Granted {
			continue
		}
		most--
		for side, l := range w.both() {
			l.Settle(w.now, pair[side], Outcome{Fate: fate})
		}
	}
}

// pass lets time pass: whenever one of the two has somebody to let go, or something
// to forget, both are asked.
func (w *forgettingPair) pass(t *rapid.T, d time.Duration) {
	for end := w.now + d; ; {
		at := end
		for _, l := range w.both() {
			if wake, ok := l.Wake(); ok {
				at = min(at, max(w.now, wake))
			}
		}
		if forget, ok := w.forgetful.ForgetAt(); ok {
			at = min(at, max(w.now, forget))
		}
		w.now = at
		w.forgetful.Forget(w.now)
		w.compare(t)
		if at == end {
			return
		}
		w.now++ // a wake may come early
	}
}

func (w *forgettingPair) compare(t *rapid.T) {
	for _, l := range w.both() {
		for l.Next(w.now) != nil {
		}
	}
	remembering(w.twin)
	for _, pair := range w.permits {
		require.Equal(t, pair[1].State(), pair[0].State())
		require.Equal(t, pair[1].GrantedAt(), pair[0].GrantedAt())
	}
	require.Equal(t, bits.OnesCount64(w.forgetful.idlers.used) > 0 || len(w.forgetful.idlers.kept) > 0, w.forgetful.idlers.n > 0)
}

func TestAMeterAmongManyIsSmall(t *testing.T) {
	all := everybody()
	spent := heapInUse()
	l := exact(t, Options{}, Limit{ID: "orders", Quota: 9, Per: 10 * sec, By: ByAccount | ByKey, Scope: "account"})
	for _, of := range all {
		p := &Permit{Limit: "orders", Account: of.Account, Key: of.Key}
		require.NoError(t, l.Acquire(0, p))
		l.Settle(0, p, Outcome{})
	}
	each := (float64(heapInUse()) - float64(spent)) / float64(len(all))
	runtime.KeepAlive(all)
	t.Logf("%.0f bytes", each)
	require.LessOrEqual(t, each, 500.0, "with its path")
	require.Equal(t, len(all), l.idlers.n)

	silence(l, 30*sec)
	require.Zero(t, l.idlers.n)
	require.LessOrEqual(t, float64(heapInUse())-float64(spent), float64(1<<20), "and what is idle is forgotten")
	runtime.KeepAlive(all)
}
