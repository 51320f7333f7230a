package throttle

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// contest is bulk work without end beside urgent requests that come at random,
// on one limit, over a network of 5 to 50 ms each way.
type contest struct {
	l       *Ledger
	rng     *rand.Rand
	now     time.Duration
	answers []*Permit // by landing
	landing map[*Permit]time.Duration
	urgent  []time.Duration // how long each waited
	backlog int
	warm    time.Duration // grants before that are not counted
	granted int
}

func runContest(t testing.TB, limit Limit, pacing *Pacing, perSecond float64, length time.Duration) (used float64, waits []time.Duration) {
	c := &contest{
		l: newLedger(t, Options{Pacing: pacing}, limit), rng: rand.New(rand.NewPCG(3, 3)),
		landing: map[*Permit]time.Duration{}, warm: 2 * limit.Per,
	}
	var next, sync time.Duration
	for c.now < length {
		if c.now >= sync {
			c.l.SetClock(0, 1000*time.Hour-5*ms, 1000*time.Hour+5*ms)
			sync = c.now + sec
		}
		c.grantAll(t)
		c.now = max(c.now, min(next, c.nextEvent()))
		if c.now >= next {
			if p := c.join(t, 1); p.State() == Granted {
				c.count(p)
			}
			next = c.now + time.Duration(c.rng.ExpFloat64()/perSecond*float64(time.Second))
		}
		c.settleLanded()
	}
	most := float64(limit.Quota) * float64(length-c.warm) / float64(limit.Per)
	return float64(c.granted) / most, c.urgent
}

// grantAll keeps the backlog filled while permits of it are granted.
func (c *contest) grantAll(t testing.TB) {
	c.fill(t)
	for p := c.l.Next(c.now); p != nil; p = c.l.Next(c.now) {
		c.count(p)
		c.fill(t)
	}
}

func (c *contest) fill(t testing.TB) {
	for c.backlog < 5 {
		c.join(t, -1)
	}
}

func (c *contest) count(p *Permit) {
	c.leave(p)
	if c.now >= c.warm {
		c.granted++
	}
}

// nextEvent is when the ledger wants to be asked, or the next answer lands.
func (c *contest) nextEvent() time.Duration {
	at, ok := c.l.Wake()
	if !ok {
		at = never
	}
	if len(c.answers) > 0 {
		at = min(at, c.landing[c.answers[0]])
	}
	return at
}

func (c *contest) settleLanded() {
	for len(c.answers) > 0 && c.landing[c.answers[0]] <= c.now {
		c.l.Settle(c.now, c.answers[0], Outcome{})
		delete(c.landing, c.answers[0])
		c.answers = c.answers[1:]
	}
}

func (c *contest) join(t testing.TB, priority Priority) *Permit {
	p := &Permit{Limit: "a", Priority: priority, Owner: c.now}
	require.NoError(t, c.l.Acquire(c.now, p))
	if priority < 0 {
		c.backlog++
		if p.State() == Granted {
			c.leave(p)
		}
	}
	return p
}

func (c *contest) leave(p *Permit) {
	if p.Priority < 0 {
		c.backlog--
	} else {
		c.urgent = append(c.urgent, c.now-p.Owner.(time.Duration))
	}
	c.landing[p] = c.now + 10*ms + time.Duration(c.rng.Int64N(int64(90*ms)))
	i, _ := slices.BinarySearchFunc(c.answers, p, func(a, b *Permit) int { return int(c.landing[a] - c.landing[b]) })
	c.answers = slices.Insert(c.answers, i, p)
}

func mean(waits []time.Duration) time.Duration {
	var sum time.Duration
	for _, w := range waits {
		sum += w
	}
	return sum / time.Duration(max(1, len(waits)))
}

