package journal_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// ward is one process after another with a ledger of some limits and one file. Its
// clock is moved by hand.
type ward struct {
	t      *testing.T
	path   string
	now    time.Duration // of the machine
	zero   time.Duration
	boot   string
	warned []string

	ledger *throttle.Ledger
	log    *journal.Journal
	past   throttle.Past

	restored throttle.Restored
}

func newWard(t *testing.T) *ward {
	return &ward{t: t, path: filepath.Join(t.TempDir(), "memory"), now: 100 * sec, boot: "a"}
}

func (w *ward) at() time.Duration { return w.now - w.zero }

func (w *ward) start(limits ...throttle.Limit) {
	w.zero = w.now
	clock := memory.Clock{Boot: w.boot, Now: func() time.Duration { return w.now }}
	l, err := throttle.New(limits, throttle.Options{})
	require.NoError(w.t, err)
	w.log, w.past, err = journal.Open(journal.Needs{
		Memory: memory.FileAt(w.path, clock), Clock: clock, Now: w.at,
		Warn: func(text string, _ ...any) { w.warned = append(w.warned, text) },
	})
	require.NoError(w.t, err)
	l.Record(w.log)
	w.restored = l.Restore(w.at(), w.past)
	w.ledger = l
}

// kill has the next process find the file as it is now.
func (w *ward) kill() {
	held, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	require.NoError(w.t, w.log.Close())
	require.NoError(w.t, os.WriteFile(w.path, held, 0o600))
}

func (w *ward) acquire(limit string, weight int64) *throttle.Permit {
	p := &throttle.Permit{Limit: limit, Key: "k", Weight: weight}
	require.NoError(w.t, w.ledger.Acquire(w.at(), p))
	return p
}

func (w *ward) answered(limit string, weight int64) {
	p := w.acquire(limit, weight)
	require.Equal(w.t, throttle.Granted, p.State())
	w.ledger.Settle(w.at(), p, throttle.Outcome{})
}

func (w *ward) room(limit string) int64 {
	snapshot := w.ledger.Snapshot(w.at())
	i := slices.IndexFunc(snapshot.Limits, func(l throttle.LimitSnapshot) bool { return l.ID == limit })
	require.NotEqual(w.t, -1, i)
	return snapshot.Limits[i].Room
}

var tens = throttle.Limit{ID: "a", Quota: 10, Per: 10 * sec}

func TestWhatWasSpentEndsWhenItWouldHaveEnded(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.answered("a", 4)
	w.now += 3 * sec
	w.answered("a", 5)
	w.kill()
	w.now += sec
	w.start(tens)
	require.EqualValues(t, 1, w.room("a"))
	w.now += 6*sec + 10*ms
	require.EqualValues(t, 5, w.room("a"))
	w.now += 3*sec + 200*ms
	require.EqualValues(t, 10, w.room("a"))
	require.Empty(t, w.warned)
}

func TestWhatIsKeptTogetherEndsWithTheLastOfIt(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.answered("a", 4)
	w.now += 10 * ms
	w.answered("a", 5)
	w.kill()
	w.start(tens)
	w.now += 10*sec - 5*ms
	require.EqualValues(t, 1, w.room("a"))
	w.now += 20 * ms
	require.EqualValues(t, 10, w.room("a"))
}

func TestAClockOfAnotherBootTellsNothing(t *testing.T) {
	for _, boot := range []string{"b", ""} {
		w := newWard(t)
		w.start(tens)
		w.answered("a", 4)
		w.now += 2 * sec
		w.answered("a", 3)
		require.NoError(t, w.log.Close())
		w.now, w.boot = 5000*sec, boot // more, or nobody knows what
		w.start(tens)
		require.EqualValues(t, 3, w.room("a"))
		w.now += 8*sec + 10*ms
		require.EqualValues(t, 7, w.room("a"), "as long after the last word as it was before")
	}
}

func TestAMachineThatWentDownLeavesEveryLimitFull(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.answered("a", 1)
	w.kill()
	w.boot = "b"
	w.start(tens, throttle.Limit{ID: "new", Quota: 5, Per: sec}, throttle.Limit{ID: "budget", Quota: 5, Window: throttle.Lifetime})
	require.Zero(t, w.room("a"))
	require.Zero(t, w.room("new"))
	require.Zero(t, w.room("budget"))
	require.Len(t, w.warned, 1)
	w.kill()
	w.start(tens, throttle.Limit{ID: "budget", Quota: 5, Window: throttle.Lifetime})
	require.Zero(t, w.room("a"), "and that is remembered")
	require.Zero(t, w.room("budget"))
}

