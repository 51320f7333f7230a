package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// The journey of one request, run by one goroutine at a time: the caller's own in Do, one
// that is lent to it otherwise (parked.go). It may therefore block where it exchanges bytes,
// and a panic reaches nobody else. What follows are methods of a slot, the actor (slots.go),
// which carries one life after another; what one call knows is its life (life.go). A state is
// a handler of messages, and the steps between two states are plain calls:
//
//	           ┌─────────────────────── WakeDue ───────────────────────┐
//	           ▼                                                       │
//	preparing ─▶ waiting ── LeaseGranted ──▶ attempt: sign, exchange,  │
//	  │ copy,     ▲│ AcquirePermit            settle                   │
//	  │ build,    ││ the ticket goes on        │                       │
//	  │ time      ││ from throttler to pool    ├── again ──▶ pausing ──┤
//	  │           ││                           ├── status to repeat ─▶ pausing
//	  │           ││                           ├── timestamp refused ──▶ resampling
//	  │           └┼── paused meanwhile ───────┤
//	  │            │                           │ done
//	  ▼            ▼                           ▼
//	finishing ◀── refused, cancelled, deadline, panic in any of them
//
// waiting is one wait for two things, a permit and a connection: the throttler
// hands a granted ticket straight to the pool, and one message wakes the
// request. In the last moment before its bytes leave it looks whether what it is
// about to do has been paused meanwhile, and if so waits again (recall). What is only
// rehearsed, for DryRun, ends where it would wait (rehearsal.go).

// Receive is part of actor.Actor: it has the library's own words.
func (r *slot) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Stopping:
		r.breakOffWait()
		r.attempt.giveBack()
	case *actor.Started, *actor.Stopped:
	default:
		r.Hear(m)
	}
}

// Hear is part of mailbox.Hearer. It hears every word, so that the library's own are all that
// Receive is left with.
func (r *slot) Hear(message any) (heard bool) {
	defer r.answerPanic()
	switch m := message.(type) {
	case lifeBegins:
		if r.prepare() {
			r.prepared()
		}
	case ticket.PermitQueued:
		if r.waits && m.Ticket == r.ticket { // and not one that an earlier life has left
			r.standBy(m.Ticket)
		}
	default:
		r.state(r, m)
	}
	return true
}

// answerPanic turns a panic into the caller's answer, and then lets it go on:
// the supervisor stops the actor.
func (r *slot) answerPanic() {
	if v := recover(); v != nil {
		r.failed = true
		r.breakOffWait()
		r.doubtSent()
		defer r.failAnyhow() // whatever its end calls
		r.fail(wire.Panicked(r.stage, v))
		panic(v)
	}
}

// ---- preparing: copy, pre-processors, final bytes, a pool, the time ----

// prepare lays out what every attempt starts from, and reports whether it could. It
// has returned by the time the request waits, and the room it takes is free again.
func (r *slot) prepare() bool {
	r.stage, r.state = messages.Preparing, (*slot).preparing
	r.WakeAt = r.deadline
	r.own.HoldWith(r.from, r.ctx)
	r.trace = traceOf(&r.own)
	if err := cmp.Or(r.build(), r.late(), r.halted()); err != nil {
		r.fail(err)
		return false
	}
	return true
}

// preparing waits for a first pool or a first sample of the server's time.
func (r *slot) preparing(message any) {
	switch m := message.(type) {
	case protocol.PoolOpened:
		r.timing.Leased += r.sinceParked()
		r.asking--
		r.proceed(m.Err)
	case protocol.TimeReady:
		r.goOn(false)
		r.timing.Signed += r.sinceParked()
		r.asking--
		r.proceed(m.Err)
	default:
		if r.lacksPool() {
			r.timing.Leased += r.sinceParked()
		} else {
			r.timing.Signed += r.sinceParked()
		}
		r.interrupted(m)
	}
}

