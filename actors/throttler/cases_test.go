package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// quiet is an outlet, and everybody else.
type quiet struct {
	alarm   time.Duration
	reading Reading
	told    []any
	fails   bool // whoever is told something fails the call that tells it
}

func (q *quiet) RingAt(at time.Duration) { q.alarm = at }
func (q *quiet) ServerClock() Reading    { return q.reading }
func (*quiet) AskForTime()               {}
func (*quiet) Warn(string, ...any)       {}
func (q *quiet) Tell(message any) {
	q.told = append(q.told, message)
	if q.fails {
		panic(oops)
	}
}

func newQuiet(t *testing.T, limits ...throttle.Limit) (*quiet, *Desk) {
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(t, err)
	q := new(quiet)
	return q, NewDesk(ledger, limits, throttle.Options{}, q)
}

func (q *quiet) ticket(limit string) *ticket.Ticket {
	t := &ticket.Ticket{Asked: ticket.Asked{Owner: q, Pool: q}}
	t.Permit.Limit = limit
	return t
}

// settle has a ticket that was passed on come back.
func (d *Desk) settle(now time.Duration, t *ticket.Ticket, fate throttle.Fate) {
	t.Answer()
	t.Outcome.Fate = fate
	d.Settle(now, t)
}

// fail has the desk fail at its next word, and recover.
func (d *Desk) fail(t *testing.T, now time.Duration, about *ticket.Ticket, word func()) {
	d.ledger = nil
	require.Panics(t, word)
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

func TestATicketPassedOnIsAnsweredByItsPoolThoughTheDeskFails(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Window: throttle.Concurrency})
	one := q.ticket("calls")
	q.fails = true
	require.PanicsWithValue(t, oops, func() { desk.Acquire(0, one) })
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
	require.PanicsWithValue(t, oops, func() { desk.settle(0, one, throttle.Answered) }, "the next one is passed on")
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
	for range 10 {
		desk.Due(q.alarm)
	}
	require.Equal(t, []any{ticket.AcquireLease{Ticket: next}}, q.told)
	require.Greater(t, q.alarm, 11*time.Second, "it may arrive at 10 s, and counts for one more")
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
	require.NoError(t, desk.Replace(0, []throttle.Limit{calls}))
	desk.fail(t, 0, nil, func() { desk.Due(0) })
	require.EqualValues(t, 3, desk.Snapshot(0).Limits[0].InFlight)
}

func TestAPauseOutlivesAFailure(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "calls", Quota: 1, Per: time.Second})
	require.NoError(t, desk.Pause(0, "", time.Minute))
	desk.fail(t, time.Second, nil, func() { desk.Due(time.Second) })
	desk.Acquire(time.Second, q.ticket("calls"))
	require.Equal(t, time.Minute, q.alarm)
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