func TestADamagedRecordIsSetAsideAndEveryLimitIsFull(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.answered("a", 1)
	require.NoError(t, w.ledger.Pause(w.at(), throttle.Scope{}, w.at()+60*sec))
	w.kill()
	held, err := os.ReadFile(w.path)
	require.NoError(t, err)
	held[4096+30] ^= 1
	require.NoError(t, os.WriteFile(w.path, held, 0o600))
	w.start(tens)
	require.Zero(t, w.room("a"))
	aside, _ := filepath.Glob(w.path + ".bad-*")
	require.Len(t, aside, 1)
	require.Len(t, w.warned, 1)
}

func TestWhatWasInFlightMayStillArrive(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.acquire("a", 4)
	w.answered("a", 2)
	gone := w.acquire("a", 1)
	w.ledger.Settle(w.at(), gone, throttle.Outcome{Fate: throttle.NeverSent})
	w.kill()
	w.now += 5 * sec
	w.start(tens)
	require.EqualValues(t, 4, w.room("a"))
	w.now += 5*sec + 10*ms
	require.EqualValues(t, 6, w.room("a"), "what was answered is over")
	w.now += 5*sec + 10*ms // MaxDelay is over, and so it counts as answered by now
	require.EqualValues(t, 6, w.room("a"))
	w.now += 10 * sec
	require.EqualValues(t, 10, w.room("a"))
}

func TestWhatWasLostIsLostAsLongAsItWouldHaveBeen(t *testing.T) {
	open := throttle.Limit{ID: "a", Quota: 10, Window: throttle.Concurrency, MaxDelay: 10 * sec, CloseDelay: 4 * sec}
	w := newWard(t)
	w.start(open)
	for _, fate := range []throttle.Fate{throttle.Lost, throttle.Closed} {
		w.ledger.Settle(w.at(), w.acquire("a", 3), throttle.Outcome{Fate: fate})
	}
	w.kill()
	w.now += 2 * sec
	w.start(open)
	require.EqualValues(t, 4, w.room("a"))
	w.now += 2*sec + ms
	require.EqualValues(t, 7, w.room("a"))
	w.kill()
	w.start(open)
	require.EqualValues(t, 7, w.room("a"), "over a second restart as well")
	w.now += 6*sec + ms
	require.EqualValues(t, 10, w.room("a"))
}

func TestARealCostIsWhatIsRemembered(t *testing.T) {
	for cost, want := range map[int64]int64{0: 10, 1: 9, 7: 3} {
		w := newWard(t)
		w.start(tens)
		w.ledger.Settle(w.at(), w.acquire("a", 4), throttle.Outcome{Costs: []throttle.Cost{{ID: "a", Weight: cost}}})
		w.kill()
		w.start(tens)
		require.Equal(t, want, w.room("a"))
	}
}

func TestWhatOthersSpentIsRemembered(t *testing.T) {
	leaky := throttle.Limit{ID: "leaky", Window: throttle.Leaky, Quota: 1, Per: 100 * sec, Burst: 20}
	budget := throttle.Limit{ID: "budget", Window: throttle.Lifetime, Quota: 100}
	fixed := throttle.Limit{ID: "fixed", Window: throttle.Fixed, Quota: 50, Per: 3600 * sec}
	limits := []throttle.Limit{tens, leaky, budget, fixed}
	w := newWard(t)
	w.start(limits...)
	w.ledger.SetClock(w.at(), 1000*3600*sec, 1000*3600*sec)
	for _, l := range limits {
		w.answered(l.ID, 5)
		require.NoError(t, w.ledger.Adjust(w.at(), l.ID, throttle.Parts{}, 3))
		require.NoError(t, w.ledger.Adjust(w.at(), l.ID, throttle.Parts{}, -2))
		require.NoError(t, w.ledger.Sync(w.at(), l.ID, throttle.Parts{}, 9, 0))
		require.NoError(t, w.ledger.Sync(w.at(), l.ID, throttle.Parts{}, 2, 0), "less says nothing")
	}
	before := map[string]int64{}
	for _, l := range limits {
		before[l.ID] = w.room(l.ID)
	}
	require.Equal(t, map[string]int64{"a": 1, "leaky": 11, "budget": 91, "fixed": 41}, before)
	for range 2 {
		w.kill()
		w.start(limits...)
		for _, l := range limits {
			require.Equal(t, before[l.ID], w.room(l.ID), l.ID)
		}
	}
}

