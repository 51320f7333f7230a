package journal_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms  = time.Millisecond
	sec = time.Second
)

// referee counts what arrives, exactly as a server of one limit does.
type referee struct {
	throttle.Limit
	log    []throttle.Spent
	opened time.Duration // of the present window
	sum    int64         // in it, or in all
	level  float64
	at     time.Duration
}

func (r *referee) arrive(at time.Duration, w int64) error {
	over := func(count int64, of int64) error {
		if count > of {
			return fmt.Errorf("%s: %d of %d at %v", r.Window, count, of, at)
		}
		return nil
	}
	switch r.Window {
	case throttle.Sliding:
		r.log = append(slices.DeleteFunc(r.log, func(s throttle.Spent) bool { return s.At <= at-r.Per }), throttle.Spent{At: at, Weight: w})
		r.sum = 0
		for _, s := range r.log {
			r.sum += s.Weight
		}
	case throttle.Fixed:
		if start := at / r.Per * r.Per; start != r.opened {
			r.opened, r.sum = start, 0
		}
		r.sum += w
	case throttle.FixedFromFirst:
		if r.sum == 0 || at >= r.opened+r.Per {
			r.opened, r.sum = at, 0
		}
		r.sum += w
	case throttle.Leaky:
		r.level = max(0, r.level-float64(at-r.at)*float64(r.Quota)/float64(r.Per)) + float64(w)
		r.at = at
		err := over(int64(math.Ceil(r.level-1e-6)), r.Burst)
		r.level = min(r.level, float64(r.Burst)) // what does not fit is refused, and raises nothing
		return err
	default:
		r.sum += w
	}
	return over(r.sum, r.Quota)
}

func (r *referee) leave(w int64) {
	if r.Window == throttle.Concurrency {
		r.sum -= w
	}
}

// world has a ledger send to servers that count, and its process killed now and then,
// all in time of its own. Its file is a real one.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	limits  []throttle.Limit
	servers map[seat]*referee
	bys     [2]throttle.By // of every limit: the first and the last life have the first, those between the second
	dir     string
	forgets bool // every process takes everything for full instead of remembering
	amnesia bool // every process remembers nothing

	now    time.Duration // of the world
	events []event
	life   int           // of the process
	zero   time.Duration // of its ledger's clock
	ledger *throttle.Ledger
	log    *journal.Journal
	boot   string
	sent   int64 // weight that arrived
	err    error
}

type event struct {
	at time.Duration
	do func()
}

const mostDelay = 300 * ms // from a grant to an arrival; what was given up arrives in as much

func newWorld(t testing.TB, seed uint64, limits ...throttle.Limit) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), limits: limits, servers: map[seat]*referee{}, dir: quickDir(t), boot: "a", now: 1000 * sec}
	for i := range limits {
		limits[i].MaxDelay, limits[i].CloseDelay = 500*ms, 400*ms
	}
	return w
}

// seat is what a referee counts.
type seat struct {
	limit        string
	by           throttle.By
	account, key string
}

// referees are those that count a permit: one for each way in which its limit is told apart
// in some life, for all lives. The first is that of the present one.
func (w *world) referees(p *throttle.Permit) []*referee {
	now := w.by()
	all := []*referee{w.referee(p, now)}
	for _, by := range w.bys {
		if by != now {
			all = append(all, w.referee(p, by))
			break
		}
	}
	return all
}

func (w *world) referee(p *throttle.Permit, by throttle.By) *referee {
	at := seat{limit: p.Limit, by: by}
	if by&throttle.ByAccount != 0 {
		at.account = p.Account
	}
	if by&throttle.ByKey != 0 {
		at.key = p.Key
	}
	if w.servers[at] == nil {
		i := slices.IndexFunc(w.limits, func(l throttle.Limit) bool { return l.ID == p.Limit })
		w.servers[at] = &referee{Limit: w.limits[i]}
	}
	return w.servers[at]
}

// by is what limits are told apart by in the present life.
func (w *world) by() throttle.By {
	if w.life%livesApart == 0 {
		return w.bys[0]
	}
	return w.bys[1]
}

const livesApart = 3 // until limits are told apart by what they were again

// quickDir is a directory that nobody waits for: worlds close many files.
func quickDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "journal")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) path() string { return filepath.Join(w.dir, fmt.Sprint("life", w.life)) }

func (w *world) span(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most)))
}

