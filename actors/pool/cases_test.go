package pool

import (
	"context"
	"errors"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// quiet is an outlet, and everybody else, for a pool of a few connections.
type quiet struct {
	crowd                                  bool
	dials, closes, forsaken, unused, ended int
	presses, hangs                         int
	pressAt                                time.Duration
	closing                                []protocol.Connection
	alarm                                  time.Duration
	fails                                  bool // the next dial to be begun fails the call that begins it
	told                                   []any
	parked, requeued                       []*ticket.Ticket
	warned                                 []*messages.PoolFullError
	places                                 int  // taken
	full                                   bool // there is no other
	registered                             bool // one is waited for
	ceding                                 bool
}

func (q *quiet) Dial(context.Context, *httptrace.ClientTrace, messages.Priority) {
	q.dials++
	if q.fails {
		panic("as a test wants it")
	}
}
func (q *quiet) Reserve(waits bool) bool {
	if q.full {
		q.registered = q.registered || waits
		return false
	}
	q.places++
	return true
}
func (q *quiet) Release()             { q.places-- }
func (q *quiet) Cede() bool           { return q.ceding }
func (q *quiet) Press() time.Duration { q.presses++; return q.pressAt }
func (q *quiet) CloseHangs()          { q.hangs++ }
func (q *quiet) Crowd(there bool)     { q.crowd = there }
func (q *quiet) Withdraw()            { q.registered = false }
func (*quiet) AbortDials()            {}
func (q *quiet) Close(c protocol.Connection) {
	q.closes++
	q.closing = append(q.closing, c)
}
func (q *quiet) Park(t *ticket.Ticket)                      { q.parked = append(q.parked, t) }
func (q *quiet) Requeue(t *ticket.Ticket)                   { q.requeued = append(q.requeued, t) }
func (q *quiet) Forsake(*ticket.Ticket)                     { q.forsaken++ }
func (q *quiet) RingAt(at time.Duration)                    { q.alarm = at }
func (*quiet) Draw(d time.Duration) time.Duration           { return d }
func (q *quiet) Unused()                                    { q.unused++ }
func (q *quiet) WarnOfStreams(full *messages.PoolFullError) { q.warned = append(q.warned, full) }
func (*quiet) HookFailed(*messages.PanicError)              {}
func (q *quiet) End()                                       { q.ended++ }
func (q *quiet) Tell(message any)                           { q.told = append(q.told, message) }

// shut is the connection that has been closing for longest, and is closed now.
func (q *quiet) shut() protocol.Connection {
	c := q.closing[0]
	q.closing = q.closing[1:]
	return c
}

func (q *quiet) ticket() *ticket.Ticket {
	t := &ticket.Ticket{Asked: ticket.Asked{Owner: q}}
	t.Limited = true
	return t
}

func newQuiet(config Config) (*quiet, *Core) {
	q := new(quiet)
	config.IdleTimeout, config.Backoff, config.BackoffCap = time.Minute, time.Second, time.Second
	return q, NewCore(0, config, q)
}

// leased returns a ticket that has the only connection of a pool.
func (q *quiet) leased(core *Core) *ticket.Ticket {
	t := q.ticket()
	core.Acquire(0, t)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	q.told = nil
	return t
}

func TestWhatIsBeingDialledCountsAsOpen(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	for range 4 {
		core.Acquire(0, q.ticket())
	}
	require.Equal(t, 2, q.dials)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	require.Equal(t, 2, q.dials)
	require.Len(t, q.told, 2)
}

var errRefused = errors.New("refused")

func TestConnectionsThatAreKeptIdleAreDialledForAtTheEndOfAPause(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1, MinIdle: 1})
	core.Recover(0)
	core.Dialled(0, nil, errRefused, nil, messages.Normal)
	require.Equal(t, 1, q.dials)
	require.Equal(t, time.Second, q.alarm)
	core.Upkeep(time.Second)
	require.Equal(t, 2, q.dials)
}