// knows has the ledger know the server's clock, on which a window of 20 s began at an instant.
func (w *ward) knows(began time.Duration) {
	ahead := 1_000_000*sec + w.now - began - w.at()
	w.ledger.SetClock(w.at(), ahead-ms, ahead+ms)
	w.ledger.Snapshot(w.at()) // somebody looks
	w.now += 10 * ms
}

var fixed = throttle.Limit{ID: "a", Window: throttle.Fixed, Quota: 128, Per: 20 * sec}

func TestWhatWasSpentInTheWindowBeforeIsNotChargedToTheOneAfterTheRestart(t *testing.T) {
	w := newWard(t)
	w.start(fixed)
	w.answered("a", 100)
	w.now += 3 * sec
	turned := w.now - sec
	w.answered("a", 20)
	w.kill()
	w.now += sec
	w.start(fixed)
	require.EqualValues(t, 8, w.room("a"))
	w.knows(turned)
	require.EqualValues(t, 108, w.room("a"))
	w.kill()
	w.now = turned + 19*sec
	w.start(fixed)
	w.knows(turned)
	require.EqualValues(t, 108, w.room("a"))
	w.kill()
	w.now = turned + 20*sec + 5*ms
	w.start(fixed)
	w.knows(turned)
	require.EqualValues(t, 128, w.room("a"))
}

func TestWhatTheServerSaidOfItsWindowIsRemembered(t *testing.T) {
	defer journal.CompactAfter(1)()
	for _, known := range []bool{false, true} {
		w := newWard(t)
		w.start(fixed)
		w.answered("a", 100)
		w.now += 3 * sec
		turned := w.now - sec
		if known {
			w.knows(turned)
			w.answered("a", 1)
		}
		require.NoError(t, w.ledger.Sync(w.at(), "a", throttle.Parts{}, 30, 0))
		w.answered("a", 10)
		require.NoError(t, w.ledger.Adjust(w.at(), "a", throttle.Parts{}, -5))
		for range 2 {
			w.kill()
			w.now += sec
			w.start(fixed)
			w.knows(turned)
			require.EqualValues(t, 93, w.room("a"), "and what came on top of it, known %v", known)
		}
		w.kill()
		w.now = turned + 25*sec
		w.start(fixed)
		w.knows(turned)
		require.EqualValues(t, 128, w.room("a"))
		for _, m := range w.past.Meters {
			require.Empty(t, m.Told)
		}
	}
}

func TestABudgetIsRememberedForEver(t *testing.T) {
	budget := throttle.Limit{ID: "budget", Window: throttle.Lifetime, Quota: 100, Keyed: true}
	w := newWard(t)
	for range 5 {
		w.start(budget)
		w.answered("budget", 7)
		w.kill()
		w.now += 1e6 * sec
	}
	w.start(budget)
	w.acquire("budget", 1)
	require.EqualValues(t, 100-5*7-1, w.room("budget"))
}

func TestWhatWasLostOfABudgetIsSpentOnce(t *testing.T) {
	budget := throttle.Limit{ID: "budget", Window: throttle.Lifetime, Quota: 100}
	w := newWard(t)
	w.start(budget)
	w.ledger.Settle(w.at(), w.acquire("budget", 10), throttle.Outcome{Fate: throttle.Lost})
	w.now += 11 * sec
	w.ledger.Settle(w.at(), w.acquire("budget", 5), throttle.Outcome{Fate: throttle.Lost})
	require.NoError(t, w.ledger.Adjust(w.at(), "budget", throttle.Parts{}, 1))
	require.EqualValues(t, 84, w.room("budget"))
	for range 3 {
		w.kill()
		w.now += 6 * sec
		w.start(budget)
		require.EqualValues(t, 84, w.room("budget"))
	}
}