func (w *world) after(d time.Duration, do func()) {
	e := event{w.now + d, do}
	i, _ := slices.BinarySearchFunc(w.events, e, func(a, b event) int {
		if a.at <= b.at {
			return -1
		}
		return 1
	})
	w.events = slices.Insert(w.events, i, e)
}

// at is now on the ledger's clock.
func (w *world) at() time.Duration { return w.now - w.zero }

func (w *world) clock() memory.Clock {
	return memory.Clock{Boot: w.boot, Now: func() time.Duration { return w.now - 500*sec }}
}

func (w *world) start() {
	w.zero = w.now - w.span(3*sec)
	limits := slices.Clone(w.limits)
	for i := range limits {
		limits[i].By = w.by()
	}
	l, err := throttle.New(limits, throttle.Options{})
	require.NoError(w.t, err)
	j, past, err := journal.Open(journal.Needs{
		Memory: memory.FileAt(w.path(), w.clock()), Clock: w.clock(), Now: w.at,
		Warn: func(text string, args ...any) { w.t.Log(append([]any{text}, args...)...) },
	})
	require.NoError(w.t, err)
	past.Unknown = past.Unknown || w.forgets
	l.Record(j)
	if w.amnesia {
		past = throttle.Past{}
	}
	l.Restore(w.at(), past)
	w.ledger, w.log = l, j
	life := w.life
	w.after(w.span(800*ms), func() {
		if life == w.life { // the server's time is its Unix time, which begins with the world
			ahead := w.zero
			w.ledger.SetClock(w.at(), ahead-2*ms, ahead+3*ms)
			w.drain()
		}
	})
	for range 12 {
		w.ask()
	}
}

// kill ends the process: what its file holds is what the next one finds.
func (w *world) kill() {
	held, err := os.ReadFile(w.path())
	require.NoError(w.t, err)
	require.NoError(w.t, w.log.Close())
	require.NoError(w.t, os.Remove(w.path()))
	w.life++
	require.NoError(w.t, os.WriteFile(w.path(), held, 0o600))
	w.ledger = nil
}

func (w *world) ask() {
	p := &throttle.Permit{Limit: w.limits[w.rng.IntN(len(w.limits))].ID, Key: string(rune('a' + w.rng.IntN(2)))}
	if w.rng.IntN(3) == 0 {
		p.Weight = 1 + w.rng.Int64N(3)
	}
	if w.bys != [2]throttle.By{} {
		p.Account = []string{"", "x"}[w.rng.IntN(2)]
	}
	switch err := w.ledger.Acquire(w.at(), p); {
	case err != nil:
		return // a budget is spent
	case p.State() == throttle.Granted:
		w.send(p)
	}
	w.drain()
}

func (w *world) drain() {
	for p := w.ledger.Next(w.at()); p != nil; p = w.ledger.Next(w.at()) {
		if p.State() == throttle.Granted {
			w.send(p)
		}
	}
	if at, ok := w.ledger.Wake(); ok && at > w.at() {
		life := w.life
		w.after(at-w.at(), func() {
			if w.ledger != nil && life == w.life {
				w.drain()
			}
		})
	}
}

func (w *world) send(p *throttle.Permit) {
	life, weight := w.life, max(1, p.Weight)
	judges := w.referees(p)
	settle := func(o throttle.Outcome) func() {
		return func() {
			if w.ledger == nil || life != w.life {
				return
			}
			w.ledger.Settle(w.at(), p, o)
			w.drain()
			w.after(w.span(20*ms), func() {
				if w.ledger != nil && life == w.life {
					w.ask()
				}
			})
		}
	}
	if w.rng.IntN(20) == 0 {
		w.after(w.span(20*ms), settle(throttle.Outcome{Fate: throttle.NeverSent}))
		return
	}
	out := 1 + w.span(30*ms)
	lost := w.rng.IntN(15) == 0
	if lost {
		out = 1 + w.span(mostDelay)
	}
	w.after(out, func() {
		for i, r := range judges {
			if err := r.arrive(w.now, weight); err != nil && w.err == nil && i == 0 {
				w.err = fmt.Errorf("granted in life %d, in life %d: %w", life, w.life, err)
			}
		}
		w.sent += weight
		stamp := w.now
		service := w.span(15 * ms)
		if judges[0].Window == throttle.Concurrency {
			service *= 10
		}
		w.after(service, func() {
			for _, r := range judges {
				r.leave(weight)
			}
			if !lost {
				w.after(w.span(30*ms), settle(throttle.Outcome{ServerTime: stamp}))
			}
		})
	})
	if lost {
		w.after(w.span(100*ms), settle(throttle.Outcome{Fate: []throttle.Fate{throttle.Lost, throttle.Closed}[w.rng.IntN(2)]}))
	}
}

