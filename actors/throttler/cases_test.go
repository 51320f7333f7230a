package throttler

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// quiet is an outlet, and everybody else.
type quiet struct {
	alarm   time.Duration
	reading Reading
	told    []any
	warned  []string
	posted  []throttle.PausedScope
	table   uint32
	fails   bool                 // whoever is told something fails the call that tells it
	refused func(*ticket.Ticket) // what a request does when it is refused
}

func (q *quiet) RingAt(at time.Duration) { q.alarm = at }
func (q *quiet) ServerClock() Reading    { return q.reading }
func (*quiet) AskForTime()               {}
func (*quiet) Pass(t *ticket.Ticket)     { t.Pool.Tell(ticket.AcquireLease{Ticket: t}) }

func (*quiet) Follow(t *ticket.Ticket, word any) { t.Pool.Tell(word) }

func (q *quiet) Post(paused []throttle.PausedScope) { q.posted = paused }
func (q *quiet) PostTable(number uint32)            { q.table = number }
func (q *quiet) Warn(text string, args ...any)      { q.warned = append(q.warned, fmt.Sprint(text, args)) }

func (q *quiet) Tell(message any) {
	q.told = append(q.told, message)
	if m, ok := message.(ticket.TicketRefused); ok && q.refused != nil {
		q.refused(m.Ticket)
	}
	if q.fails {
		panic(errOops)
	}
}

func newQuiet(t *testing.T, limits ...throttle.Limit) (*quiet, *Desk) {
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(t, err)
	q := new(quiet)
	return q, NewDesk(DeskNeeds{Ledger: ledger, Limits: limits}, q)
}

func (q *quiet) ticket(limit string) *ticket.Ticket {
	t := &ticket.Ticket{Asked: ticket.Asked{Owner: q, Pool: q}}
	t.Permit.Limit = limit
	return t
}

// until rings the alarm until so many words were told, and returns when the last of them was.
func (q *quiet) until(desk *Desk, told int) (at time.Duration) {
	for rings := 0; len(q.told) < told && rings < 20; rings++ {
		at = q.alarm
		desk.Due(at)
	}
	return at
}

// settle has a ticket that was passed on come back.
func (d *Desk) settle(now time.Duration, t *ticket.Ticket, fate throttle.Fate) {
	t.Answer()
	t.Fate = fate
	d.Settle(now, t)
}

// fail has the desk fail at its next word, and recover.
func (d *Desk) fail(t *testing.T, now time.Duration, about *ticket.Ticket, word func()) {
	torn := d.ledger
	d.ledger = nil
	require.Panics(t, word)
	d.ledger = torn
	d.Failed(about)
	d.Recover(now)
}

func TestATicketThatADeskFailedOnIsAnsweredAndCanBeUsedAgain(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	first, one := q.ticket("calls"), q.ticket("calls")
	desk.Acquire(0, first)
	q.told = nil
	desk.Acquire(0, one)
	desk.fail(t, 0, one, func() { desk.Due(0) })
	require.Equal(t, []any{ticket.TicketRefused{Ticket: one}}, q.told)
	require.Equal(t, messages.ErrActorFailed, one.Refused)

	one.Reopen()
	desk.settle(0, first, throttle.NeverSent)
	desk.Acquire(0, one)
	desk.Due(q.alarm)
	require.Equal(t, ticket.AcquireLease{Ticket: one}, q.told[1])
}

func TestATicketThatOnlyTriesNeverQueues(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	first, second, waits := q.ticket("calls"), q.ticket("calls"), q.ticket("calls")
	desk.Try(0, first)
	desk.Try(0, second)
	require.Equal(t, []any{ticket.AcquireLease{Ticket: first}, ticket.TicketRefused{Ticket: second}}, q.told)
	require.ErrorIs(t, second.Refused, throttle.ErrNoRoom)
	require.Empty(t, desk.Snapshot(0).Queued)
	desk.settle(0, first, throttle.Answered)
	desk.Acquire(0, waits)

	second.Reopen()
	desk.fail(t, 0, second, func() { desk.Try(0, second) })
	require.Equal(t, messages.ErrActorFailed, second.Refused)
	second.Reopen()
	desk.Close(0)
	desk.Try(0, second)
	require.Equal(t, messages.ErrClosed, second.Refused)
}