func TestPausesLastOverARestart(t *testing.T) {
	scope := throttle.Scope{Origin: "o", Name: "ip"}
	limit := tens
	limit.Scope = "ip"
	w := newWard(t)
	w.start(limit)
	require.NoError(t, w.ledger.Pause(w.at(), scope, w.at()+60*sec))
	require.NoError(t, w.ledger.Pause(w.at(), throttle.Scope{Origin: throttle.AnyOrigin, Name: "ip"}, w.at()+20*sec))
	require.NoError(t, w.ledger.Pause(w.at(), throttle.Scope{Origin: "p", Name: "ip"}, w.at()+60*sec))
	require.NoError(t, w.ledger.Resume(w.at(), throttle.Scope{Origin: "p", Name: "ip"}))
	w.kill()
	w.now += 15 * sec
	w.start(limit)
	at := map[string]time.Duration{}
	for _, origin := range []string{"o", "p", "q"} {
		p := &throttle.Permit{Limit: "a", Origin: origin}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		require.Equal(t, throttle.Queued, p.State(), origin)
		at[origin] = w.ledger.Holding(w.at(), p).Until
	}
	require.Equal(t, 45*sec, at["o"])
	require.Equal(t, 5*sec, at["q"])
	w.kill()
	w.now += 5*sec + ms
	w.start(limit)
	q := &throttle.Permit{Limit: "a", Origin: "q"}
	require.NoError(t, w.ledger.Acquire(w.at(), q))
	require.Equal(t, throttle.Granted, q.State())
}

func TestEveryPartHasAMeterAndAScopeOfItsOwnOverARestart(t *testing.T) {
	limit := throttle.Limit{ID: "a", Quota: 10, Per: 10 * sec, Scope: "acct", By: throttle.ByAccount | throttle.ByEgress}
	parts := []throttle.Parts{{}, {Account: "one"}, {Account: "one", Egress: "eth1"}, {Account: "two"}}
	w := newWard(t)
	w.start(limit)
	for i, of := range parts {
		p := &throttle.Permit{Limit: "a", Account: of.Account, Egress: of.Egress, Weight: int64(i + 1)}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		w.ledger.Settle(w.at(), p, throttle.Outcome{})
	}
	require.NoError(t, w.ledger.Pause(w.at(), throttle.Scope{Origin: "o", Name: "acct", Account: "one"}, w.at()+60*sec))
	require.NoError(t, w.ledger.Pause(w.at(), throttle.Scope{Origin: "o", Name: "acct", Account: "two"}, w.at()+60*sec))
	require.NoError(t, w.ledger.Resume(w.at(), throttle.Scope{Origin: "o", Name: "acct", Account: "two"}))
	w.kill()
	w.start(limit)
	for i, of := range parts {
		p := &throttle.Permit{Limit: "a", Account: of.Account, Egress: of.Egress, Weight: 10 - int64(i)}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		require.Equal(t, throttle.Queued, p.State(), "%v", of)
		w.ledger.Cancel(w.at(), p)
		p.Weight--
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		require.Equal(t, throttle.Granted, p.State(), "%v", of)
	}
	for account, want := range map[string]throttle.State{"one": throttle.Queued, "two": throttle.Granted, "three": throttle.Granted} {
		p := &throttle.Permit{Limit: "a", Account: account, Origin: "o", Egress: "other"}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		require.Equal(t, want, p.State(), account)
	}
}

func TestALimitThatHasChangedTakesWhatWasSpent(t *testing.T) {
	w := newWard(t)
	w.start(tens, throttle.Limit{ID: "b", Quota: 10, Per: 10 * sec}, throttle.Limit{ID: "gone", Quota: 10, Per: 100 * sec})
	w.answered("a", 6)
	w.answered("b", 6)
	w.answered("gone", 6)
	w.kill()
	smaller := throttle.Limit{ID: "a", Quota: 8, Per: 60 * sec}
	other := throttle.Limit{ID: "b", Quota: 10, Per: 10 * sec, Window: throttle.Leaky}
	w.start(smaller, other, throttle.Limit{ID: "new", Quota: 3, Per: sec})
	require.EqualValues(t, 2, w.room("a"))
	require.Zero(t, w.room("b"), "it counts in another way, and what of it is not known")
	require.EqualValues(t, 3, w.room("new"), "of which nothing is known")
	w.kill()
	w.start(throttle.Limit{ID: "gone", Quota: 10, Per: 100 * sec})
	require.EqualValues(t, 4, w.room("gone"), "it was passed over, and not forgotten")
}