func TestWhoeverAsksThroughAPauseIsToldAtOnceWhyAndUntilWhen(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	first, hasty, patient, other := q.ticket(), q.ticket(), q.ticket(), q.ticket()
	core.Acquire(0, first)
	core.Dialled(0, nil, errRefused, nil, messages.Normal)
	require.ErrorIs(t, first.Refused, errRefused)
	core.Acquire(100*ms, hasty)
	require.ErrorIs(t, hasty.Refused, errRefused)
	require.NotErrorIs(t, hasty.Refused, context.DeadlineExceeded, "it had all the time of the world")
	var later interface{ RetryAt() time.Duration }
	require.ErrorAs(t, hasty.Refused, &later)
	require.Equal(t, time.Second, later.RetryAt())
	core.Warm(100*ms, protocol.WarmPool{N: 1, Owner: q})
	require.ErrorIs(t, q.told[len(q.told)-1].(protocol.PoolWarmed).Err, errRefused)
	require.Equal(t, 1, q.dials)

	patient.Limited, other.Limited = false, false
	core.Acquire(time.Second, patient)
	core.Acquire(time.Second, other)
	require.Equal(t, 2, q.dials, "one at a time, and the other joins the wait for it")
	require.Equal(t, 2, core.Describe().Waiting)
	core.Dialled(time.Second, &conn{}, nil, nil, messages.Normal)
	require.NotNil(t, patient.Lease)
	require.Equal(t, 3, q.dials)
}

// A stream may hold its connection for ever, and so may an exchange that is out for
// long.
func TestAFailedDialIsToldThoughAnotherConnectionIsLent(t *testing.T) {
	for _, held := range []string{"by a stream", "by an exchange"} {
		q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
		holder, waiter, urgent, last := q.leased(core), q.ticket(), q.ticket(), q.ticket()
		now := time.Duration(0)
		if held == "by a stream" {
			core.Streams(now, holder.Lease)
		} else {
			now = returnPatience
		}
		urgent.Priority = messages.Urgent
		core.Acquire(now, waiter)
		core.Acquire(now, urgent)
		core.Dialled(now, nil, errRefused, nil, messages.Normal)
		core.Acquire(now+10*ms, last)
		for _, one := range []*ticket.Ticket{waiter, urgent, last} {
			require.ErrorIs(t, one.Refused, errRefused, held)
		}
		require.Equal(t, 2, q.dials)
	}
}

// An origin may take so many connections, and no more.
func TestAFailedDialIsNotToldWhileAnExchangeIsAboutToReturnItsConnection(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	holder, waiter, next := q.leased(core), q.ticket(), q.ticket()
	core.Acquire(time.Second, waiter)
	core.Acquire(time.Second, next)
	core.Dialled(time.Second, nil, errRefused, nil, messages.Normal)
	require.Empty(t, q.told)
	core.Upkeep(time.Second) // for the doubt about the first dial
	require.Equal(t, 2*time.Second, q.alarm, "for the next dial, and for the patience to end")
	core.Return(1500*ms, withoutDoubt(holder.Lease))
	require.NotNil(t, waiter.Lease)
	core.Upkeep(2 * time.Second)
	require.Equal(t, 3, q.dials)
	core.Dialled(2*time.Second, nil, errRefused, nil, messages.Normal)
	require.Nil(t, next.Refused)
	core.Upkeep(3 * time.Second)
	core.Dialled(3*time.Second, nil, errRefused, nil, messages.Normal)
	core.Upkeep(3500 * ms)
	require.ErrorIs(t, next.Refused, errRefused)
}

func TestWhoeverCouldNotBeDialledForWaitsForAConnectionToBeReturned(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	core.Acquire(0, q.ticket())
	core.Dialled(0, nil, errRefused, nil, messages.Normal)
	holder := q.ticket()
	holder.Limited = false
	core.Acquire(time.Second, holder)
	core.Dialled(time.Second, &conn{}, nil, nil, messages.Normal)
	waiter, next := q.ticket(), q.ticket()
	waiter.Limited, next.Limited = false, false
	core.Acquire(time.Second, waiter)
	core.Acquire(time.Second, next)
	require.Equal(t, 2, core.Describe().Waiting)
	core.Return(time.Second, withoutDoubt(holder.Lease))
	require.NotNil(t, waiter.Lease)
	core.Return(time.Second, waiter.Lease)
	require.NotNil(t, next.Lease)
}