// A failure says which ticket it was about, whatever the word.
func TestEveryWordOfATicketIsKnownWhenTheThrottlerFails(t *testing.T) {
	for _, word := range []func(*ticket.Ticket) any{
		func(t *ticket.Ticket) any { return ticket.AcquirePermit{Ticket: t} },
		func(t *ticket.Ticket) any { return ticket.TryPermit{Ticket: t} },
	} {
		th, q := newThrottler(t, nil), new(quiet)
		one := q.ticket("calls")
		th.desk.tickets.add(one)
		th.Failed(word(one))
		th.desk.Recover(0)
		require.Equal(t, []any{ticket.TicketRefused{Ticket: one}}, q.told)
	}
}

// It is there to be reached: a client that keeps as many requests open as it may is
// no news.
func TestALimitThatWorksAsItShouldIsNotWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		limit  throttle.Limit
		warned int
	}{
		"requests in flight":       {throttle.Limit{Window: throttle.Concurrency}, 0},
		"a window that opens soon": {throttle.Limit{Per: 100 * time.Millisecond}, 0},
		"one that does not":        {throttle.Limit{Per: time.Minute}, 1},
		"one that is spent":        {throttle.Limit{Window: throttle.Leaky, Per: time.Hour}, 1},
	} {
		c.limit.ID, c.limit.Quota = "calls", 2
		q, desk := newQuiet(t, c.limit)
		for range 6 {
			desk.Acquire(0, q.ticket("calls"))
		}
		require.Len(t, q.warned, c.warned, name)
		if c.warned > 0 {
			require.Contains(t, q.warned[0], "a limit is reached", name)
		}
	}
}

func TestAWarningOfAWaitSaysWhatIsKeptForMoreUrgentRequests(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 4, Per: time.Minute, Reserve: []throttle.Reserve{{Priority: throttle.High, Weight: 3}}})
	for range 2 {
		desk.Acquire(0, q.ticket("calls"))
	}
	require.Len(t, q.warned, 1)
	require.Contains(t, q.warned[0], "kept 3 kept for priority high and above")
}

func TestAWaitOfWhichNoInstantIsKnownIsSaidToEndWithAnAnswer(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Minute})
	desk.Acquire(0, q.ticket("calls"))
	desk.Acquire(0, q.ticket("calls"))
	require.Len(t, q.warned, 1)
	require.Contains(t, q.warned[0], "next opening in once an answer comes, or one ahead leaves")
}

func TestATicketPassedOnIsAnsweredByItsPoolThoughTheDeskFails(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
	one := q.ticket("calls")
	q.fails = true
	require.PanicsWithValue(t, errOops, func() { desk.Acquire(0, one) })
	q.fails = false
	desk.Failed(one)
	desk.Recover(0)
	require.Equal(t, []any{ticket.AcquireLease{Ticket: one}}, q.told)
	require.EqualValues(t, 1, desk.Snapshot(0).Limits[0].InFlight)
}

// Whoever asked may be at its next request when the desk looks back.
func TestATicketThatWasClosedIsNoBusinessOfALaterFailure(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
	one, next := q.ticket("calls"), q.ticket("calls")
	desk.Acquire(0, one)
	desk.Acquire(0, next)
	q.told, q.fails = nil, true
	require.PanicsWithValue(t, errOops, func() { desk.settle(0, one, throttle.Answered) }, "the next one is passed on")
	q.fails = false
	require.True(t, one.Closed())
	one.Reopen()

	desk.Failed(one)
	desk.Recover(0)

	require.Equal(t, []any{ticket.AcquireLease{Ticket: next}}, q.told)
	require.True(t, one.Cancel(), "it waits for an answer to its next word")
}