// run lets the world go on for a time.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := w.events[0]
		w.events = w.events[1:]
		w.now = e.at
		e.do()
	}
	w.now = end
}

var everyKind = []throttle.Limit{
	{ID: "sliding", Quota: 12, Per: 2 * sec},
	{ID: "fixed", Window: throttle.Fixed, Quota: 12, Per: 2 * sec},
	{ID: "fixed from first", Window: throttle.FixedFromFirst, Quota: 12, Per: 2 * sec},
	{ID: "leaky", Window: throttle.Leaky, Quota: 6, Per: sec, Burst: 12},
	{ID: "concurrency", Window: throttle.Concurrency, Quota: 5},
	{ID: "lifetime", Window: throttle.Lifetime, Quota: 60},
}

// live has a process live so many times.
func (w *world) live(times int) {
	for i := range times {
		w.start()
		w.run(200*ms + w.span(4*sec))
		w.kill()
		w.run(w.span([]time.Duration{sec, 20 * ms}[i%2]))
	}
}

func TestNoServerSeesMoreThanItsQuotaHoweverOftenTheProcessIsKilled(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine's arithmetic, and much of it")
	}
	defer journal.CompactAfter(1 << 10)() // so that it happens in every life
	for _, limit := range everyKind {
		t.Run(limit.ID, func(t *testing.T) {
			var remembering, forgetting int64
			for seed := range uint64(5) {
				w := newWorld(t, seed, limit)
				w.live(5)
				require.NoError(t, w.err, "seed %d", seed)
				remembering += w.sent

				w = newWorld(t, seed, limit)
				w.forgets = true
				w.live(5)
				forgetting += w.sent
			}
			t.Logf("sent %d with memory, %d if every start takes all for full", remembering, forgetting)
			require.Greater(t, float64(remembering), 1.02*float64(forgetting))
		})
	}
}

func TestNoServerSeesMoreThanItsQuotaWhateverLimitsAreToldApartByAfterARestart(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine's arithmetic, and much of it")
	}
	defer journal.CompactAfter(1 << 10)()
	bys := []throttle.By{0, throttle.ByAccount, throttle.ByKey}
	for _, limit := range everyKind {
		for _, was := range bys {
			for _, is := range bys {
				for seed := range uint64(2) {
					w := newWorld(t, 200+seed, limit)
					w.bys = [2]throttle.By{was, is}
					for range livesApart + 1 {
						w.start()
						w.run(200*ms + w.span(2*sec))
						w.kill()
						w.run(w.span(20 * ms))
					}
					require.NoError(t, w.err, "%s, by %v and then by %v, seed %d", limit.ID, was, is, seed)
				}
			}
		}
	}
}

func TestLimitsThatAreKilledTogetherAreKeptTogether(t *testing.T) {
	defer journal.CompactAfter(2 << 10)()
	for seed := range uint64(6) {
		w := newWorld(t, 100+seed, slices.Clone(everyKind)...)
		w.live(4)
		require.NoError(t, w.err, "seed %d", seed)
	}
}

func TestWithoutMemoryTheSameServersSeeTooMuch(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine's arithmetic, and much of it")
	}
	for _, limit := range everyKind {
		over := 0
		for seed := range uint64(5) {
			w := newWorld(t, seed, limit)
			w.amnesia = true
			w.live(5)
			if w.err != nil {
				over++
			}
		}
		require.NotZero(t, over, "nothing is proved of %s", limit.ID)
	}
}

func TestAfterARebootNoTimeHasPassed(t *testing.T) {
	for _, limit := range everyKind[:4] {
		w := newWorld(t, 5, limit)
		for range 4 {
			w.start()
			w.run(2 * sec)
			require.NoError(t, w.log.Close(), "it ends in order, for otherwise the file is not believed")
			held, err := os.ReadFile(w.path())
			require.NoError(t, err)
			w.life++
			require.NoError(t, os.WriteFile(w.path(), held, 0o600))
			w.ledger = nil
			w.boot += "again"
			w.run(w.span(2 * sec))
		}
		require.NoError(t, w.err, limit.ID)
	}
}
