package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAHeadThatWaitsForTomorrowShutsNoIdleLimit(t *testing.T) {
	day := 24 * time.Hour
	l := exact(t, Options{},
		Limit{ID: "fast", Quota: 1, Per: 100 * ms},
		Limit{ID: "daily", Quota: 1, Per: day},
		Limit{ID: "both", Linked: []Link{{ID: "fast"}, {ID: "daily"}}})
	l.Settle(0, granted(t, l, 0, "daily"), Outcome{})
	head := &Permit{Limit: "both", Priority: Urgent}
	require.NoError(t, l.Acquire(0, head))
	for now := sec; now < 10*sec; now += 200 * ms {
		p := to(t, l, now, "fast", "")
		require.Equal(t, Granted, p.State(), "at %v", now)
		l.Settle(now, p, Outcome{})
	}
	// Within the last window it keeps its place in both.
	p := &Permit{Limit: "fast"}
	require.NoError(t, l.Acquire(day-50*ms, p))
	require.Nil(t, l.Next(day-50*ms))
	require.Same(t, head, l.Next(day))
}

func TestAHeadInAPausedScopeShutsNoOtherScopesLimit(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "mine", Quota: 1, Per: sec, Scope: "mine"},
		Limit{ID: "ours", Quota: 1, Per: 2 * time.Hour, Scope: "ours", Linked: []Link{{ID: "mine"}}})
	require.NoError(t, l.Pause(0, Scope{Origin: "", Name: "ours"}, time.Hour))
	head := &Permit{Limit: "ours", Priority: Urgent}
	require.NoError(t, l.Acquire(0, head))
	for now := sec; now < 10*sec; now += 2 * sec {
		p := to(t, l, now, "mine", "")
		require.Equal(t, Granted, p.State(), "at %v", now)
		l.Settle(now, p, Outcome{})
	}
	require.Same(t, head, l.Next(time.Hour))
}

func TestFullKeysDoNotSlowDownFreeOnes(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "pool", Quota: 50, Per: sec},
		Limit{ID: "key", Quota: 1, Per: time.Minute, Keyed: true, Linked: []Link{{ID: "pool"}}})
	now := time.Duration(0)
	ask := func(key string) *Permit {
		p := &Permit{Limit: "key", Key: key}
		require.NoError(t, l.Acquire(now, p))
		if q := l.Next(now); q != nil {
			require.Same(t, p, q)
		}
		return p
	}
	for i := range 60 {
		now = time.Duration(i) * 100 * ms
		p := ask(fmt.Sprint("full ", i))
		require.Equal(t, Granted, p.State())
		l.Settle(now, p, Outcome{})
		require.Equal(t, Queued, ask(fmt.Sprint("full ", i)).State())
	}
	begun := now + sec
	now = begun
	left := 200
	for i := range 200 {
		if p := ask(fmt.Sprint("free ", i)); p.State() == Granted {
			l.Settle(now, p, Outcome{})
			left--
		}
	}
	for {
		for p := l.Next(now); p != nil; p = l.Next(now) {
			l.Settle(now, p, Outcome{})
			left--
		}
		if left == 0 {
			break
		}
		now, _ = l.Wake()
	}
	require.LessOrEqual(t, now-begun, 4*sec)
}

// A request that needs much of two limits at once, both kept full by light ones:
// of a slow limit and a fast one, and of a window and open requests.
func TestARequestThatNeedsMuchOfSeveralLimitsIsServedInTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits [2]Limit
		flight time.Duration
		most   time.Duration
	}{
		{"two windows", [2]Limit{{Quota: 10, Per: sec}, {Quota: 300, Per: 30 * sec}}, 50 * ms, 31*sec + 200*ms},
		{"alike", [2]Limit{{Quota: 10, Per: sec}, {Quota: 12, Per: sec}}, 50 * ms, 2*sec + 200*ms},
		{"open requests", [2]Limit{{Quota: 20, Per: sec}, {Quota: 5, Window: Concurrency}}, 300 * ms, 2 * sec},
		{"long ones", [2]Limit{{Quota: 10, Per: 100 * ms}, {Quota: 4, Window: Concurrency}}, 20 * sec, 81 * sec},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := c.limits[0], c.limits[1]
			a.ID, b.ID = "a", "b"
			heavyLinks := []Link{{ID: "a", Weight: a.Quota - 1}, {ID: "b", Weight: b.Quota - 1}}
			l := newLedger(t, Options{}, a, b, Limit{ID: "heavy", Linked: heavyLinks})
			s := saturation{l: l, flight: c.flight, rng: newRand(5)}
			s.run(t, 3*c.most)
			heavy := &Permit{Limit: "heavy", Priority: High}
			require.NoError(t, l.Acquire(s.now, heavy))
			asked := s.now
			for heavy.State() != Granted && s.now < asked+2*c.most {
				s.step(t)
			}
			t.Logf("granted after %v", s.now-asked)
			require.Equal(t, Granted, heavy.State())
			require.LessOrEqual(t, s.now-asked, c.most)
		})
	}
}

func TestWhatNeverFitsIsToldWhatTakesTheQuotaOff(t *testing.T) {
	ask := func(limit Limit, o Options) error {
		l := exact(t, o, limit)
		return l.Acquire(0, &Permit{Limit: "a", Weight: 1000})
	}
	reserve := []Reserve{{1, 20}, {2, 30}}
	require.EqualError(t, ask(Limit{ID: "a", Quota: 300, Per: sec}, Options{}), `limit "a": weight can never fit: 1000 is more than 300`)
	require.EqualError(t, ask(Limit{ID: "a", Quota: 300, Per: sec, Reserve: reserve}, Options{}),
		`limit "a": weight can never fit: 1000 is more than 250: of the quota of 300 reserves keep 50 for more urgent requests`)
	require.EqualError(t, ask(Limit{ID: "a", Quota: 300, Per: sec, Share: 0.5}, Options{}),
		`limit "a": weight can never fit: 1000 is more than 150: share, safety margin, tick or what the server announced leave 150 of the quota of 300`)
	require.EqualError(t, ask(Limit{ID: "a", Quota: 300, Per: sec, Reserve: reserve}, Options{Share: 0.5}),
		`limit "a": weight can never fit: 1000 is more than 100: share, safety margin, tick or what the server announced leave 150 of the quota of 300, and reserves keep 50 of these for more urgent requests`)
}