func TestACallerWhoLeavesIsFollowedToThePool(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
	passed, queued, next := q.ticket("calls"), q.ticket("calls"), q.ticket("calls")
	for _, one := range []*ticket.Ticket{passed, queued, next} {
		desk.Acquire(0, one)
	}
	q.told = nil
	desk.Abandon(0, queued)
	require.Empty(t, q.told, "it held nothing")
	desk.Abandon(0, passed)
	require.Equal(t, []any{ticket.AbandonLease{Ticket: passed}}, q.told, "its permit is still in flight")
	desk.settle(0, passed, throttle.NeverSent)
	require.Equal(t, ticket.AcquireLease{Ticket: next}, q.told[1])
	desk.Abandon(0, passed)
	require.Len(t, q.told, 2, "it is nowhere")
}

func TestWhoStandsBehindACallerWhoLeavesMayFit(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 3, Window: throttle.Concurrency})
	light, heavy, next := q.ticket("calls"), q.ticket("calls"), q.ticket("calls")
	heavy.Permit.Weight = 3
	for _, one := range []*ticket.Ticket{light, heavy, next} {
		desk.Acquire(0, one)
	}
	require.Len(t, q.told, 1)
	desk.Abandon(0, heavy)
	require.Equal(t, ticket.AcquireLease{Ticket: next}, q.told[1])
}

func TestAClosedDeskRefusesAndStillSettles(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
	passed, queued, late := q.ticket("calls"), q.ticket("calls"), q.ticket("calls")
	desk.Acquire(0, passed)
	desk.Acquire(0, queued)
	desk.fail(t, 0, nil, func() { desk.Close(0) })
	desk.Acquire(0, late)
	require.Equal(t, []any{
		ticket.AcquireLease{Ticket: passed}, ticket.TicketRefused{Ticket: queued}, ticket.TicketRefused{Ticket: late},
	}, q.told)
	require.Equal(t, messages.ErrClosed, queued.Refused)
	require.Equal(t, messages.ErrClosed, late.Refused)
	desk.settle(0, passed, throttle.Answered)
	require.True(t, passed.Closed())
	require.Zero(t, desk.Snapshot(0).Limits[0].InFlight)
}

func TestWhatMayStillArriveIsCountedAfterAFailure(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second, MaxDelay: 10 * time.Second})
	lost, next := q.ticket("calls"), q.ticket("calls")
	desk.Acquire(0, lost)
	desk.settle(0, lost, throttle.Lost)
	desk.fail(t, time.Second, nil, func() { desk.Due(time.Second) })
	q.told = nil
	desk.Acquire(time.Second, next)
	require.GreaterOrEqual(t, q.until(desk, 1), 11*time.Second, "it may arrive at 10 s, and counts for one more")
	require.Equal(t, []any{ticket.AcquireLease{Ticket: next}}, q.told)
}

func TestWhatIsInFlightIsCountedThoughNobodyCouldAskForItAnyMore(t *testing.T) {
	calls := throttle.Limit{ID: "calls", Quota: 3, Window: throttle.Concurrency}
	orders := throttle.Limit{ID: "orders", Linked: []throttle.Link{{ID: "calls", Weight: 1}}}
	q, desk := newQuiet(t, calls, orders)
	order, heavy := q.ticket("orders"), q.ticket("calls")
	heavy.Permit.Weight = 2
	desk.Acquire(0, order)
	desk.Acquire(0, heavy)
	calls.Quota = 1
	require.NoError(t, desk.Replace(0, []throttle.Limit{calls}, nil))
	desk.fail(t, 0, nil, func() { desk.Due(0) })
	require.EqualValues(t, 3, desk.Snapshot(0).Limits[0].InFlight)
}

func TestAPauseOutlivesAFailure(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	require.NoError(t, desk.Pause(0, throttle.Scope{}, time.Minute))
	desk.fail(t, time.Second, nil, func() { desk.Due(time.Second) })
	desk.Acquire(time.Second, q.ticket("calls"))
	desk.Due(q.alarm) // the window has room again, and is taken for full before
	require.Equal(t, time.Minute, q.alarm)
	desk.Due(time.Minute)
	require.Len(t, q.told, 1)
}

func refusal(said time.Duration) *feedback.Feedback {
	return &feedback.Feedback{Refused: true, Pause: said}
}

