package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestWhatAServerCountsIsHeardForLimitsThatAreNotShared(t *testing.T) {
	q, d := newQuiet(t,
		throttle.Limit{ID: "alone", Quota: 10, Per: time.Minute},
		throttle.Limit{ID: "shared", Quota: 10, Per: time.Minute, Share: 0.5},
	)
	used := func() (all []int64) {
		for _, l := range d.Snapshot(0).Limits {
			all = append(all, l.Used)
		}
		return all
	}
	d.Heed(0, Heard{Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: "alone", Used: 4}, {Limit: "shared", Used: 4}}}})
	require.Equal(t, []int64{4, 0}, used(), "what others spend of the shared one is no matter of ours")
	require.NoError(t, d.SetShare(0, "shared", 1, 0))
	d.Heed(0, Heard{Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: "shared", Used: 4}}}})
	require.Equal(t, []int64{4, 4}, used())
	require.Empty(t, q.warned)
}

func TestANumberOfAWindowThatIsOverIsPassedOverButItsQuotaIsHeard(t *testing.T) {
	_, d := newQuiet(t, throttle.Limit{ID: "calls", Quota: 10, Per: 10 * time.Second, Window: throttle.Fixed})
	d.ledger.SetClock(0, 100*time.Second, 100*time.Second)
	at := time.Unix(110, 0) // of the server, which is where ours shows ten seconds
	for i, c := range []struct {
		left time.Duration
		u    feedback.Usage
		want int64
	}{
		{9 * time.Second, feedback.Usage{Used: 9, EndsIn: time.Second}, 0},
		{9 * time.Second, feedback.Usage{Used: 9, Ends: at}, 0},
		{9 * time.Second, feedback.Usage{Used: 8, At: at, Ends: at, Quota: 8}, 0},
		{10100 * time.Millisecond, feedback.Usage{Used: 3, EndsIn: time.Second}, 3},
		{9 * time.Second, feedback.Usage{Used: 4, Ends: at.Add(10 * time.Second)}, 4},
		{9 * time.Second, feedback.Usage{Used: 5, Ends: time.Unix(1<<62, 0)}, 5},
		{9 * time.Second, feedback.Usage{Used: 6}, 6},
	} {
		c.u.Limit = "calls"
		now := 10200 * time.Millisecond
		d.Heed(now, Heard{Limit: "calls", Left: c.left, Said: &feedback.Feedback{Usage: []feedback.Usage{c.u}}})
		require.Equal(t, c.want, d.Snapshot(now).Limits[0].Used, i)
	}
	require.EqualValues(t, 8, d.Snapshot(10200 * time.Millisecond).Limits[0].Quota)
}

func TestAShareThatWasSetSurvivesAFailureAndOutdatesWhatWasGranted(t *testing.T) {
	limits := []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Minute}}
	q, d := newQuiet(t, limits...)
	require.Error(t, d.SetShare(0, "calls", 2, 0))
	require.Zero(t, q.table)
	require.NoError(t, d.SetShare(0, "calls", 0.5, 0.2))
	require.EqualValues(t, 1, q.table, "whoever waits for a connection looks at it")
	require.EqualValues(t, 4, d.Snapshot(0).Limits[0].Quota)
	d.fail(t, 0, nil, func() { d.Due(0) })
	require.EqualValues(t, 4, d.Snapshot(0).Limits[0].Quota)
	require.Zero(t, limits[0].Share, "the list is others' too")
	require.NoError(t, d.Replace(0, limits, nil))
	require.EqualValues(t, 10, d.Snapshot(0).Limits[0].Quota, "another table says otherwise")
}

func TestARefusalOfAFallbackIsAboutTheFallback(t *testing.T) {
	limits := []throttle.Limit{
		{ID: "budget", Quota: 1, Window: throttle.Lifetime, Fallback: "trickle", Scope: "budget"},
		{ID: "trickle", Quota: 5, Per: 10 * time.Second, Scope: "trickle"},
	}
	q, d := newQuiet(t, limits...)
	ask := func(said feedback.Feedback) *ticket.Ticket {
		one := q.ticket("budget")
		d.Acquire(0, one)
		require.Equal(t, throttle.Granted, one.Permit.State())
		one.Say(said)
		d.settle(0, one, throttle.Answered)
		return one
	}
	ask(feedback.Feedback{})
	fell := ask(feedback.Feedback{Refused: true, OwnLimit: true})
	require.Equal(t, "trickle", fell.Charged.Stand())
	room := map[string]int64{}
	for _, l := range d.Snapshot(0).Limits {
		room[l.ID] = l.Room
	}
	require.Equal(t, map[string]int64{"budget": 0, "trickle": 0}, room, "the fallback is taken for full")

	q, d = newQuiet(t, limits...)
	ask(feedback.Feedback{})
	ask(feedback.Feedback{Refused: true, Pause: time.Minute})
	require.Len(t, q.posted, 1)
	for _, p := range q.posted {
		require.Equal(t, "trickle", p.Name, "the budget is not what refused it")
	}
}