// lacksPool reports whether a pool is still to be opened. A rehearsal needs none.
func (r *slot) lacksPool() bool { return r.pool == nil && r.terms.Rehearsed == nil }

func (r *slot) proceed(err error) {
	if err != nil {
		r.fail(err)
		return
	}
	r.prepared()
}

// prepared goes on once nothing is missing.
func (r *slot) prepared() {
	rehearses := r.terms.Rehearsed != nil
	if !rehearses { // a pool would dial
		r.enterPool()
	}
	switch {
	case r.lacksPool(), r.asked.Auth && !r.timeKnown():
		r.askForMissing()
	case rehearses:
		r.rehearse()
	default:
		r.enterWaiting()
	}
}

// askForMissing has what is missing asked for: a first pool or a first sample of the
// server's time.
func (r *slot) askForMissing() {
	r.asking++
	if r.lacksPool() {
		r.needs.Supervisor.Tell(protocol.OpenPool{Origin: r.call.Origin, Egress: r.asked.Egress, Owner: r.recipient()})
		return
	}
	r.standBy(nil)
	r.needs.Timesync.Tell(protocol.AwaitTime{Owner: r.recipient(), Deadline: r.instant(r.deadline)})
}

// ---- waiting: for a permit, then for a connection ----

// enterWaiting begins an attempt, under a permit of its own.
func (r *slot) enterWaiting() {
	r.stage, r.state = messages.Throttled, (*slot).waiting
	r.WakeAt = r.deadline
	r.trace.waits(r.call.Origin)
	r.attempt = attempt{slot: r}
	t := r.openTicket()
	if !t.Limited {
		r.enterLeasing()
		return
	}
	charge(&t.Permit, r.asked, r.limit, r.target.name)
	var err error
	if t.Permit.Weights, t.Permit.WeighedBy, err = r.weigh(t.Permit.Weights[:0]); err != nil {
		r.attempt.settle(throttle.NeverSent)
		r.fail(err)
		return
	}
	// This runs throttler and pool, if they are idle: the answer may lie in the
	// mailbox before Tell returns.
	r.waits = true
	r.tellAsks()
	r.needs.Throttler.Tell(ticket.AcquirePermit{Ticket: t})
}

// enterLeasing asks the pool directly: there is no limit, or the permit is
// still held from a connection that turned out to be stale. A pool that has
// ended would not answer.
func (r *slot) enterLeasing() {
	r.stage, r.state = messages.Leasing, (*slot).waiting
	r.WakeAt = r.deadline
	r.waits = true
	if r.isClosing() {
		r.attempt.settle(throttle.NeverSent)
		r.fail(messages.ErrClosed)
		return
	}
	r.pool.Tell(ticket.AcquireLease{Ticket: r.ticket})
}

func (r *slot) waiting(message any) {
	r.wait += r.sinceParked()
	switch m := message.(type) {
	case ticket.LeaseGranted:
		r.goOn(true)
		queued := m.Queued // read first: from take on the ticket has only what a permit needs
		r.attempt.take(m.Ticket)
		r.endWait(queued, nil)
		r.tryOnce()
	case ticket.TicketRefused:
		r.goOn(false)
		r.stage = m.Stage
		// Read first, for settle ends the ticket; and while it asks what may be the caller's own
		// error, breakOffWait knows what is held.
		queued, refused, outdated := r.queuedUntilRefused(m.Ticket), r.refused(m.Refused), weighedByOthers(m.Refused)
		r.attempt.permit = m.Stage == messages.Leasing && m.Limited // granted, and of no use now
		r.attempt.settle(throttle.NeverSent)
		r.endWait(queued, refused)
		if outdated {
			r.again()
			return
		}
		r.decide(nil, messages.SentNo, refused)
	case mailbox.WakeDue:
		r.expire(m, context.DeadlineExceeded)
	case mailbox.ContextDone:
		r.expire(m, messages.ContextError(&r.own))
	case protocol.HaltStands:
		r.leaveIfHalted()
	default:
		r.leaveQueue(m)
	}
}

