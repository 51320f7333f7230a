package counters

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestADeskAtItsLimitsIsNeverRefusedAndLeavesNothing(t *testing.T) {
	rows, err := Play(t.Context(), Config{Seed: 1})
	require.NoError(t, err)
	require.Len(t, rows, 11)
	for _, r := range rows {
		require.Zero(t, r.Refused, "%s, %s", r.Scenario, r.Counter)
		require.GreaterOrEqual(t, r.Utilisation, r.Goal, "%s, %s", r.Scenario, r.Counter)
		require.LessOrEqual(t, r.Utilisation, 1.0, "%s, %s: more than there is", r.Scenario, r.Counter)
		require.False(t, r.Missed())
	}
}

func TestOtherDrawsChangeNothing(t *testing.T) {
	for seed := range uint64(5) {
		rows, err := Play(t.Context(), Config{Seed: 100 + seed, Length: 2 * time.Minute})
		require.NoError(t, err)
		for _, r := range rows {
			require.Zero(t, r.Refused, "seed %d: %s, %s", seed, r.Scenario, r.Counter)
		}
	}
}

// Limits that say the wrong thing of whose quota it is, or of how much, are found out:
// otherwise the counters would count nothing.
func TestADeskThatIsToldTheWrongLimitsIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		scenario string
		mistake  func(*throttle.Limit)
		counter  string
	}{
		"a quota for each symbol that is the account's": {"instruments", func(l *throttle.Limit) {
			if l.ID == "account" {
				l.By |= throttle.ByKey
			}
		}, "account"},
		"a quota for each account that is the address's": {"futures", func(l *throttle.Limit) {
			if l.ID == "address" {
				l.By = throttle.ByAccount
			}
		}, "address"},
		"a twentieth more than there is": {"endpoints", func(l *throttle.Limit) {
			if l.ID == "order" {
				l.Quota = 11
			}
		}, "order"},
		"two where one is let in when the budget is spent": {"budget", func(l *throttle.Limit) {
			if l.ID == "trickle" {
				l.Quota = 2
			}
		}, "actions, spent"},
		"a counter that falls faster than it does": {"haste", func(l *throttle.Limit) { l.Quota = 250 }, "engine"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := 0
			for _, s := range scenarios() {
				if s.name != c.scenario {
					continue
				}
				for i := range s.limits {
					c.mistake(&s.limits[i])
				}
				w, err := newWorld(&s, 1, 5*time.Minute)
				require.NoError(t, err)
				s.trade(w)
				w.run(5 * time.Minute)
				for _, r := range w.rows(&s) {
					refused += r.Refused
				}
			}
			require.Positive(t, refused)
		})
	}
}

func TestTheTableSaysWhatWasMissed(t *testing.T) {
	var text strings.Builder
	require.NoError(t, Write(&text, []Row{
		{Scenario: "one", About: "a", Counter: "x", Way: "fixed", Utilisation: 0.5, Goal: 0.99},
		{Scenario: "one", About: "a", Counter: "y", Way: "fixed", Refused: 2, Utilisation: 1, Goal: 0.99},
		{Scenario: "two", About: "b", Counter: "z", Way: "sliding", Utilisation: 0.96, Goal: 0.95},
	}))
	for _, want := range []string{"one: a", "MISSED: 99 %", "MISSED: refused", "two: b", "95 %, met"} {
		require.Contains(t, text.String(), want)
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Play(ctx, Config{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Play(t.Context(), Config{Scenario: "nonsense"})
	require.ErrorContains(t, err, "haste")
}

func at(s float64) time.Duration { return 1_000*time.Hour + time.Duration(s*float64(time.Second)) }

func TestEveryCounterCountsByItsDefinition(t *testing.T) {
	type step struct {
		at     float64
		weight int64
		room   bool
	}
	for name, c := range map[string]struct {
		counter counter
		steps   []step
	}{
		"sliding": {&sliding{quota: 2, per: time.Second}, []step{{0, 1, true}, {0.5, 1, true}, {0.9, 1, false}, {1, 1, true}, {1.4, 1, false}, {1.5, 1, true}}},
		"fixed":   {&fixed{quota: 2, per: time.Minute}, []step{{59, 2, true}, {59.9, 1, false}, {60, 2, true}, {119, 1, false}, {500, 3, false}, {500, 2, true}}},
		"leaky":   {&leaky{quota: 1, burst: 2, per: time.Second}, []step{{0, 2, true}, {0.9, 1, false}, {1, 1, true}, {1.5, 1, false}, {9, 2, true}, {9, 1, false}}},
		"budget": {&budget{left: 3, given: 3, per: 10 * time.Second}, []step{{0, 2, true}, {0, 1, true}, {0, 1, true},
			{9.9, 1, false}, {10, 1, true}, {15, 1, false}}},
	} {
		for _, s := range c.steps {
			require.Equal(t, s.room, c.counter.room(at(s.at), s.weight), "%s: %d at %v", name, s.weight, s.at)
			if s.room {
				c.counter.charge(at(s.at), s.weight)
			}
		}
	}
}

func TestWhatIsEarnedIsAddedToABudget(t *testing.T) {
	b := &budget{left: 1, given: 1, per: 10 * time.Second}
	b.charge(at(0), 1)
	b.charge(at(0), 1) // the first beyond
	require.False(t, b.room(at(5), 1))
	b.earn(at(20), 2)
	require.True(t, b.room(at(20), 2))
	b.charge(at(20), 2)
	require.EqualValues(t, 1, b.part(3, 0, 0))
	require.InDelta(t, 1/5.0, b.trickled(at(35)), 1e-9, "one, where three and two could have been")
}

func TestARequestIsCountedByAllOrByNone(t *testing.T) {
	s := newServer(serverClock{}, []rule{
		{name: "a", apart: byAccount, make: func() counter { return &sliding{quota: 2, per: time.Hour} }},
		{name: "b", apart: byNothing, make: func() counter { return &sliding{quota: 1, per: time.Hour} }},
	})
	alice, bob := who{account: "alice"}, who{account: "bob"}
	require.Empty(t, s.arrive(at(0), alice, map[string]int64{"a": 1, "b": 1}))
	require.Equal(t, "b", s.arrive(at(1), alice, map[string]int64{"a": 1, "b": 1}))
	require.Empty(t, s.arrive(at(2), alice, map[string]int64{"a": 1, "b": 0}))
	require.Equal(t, "a", s.arrive(at(3), alice, map[string]int64{"a": 1}))
	require.Empty(t, s.arrive(at(4), bob, map[string]int64{"a": 1}))
	require.EqualValues(t, 1, s.of("b", bob).counted)
}
