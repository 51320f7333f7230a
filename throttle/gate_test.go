package throttle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// slowRefusals are the refusals of single limits, by the definition: what a server asked
// for lasts until the latest end of it, and counts for who is charged to the same.
type slowRefusals struct {
	until map[Parts]time.Duration // by limit, as an account, and key
	inRow map[Parts]int
}

func (s *slowRefusals) refuse(now, granted time.Duration, at Parts, said time.Duration) time.Duration {
	if s.inRow[at] == 0 || granted >= s.until[at] {
		s.inRow[at]++
	}
	least := sec
	for range s.inRow[at] - 1 {
		least = min(2*least, time.Minute)
	}
	s.until[at] = max(s.until[at], now+min(max(said, least), 2*time.Minute))
	return s.until[at]
}

func (s *slowRefusals) opens(p *Permit) time.Duration {
	switch p.Limit {
	case "pool":
		return s.until[Parts{Account: "pool"}]
	case "lone":
		return s.until[Parts{Account: "lone"}]
	}
	return max(s.until[Parts{Account: "pool"}], s.until[Parts{Account: "key", Key: p.Key}])
}

// With room for all of them, requests leave at the very instant at which no limit of theirs
// is refused any more.
func TestALimitThatWasRefusedIsHeldForAsLongAsTheServerSaidAndNothingElseIs(t *testing.T) {
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		kind := func() Window {
			return []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency, Lifetime}[rng.IntN(6)]
		}
		limit := func(id string, links ...Link) Limit {
			l := Limit{ID: id, Window: kind(), Quota: 1000_000, Linked: links}
			if l.Window.timed() {
				l.Per = time.Duration(1+rng.IntN(20)) * sec
			}
			return l
		}
		limits := []Limit{limit("pool"), limit("key", Link{ID: "pool"}), limit("lone")}
		limits[1].Keyed = true
		l, err := New(limits, Options{MaxPause: 2 * time.Minute})
		require.NoError(t, err)
		slow := slowRefusals{map[Parts]time.Duration{}, map[Parts]int{}}
		var flying, queued []*Permit
		now := time.Duration(0)
		drain := func() {
			for p := l.Next(now); p != nil; p = l.Next(now) {
				require.LessOrEqual(t, slow.opens(p), now)
				flying = append(flying, p)
			}
			for i := 0; i < len(queued); i++ {
				p := queued[i]
				if p.State() == Granted {
					queued = append(queued[:i], queued[i+1:]...)
					i--
					continue
				}
				require.Greater(t, slow.opens(p), now, "%q %q waits for nothing", p.Limit, p.Key)
			}
		}
		for range 60 {
			switch rng.IntN(4) {
			case 0, 1:
				p := &Permit{Limit: []string{"pool", "key", "key", "lone"}[rng.IntN(4)], Key: fmt.Sprint(rng.IntN(3))}
				require.NoError(t, l.Acquire(now, p))
				require.Equal(t, slow.opens(p) <= now, p.State() == Granted)
				if p.State() == Granted {
					flying = append(flying, p)
				} else {
					held++
					queued = append(queued, p)
					require.Equal(t, slow.opens(p), l.Holding(now, p).Until)
				}
			default:
				if len(flying) == 0 {
					break
				}
				i := rng.IntN(len(flying))
				p := flying[i]
				flying = append(flying[:i], flying[i+1:]...)
				refused := rng.IntN(3) == 0
				l.Settle(now, p, Outcome{Refused: refused})
				at := Parts{Account: p.Limit}
				charged := []Parts{at}
				if p.Limit == "key" {
					at.Key = p.Key
					charged = []Parts{at, {Account: "pool"}}
				}
				if refused {
					said := time.Duration(1+rng.IntN(150_000)) * ms
					until, _, err := l.RefusedAlone(now, p.granted, p.Limit, Parts{Key: at.Key}, said)
					require.NoError(t, err)
					require.Equal(t, slow.refuse(now, p.granted, at, said), until)
					break
				}
				for _, at := range charged {
					if p.granted >= slow.until[at] {
						slow.inRow[at] = 0
					}
				}
			}
			drain()
			if rng.IntN(3) == 0 {
				next := now + time.Duration(rng.IntN(40_000))*ms
				for at, ok := l.Wake(); ok && at < next; at, ok = l.Wake() {
					now = max(now+1, at)
					drain()
				}
				now = max(now, next)
				drain()
			}
		}
	})
	require.Greater(t, held, 20, "or else nothing was held")
}

func TestWhoWaitsForALimitThatWasRefusedKeepsNothingFromOthers(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 10, Per: time.Minute},
		Limit{ID: "heavy", Quota: 100, Per: sec, Linked: []Link{{ID: "pool", Weight: 8}}},
		Limit{ID: "light", Quota: 100, Per: sec, Linked: []Link{{ID: "pool", Weight: 1}}})
	_, was, err := l.RefusedAlone(0, 0, "heavy", Parts{}, 30*sec)
	require.NoError(t, err)
	require.Zero(t, was)
	heavy := queued(t, l, 0, "heavy")
	require.Nil(t, l.Next(0))
	for range 2 {
		granted(t, l, 0, "light")
	}
	for range 2 { // a heavy one in the same place would keep this much, and does once it may go
		granted(t, l, 10*sec, "light")
	}
	require.Nil(t, l.Next(30*sec))
	require.Equal(t, Queued, heavy.State())
	queued(t, l, 30*sec, "light")
}