// expiryGrace is how long whoever has the ticket may take to say what it waited
// for. Neither throttler nor pool ever block, so that is long.
const expiryGrace = 20 * time.Millisecond

// expire ends the wait because time is up: whoever has the ticket refuses it,
// and says what it waited for. Without an answer, which takes no time unless an
// actor has just failed, the request leaves by itself. The request's own time and its context's
// are mostly up at the same instant: the second to tell of it waits for the same answer.
func (r *slot) expire(message any, reason error) {
	_, due := message.(mailbox.WakeDue)
	switch {
	case !errors.Is(reason, context.DeadlineExceeded), due && r.timeUp != nil:
		r.leaveQueue(message)
		return
	case r.timeUp != nil:
		r.timeUp = reason // which is the caller's own
		return
	}
	r.timeUp = reason
	r.WakeAt = time.Now().Add(expiryGrace)
	if r.ticket.Limited {
		r.needs.Throttler.Tell(ticket.ExpirePermit{Ticket: r.ticket})
	} else {
		r.pool.Tell(ticket.ExpireLease{Ticket: r.ticket})
	}
}

// leaveQueue ends the wait on the caller's behalf, unless the answer is
// already on its way: then that answer decides.
func (r *slot) leaveQueue(message any) {
	if r.quitQueue() {
		r.interrupted(message)
	}
}

// quitQueue takes the ticket back, wherever it is, and reports false if it has been
// answered.
func (r *slot) quitQueue() bool {
	if !r.ticket.Cancel() {
		return false
	}
	if r.ticket.Limited {
		r.needs.Throttler.Tell(ticket.AbandonPermit{Ticket: r.ticket})
	} else {
		r.pool.Tell(ticket.AbandonLease{Ticket: r.ticket})
	}
	r.attempt.permit = false // whoever meets the ticket gives its permit back
	return true
}

// breakOffWait ends the wait of a life that is broken off: its ticket would stand there for
// nobody. What an answer has brought that nobody will hear is the attempt's, to be given back.
func (r *slot) breakOffWait() {
	a := &r.attempt
	if !r.waits || r.quitQueue() || r.ticket.Left() || a.lease != nil || a.permit {
		return
	}
	if r.ticket.Lease != nil {
		a.take(r.ticket)
	} else {
		a.permit = r.ticket.Stage == messages.Leasing && r.ticket.Limited
	}
}

// ---- one attempt, without a wait but for the socket ----

func (r *slot) tryOnce() {
	if err := r.attempt.sign(); err != nil {
		r.fail(err)
		return
	}
	if !r.MayLeave() {
		r.recall()
		return
	}
	if err := r.attempt.depart(); err != nil {
		r.fail(err)
		return
	}
	response, sent, err := r.attempt.exchange()
	if errors.Is(err, wire.ErrRecalled) { // as MayLeave has it, behind a wait for others on the connection
		r.attempt.letGo()
		r.recall()
		return
	}
	if r.attempt.staleUnused(sent, err) {
		r.attempt.letGo()
		r.reopenTicket()
		r.trace.waits(r.call.Origin)
		r.enterLeasing() // the permit is good still; only the connection was not
		return
	}
	r.noteExchange(sent, err)
	refused := r.attempt.conclude(response, sent, err)
	if refused && r.needs.Timesync == nil {
		r.tellNoTime()
	}
	if r.observed && r.needs.Observers.attempts {
		r.noteAttempt(response, sent, err)
	}
	r.follow(response, sent, err, refused)
}