// A server that refuses and is not left alone bans.
func TestARefusalThatNamesAnUnknownScopePausesThoseOfTheLimits(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second, Scope: "address"})
	said := refusal(time.Minute)
	said.Scope = "adress"
	desk.Heed(0, Heard{Origin: "o", Limit: "calls", Said: said})
	require.Len(t, q.posted, 1)
	require.Equal(t, throttle.Scope{Origin: "o", Name: "address"}, q.posted[0].Scope)
	require.Equal(t, time.Minute, q.posted[0].Until)
	require.Contains(t, q.warned[0], "feedback names an unknown scope")
	said.Scope = throttle.WholeOrigin
	desk.Heed(0, Heard{Origin: "o", Limit: "calls", Said: said})
	require.Len(t, q.posted, 2)
}

// A request that was refused often must not begin anew because an actor failed.
func TestHowOftenAScopeWasRefusedOutlivesAFailure(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	desk.Heed(0, Heard{Limit: "calls", Said: refusal(0)})
	desk.Heed(time.Second, Heard{Limit: "calls", Left: time.Second, Said: refusal(0)})
	require.Equal(t, 3*time.Second, q.posted[0].Until)
	desk.fail(t, 4*time.Second, nil, func() { desk.Due(4 * time.Second) })
	desk.Heed(5*time.Second, Heard{Limit: "calls", Left: 4 * time.Second, Said: refusal(0)})
	require.Equal(t, 9*time.Second, q.posted[0].Until)
}

// Requests that hold a permit look at what is posted, and at nothing else.
func TestAPauseThatTheDeskFailedOnIsPosted(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	failing := &failsWhileWarning{q}
	desk.out = failing
	require.PanicsWithValue(t, errOops, func() { desk.Heed(0, Heard{Origin: "o", Limit: "calls", Said: refusal(time.Minute)}) })
	require.Empty(t, q.posted)
	desk.out = q
	desk.Failed(nil)
	desk.Recover(0)
	require.Equal(t, throttle.Scope{Origin: "o"}, q.posted[0].Scope)
	require.Equal(t, time.Minute, q.posted[0].Until)
}

type failsWhileWarning struct{ *quiet }

func (failsWhileWarning) Warn(string, ...any) { panic(errOops) }

func TestWhatIsPausedEverywhereIsPostedForAnOriginOnceItIsSeen(t *testing.T) {
	q, desk := newQuiet(t,
		throttle.Limit{ID: "calls", Quota: 1, Per: time.Second},
		throttle.Limit{ID: "orders", Quota: 1, Per: time.Second, Scope: "account"})
	require.NoError(t, desk.Pause(0, throttle.Scope{Origin: throttle.AnyOrigin, Name: "account"}, time.Minute))
	one := q.ticket("calls")
	one.Permit.Origin = "o"
	desk.Acquire(0, one)
	require.Equal(t, []any{ticket.AcquireLease{Ticket: one}}, q.told)
	require.Equal(t, throttle.Scope{Origin: "o", Name: "account"}, q.posted[1].Scope)
}

func TestATicketThatComesBackGoesAheadOfWhoCameLater(t *testing.T) {
	for _, parked := range []bool{false, true} {
		q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
		first, second, third := q.ticket("calls"), q.ticket("calls"), q.ticket("calls")
		for _, one := range []*ticket.Ticket{first, second, third} {
			desk.Acquire(0, one)
		}
		if parked {
			desk.Park(0, first)
			require.Equal(t, ticket.AcquireLease{Ticket: second}, q.told[1], "others can use the permit")
			desk.Requeue(0, first)
			require.Len(t, q.told, 2)
			desk.settle(0, second, throttle.Answered)
		} else {
			require.NoError(t, desk.Pause(0, throttle.Scope{}, time.Second))
			desk.Requeue(0, first)
			require.Len(t, q.told, 1, "nobody leaves into a pause")
			desk.Due(time.Second)
		}
		require.Equal(t, ticket.AcquireLease{Ticket: first}, q.told[len(q.told)-1])
	}
}