func TestPacingLetsUrgentWorkGoAtOnceAtLittleCost(t *testing.T) {
	for _, c := range []struct {
		window Window
		used   float64
		mean   time.Duration
	}{
		{Fixed, 0.995, 5 * ms},
		{Sliding, 0.975, 20 * ms},
		{Leaky, 0.975, 20 * ms},
	} {
		t.Run(c.window.String(), func(t *testing.T) {
			limit := Limit{ID: "a", Window: c.window, Quota: 1200, Per: time.Minute}
			greedy, slow := runContest(t, limit, nil, 2, 12*time.Minute)
			used, waits := runContest(t, limit, &Pacing{Bulk: -1}, 2, 12*time.Minute)
			t.Logf("greedy %.2f %% mean %v max %v; paced %.2f %% mean %v max %v", 100*greedy, mean(slow), slices.Max(slow), 100*used, mean(waits[len(waits)/10:]), slices.Max(waits[len(waits)/10:]))
			require.Greater(t, used, c.used)
			require.Less(t, mean(waits[len(waits)/10:]), c.mean, "once the rate is known")
		})
	}
}

func TestBulkWorkAloneIsNotPaced(t *testing.T) {
	l := exact(t, Options{Pacing: &Pacing{Bulk: 0}}, Limit{ID: "a", Quota: 10, Per: sec})
	for range 10 {
		granted(t, l, 0, "a")
	}
}

func TestTheUrgentRateIsRightFromTheFirstSecondsOn(t *testing.T) {
	var p pace
	memory := 4 * time.Minute
	for at := time.Duration(0); at < 15*sec; at += sec / 2 {
		p.record(at, 1, memory)
	}
	require.InDelta(t, 2, p.rate(15*sec, memory)*float64(time.Second), 0.3)
	require.Zero(t, math.Round(p.rate(time.Hour, memory)*float64(time.Minute)))
}

// Bulk work whose limit is spread out for a heavy request, and paced beside that, waits
// for either, whichever is longer, and has nobody look at it again and again meanwhile.
func TestBulkWorkThatPacingKeepsBeyondASpreadIsNotLookedAtWithoutEnd(t *testing.T) {
	const tick = 20 * time.Millisecond
	l := newLedger(t, Options{Pacing: &Pacing{Bulk: 0}},
		Limit{ID: "minute", Quota: 1200, Per: time.Minute},
		Limit{ID: "bulk", Quota: 50, Window: Concurrency, Linked: []Link{{ID: "minute", Weight: 10}}})
	var now time.Duration
	var flying []*Permit
	waiting := 0
	drain := func() {
		for p := l.Next(now); p != nil; p = l.Next(now) {
			waiting--
			flying = append(flying, p)
		}
	}
	ask := func(limit string, w int64, priority Priority) {
		p := &Permit{Limit: limit, Weight: w, Priority: priority}
		require.NoError(t, l.Acquire(now, p))
		if p.State() == Granted {
			flying = append(flying, p)
		} else {
			waiting++
		}
		drain()
	}
	for range 1180 { // a burst of urgent ones
		ask("minute", 0, 1)
	}
	for step := range 15_000 { // five minutes
		now += tick
		for _, p := range flying {
			l.Settle(now, p, Outcome{Fate: Answered})
		}
		flying = flying[:0]
		drain()
		if step == 500 {
			ask("minute", 40, 1) // a heavy one, which waits
		}
		if now > 61*time.Second && waiting < 3 {
			ask("bulk", 10, 0)
		}
		if now > 61*time.Second && step%40 == 0 {
			for range 45 { // urgent ones, in bursts
				ask("minute", 1, 1)
			}
		}
	}
	require.Less(t, l.queue.work.examined, uint64(1_000_000))
}

func TestWhatIsKeptForUrgentWorkIsLetGoOnceNoneComes(t *testing.T) {
	l := newLedger(t, Options{Pacing: &Pacing{Bulk: 0, Z: 3}}, Limit{ID: "a", Quota: 10, Per: sec})
	now := time.Duration(0)
	for range 100 { // urgent ones, five a second
		l.Settle(now+sec/100, grantedAs(t, l, now, Permit{Limit: "a", Priority: 1}), Outcome{Fate: Answered})
		now += sec / 5
	}
	now += 2 * sec
	for range 7 { // streams that stay open
		grantedAs(t, l, now, Permit{Limit: "a", Priority: 1})
	}
	bulk := &Permit{Limit: "a"}
	require.NoError(t, l.Acquire(now, bulk))
	require.Equal(t, Queued, bulk.State())
	for looks := 0; bulk.State() == Queued; looks++ {
		require.Less(t, looks, 3, "it is no poll")
		at, ok := l.Wake()
		require.True(t, ok, "nobody would ever look again")
		l.Next(at)
		now = at
	}
	require.Equal(t, Granted, bulk.State())
	require.Less(t, now, 2*time.Minute)
}