func TestWhatNoPauseMendsIsDialledForWhoeverAsks(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9, MinIdle: 1})
	core.Recover(0)
	untrusted := lastingError{errors.New("untrusted certificate")}
	core.Dialled(0, nil, untrusted, nil, messages.Normal)
	for n := range 5 {
		one := q.ticket()
		core.Acquire(0, one)
		require.Equal(t, 2+n, q.dials, "nobody is told what another was")
		core.Dialled(0, nil, untrusted, nil, messages.Normal)
		require.ErrorIs(t, one.Refused, untrusted)
		var later interface{ RetryAt() time.Duration }
		require.False(t, errors.As(one.Refused, &later), "no later dial is better")
	}
	require.Equal(t, time.Second, q.alarm, "for nobody it is dialled after a pause")
	core.Upkeep(999 * ms)
	require.Equal(t, 6, q.dials)
}

func TestATicketThatAPoolFailedOnIsAnsweredAndTheOthersWaitOn(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 2})
	other, failed := q.ticket(), q.ticket()
	core.Acquire(0, other)
	q.fails = true
	require.Panics(t, func() { core.Acquire(0, failed) })
	q.fails = false

	core.Failed(failed)
	core.Recover(0)

	require.Equal(t, []any{ticket.TicketRefused{Ticket: failed}}, q.told)
	require.ErrorIs(t, failed.Refused, messages.ErrActorFailed)
	require.Zero(t, q.forsaken, "the permit is the request's")
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	require.Equal(t, ticket.LeaseGranted{Ticket: other}, q.told[1])
}

func TestATicketThatHasItsConnectionIsNoBusinessOfALaterFailure(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 2, MinIdle: 1})
	core.Recover(0)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	one := q.ticket()
	q.fails = true
	require.Panics(t, func() { core.Acquire(0, one) }, "one more is to be kept idle")
	q.fails = false

	core.Failed(one)
	core.Recover(0)

	require.Equal(t, []any{ticket.LeaseGranted{Ticket: one}}, q.told)
	require.Zero(t, q.forsaken, "its request is sending by now")
	require.Zero(t, core.Describe().Refused)
}

func TestACallerWhoLeftBeforeThePoolHeardOfItGetsNothing(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1})
	one, gone := q.ticket(), q.ticket()
	core.Acquire(0, one)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	core.Return(0, withoutDoubt(one.Lease))
	require.True(t, gone.Cancel())

	core.Acquire(0, gone)
	core.Abandon(0, gone)

	require.Len(t, q.told, 1)
	require.Equal(t, 1, q.forsaken)
	require.Equal(t, 1, core.Describe().Idle)
}

func withoutDoubt(l *ticket.Lease) *ticket.Lease {
	l.Reusable = true
	return l
}

// A ticket whose caller left may still be a mailbox away, and its permit with it.
func TestAPoolWhoseDoorIsShutLastsASecondWhateverItsAlarmWasFor(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1, Passivate: 100 * ms})
	core.Recover(0)
	core.Upkeep(100 * ms)
	core.Part(100 * ms)
	require.Equal(t, 200*ms, q.alarm, "when it would offer to end once more")

	core.Upkeep(200 * ms)
	require.Zero(t, q.ended)
	core.Upkeep(1100 * ms)
	require.Equal(t, 1, q.ended)

	late := q.ticket()
	require.True(t, late.Cancel())
	core.Acquire(1100*ms, late)
	require.Equal(t, 1, q.forsaken)
	require.Equal(t, 1, q.ended, "once")
}