func TestALimitThatIsReplacedByOneOfAnotherKindIsFullAfterwards(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.answered("a", 1)
	leaky := throttle.Limit{ID: "a", Window: throttle.Leaky, Quota: 1, Per: sec, Burst: 10}
	require.NoError(t, w.ledger.Replace(w.at(), []throttle.Limit{leaky}))
	w.now += 20 * sec
	w.answered("a", 1)
	w.kill()
	w.start(leaky)
	require.Zero(t, w.room("a"))
	w.now += 11 * sec
	require.EqualValues(t, 10, w.room("a"))
	w.kill()
	w.start(leaky)
	require.EqualValues(t, 10, w.room("a"))
}

func TestWhatWasInFlightUnderADamagedMemoryMayStillArrive(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.acquire("a", 4) // on the wire, and it arrives half a second after the restart
	w.kill()
	held, err := os.ReadFile(w.path)
	require.NoError(t, err)
	held[4096+30] ^= 1
	require.NoError(t, os.WriteFile(w.path, held, 0o600))
	w.start(tens)
	require.LessOrEqual(t, w.room("a"), int64(0))
	w.now += 10*sec + 10*time.Millisecond // 9.51 s after it arrived
	require.LessOrEqual(t, w.room("a"), int64(6), "what arrived after the restart counts at the server still")
	w.kill() // and the next process knows as much
	w.start(tens)
	require.LessOrEqual(t, w.room("a"), int64(6))
	w.now += 10 * sec
	require.EqualValues(t, 10, w.room("a"), "nothing is in flight for ever")
}

func TestASuccessorOfATornLedgerIsRememberedAsFull(t *testing.T) {
	w := newWard(t)
	limits := []throttle.Limit{tens, {ID: "budget", Window: throttle.Lifetime, Quota: 9}}
	w.start(limits...)
	flying := w.acquire("a", 2)
	next, err := w.ledger.Successor(w.at(), limits)
	require.NoError(t, err)
	require.NoError(t, next.Adopt(w.at(), flying))
	next.Settle(w.at(), flying, throttle.Outcome{})
	w.kill()
	w.now += sec
	w.start(limits...)
	require.LessOrEqual(t, w.room("a"), int64(0))
	require.Zero(t, w.room("budget"))
	w.now += 10 * sec
	require.EqualValues(t, 10, w.room("a"), "nothing is in flight for ever")
}

func TestAFloorIsRememberedAndNeverFalls(t *testing.T) {
	w := newWard(t)
	w.start()
	f := w.log.Floor("lane")
	require.Same(t, f, w.log.Floor("lane"))
	require.NoError(t, f.Store(1000))
	require.NoError(t, f.Store(500))
	require.NoError(t, w.log.Floor("other").Store(7))
	for range 2 {
		w.kill()
		w.start()
		stored, err := w.log.Floor("lane").Load()
		require.NoError(t, err)
		require.EqualValues(t, 1000, stored)
		stored, err = w.log.Floor("other").Load()
		require.NoError(t, err)
		require.EqualValues(t, 7, stored)
		stored, err = w.log.Floor("new").Load()
		require.NoError(t, err)
		require.Zero(t, stored)
	}
}

func TestAFileStaysSmallHoweverMuchIsSent(t *testing.T) {
	defer journal.CompactAfter(64 << 10)()
	w := newWard(t)
	limits := []throttle.Limit{{ID: "minute", Quota: 1 << 30, Per: 60 * sec}, {ID: "both", Quota: 1 << 30, Per: sec, Keyed: true, Linked: []throttle.Link{{ID: "minute"}}}}
	w.start(limits...)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		w.now += time.Duration(rng.IntN(int(ms)))
		p := &throttle.Permit{Limit: "both", Key: string(rune('a' + rng.IntN(26)))}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		w.ledger.Settle(w.at(), p, throttle.Outcome{})
	}
	info, err := os.Stat(w.path)
	require.NoError(t, err)
	require.EqualValues(t, 4<<20, info.Size())
	require.Less(t, float64(w.log.Written())/100_000, 60.0)
	spent := 1<<30 - w.room("minute")
	w.kill()
	w.start(limits...)
	require.InDelta(t, spent, 1<<30-w.room("minute"), 1+float64(spent)/60)
	require.GreaterOrEqual(t, 1<<30-w.room("minute"), spent)
}

// slow is a store that takes its time, and fails when it is told to.
type slow struct {
	mu      sync.Mutex
	held    []byte
	takes   time.Duration
	fails   bool
	appends int
	closed  bool
}

