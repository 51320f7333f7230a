package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is told of a limit that is told apart is told of no origin, and none is made up for it.
func TestNoOriginIsMadeUpForWhatIsToldOfALimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := []Limit{
			{ID: "symbol", Quota: 5, Per: 10 * sec, By: ByKey, Scope: "symbol", Linked: []Link{{ID: "address"}}},
			{ID: "account", Quota: 5, Per: sec, By: ByAccount | ByEgress, Scope: "account"},
			{ID: "budget", Quota: 50, Window: Lifetime, By: ByKey}, {ID: "address", Quota: 100, Per: sec, Scope: "address"},
		}
		l, err := New(limits, Options{})
		require.NoError(t, err)
		any := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		var now time.Duration
		asked := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 30_000).Draw(t, "wait")) * ms
			id, of := any("limit", "symbol", "account", "budget"), Parts{Account: any("account", "", "a"), Key: any("key", "k1", "k2"), Egress: any("egress", "", "e")}
			switch any("what", "ask", "adjust", "sync", "refuse", "pause", "resume", "replace", "lose", "forget") {
			case "ask":
				p := &Permit{Limit: id, Account: of.Account, Key: of.Key, Egress: of.Egress, Origin: any("origin", "o1", "o2")}
				if asked[p.Origin] = true; l.Acquire(now, p) == nil && p.State() == Granted {
					l.Settle(now, p, Outcome{})
				}
			case "adjust":
				require.NoError(t, l.Adjust(now, id, of, 1))
			case "sync":
				require.NoError(t, l.Sync(now, id, of, 3, 0))
			case "refuse":
				_, _, err := l.RefusedAlone(now, now, id, of, sec)
				require.NoError(t, err)
			case "pause":
				require.NoError(t, l.Pause(now, Scope{Origin: AnyOrigin, Name: any("scope", "symbol", "address", WholeOrigin)}, now+sec))
			case "resume":
				require.NoError(t, l.Resume(now, Scope{Origin: AnyOrigin, Name: WholeOrigin}))
			case "replace":
				require.NoError(t, l.Replace(now, limits))
			case "lose":
				l, err = l.Successor(now, limits)
				require.NoError(t, err)
			case "forget":
				l.Forget(now)
			}
			for p := l.Next(now); p != nil; p = l.Next(now) {
				l.Settle(now, p, Outcome{})
			}
			for _, s := range l.Snapshot(now).Scopes {
				require.True(t, asked[s.Origin], "%+v", s)
			}
			for _, s := range l.Paused(now) {
				require.True(t, s.Origin == AnyOrigin || asked[s.Origin], "%+v", s)
			}
		}
		now += 1000 * time.Hour
		for range 100 { // until all that can be forgotten is
			now += time.Hour
			l.Forget(now)
		}
	})
}

func TestALimitIsPausedWhereItsOneOriginIsWhateverIsToldOfIt(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "symbol", Quota: 5, Per: sec, By: ByKey})
	p := &Permit{Limit: "symbol", Key: "k", Origin: "o"}
	require.NoError(t, l.Acquire(0, p))
	l.Settle(0, p, Outcome{})
	require.NoError(t, l.Sync(0, "symbol", Parts{Key: "k"}, 2, 0))
	require.NoError(t, l.Pause(0, Scope{Origin: "o"}, time.Minute))
	require.Equal(t, time.Minute, l.Snapshot(0).Limits[0].Next)
}