func TestAQuotaThatAnswersAnnounceIsAdoptedAndToldOnce(t *testing.T) {
	q, d := newQuiet(t,
		throttle.Limit{ID: "tier", Quota: 100, Per: time.Minute, Keyed: true},
		throttle.Limit{ID: "firm", Quota: 100, Per: time.Minute, Adopt: throttle.AdoptNothing},
	)
	hear := func(limit, key string, quota, used int64) {
		d.Heed(0, Heard{Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: limit, Key: key, Used: used, Remaining: -1, Quota: quota}}}})
	}
	quotas := func() map[string]int64 {
		all := map[string]int64{}
		for _, l := range d.Snapshot(0).Limits {
			all[l.ID+l.Key] = l.Quota
		}
		return all
	}
	for range 3 {
		hear("tier", "secret", 40, 7)
	}
	hear("tier", "b", 100, 0)
	require.Equal(t, map[string]int64{"tiersecret": 40, "tierb": 100, "firm": 100}, quotas(), "an account's tier is its own")
	require.EqualValues(t, 7, d.Snapshot(0).Limits[2].Used, "and of that so much is used")
	require.Equal(t, []string{"another quota counts, as the server announces[limit tier before 100 now 40]"}, q.warned, "and not for every answer")
	require.EqualValues(t, 1, q.table, "whoever waits for a connection looks at it")

	q.warned = nil
	hear("firm", "", 40, 0)
	hear("tier", "b", 250, 0)
	hear("tier", "b", -4, 0)
	hear("tier", "secret", 100_000, 0)
	require.Equal(t, map[string]int64{"tiersecret": 40, "tierb": 100, "firm": 100}, quotas())
	require.Len(t, q.warned, 3)
	require.Contains(t, q.warned[0], "server's quota is not the table's[limit firm server 40 table 100]")
	require.Contains(t, q.warned[1], "server's quota is not the table's[limit tier server 250 table 100]")
	require.Contains(t, q.warned[2], "server's quota is not believed[limit tier")

	d.fail(t, 0, nil, func() { d.Due(0) })
	hear("tier", "secret", 0, 0)
	require.EqualValues(t, 40, quotas()["tiersecret"], "a failure forgets no tier")
	require.ErrorIs(t, d.AnnounceQuota(0, "tier", throttle.Parts{Key: "secret"}, 0), throttle.ErrQuota)
	require.NoError(t, d.AnnounceQuota(0, "tier", throttle.Parts{Key: "secret", Account: "no matter"}, 60))
	require.EqualValues(t, 60, quotas()["tiersecret"])
	for _, text := range q.warned {
		require.NotContains(t, text, "secret")
	}
}

func TestALimitThatWasRefusedAloneIsHeldForAsLongAsTheServerSaidAndToldOnce(t *testing.T) {
	for _, window := range []throttle.Window{throttle.Sliding, throttle.Leaky, throttle.Concurrency, throttle.Lifetime} {
		limit := throttle.Limit{ID: "own", Quota: 100, Window: window, Linked: []throttle.Link{{ID: "account"}}}
		if window == throttle.Sliding || window == throttle.Leaky {
			limit.Per = time.Second
		}
		q, d := newQuiet(t, limit, throttle.Limit{ID: "account", Quota: 100, Per: time.Second})
		var left []*ticket.Ticket
		for range 3 {
			one := q.ticket("own")
			d.Acquire(0, one)
			one.Say(feedback.Feedback{Refused: true, OwnLimit: true, Pause: 30 * time.Second})
			left = append(left, one)
		}
		for _, one := range left {
			d.settle(time.Second, one, throttle.Answered)
		}
		require.Equal(t, []string{"refused, taking the limit for full[limit own origin  pause 30s]"}, q.warned)
		require.EqualValues(t, 1, d.counts.Pauses.Load())
		require.Empty(t, q.posted, "no scope pauses")
		require.NotZero(t, q.table, "who waits for a connection comes back")
		next, other := q.ticket("own"), q.ticket("account")
		d.Acquire(time.Second, next)
		require.Equal(t, throttle.Queued, next.Permit.State(), window)
		d.Acquire(time.Second, other)
		require.Equal(t, throttle.Granted, other.Permit.State(), window)
		require.Equal(t, 31*time.Second, q.alarm)
		d.Due(31*time.Second - 1)
		require.Equal(t, throttle.Queued, next.Permit.State(), window)
		d.Due(31 * time.Second)
		require.Equal(t, throttle.Granted, next.Permit.State(), window)
	}
}