func TestARequestWithoutALimitObeysEveryPauseOfItsOrigin(t *testing.T) {
	for _, name := range []string{"", "account", throttle.WholeOrigin} {
		q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second},
			throttle.Limit{ID: "orders", Quota: 1, Per: time.Second, Scope: "account"})
		require.NoError(t, desk.Pause(0, throttle.Scope{Origin: "o", Name: name}, time.Minute))
		here, elsewhere := q.ticket(throttle.NoLimit), q.ticket(throttle.NoLimit)
		here.Permit.Origin, elsewhere.Permit.Origin = "o", "p"
		desk.Acquire(0, here)
		desk.Acquire(0, elsewhere)
		require.Equal(t, []any{ticket.AcquireLease{Ticket: elsewhere}}, q.told)
		desk.Due(time.Minute)
		require.Equal(t, ticket.AcquireLease{Ticket: here}, q.told[1])
	}
}

func TestWhoeverWaitsNoLongerIsToldWhatFor(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	first, second := q.ticket("calls"), q.ticket("calls")
	desk.Acquire(0, first)
	desk.Acquire(0, second)
	desk.settle(0, first, throttle.Answered)
	desk.Expire(ms, second)
	desk.Expire(ms, second)
	desk.Expire(ms, first)
	require.Equal(t, []any{ticket.AcquireLease{Ticket: first}, ticket.TicketRefused{Ticket: second}}, q.told, "once")
	var full *throttle.LimitError
	require.ErrorAs(t, second.Refused, &full)
	require.Equal(t, "calls", full.Full)
	require.InDelta(t, float64(time.Second), float64(full.RetryAt), float64(ms))

	passed := q.ticket("calls")
	desk.Acquire(2*time.Second, passed)
	desk.Expire(2*time.Second, passed)
	require.Equal(t, ticket.ExpireLease{Ticket: passed}, q.told[3], "its pool knows what for")
}

func TestARequestWhoseSettlingFailedMayStillArrive(t *testing.T) {
	for _, fate := range []throttle.Fate{throttle.Lost, throttle.Closed} {
		q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second, MaxDelay: 10 * time.Second, CloseDelay: 10 * time.Second})
		lost := q.ticket("calls")
		desk.Acquire(0, lost)
		desk.fail(t, 0, lost, func() { desk.settle(0, lost, fate) })
		desk.Acquire(0, q.ticket("calls"))
		require.GreaterOrEqual(t, q.until(desk, 2), 11*time.Second, "it may arrive at 10 s, and counts for one more")
		require.Len(t, q.told, 2)
	}
}

func TestATicketWhoseLimitWasGoneForAWhileIsNotForgotten(t *testing.T) {
	calls, other := throttle.Limit{ID: "calls", Quota: 1, Per: time.Second}, throttle.Limit{ID: "other", Quota: 1, Per: time.Second}
	q, desk := newQuiet(t, calls)
	one := q.ticket("calls")
	desk.Acquire(0, one)
	require.NoError(t, desk.Replace(0, []throttle.Limit{other}, nil))
	desk.fail(t, 0, nil, func() { desk.Due(0) })
	require.NoError(t, desk.Replace(0, []throttle.Limit{calls}, nil))
	require.NoError(t, desk.Pause(0, throttle.Scope{}, time.Minute))
	desk.Requeue(0, one)
	desk.fail(t, 0, nil, func() { desk.Due(0) })
	desk.Due(time.Minute)
	require.Equal(t, []any{ticket.AcquireLease{Ticket: one}, ticket.AcquireLease{Ticket: one}}, q.told)
}

// From then on the ticket is its request's, which may use it anew at once.
func TestADeskLooksAtNoTicketThatItHasRefused(t *testing.T) {
	calls := throttle.Limit{ID: "calls", Quota: 1, Per: time.Hour}
	limits, options := []throttle.Limit{calls}, throttle.Options{MaxQueued: 1}
	ledger, err := throttle.New(limits, options)
	require.NoError(t, err)
	q := new(quiet)
	desk := NewDesk(DeskNeeds{Ledger: ledger, Limits: limits, Options: options}, q)
	var all sync.WaitGroup
	q.refused = func(t *ticket.Ticket) { all.Go(func() { t.Permit.Limit = "another" }) }
	for range 3 {
		desk.Acquire(0, q.ticket("calls"))
	}
	all.Wait()
	require.Len(t, q.told, 2)
}

