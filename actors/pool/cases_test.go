package pool

import (
	"errors"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// quiet is an outlet, and everybody else, for a pool of one connection at a time.
type quiet struct {
	dials, forsaken, ended int
	alarm                  time.Duration
	fails                  bool // the next dial to be begun fails the call that begins it
	told                   []any
}

func (q *quiet) Dial(*httptrace.ClientTrace) {
	q.dials++
	if q.fails {
		panic("as a test wants it")
	}
}
func (*quiet) AbortDials()                        {}
func (*quiet) Close(protocol.Connection)          {}
func (q *quiet) Forsake(*ticket.Ticket)           { q.forsaken++ }
func (q *quiet) RingAt(at time.Duration)          { q.alarm = at }
func (*quiet) Draw(d time.Duration) time.Duration { return d }
func (*quiet) Unused()                            {}
func (*quiet) HookFailed(*messages.PanicError)    {}
func (q *quiet) End()                             { q.ended++ }
func (q *quiet) Tell(message any)                 { q.told = append(q.told, message) }

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

func TestWhatIsBeingDialledCountsAsOpen(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 9})
	for range 4 {
		core.Acquire(0, q.ticket())
	}
	require.Equal(t, 2, q.dials)
	core.Dialled(0, &conn{}, nil, nil)
	core.Dialled(0, &conn{}, nil, nil)
	require.Equal(t, 2, q.dials)
	require.Len(t, q.told, 2)
}

func TestWhoeverWaitsThroughAPauseIsDialledForAtItsEnd(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 1, MaxWaiters: 1})
	core.Acquire(0, q.ticket())
	core.Dialled(0, nil, errors.New("refused"), nil)
	require.Len(t, q.told, 1, "refused")
	core.Acquire(100*ms, q.ticket())
	require.Equal(t, 1, q.dials)
	require.Equal(t, time.Second, q.alarm)
	core.Upkeep(time.Second)
	require.Equal(t, 2, q.dials)
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
	core.Dialled(0, &conn{}, nil, nil)
	require.Equal(t, ticket.LeaseGranted{Ticket: other}, q.told[1])
}

func TestATicketThatHasItsConnectionIsNoBusinessOfALaterFailure(t *testing.T) {
	q, core := newQuiet(Config{MaxConns: 2, MaxWaiters: 2, MinIdle: 1})
	core.Recover(0)
	core.Dialled(0, &conn{}, nil, nil)
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
	core.Dialled(0, &conn{}, nil, nil)
	core.Return(0, withoutDoubt(one.Lease))
	require.True(t, gone.Cancel())

	core.Acquire(0, gone)
	core.Abandon(gone)

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