// follow decides what an exchange is followed by. refused says that its timestamp was.
func (r *slot) follow(response *messages.Response, sent messages.Sent, err error, refused bool) {
	switch {
	case err != nil:
		r.decide(response, sent, err)
	case refused && !r.resampled && r.needs.Timesync != nil && r.upload.retire():
		r.repeatWithCookies(response)
		r.detach(response)
		r.enterResampling(response)
	case !r.renewed && r.upload.repeats() && r.attempt.renewCredentials(response) && r.upload.retire():
		r.renewed = true // once: what is refused again is the answer
		r.repeatWithCookies(response)
		r.closeStream()
		r.again()
	case r.asked.Redirects > 0 && r.redirect(response):
		r.again()
	case r.pauseForStatus(response): // and then again
	default:
		r.enterFinishing(response)
	}
}

// MayLeave is part of protocol.Sender: the request's context has not ended, nothing is paused that it
// is charged in, and its limits are those that it was granted by.
func (r *slot) MayLeave() bool {
	return r.contextEnded() == nil && !r.needs.Held(r.target.name, r.attempt.charged()) && !r.outdated()
}

// recall takes the request back that was about to leave into a pause, or against
// limits that were lowered. It keeps its rank, and neither its permit nor its
// connection. One whose context has ended does not wait again.
func (r *slot) recall() {
	if err := r.contextEnded(); err != nil {
		r.attempt.giveUp()
		r.fail(err)
		return
	}
	permit := r.attempt.withdraw()
	if !permit {
		r.enterWaiting() // now under a permit, which the pause holds back
		return
	}
	r.stage, r.state = messages.Throttled, (*slot).waiting
	r.trace.waits(r.call.Origin)
	r.attempt = attempt{slot: r}
	r.waits = true
	r.reopenTicket()
	r.needs.Throttler.Tell(ticket.RequeuePermit{Ticket: r.ticket})
}

// again begins another attempt.
func (r *slot) again() {
	r.tellAttempt(true)
	r.renewTicket()
	r.enterWaiting()
}

// ---- resampling: a new look at the server's clock ----

// enterResampling waits for a new look at the server's clock, and then repeats
// a request whose timestamp was refused, once: the server did not execute it. Should
// there be no better clock to be had, or no time for another attempt, the refusal is the answer.
func (r *slot) enterResampling(refusal *messages.Response) {
	r.tellAttempt(true)
	r.stage, r.state = messages.Pausing, (*slot).resampling
	r.WakeAt = r.deadline
	r.resampled = true
	r.label(refusal)
	r.lastAnswer = refusal
	r.asking++
	r.standBy(nil)
	r.needs.Timesync.Tell(protocol.AwaitSample{Owner: r})
}

func (r *slot) resampling(message any) {
	r.timing.Paused += r.sinceParked()
	ready, ok := message.(protocol.TimeReady)
	if !ok {
		r.interrupted(message)
		return
	}
	r.goOn(false)
	r.asking--
	if ready.Err != nil {
		refusal := r.lastAnswer
		r.lastAnswer = nil
		r.enterFinishing(refusal)
		return
	}
	r.again()
}

// ---- pausing: between a failed attempt and the next ----

// decide repeats a failed attempt if that does no harm, and if there is time
// and budget for it. response is an answer that was cut off, or nil.
func (r *slot) decide(response *messages.Response, sent messages.Sent, err error) {
	pause, again := r.next(sent, err)
	if !again || r.pastDeadline(pause) || !r.upload.retire() {
		r.fail(err)
		return
	}
	if response != nil {
		r.repeatWithCookies(response)
	}
	r.closeStream()
	r.doubt(response)
	r.err = err // what the caller is told if the pause is cut short
	r.enterPausing(time.Now().Add(pause), loggable(err))
}

// next is whether another attempt follows a failed one, and after which pause.
func (r *slot) next(sent messages.Sent, err error) (pause time.Duration, again bool) {
	if r.spares(sent, err) {
		r.spared++
		return r.retries.growing(r.spared), true
	}
	r.failures++
	wait := r.untilDialled(err)
	if wait > r.retries.ceiling(r.failures) { // a repetition before then would spend its token on the same error
		return 0, false
	}
	pause, again = r.retries.after(r.failures, sent, r.asked.IsIdempotent(), err)
	return max(pause, wait), again
}