func TestThatALimitIsReachedIsToldOnceInAWhile(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Hour})
	desk.Acquire(0, q.ticket("calls"))
	for _, at := range []time.Duration{0, time.Second, 29 * time.Second, 30 * time.Second, 31 * time.Second} {
		desk.Acquire(at, q.ticket("calls"))
	}
	require.Len(t, q.warned, 2)
}

// heedCalls has the desk hear at an instant what an answer said to a request for "calls".
func (d *Desk) heedCalls(at time.Duration, origin string, said feedback.Feedback) {
	d.Heed(at, Heard{Origin: origin, Limit: "calls", Left: at, Said: &said})
}

func TestThatAServerIsBusyIsToldOnceInAWhileForEachScopeOfAnOrigin(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 100, Per: time.Second})
	busy := feedback.Feedback{Busy: true, Pause: 200 * ms}
	for at := time.Duration(0); at < time.Minute; at += time.Second {
		desk.heedCalls(at, "one", busy)
		desk.heedCalls(at, "other", busy)
	}
	require.Equal(t, []string{
		"server is busy, pausing[origin one scope  route calls pause 200ms]", "server is busy, pausing[origin other scope  route calls pause 200ms]",
		"server is busy, pausing[origin one scope  route calls pause 200ms]", "server is busy, pausing[origin other scope  route calls pause 200ms]",
	}, q.warned)
	require.EqualValues(t, 120, desk.counts.Pauses.Load(), "each is counted")

	desk.heedCalls(time.Minute-ms, "one", feedback.Feedback{Busy: true, Pause: 10 * time.Second})
	require.Contains(t, q.warned[4], "origin one scope  route calls pause 10s", "a good deal longer")
	desk.heedCalls(time.Hour, "third", busy)
	require.Len(t, desk.busy, 1, "nor is an origin remembered that has not been busy since")
}

func TestThatAServerIsBusyIsToldOnceForAllAccountsOfAScope(t *testing.T) {
	q, d := newQuiet(t, throttle.Limit{ID: "calls", Quota: 100, Per: time.Second, By: throttle.ByAccount})
	for n := range 100 {
		d.Heed(0, Heard{
			Origin: "o", Limit: "calls", Of: throttle.Parts{Account: fmt.Sprint(n)}, Said: &feedback.Feedback{Busy: true, Pause: 200 * ms},
		})
	}
	require.Len(t, q.warned, 1)
	require.Len(t, q.posted, 100)
}

func TestEachRefusalIsToldAlsoOfAServerThatIsBusy(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 100, Per: time.Second})
	busy, refused := feedback.Feedback{Busy: true, Pause: 10 * time.Second}, feedback.Feedback{Refused: true, Pause: time.Second}
	desk.heedCalls(0, "o", busy)
	desk.heedCalls(ms, "o", refused)
	desk.heedCalls(2*ms, "o", refused)
	desk.heedCalls(11*time.Second, "o", refused)
	desk.heedCalls(11*time.Second, "o", busy)
	require.Len(t, q.warned, 3)
	require.Contains(t, q.warned[1], "refused, pausing")
	require.Contains(t, q.warned[2], "refused, pausing")
	require.EqualValues(t, 2, desk.counts.Pauses.Load(), "what begins in a pause is of that one")
}

func TestThatAServerIsBusyIsToldAgainOnceAPauseWasEndedByHand(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 100, Per: time.Second})
	for range 2 {
		desk.heedCalls(0, "o", feedback.Feedback{Busy: true, Pause: time.Second})
		require.NoError(t, desk.Resume(0, throttle.Scope{Origin: "o"}))
	}
	require.Len(t, q.warned, 2)
}

