package throttle

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mixture is a pool of 1200 a minute that two light flows want more of than there
// is, each through a limit of its own, and a heavy request every ten seconds.
type mixture struct {
	l       *Ledger
	now     time.Duration
	landing []landing
	waits   []time.Duration // of the heavy ones
	granted []time.Duration
}

func newMixture(t testing.TB) *mixture {
	return &mixture{l: newLedger(t, Options{},
		Limit{ID: "pool", Quota: 1200, Per: time.Minute},
		Limit{ID: "light", Quota: 35, Per: sec, Linked: []Link{{ID: "pool"}}},
		Limit{ID: "heavy", Linked: []Link{{ID: "pool", Weight: 40}}})}
}

func (m *mixture) ask(t testing.TB, limit string) {
	p := &Permit{Limit: limit, Owner: m.now}
	require.NoError(t, m.l.Acquire(m.now, p))
	if p.State() == Granted {
		m.fly(t, p)
	}
}

func (m *mixture) fly(t testing.TB, p *Permit) {
	m.landing = append(m.landing, landing{m.now + 50*ms, p})
	m.granted = append(m.granted, m.now)
	if p.Limit == "heavy" {
		m.waits = append(m.waits, m.now-p.Owner.(time.Duration))
	}
}

// run keeps a number of light requests waiting.
func (m *mixture) run(t testing.TB, until time.Duration, backlog int, heavies bool) {
	for next := m.now; m.now < until; {
		if heavies && m.now >= next {
			m.ask(t, "heavy")
			next += 10 * sec
		}
		for p := m.l.Next(m.now); p != nil; p = m.l.Next(m.now) {
			m.fly(t, p)
		}
		for m.l.Len() < backlog {
			m.ask(t, "light")
		}
		at, ok := m.l.Wake()
		if !ok {
			at = never
		}
		if len(m.landing) > 0 {
			at = min(at, m.landing[0].at)
		}
		if heavies {
			at = min(at, next)
		}
		m.now = min(at, until)
		for len(m.landing) > 0 && m.landing[0].at <= m.now {
			m.l.Settle(m.now, m.landing[0].p, Outcome{})
			m.landing = m.landing[1:]
		}
	}
}

func TestAHeavyRequestDoesNotWaitForBurstsMinuteAfterMinute(t *testing.T) {
	m := newMixture(t)
	m.run(t, 40*time.Minute, 60, true)
	later := m.waits[len(m.waits)/4:]
	require.Less(t, slices.Max(later), 20*sec)
	used := len(m.granted) + 39*len(m.waits)
	require.Greater(t, used, 40*1200*99/100)
}

func TestABurstOfLightRequestsGoesAtOnceInEveryWindow(t *testing.T) {
	m := newMixture(t)
	m.run(t, 5*time.Minute, 60, false)
	burst := 0
	for _, at := range m.granted {
		if at >= 3*time.Minute && at < 3*time.Minute+36*sec {
			burst++
		}
	}
	require.Greater(t, burst, 1150)
}
