package throttler

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Needs are what a throttler is handed.
type Needs struct {
	DeskNeeds
	Epoch    time.Time          // instant zero of the ledger's clock
	Clock    *clock.Published   // what is known of the server's clock; written by timesync
	Timesync protocol.Recipient // nil without a source of time
	Logger   *slog.Logger
	Address  mailbox.Address // where the throttler is told things
	// After has a granted ticket leave once that is remembered, or not at all: it says which. Nil
	// means at once.
	After func(leave func(remembered bool))
}

// Throttler is what outlives the failures of the actor.
type Throttler struct {
	needs   Needs
	desk    *Desk
	alarm   mailbox.Alarm
	board   board
	tariffs atomic.Pointer[throttle.Tariffs] // of the table as it stands; any goroutine reads it
	// passed are the tickets that were granted in this turn. The actor's, and sendOn's.
	passed []*ticket.Ticket
}

// What a throttler tells itself.
type (
	due        struct{}                   // its alarm
	unrecorded struct{ t *ticket.Ticket } // that will not be remembered, for the engine ends
)

// New makes a throttler that is still to be spawned.
func New(needs Needs) *Throttler {
	t := &Throttler{needs: needs, alarm: mailbox.NewAlarm(needs.Address, due{})}
	t.desk = NewDesk(needs.DeskNeeds, t)
	t.tariffs.Store(needs.Tariffs)
	needs.Address.AfterEach(t.sendOn)
	return t
}

// Incarnate makes the actor, at first and after each failure.
func (t *Throttler) Incarnate() actor.Actor { return incarnation{t} }

// Failed is part of protocol.Survivor.
func (t *Throttler) Failed(message any) {
	switch m := message.(type) {
	case ticket.AcquirePermit:
		t.desk.Failed(m.Ticket)
	case ticket.TryPermit:
		t.desk.Failed(m.Ticket)
	case ticket.SettlePermit:
		t.desk.Failed(m.Ticket)
	case ticket.RequeuePermit:
		t.desk.Failed(m.Ticket)
	case unrecorded:
		t.desk.Failed(m.t)
	default:
		t.desk.Failed(nil)
	}
}

// incarnation is the actor between two failures. It has no state of its own.
type incarnation struct{ *Throttler }

// Receive is part of actor.Actor: it has what Hear does not hear.
func (t incarnation) Receive(ctx actor.Context) { t.hearOwn(ctx.Message()) }

// Hear is part of mailbox.Hearer: the words about tickets.
func (t incarnation) Hear(message any) (heard bool) {
	switch m := message.(type) {
	case ticket.AcquirePermit:
		t.desk.Acquire(t.now(), m.Ticket)
	case ticket.SettlePermit:
		t.desk.Settle(t.now(), m.Ticket)
	case ticket.AbandonPermit:
		t.desk.Abandon(t.now(), m.Ticket)
	case ticket.ExpirePermit:
		t.desk.Expire(t.now(), m.Ticket)
	case ticket.ParkPermit:
		t.desk.Park(t.now(), m.Ticket)
	case ticket.RequeuePermit:
		t.desk.Requeue(t.now(), m.Ticket)
	case ticket.TryPermit:
		t.desk.Try(t.now(), m.Ticket)
	default:
		return false
	}
	return true
}

// hearOwn has other words than those about tickets, and takes more room: those come on the
// stacks of their callers, who may be many.
func (t incarnation) hearOwn(message any) {
	switch m := message.(type) {
	case protocol.HeedAnswer:
		t.heed(m)
	case due:
		t.desk.Due(t.now())
	case unrecorded:
		t.desk.Withdraw(t.now(), m.t)
	case protocol.ClockKnown:
		t.desk.Due(t.now()) // whoever waits for a window may have an earlier one now
	case protocol.CloseThrottler:
		t.alarm.Stop()
		t.desk.Close(t.now())
	case *actor.Started:
		t.desk.Recover(t.now())
	case *actor.Restarting, *actor.Stopping:
		t.alarm.Stop()
	case *actor.Stopped:
	default:
		if !t.operate(m) {
			t.needs.Logger.Error("throttler was told a word it does not know", "word", fmt.Sprintf("%T", m))
		}
	}
}

// operate does what whoever runs the engine asks for, and answers its Owner; it reports
// false for any other word.
func (t *Throttler) operate(message any) bool {
	switch m := message.(type) {
	case protocol.ReplaceLimits:
		m.Owner.Tell(protocol.LimitsReplaced{Err: t.replace(m)})
	case protocol.AdjustLimit:
		m.Owner.Tell(protocol.LimitAdjusted{Err: t.desk.Adjust(t.now(), m.ID, m.Of, m.Delta)})
	case protocol.SetShare:
		m.Owner.Tell(protocol.ShareSet{Err: t.desk.SetShare(t.now(), m.ID, m.Share, m.Margin)})
	case protocol.AnnounceQuota:
		m.Owner.Tell(protocol.QuotaAnnounced{Err: t.desk.AnnounceQuota(t.now(), m.ID, m.Parts, m.Quota)})
	case protocol.PauseScope:
		now := t.now()
		m.Owner.Tell(protocol.ScopeSet{Err: t.desk.Pause(now, m.Scope, now+min(m.For, throttle.Never-now))})
	case protocol.ResumeScope:
		m.Owner.Tell(protocol.ScopeSet{Err: t.desk.Resume(t.now(), m.Scope)})
	case protocol.HaltQueue:
		t.desk.Halt(t.now(), m.Halt)
		m.Owner.Tell(protocol.HaltTaken{})
	case protocol.DrainHalted:
		m.Owner.Tell(protocol.HaltedDrained{Left: t.desk.Drain(t.now())})
	case protocol.ForeseePermit:
		m.Owner.Tell(t.foresee(m.Permit))
	case protocol.DescribeLimits:
		m.Owner.Tell(protocol.LimitsDescribed{Snapshot: t.describe(m.Most)})
	case protocol.ListWaiting:
		m.Owner.Tell(protocol.WaitingListed{Waiters: t.desk.Waiting(t.now(), m.N)})
	default:
		return false
	}
	return true
}

