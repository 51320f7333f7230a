package throttle

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