func TestThatLostRequestsHoldMostOfALimitIsToldOnceForEachTime(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 2, Window: throttle.Concurrency, MaxDelay: time.Minute})
	for _, at := range []time.Duration{0, 0, time.Minute, time.Minute} {
		one := q.ticket("calls")
		desk.Acquire(at, one)
		desk.settle(at, one, throttle.Lost)
	}
	require.Len(t, q.warned, 2)
}

func TestThatLostRequestsOfManyKeysHoldALimitIsToldOnceAndNoKeyIsRemembered(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second, Keyed: true})
	for i := range 100 {
		one := q.ticketOf("calls", throttle.Parts{Key: fmt.Sprint(i)})
		desk.Acquire(0, one)
		desk.settle(0, one, throttle.Lost)
	}
	require.Len(t, q.warned, 1)
	require.Len(t, desk.lost, 1)
	require.NoError(t, desk.Replace(time.Hour, nil, nil))
	require.Empty(t, desk.lost, "nor a limit that is no more")
}

func TestAClockReadForOneLetsTheOthersGo(t *testing.T) {
	q, desk := newQuiet(t,
		throttle.Limit{ID: "aligned", Quota: 1, Per: time.Second, Window: throttle.Fixed},
		throttle.Limit{ID: "slots", Quota: 1, Window: throttle.Concurrency})
	first, next := q.ticket("aligned"), q.ticket("aligned")
	desk.Acquire(0, first)
	desk.settle(0, first, throttle.Answered)
	desk.Acquire(0, next)
	without := q.alarm
	q.reading = &reading{100500 * ms, 100500 * ms}
	desk.Acquire(0, q.ticket("slots"))
	require.Less(t, q.alarm, without, "the server's window ends in half a second")
	require.Equal(t, []any{ticket.AcquireLease{Ticket: first}}, q.told[:1])
}

// A table may have very many limits, and most answers tell how much of one is used.
func TestNoRequestHasTheWholeTableGoneThrough(t *testing.T) {
	q, d := newQuiet(t,
		throttle.Limit{ID: "other", Quota: 1, Per: time.Second},
		throttle.Limit{ID: "a", Quota: 10, Per: time.Minute, Window: throttle.Fixed, Linked: []throttle.Link{{ID: "drops"}}},
		throttle.Limit{ID: "drops", Quota: 20, Burst: 30, Per: time.Minute, Window: throttle.Leaky},
		throttle.Limit{ID: "way", Linked: []throttle.Link{{ID: "a"}}},
		throttle.Limit{ID: "open", Quota: 1, Window: throttle.Concurrency},
	)
	d.limits = nil // for Recover alone
	ask := func(limit string, said feedback.Feedback) {
		one := q.ticket(limit)
		d.Acquire(0, one)
		require.Equal(t, throttle.Granted, one.Permit.State())
		one.Say(said)
		d.settle(0, one, throttle.Answered)
	}
	ask("a", feedback.Feedback{Usage: []feedback.Usage{
		{Limit: "a", Used: 7, Quota: 10}, {Limit: "drops", Used: -1, Remaining: 12, Quota: 20},
	}})
	used := map[string]int64{}
	for _, l := range d.Snapshot(0).Limits {
		used[l.ID] = l.Used
	}
	require.Equal(t, map[string]int64{"other": 0, "a": 7, "drops": 18, "open": 0}, used, "what is left is left of the burst")
	require.Empty(t, q.warned)

	ask("a", feedback.Feedback{Usage: []feedback.Usage{{Limit: "a", Used: 7, Quota: 11}, {Limit: "none"}, {Limit: throttle.NoLimit}, {Limit: "way"}}})
	require.Len(t, q.warned, 4)
	require.Contains(t, q.warned[0], "quota is not the table's")
	require.Contains(t, q.warned[1], "unknown limit")
	require.Contains(t, q.warned[2], "unknown limit")
	require.Contains(t, q.warned[3], "could not be used", "a route has no quota of its own")

	ask("a", feedback.Feedback{Refused: true, OwnLimit: true})
	require.Contains(t, q.warned[4], "taking the limit for full")
	full := q.ticket("a")
	d.Acquire(0, full)
	require.Equal(t, throttle.Queued, full.Permit.State())

	told := len(q.warned)
	d.Acquire(0, q.ticket("open"))
	d.Acquire(0, q.ticket("open"))
	require.Len(t, q.warned, told, "who queues is judged by a look-up too")
}