func (t *Throttler) describe(most int) throttle.Snapshot {
	if most > 0 {
		return t.desk.Glance(t.now(), most)
	}
	return t.desk.Snapshot(t.now())
}

func (t *Throttler) foresee(p throttle.Permit) (foreseen protocol.PermitForeseen) {
	foreseen.Forecast, foreseen.Err = t.desk.Foresee(t.now(), p)
	return foreseen
}

func (t *Throttler) heed(m protocol.HeedAnswer) {
	t.desk.Heed(t.now(), Heard{Origin: m.Origin, Limit: m.Limit, Of: m.Of, Left: m.Left, Said: &m.Signals, Charged: m.Charged})
	if m.Heard != nil {
		close(m.Heard)
	}
}

// replace swaps the table, and what requests weigh by it, in one turn: whoever asks after
// that for weights of the old one is told so, and finds the new ones.
func (t *Throttler) replace(m protocol.ReplaceLimits) error {
	err := t.desk.Replace(t.now(), m.Limits, m.Tariffs)
	if err == nil {
		t.tariffs.Store(m.Tariffs)
	}
	return err
}

// Tariffs returns what requests are weighed by; nil if no weight depends on the request.
// Any goroutine may call it.
func (t *Throttler) Tariffs() *throttle.Tariffs { return t.tariffs.Load() }

func (t *Throttler) now() time.Duration { return time.Since(t.needs.Epoch) }

// RingAt is part of Outlet.
func (t *Throttler) RingAt(at time.Duration) { t.alarm.RingIn(at - t.now()) }

// Pass is part of Outlet. The pool is told when the turn is over, and not in the
// middle of it: there its turn would stand upon this one, on the stack of a caller.
// Where a grant has to be remembered first, it is told once that is so; the ticket is nobody
// else's until then. One that will not be remembered goes nowhere: the next engine would spend it
// again.
func (t *Throttler) Pass(granted *ticket.Ticket) {
	if t.needs.After != nil {
		pool := granted.Pool
		granted.AwaitMemory(granted.Permit.GrantedAt())
		t.needs.After(func(remembered bool) {
			granted.Remembered()
			if !remembered {
				t.needs.Address.Tell(unrecorded{granted})
				return
			}
			pool.Tell(ticket.AcquireLease{Ticket: granted})
		})
		return
	}
	t.passed = append(t.passed, granted)
}

// Follow is part of Outlet. Where a grant has to be remembered first, what follows it
// waits as well: a pool is told nothing of a ticket that it has not got. Where nobody knows whether
// it has, the engine ends, and so does all that waits there.
func (t *Throttler) Follow(passed *ticket.Ticket, word any) {
	pool := passed.Pool // when it is told, the ticket may be its request's again
	if t.needs.After != nil {
		t.needs.After(func(remembered bool) {
			if remembered {
				pool.Tell(word)
			}
		})
		return
	}
	pool.Tell(word)
}

// sendOn tells the pools of the tickets that were granted in the turn before, also if
// that ended in a failure: they are in flight.
func (t *Throttler) sendOn() {
	for i, granted := range t.passed {
		t.passed[i] = nil // it is the pool's now
		granted.Pool.Tell(ticket.AcquireLease{Ticket: granted})
	}
	if t.passed = t.passed[:0]; cap(t.passed) > keptPlaces {
		t.passed = nil
	}
}

// ServerClock is part of Outlet.
func (t *Throttler) ServerClock() Reading {
	if s := t.needs.Clock.Load(); s != nil {
		return s
	}
	return nil // not a typed one
}

// AskForTime is part of Outlet.
func (t *Throttler) AskForTime() {
	if t.needs.Timesync != nil {
		t.needs.Timesync.Tell(protocol.ResampleTime{})
	}
}

// Post is part of Outlet.
func (t *Throttler) Post(paused []throttle.PausedScope) { t.board.post(paused) }

// PostTable is part of Outlet.
func (t *Throttler) PostTable(number uint32) { t.board.table.Store(number) }

// Held reports whether a request must not leave now; see board. Any goroutine
// may call it.
func (t *Throttler) Held(origin string, charged *throttle.Charged) bool {
	return t.board.held(t.now, origin, charged)
}

// Gated reports whether a request without a limit needs a permit for an origin;
// see board. Any goroutine may call it.
func (t *Throttler) Gated(origin string) bool { return t.board.gated(origin) }

// Warn is part of Outlet.
func (t *Throttler) Warn(text string, args ...any) { t.needs.Logger.Warn(text, args...) }

// Counts are those of the desk. Any goroutine may read them.
func (t *Throttler) Counts() *Counts { return &t.desk.counts }

// Outdated reports whether the limits may admit less than when a permit was granted. Any
// goroutine that has the permit may call it.
func (t *Throttler) Outdated(charged *throttle.Charged) bool {
	return charged.Table() < t.board.table.Load()
}