func (s *slow) Open() (memory.Store, memory.Held, error) {
	s.closed = false
	return s, memory.Held{Records: slices.Clone(s.held)}, nil
}

func (s *slow) put(change func()) error {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appends++
	if s.fails || s.closed {
		return errors.New("not now")
	}
	change()
	return nil
}

func (s *slow) Append(records []byte) error {
	return s.put(func() { s.held = append(s.held, records...) })
}
func (s *slow) Replace(records []byte) error {
	return s.put(func() { s.held = slices.Clone(records) })
}
func (s *slow) Close() error { s.closed = true; return nil }

func (s *slow) set(fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

func openSlow(t *testing.T, s *slow) (*throttle.Ledger, *journal.Journal) {
	l, err := throttle.New([]throttle.Limit{tens}, throttle.Options{})
	require.NoError(t, err)
	epoch := time.Now()
	now := func() time.Duration { return time.Since(epoch) }
	clock := memory.Clock{Boot: "a", Now: func() time.Duration { return time.Since(time.Unix(0, 0)) }}
	j, past, err := journal.Open(journal.Needs{Memory: s, Clock: clock, Now: now, Warn: func(string, ...any) {}})
	require.NoError(t, err)
	require.True(t, j.TakesTime())
	l.Record(j)
	l.Restore(now(), past)
	return l, j
}

func TestWhoeverIsGrantedLeavesOnceASlowStoreHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 10 * ms}
		l, j := openSlow(t, s)
		began, left := time.Now(), make([]time.Duration, 0, 5)
		for range 5 {
			p := &throttle.Permit{Limit: "a"}
			require.NoError(t, l.Acquire(0, p))
			j.After(func(bool) { left = append(left, time.Since(began)) })
			time.Sleep(ms)
		}
		time.Sleep(sec)
		synctest.Wait()
		require.Equal(t, []time.Duration{10 * ms, 20 * ms, 20 * ms, 20 * ms, 20 * ms}, left, "those that came meanwhile go together")
		require.NoError(t, j.Close())

		l, j = openSlow(t, s)
		require.EqualValues(t, 5, l.Snapshot(0).Limits[0].Room)
		require.NoError(t, j.Close())
	})
}

// A turn tells the journal what it grants, and then waits for it: the write may have begun between
// the two, and others append meanwhile.
func TestWhoWaitsForWhatIsBeingWrittenDoesNotWaitForWhatIsAppendedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := openSlow(t, &slow{takes: 10 * ms})
		began, left := time.Now(), make([]time.Duration, 0, 3)
		leave := func(bool) { left = append(left, time.Since(began)) }
		for range 3 {
			require.NoError(t, l.Acquire(0, &throttle.Permit{Limit: "a"}))
			synctest.Wait() // what is free begins to write
			j.After(leave)
			time.Sleep(ms)
		}
		time.Sleep(sec)
		synctest.Wait()
		require.Equal(t, []time.Duration{10 * ms, 20 * ms, 20 * ms}, left)
		j.After(leave)
		synctest.Wait()
		require.Len(t, left, 4, "at once, for all is written")
		require.NoError(t, j.Close())
	})
}

func TestWhileASlowStoreFailsNobodyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: ms}
		l, j := openSlow(t, s)
		s.set(true)
		p := &throttle.Permit{Limit: "a"}
		require.NoError(t, l.Acquire(0, p))
		var order []int
		j.After(func(bool) { order = append(order, 1) })
		j.After(func(bool) { order = append(order, 2) })
		time.Sleep(10 * sec)
		synctest.Wait()
		require.Empty(t, order)
		require.Less(t, s.appends, 25, "the pauses grow")
		s.set(false)
		time.Sleep(2 * sec)
		synctest.Wait()
		require.Equal(t, []int{1, 2}, order)
		require.NoError(t, j.Close())
	})
}

func TestAnEngineThatEndsWaitsForNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: ms}
		_, j := openSlow(t, s)
		s.set(true)
		require.NoError(t, j.Floor("x").Store(0))
		refused := make(chan error, 1)
		go func() { refused <- j.Floor("x").Store(5) }()
		var told []bool
		time.Sleep(20 * ms)
		j.After(func(remembered bool) { told = append(told, remembered) })
		j.Hasten()
		require.Error(t, <-refused, "it is not remembered")
		synctest.Wait()
		j.After(func(remembered bool) { told = append(told, remembered) })
		require.Equal(t, []bool{false, false}, told)
		s.set(false)
		require.NoError(t, j.Close())
	})
}