func TestWhatIsBeingClosedCountsAsOpen(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1})
	one := q.leased(core)
	core.Acquire(0, q.ticket())
	core.Return(0, one.Lease)
	require.Equal(t, 1, q.dials, "there is no room yet")
	core.Closed(100*ms, q.shut())
	require.Equal(t, 2, q.dials)
}

func TestTheMostUrgentWaiterIsServedFirst(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	one := q.leased(core)
	var all []*ticket.Ticket
	for _, priority := range []messages.Priority{messages.Background, messages.Normal, messages.Urgent, messages.Urgent, messages.Normal} {
		next := q.ticket()
		next.Priority = priority
		core.Acquire(0, next)
		all = append(all, next)
	}
	lease := one.Lease
	for range all {
		core.Return(0, withoutDoubt(lease))
	}
	for i, want := range []int{2, 3, 1, 4, 0} {
		require.Equal(t, ticket.LeaseGranted{Ticket: all[want]}, q.told[i])
	}
}

// A permit that waits for a connection which may never come is kept from others.
func TestWhoeverWaitsForADialThatHangsHoldsNoPermit(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	one, free, late := q.ticket(), q.ticket(), q.ticket()
	free.Limited = false
	core.Acquire(0, one)
	core.Acquire(0, free)
	require.Empty(t, q.parked)
	require.Equal(t, doubtAfter, q.alarm)

	core.Upkeep(doubtAfter)
	core.Acquire(doubtAfter, late)
	core.Upkeep(time.Second)
	require.Equal(t, []*ticket.Ticket{one, late}, q.parked, "once, and only who has one")

	core.Dialled(2*time.Second, &conn{}, nil, nil, messages.Normal)
	require.Equal(t, []*ticket.Ticket{one, late}, q.requeued, "for there is a connection")
	require.Equal(t, ticket.LeaseGranted{Ticket: free}, q.told[0])
}

func TestADialThatHadToWaitForACloseIsDoubtedLikeAnyOther(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	before, one := q.leased(core), q.ticket()
	core.Upkeep(doubtAfter)
	core.Acquire(time.Second, one)
	core.Return(time.Second, before.Lease)
	core.Closed(1100*ms, q.shut())
	core.Upkeep(q.alarm)
	require.Empty(t, q.parked, "the close is over, and the dial is young")
	require.Equal(t, 1100*ms+doubtAfter, q.alarm)
	core.Upkeep(q.alarm)
	require.Equal(t, []*ticket.Ticket{one}, q.parked)
}

// Somebody else's Close may never return, and the permit may be of use elsewhere.
func TestWhoeverWaitsBehindACloseThatHangsHoldsNoPermitAndGoesOn(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	before, one := q.leased(core), q.ticket()
	core.Acquire(0, one)
	core.Return(0, before.Lease)
	core.Upkeep(doubtAfter)
	require.Equal(t, []*ticket.Ticket{one}, q.parked)
	require.Equal(t, 1, q.dials, "its socket may be open")

	core.Upkeep(closePatience - 1)
	require.Equal(t, 1, q.dials)
	require.Equal(t, closePatience, q.alarm)
	core.Upkeep(closePatience)
	require.Equal(t, 2, q.dials)
	require.Equal(t, 1, q.hangs, "it is told")
	require.Equal(t, 1, q.places)
	core.Dialled(closePatience, &conn{}, nil, nil, messages.Normal)
	require.Equal(t, []*ticket.Ticket{one}, q.requeued)

	core.Closed(2*closePatience, q.shut())
	require.Equal(t, 1, q.places, "it has given it back already")
}

// Otherwise connections that never close would be opened without end.
func TestNoMoreClosesThatHangAreForgottenThanThereMayBeConnections(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	now := time.Duration(0)
	hang := func() {
		one := q.ticket()
		core.Acquire(now, one)
		core.Dialled(now, &conn{}, nil, nil, messages.Normal)
		core.Return(now, one.Lease)
		now += closePatience
		core.Upkeep(now)
	}
	hang()
	hang()
	require.Equal(t, 2, q.hangs)
	hang()
	hang()
	require.Equal(t, 2, q.hangs)
	core.Acquire(now, q.ticket())
	require.Equal(t, 4, q.dials, "those beyond count until they are closed")
	core.Closed(now, q.shut())
	require.Equal(t, 3, q.hangs, "another may be forgotten now")
	require.Equal(t, 5, q.dials)
}

