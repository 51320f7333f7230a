package inspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestTheVerdictIsOneSentence(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	limits := func(rooms ...int64) (all []engine.LimitStats) {
		for i, room := range rooms {
			all = append(all, engine.LimitStats{ID: string(rune('a' + i)), Room: room})
		}
		return all
	}
	held := func(limit string, until time.Duration) engine.Waiter {
		w := engine.Waiter{HeldBy: engine.HeldBy{Limit: limit}}
		if until != 0 {
			w.HeldBy.Until = at(until)
		}
		return w
	}
	stats := func(s engine.Stats) engine.Stats {
		s.At, s.Limits.At = now, now
		return s
	}
	for want, s := range map[string]engineState{
		"The engine has ended.":                    {Ended: true},
		"Nothing waits, and nothing is in flight.": {Stats: stats(engine.Stats{})},
		"Nothing waits; 12 in flight.":             {Stats: stats(engine.Stats{InFlight: 12})},
		"3 limits full; 214 wait, the next leaves at 12:00:03.5; one pause until 12:01:00.0.": {
			Stats: stats(engine.Stats{Queued: 214, Limits: engine.LimitsStats{
				Limits: limits(0, -2, 5, 9), Scopes: []engine.ScopeStats{{PausedUntil: at(time.Minute)}, {}},
			}}),
			Waiting: []engine.Waiter{held("a", 9*time.Second), held("c", 3500*time.Millisecond)},
		},
		"One limit full; one waits, for an answer, or for somebody to leave.": {
			Stats: stats(engine.Stats{Queued: 1, Limits: engine.LimitsStats{Limits: limits(0)}}), Waiting: []engine.Waiter{held("a", 0)},
		},
		"2 halts stand; 2 pauses until 12:02:00.0; the memory cannot be written.": {
			Stats: stats(engine.Stats{Halts: make([]engine.HaltStats, 2), Memory: engine.MemoryStats{Kept: true, Failed: true}, Limits: engine.LimitsStats{
				Scopes: []engine.ScopeStats{{PausedUntil: at(2 * time.Minute)}, {PausedUntil: at(time.Minute)}},
			}}),
		},
		"3 wait, for an answer, or for somebody to leave.": {Stats: stats(engine.Stats{Waiting: 1, PoolsWaiting: 2})},
	} {
		require.Equal(t, want, verdictOf(&s))
	}
	full := engineState{Name: "a", Stats: stats(engine.Stats{Limits: engine.LimitsStats{Limits: limits(0)}})}
	full.Verdict = verdictOf(&full)
	idle := engineState{Name: "b", Stats: stats(engine.Stats{})}
	require.Equal(t, "a: One limit full.", verdictOfAll([]engineState{full, idle}))
	require.Equal(t, "Nothing waits at any of 2 engines.", verdictOfAll([]engineState{idle, idle}))
	require.Equal(t, "a: One limit full · a: One limit full · a: One limit full · and 1 more.", verdictOfAll([]engineState{full, full, full, full}))
	require.Equal(t, "No engine is attached to this page.", verdictOfAll(nil))
}

// A light request might have room long before the heavy one that goes before it.
func TestTheNextToLeaveIsNoneWithOthersAhead(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	held := func(limit string, ahead int, until time.Duration) engine.Waiter {
		return engine.Waiter{Ahead: ahead, HeldBy: engine.HeldBy{Limit: limit, Until: now.Add(until)}}
	}
	s := engineState{Stats: engine.Stats{At: now, Queued: 4}, Waiting: []engine.Waiter{
		held("a", 0, 90*time.Second), held("a", 1, 0), held("b", 0, 30*time.Second), held("b", 1, time.Second),
	}}
	require.Equal(t, "the next leaves at 12:00:30.0", nextOf(&s))
	require.Equal(t, map[limitName]*engine.HeldBy{{id: "a"}: &s.Waiting[0].HeldBy, {id: "b"}: &s.Waiting[2].HeldBy}, holding(&s))
	s.Waiting = s.Waiting[:2]
	require.Equal(t, "the next leaves at 12:01:30.0", nextOf(&s))
	s.Waiting[0].HeldBy.Until = time.Time{}
	require.Equal(t, "for an answer, or for somebody to leave", nextOf(&s))
	require.Zero(t, holding(&s)[limitName{id: "a"}].Until)
}

func TestWhatIsSaidOfOneEngineIsSaidOfItAmongOthers(t *testing.T) {
	failed := engineState{Name: "trading", Stats: engine.Stats{Memory: engine.MemoryStats{Failed: true}}}
	failed.Verdict = verdictOf(&failed)
	require.Equal(t, "trading: The memory cannot be written.", verdictOfAll([]engineState{failed, {Name: "data"}}))
}