func TestARefusalOfOneLimitEndsByHandAndIsForgottenByAndBy(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "a", Quota: 10, Per: sec, Scope: "x", Keyed: true, By: ByAccount},
		Limit{ID: "b", Quota: 10, Per: sec, Scope: "y"})
	refuse := func(now time.Duration, id string) {
		_, _, err := l.RefusedAlone(now, now, id, Parts{Account: "main", Key: "k"}, time.Hour)
		require.NoError(t, err)
	}
	may := func(now time.Duration, id string) bool {
		p := &Permit{Limit: id, Account: "main", Key: "k"}
		if l.TryAcquire(now, p) != nil {
			return false
		}
		l.Settle(now, p, Outcome{Fate: NeverSent})
		return true
	}
	table := l.Table()
	refuse(0, "a")
	refuse(0, "b")
	require.Equal(t, table+2, l.Table(), "who waits for a connection looks again whether it may go")
	refuse(sec, "b")
	require.Equal(t, table+2, l.Table())
	require.False(t, may(sec, "a"))
	require.NoError(t, l.Resume(sec, Scope{Name: "x", Account: "sub"}))
	require.False(t, may(sec, "a"), "it is another account's")
	require.NoError(t, l.Resume(sec, Scope{Name: "x", Account: "main"}))
	require.True(t, may(sec, "a"))
	require.False(t, may(sec, "b"))
	require.NoError(t, l.Resume(sec, Scope{Name: WholeOrigin}))
	require.True(t, may(sec, "b"))

	refuse(2*sec, "a")
	next, err := l.Successor(3*sec, []Limit{{ID: "a", Quota: 10, Per: sec, Scope: "x", Keyed: true, By: ByAccount}})
	require.NoError(t, err)
	l = next
	require.False(t, may(time.Minute, "a"), "a failure forgets no refusal")
	require.Len(t, l.refused.meters, 1)
	require.True(t, may(2*sec+time.Hour, "a"))
	for now, ok := l.ForgetAt(); ok; now, ok = l.ForgetAt() {
		l.Forget(now)
	}
	require.Empty(t, l.refused.meters)
	require.Zero(t, l.table.rules["a"].meters.n)
}

func TestAnAnswerThatIsChargedNothingEndsNoRowOfRefusals(t *testing.T) {
	growing, first := []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec}, []time.Duration{sec, sec, sec, sec}
	row := func(name string, alone bool, p Permit, costs []Cost, want []time.Duration) {
		t.Run(fmt.Sprint(name, ", alone: ", alone), func(t *testing.T) {
			l := newLedger(t, Options{},
				Limit{ID: "a", Quota: 100, Per: time.Hour, Scope: "sa"}, Limit{ID: "b", Quota: 100, Per: time.Hour, Scope: "sb", Linked: []Link{{ID: "a"}}},
			)
			now := time.Duration(0)
			for refusal, least := range want {
				until := now + least
				refused := granted(t, l, now, "a")
				if alone {
					at, _, err := l.RefusedAlone(now, now, "a", Parts{}, 1)
					require.NoError(t, err)
					require.Equal(t, until, at, "refusal %d", refusal)
				} else {
					at, err := l.Refused(now, now, Scope{Name: "sa"}, 1)
					require.NoError(t, err)
					require.Equal(t, until, at, "refusal %d", refusal)
				}
				l.Settle(now, refused, Outcome{Refused: true})
				now = until
				between := p
				require.NoError(t, l.Acquire(now, &between))
				require.Equal(t, Granted, between.State())
				l.Settle(now, &between, Outcome{Costs: costs})
			}
		})
	}
	nothing := []Cost{{ID: "a", Weight: 0}}
	for _, alone := range []bool{false, true} {
		row("reserved nothing", alone, Permit{Limit: "b", Weights: nothing}, nil, growing)
		row("cost nothing", alone, Permit{Limit: "b"}, nothing, growing)
		row("without a limit", alone, Permit{Limit: NoLimit}, nil, growing)
		row("charged", alone, Permit{Limit: "b"}, nil, first)
		row("reserved nothing, and cost something", alone, Permit{Limit: "b", Weights: nothing}, []Cost{{ID: "a", Weight: 3}}, first)
	}
}

func TestAnyAnswerEndsARowOfRefusalsOfTheWholeOrigin(t *testing.T) {
	l := newLedger(t, Options{}, Limit{ID: "a", Quota: 100, Per: time.Hour})
	now := time.Duration(0)
	for range 3 {
		until, err := l.Refused(now, now, Scope{Name: WholeOrigin}, 1)
		require.NoError(t, err)
		require.Equal(t, now+sec, until)
		now = until
		l.Settle(now, granted(t, l, now, NoLimit), Outcome{})
	}
}