func TestWhoeverWaitsForADialAfterAPauseHoldsNoPermit(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	core.Acquire(0, q.ticket())
	core.Dialled(0, nil, errRefused, nil, messages.Normal)
	one := q.ticket()
	core.Acquire(time.Second, one)
	require.Equal(t, []*ticket.Ticket{one}, q.parked)
	core.Expire(time.Second, one)
	require.ErrorIs(t, one.Refused, context.DeadlineExceeded)
	require.ErrorContains(t, one.Refused, "all 1 connections of Connections.Max are in use or being opened: refused")
	require.Empty(t, q.requeued)
	core.Expire(time.Second, one)
	core.Abandon(time.Second, one)
	require.Len(t, q.told, 2, "once")
}

// A caller who forgets to close a stream must not take the permits of others.
func TestWhoeverWaitsBehindStreamsHoldsNoPermit(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 9})
	holder, one := q.leased(core), q.ticket()
	core.Streams(0, holder.Lease)
	core.Acquire(0, one)
	require.Empty(t, q.parked)
	require.Equal(t, doubtAfter, q.alarm)
	core.Upkeep(doubtAfter)
	require.Equal(t, []*ticket.Ticket{one}, q.parked)

	core.Return(time.Second, withoutDoubt(holder.Lease))
	require.Equal(t, []*ticket.Ticket{one}, q.requeued)
	one.Parked = false
	core.Acquire(time.Second, one)
	require.NotNil(t, one.Lease)
}

func TestStreamsThatHoldEverythingAreToldOfOnceAMinute(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 1})
	first, second := q.leased(core), q.ticket()
	core.Acquire(0, second)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	first.Lease.StreamedFrom = "main.go:1"
	core.Streams(0, first.Lease)
	core.Acquire(time.Second, q.ticket())
	core.Streams(2*time.Second, second.Lease)
	require.Empty(t, q.warned)
	core.Upkeep(2*time.Second + doubtAfter)
	require.Equal(t, 3*time.Second, q.alarm)
	core.Upkeep(3 * time.Second)
	require.Equal(t, []*messages.PoolFullError{{Cap: "Connections.Max", Most: 2, Streams: 2, Oldest: 3 * time.Second, OpenedAt: "main.go:1"}}, q.warned)
	require.Equal(t, 2, core.Describe().Streams)

	late := q.ticket()
	core.Acquire(4*time.Second, late)
	require.ErrorIs(t, late.Refused, messages.ErrTooManyWaiters)
	require.ErrorContains(t, late.Refused, "2 of them by response streams that were not closed, the oldest opened 4s ago at main.go:1")
	core.Upkeep(62 * time.Second)
	require.Len(t, q.warned, 1)
	core.Upkeep(63 * time.Second)
	require.Len(t, q.warned, 2)

	core.Return(64*time.Second, withoutDoubt(first.Lease))
	require.Equal(t, 1, core.Describe().Streams)
	core.Upkeep(3 * time.Minute)
	require.Len(t, q.warned, 2)
	require.Empty(t, first.Lease.StreamedFrom, "the next to be lent it streams nothing yet")
}

// A server that closes what has been idle for long may do so as a request leaves.
func TestAConnectionIsNotLentWhenItsServerHasItClosed(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	one := q.leased(core)
	one.Lease.Conn.(*conn).hint = time.Second
	core.Return(0, withoutDoubt(one.Lease))
	core.Acquire(time.Second-1, q.ticket())
	require.Equal(t, 1, q.dials, "just in time")
	core.Return(time.Second-1, withoutDoubt(one.Lease))
	core.Acquire(time.Second, q.ticket()) // the alarm is late
	require.Equal(t, 2, q.dials)
	require.Equal(t, 1, q.closes)
}