// enterPausing waits for the instant of the next attempt. why is for the log.
func (r *slot) enterPausing(until time.Time, why any) {
	r.tellAttempt(true)
	r.stage, r.state = messages.Pausing, (*slot).pausing
	r.WakeAt = until
	r.standBy(nil)
	place := r.failure(nil)
	r.needs.Logger.Debug("repeating an attempt after a pause", "method", place.Method, "path", place.Path,
		"attempts", r.tried, "failures", r.failures, "pause", time.Until(until), "error", why)
}

func (r *slot) pausing(message any) {
	r.timing.Paused += r.sinceParked()
	if _, ok := message.(mailbox.WakeDue); !ok {
		r.interrupted(message)
		return
	}
	r.goOn(false)
	r.err = nil
	r.again()
}

// ---- finishing: post-processors, the required content type, the answer ----

func (r *slot) enterFinishing(response *messages.Response) {
	r.tellAttempt(false)
	// Without post-processors the request ends when its answer has come: the time that observers
	// of the attempt have just taken is not its own.
	atAnswer := r.stage == messages.Exchanging && len(r.needs.Plan.PostProcessors) == 0
	r.stage = messages.Finishing
	r.label(response)
	response.Timing = r.timing
	if r.asked.Stream && response.Stream == nil {
		response.Stream = http.NoBody
	}
	if err := r.finish(response); err != nil {
		if r.stream != nil && response.Stream != nil {
			_ = response.Stream.Close() // which a post-processor may have wrapped
		}
		r.fail(err)
		return
	}
	response.Timing.Total = r.total(response, atAnswer)
	r.response, r.lent, r.stream = response, r.stream, nil
	r.Finished = true
}

// fail ends the request with an error that says where it was. Only the first
// reason counts.
func (r *slot) fail(err error) {
	if r.Finished {
		return
	}
	silence := r.silence()
	if r.waits { // and nobody has answered the ticket
		r.leaveWait(err)
	}
	r.tellAttempt(false)
	if r.asking > 0 && r.needs.Timesync != nil {
		r.needs.Timesync.Tell(protocol.LeaveTime{Owner: r.recipient()}) // or it would be kept for as long as there is no time
	}
	if last := r.lastAnswer; last != nil {
		r.lastAnswer = nil // first: should a post-processor refuse it, enterFinishing comes here again
		if r.leftNoRoom(err) {
			r.enterFinishing(last)
			return
		}
		err = errors.Join(err, last.Err())
	}
	r.closeStream()
	r.upload.abandon()
	r.response = nil
	failure := r.failure(err)
	messages.NoteMemory(failure, err, silence)
	r.logFailure(failure, r.stage, err)
	r.err = failure
	r.Finished = true
}

// interrupted is every state's answer to what is not its own business: the
// caller left, time is up, the engine closes.
func (r *slot) interrupted(message any) {
	switch m := message.(type) {
	case mailbox.ContextDone:
		r.fail(r.withLastError(messages.ContextError(&r.own)))
	case mailbox.WakeDue:
		r.fail(r.withLastError(cmp.Or(r.timeUp, context.DeadlineExceeded)))
	case mailbox.EngineClosing:
		r.fail(r.withLastError(messages.ErrClosed))
	case protocol.HaltStands:
		if err := r.halted(); err != nil {
			r.fail(r.withLastError(err))
		}
	default:
		r.needs.Logger.Error("request was told a word it does not know", "word", fmt.Sprintf("%T", m), "stage", r.stage.String())
	}
}

func (r *slot) pastDeadline(pause time.Duration) bool {
	return !r.deadline.IsZero() && time.Until(r.deadline) <= pause
}

// late is the error of a request whose deadline passed in user code.
func (r *slot) late() error {
	if r.pastDeadline(0) {
		return context.DeadlineExceeded
	}
	return nil
}