// What follows means nothing without it: the next engine would take its memory for damaged.
func TestWhatAStoreHasNotTakenIsWrittenAtTheEnd(t *testing.T) {
	for name, heals := range map[string]time.Duration{"in a pause": 0, "behind the last try": 5 * ms} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{takes: ms}
			l, j := openSlow(t, s)
			s.set(true)
			spent, unsent := &throttle.Permit{Limit: "a"}, &throttle.Permit{Limit: "a"}
			require.NoError(t, l.Acquire(0, spent))
			require.NoError(t, l.Acquire(0, unsent))
			time.Sleep(20 * ms)
			time.AfterFunc(heals, func() { s.set(false) })
			synctest.Wait()
			j.Hasten()
			time.Sleep(10 * ms)
			l.Settle(0, unsent, throttle.Outcome{Fate: throttle.NeverSent})
			l.Settle(0, spent, throttle.Outcome{Fate: throttle.Answered})
			require.NoError(t, j.Close(), name)
			l, j = openSlow(t, s)
			require.EqualValues(t, 9, l.Snapshot(0).Limits[0].Room, name)
			require.NoError(t, j.Close())
		})
	}
}

func TestASlowStoreIsWrittenAnewAsWell(t *testing.T) {
	defer journal.CompactAfter(4 << 10)()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: ms}
		l, j := openSlow(t, s)
		for i := range 2000 {
			at := time.Duration(i) * 5 * sec
			p := &throttle.Permit{Limit: "a"}
			require.NoError(t, l.Acquire(at, p))
			l.Settle(at, p, throttle.Outcome{})
			if i%10 == 0 {
				time.Sleep(5 * ms)
			}
		}
		time.Sleep(sec)
		synctest.Wait()
		require.Less(t, len(s.held), 12<<10)
		_, _, err := journal.Reread(s.held)
		require.NoError(t, err)
		require.NoError(t, j.Close())
	})
}

func FuzzRecordsAreReadOrRefused(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "memory")
	w := &ward{t: &testing.T{}, path: path, now: 100 * sec, boot: "a"}
	w.start(everyKind...)
	for i := range 40 {
		id := everyKind[i%len(everyKind)].ID
		p := &throttle.Permit{Limit: id}
		if w.ledger.Acquire(w.at(), p) == nil && p.State() == throttle.Granted && i%7 > 0 {
			w.ledger.Settle(w.at(), p, throttle.Outcome{Fate: throttle.Fate(i % 4)})
		}
		_ = w.ledger.Sync(w.at(), id, throttle.Parts{}, int64(i%6), 0)
		_ = w.ledger.Adjust(w.at(), id, throttle.Parts{}, int64(i%5)-2)
		w.now += 10 * ms
	}
	_ = w.ledger.Pause(w.at(), throttle.Scope{Origin: "o"}, w.at()+sec)
	_ = w.log.Floor("lane").Store(9)
	w.kill()
	store, held, err := memory.FileAt(path, memory.Clock{Boot: "a"}).Open()
	if err != nil || len(held.Records) == 0 {
		f.Fatal(err)
	}
	_ = store.Close()
	var records []byte // each with its length before it, so that the fuzzer need not find checksums
	for record, err := range memory.Frames(held.Records) {
		if err != nil || len(record) > 255 {
			f.Fatal(err, len(record))
		}
		records = append(append(records, byte(len(record))), record...)
	}
	f.Add(records)
	f.Fuzz(func(t *testing.T, b []byte) {
		var frames []byte
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			frames = memory.AppendFrame(frames, b[1:1+n])
			b = b[1+n:]
		}
		first, second, err := journal.Reread(frames)
		if err != nil {
			require.ErrorIs(t, err, memory.ErrCorrupt)
			return
		}
		require.Equal(t, first, second)
		l, err := throttle.New(everyKind, throttle.Options{})
		require.NoError(t, err)
		l.Restore(first.FilledAt, first)
		for _, s := range l.Snapshot(first.FilledAt).Limits {
			if s.Window != throttle.Lifetime { // a budget may have been topped up
				require.LessOrEqual(t, s.Room, s.Quota)
			}
		}
	})
}