func TestAPoolIsUnusedThoughItsLastConnectionTookLongToClose(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1, Passivate: time.Second})
	core.Return(0, q.leased(core).Lease)
	core.Upkeep(time.Second)
	require.Zero(t, q.unused)
	core.Closed(3*time.Second, q.shut())
	require.Equal(t, 4*time.Second, q.alarm)
	core.Upkeep(4 * time.Second)
	require.Equal(t, 1, q.unused)
}

// Somebody else's code may never return.
func TestAPoolThatClosesIsPatientWithDialsAndClosesForAWhile(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 3, MaxWaiters: 3})
	kept, broken := q.leased(core), q.ticket()
	core.Acquire(0, broken)
	core.Dialled(0, &conn{}, nil, nil, messages.Normal)
	core.Acquire(0, q.ticket())
	core.Return(0, broken.Lease)
	kept.Lease.Abort = func() {}
	core.Close(0)
	core.Upkeep(closePatience)
	require.Zero(t, q.ended, "whoever has a connection gives it back")

	core.Return(2*closePatience, kept.Lease)
	require.Equal(t, 1, q.ended)
	core.Dialled(3*closePatience, &conn{}, nil, nil, messages.Normal)
	require.Equal(t, 3, q.closes, "it came too late")
	for range 3 {
		core.Closed(3*closePatience, q.shut())
	}
	require.Equal(t, 1, q.ended)
}

func TestTheLeastUrgentMakesRoomInAFullQueueAndTheLastToComeOfThose(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 3})
	holder := q.leased(core)
	var tickets []*ticket.Ticket
	asks := func(p messages.Priority) *ticket.Ticket {
		t := q.ticket()
		t.Priority = p
		core.Acquire(0, t)
		tickets = append(tickets, t)
		return t
	}
	early, between, late := asks(1), asks(2), asks(1)
	for _, urgent := range []*ticket.Ticket{asks(3), asks(3)} {
		require.NoError(t, urgent.Refused)
	}
	require.ErrorIs(t, late.Refused, messages.ErrTooManyWaiters)
	require.ErrorIs(t, early.Refused, messages.ErrTooManyWaiters)
	require.NoError(t, between.Refused)
	require.ErrorIs(t, asks(2).Refused, messages.ErrTooManyWaiters, "nobody makes room for one of the same rank")

	core.Return(time.Second, withoutDoubt(holder.Lease))
	require.NotNil(t, tickets[3].Lease, "and the first of the most urgent is served")
}

func TestManyWhoWaitWhileNoConnectionComesAboutAreACrowd(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 999})
	var all []*ticket.Ticket
	now := time.Duration(0)
	come := func(n int) {
		for range n {
			all = append(all, q.ticket())
			core.Acquire(now, all[len(all)-1])
		}
	}
	come(ticket.Many + 1)
	require.False(t, q.crowd, "a connection is being dialled")
	now = crowdAfter
	core.Abandon(now, all[5])
	require.True(t, q.crowd)
	core.Abandon(now, all[6])
	require.False(t, q.crowd, "one more has left")
	come(5)
	require.True(t, q.crowd)

	core.Dialled(now, &conn{}, nil, nil, messages.Normal)
	require.False(t, q.crowd, "its exchange will end")
	core.Streams(now, all[0].Lease)
	now += crowdAfter
	come(1)
	require.True(t, q.crowd, "a stream may take for ever")
	core.Return(now, withoutDoubt(all[0].Lease))
	require.False(t, q.crowd)

	core.Return(now, broken(all[1].Lease))
	now += crowdAfter
	come(2)
	require.True(t, q.crowd)
	core.Close(now)
	require.False(t, q.crowd, "everybody is answered")
}

func broken(l *ticket.Lease) *ticket.Lease {
	l.Reusable = false
	return l
}