func grantedAs(t *testing.T, l *Ledger, now time.Duration, p Permit) *Permit {
	t.Helper()
	require.NoError(t, l.Acquire(now, &p))
	require.Equal(t, Granted, p.State())
	return &p
}

func TestBulkWorkIsToldNoInstantLaterThanItMayGo(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		limit := Limit{
			ID: "a", Per: sec, Quota: rapid.Int64Range(2, 40).Draw(drawn, "quota"),
			Window: rapid.SampledFrom([]Window{Sliding, Leaky, FixedFromFirst, Fixed, Concurrency}).Draw(drawn, "window"),
		}
		if limit.Window == Concurrency {
			limit.Per = 0
		}
		type step struct {
			passes    time.Duration
			bulk      bool
			weight    int64
			stays     bool
			takesLong time.Duration
		}
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				passes: time.Duration(rapid.Int64Range(0, int64(sec)).Draw(t, "passes")), bulk: rapid.Bool().Draw(t, "bulk"),
				weight: rapid.Int64Range(1, 3).Draw(t, "weight"), stays: rapid.IntRange(0, 4).Draw(t, "stays") == 0,
				takesLong: time.Duration(rapid.Int64Range(0, int64(sec/4)).Draw(t, "takes")),
			}
		}), 1, 40).Draw(drawn, "steps")
		play := func() (l *Ledger, now time.Duration) {
			l = exact(t, Options{Pacing: &Pacing{Bulk: 0, Z: 3}}, limit)
			for _, s := range steps {
				now += s.passes
				p := &Permit{Limit: "a", Weight: min(s.weight, limit.Quota)}
				if !s.bulk {
					p.Priority = 1
				}
				if l.TryAcquire(now, p) == nil && !s.stays {
					now += s.takesLong
					l.Settle(now, p, Outcome{Fate: Answered})
				}
			}
			return l, now
		}
		ask := func(l *Ledger, at time.Duration) (until time.Duration, may bool) {
			err := l.TryAcquire(at, &Permit{Limit: "a", Weight: 1})
			var full *LimitError
			if errors.As(err, &full) {
				return full.RetryAt, false
			}
			return at, true
		}
		l, now := play()
		until, may := ask(l, now)
		if may {
			return
		}
		before := until - (until-now)/500 - 2*time.Microsecond
		if until == 0 { // an answer has to come
			before = now + 30*time.Minute
		}
		if before <= now {
			return
		}
		at := time.Duration(rapid.Int64Range(int64(now), int64(before)).Draw(drawn, "asked again"))
		l, _ = play()
		_, may = ask(l, at)
		require.False(t, may, "told %v, and it may go at %v", until, at)
	})
}

func TestBulkWorkGoesOnceAnswersHaveAgedThoughOthersStayOpen(t *testing.T) {
	l := newLedger(t, Options{Pacing: &Pacing{}}, Limit{ID: "a", Quota: 10, Per: sec})
	for i := range 8 { // urgent ones, of which the first five are still open
		p := grantedAs(t, l, time.Duration(i)*ms, Permit{Limit: "a", Priority: High})
		if i >= 5 {
			l.Settle(time.Duration(i)*ms, p, Outcome{})
		}
	}
	bulk := &Permit{Limit: "a"}
	require.NoError(t, l.Acquire(10*ms, bulk))
	for looks := 0; bulk.State() == Queued; looks++ {
		require.Less(t, looks, 3, "it is no poll")
		at, ok := l.Wake()
		require.True(t, ok)
		require.Less(t, at, 2*sec, "three aged after a second, and soon so little is kept that it may go")
		l.Next(at)
	}
}