// alarmed is an outlet that counts how often its alarm is set.
type alarmed struct {
	quiet
	set int
}

func (a *alarmed) RingAt(at time.Duration) {
	a.set++
	a.quiet.RingAt(at)
}

func newAlarmed(t *testing.T, limits ...throttle.Limit) (*alarmed, *Desk) {
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(t, err)
	a := new(alarmed)
	return a, NewDesk(DeskNeeds{Ledger: ledger, Limits: limits}, a)
}

func TestARequestThatNeedNotWaitSetsNoAlarm(t *testing.T) {
	a, desk := newAlarmed(t,
		throttle.Limit{ID: "calls", Quota: 1 << 20, Per: time.Second}, throttle.Limit{ID: "keyed", Quota: 1 << 20, Per: time.Second, Keyed: true})
	pass := func(now time.Duration, limit, key string) {
		one := a.ticket(limit)
		one.Permit.Key = key
		desk.Acquire(now, one)
		require.True(t, one.Passed)
		desk.settle(now, one, throttle.Answered)
	}
	pass(0, "calls", "")
	require.Equal(t, 1, a.set, "its path is to be forgotten one day")
	pass(0, "keyed", "x")
	require.Equal(t, 2, a.set, "and its key sooner")
	for i := range 1000 {
		pass(time.Duration(i)*time.Microsecond, "calls", "")
		pass(time.Duration(i)*time.Microsecond, "keyed", fmt.Sprint(i%10))
	}
	require.Equal(t, 2, a.set)
}

func TestADeskWithKeysInUseIsRungAFewTimesInAWindow(t *testing.T) {
	a, desk := newAlarmed(t, throttle.Limit{ID: "keyed", Quota: 1 << 20, Per: 10 * time.Second, Keyed: true})
	rings := 0
	for now := time.Duration(0); now < 100*time.Second; now += time.Millisecond {
		if desk.armed != 0 && desk.armed <= now {
			rings++
			desk.Due(now)
		}
		one := a.ticket("keyed")
		one.Permit.Key = fmt.Sprint(now / time.Millisecond % 1000)
		desk.Acquire(now, one)
		desk.settle(now, one, throttle.Answered)
	}
	require.LessOrEqual(t, rings, 80, "in ten windows")
	require.LessOrEqual(t, a.set, 81)
}

func TestAnIdleDeskForgetsItsKeysAndIsRungNoMore(t *testing.T) {
	for _, closed := range []bool{false, true} {
		a, desk := newAlarmed(t, throttle.Limit{ID: "keyed", Quota: 1, Per: time.Second, Keyed: true})
		for i := range 1000 {
			one := a.ticket("keyed")
			one.Permit.Key = fmt.Sprint(i)
			desk.Acquire(0, one)
			desk.settle(0, one, throttle.Answered)
		}
		if closed {
			desk.Close(0)
			desk.Due(time.Second / 2)
			require.Zero(t, desk.armed, "it was let go")
			continue
		}
		last := time.Duration(0)
		for desk.armed != 0 {
			last = max(last, desk.armed)
			desk.Due(last)
		}
		require.LessOrEqual(t, last, 2*time.Second)
		require.Empty(t, desk.Snapshot(last).Limits)
	}
}

func TestAFailureLeavesNoKeyBehind(t *testing.T) {
	a, desk := newAlarmed(t, throttle.Limit{ID: "keyed", Quota: 1, Per: time.Second, Keyed: true})
	one := a.ticket("keyed")
	one.Permit.Key = "x"
	desk.Acquire(0, one)
	failed := a.ticket("keyed")
	desk.fail(t, 0, failed, func() { desk.Due(0) })
	require.NotZero(t, desk.armed)
	desk.settle(0, one, throttle.Answered)
	last := time.Duration(0)
	for desk.armed != 0 {
		last = max(last, desk.armed)
		desk.Due(last)
	}
	require.Empty(t, desk.Snapshot(last).Limits)
}
