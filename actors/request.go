package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// request carries one call from Do to its single answer. Each call is one life
// of it (see slot.go), run by the caller's goroutine, so it may block where it
// exchanges bytes; a panic in it reaches nobody else.
//
//	            ┌──────────────────────── wakeDue ─────────────────────────┐
//	            ▼                                                          │
//	preparing ─▶ throttled ── the ticket goes on ──▶ leasing                │
//	  │ copy,     │ AcquirePermit                     │ LeaseGranted        │
//	  │ build,    │                                   ▼                     │
//	  │ time      │                        signing, exchanging, settling    │
//	  │           │                                   │                     │
//	  │           │                                deciding ── again ──▶ pausing
//	  │           │                                   │ done
//	  ▼           ▼                                   ▼
//	finishing ◀── refused, cancelled, deadline, panic in any of them
//
// throttled and leasing are one wait: the throttler hands a granted ticket
// straight to the pool, and one message wakes the request.
type request struct {
	callerMailbox
	system  *System
	id      string
	props   *actor.Props
	watch   watch
	spawned bool
	lives   int         // counted for the retry budget, in batches
	kept    bool        // among the slots that live again
	index   int         // there; guarded by their lock
	free    atomic.Bool // whoever clears it has the slot

	// Everything below belongs to the goroutine in run, and is cleared between
	// two lives of the slot.

	ctx      context.Context
	asked    *messages.Request // the caller's own value, or the pre-processors' copy
	deadline time.Time         // zero means never

	state func(*request, any) // the current state is the current handler
	stage messages.Stage      // the same, in the words of an Error

	limit    string         // the limit to charge, or messages.Unlimited
	built    messages.Call  // what every attempt starts from
	target   target         // kept between lives
	url      string         // what the response will say was asked
	call     *messages.Call // this attempt's: &built, or &signed
	signed   messages.Call
	fields   []messages.Field // of signed
	pool     *poolDoor        // entered
	ticket   *messages.Ticket // of this attempt
	spare    *messages.Ticket // one before it, which the throttler may not have let go of
	first    messages.Ticket  // one of the two
	permit   bool             // a granted permit is to be settled
	lease    *messages.Lease
	turn     bool          // in the lane of an ordered authenticator
	asking   int           // answers still to come from supervisor or timesync
	attempts int           // exchanges begun on a connection that was good
	failures int           // failed dials and exchanges
	sent     messages.Sent // the worst of all attempts

	resampled   bool               // a timestamp was refused, and the clock looked at again
	refusal     *messages.Response // of the timestamp
	redirects   int                // followed
	contentType string             // of the body, as the engine laid it out

	trace    trace
	upload   *upload // of a body that is read while it is sent; nil otherwise
	stream   *Stream // the response's, until the caller has it
	response *messages.Response
	err      error
	failed   bool // panicked: the library may still hold the mailbox
}

// Tell is part of messages.Recipient. It posts to the mailbox directly: the
// process registry would only look up this same mailbox.
func (r *request) Tell(message any) { r.PostUserMessage(message) }

// Receive is part of actor.Actor.
func (r *request) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case lifeBegins:
		defer r.answerPanic()
		r.enterPreparing()
	case *actor.Stopping:
		r.giveBack()
	case *actor.Started, *actor.Stopped:
	default:
		defer r.answerPanic()
		r.state(r, m)
	}
}

// answerPanic turns a panic into the caller's answer, and then lets it go on:
// the supervisor stops the actor.
func (r *request) answerPanic() {
	if v := recover(); v != nil {
		r.failed = true
		r.fail(&messages.PanicError{Stage: r.stage, Value: v, Stack: debug.Stack()})
		panic(v)
	}
}

// ---- preparing: copy, pre-processors, final bytes, a pool, the time ----

func (r *request) enterPreparing() {
	r.stage, r.state = messages.Preparing, (*request).preparing
	r.wakeAt = r.deadline
	r.trace = traceOf(r.ctx)
	if err := cmp.Or(r.build(), r.late()); err != nil {
		r.fail(err)
		return
	}
	r.prepared()
}

// preparing waits for a first pool or a first sample of the server's time.
func (r *request) preparing(message any) {
	switch m := message.(type) {
	case messages.PoolOpened:
		r.asking--
		r.proceed(m.Err)
	case messages.TimeReady:
		r.asking--
		r.proceed(m.Err)
	default:
		r.interrupted(m)
	}
}

func (r *request) proceed(err error) {
	if err != nil {
		r.fail(err)
		return
	}
	r.prepared()
}

// prepared goes on once nothing is missing.
func (r *request) prepared() {
	r.enterPool()
	switch {
	case r.pool == nil:
		r.asking++
		r.system.supervisor.Tell(messages.OpenPool{Origin: r.built.Origin, Owner: r})
	case r.asked.Auth && !r.system.timeKnown():
		r.asking++
		r.system.timesync.Tell(messages.AwaitTime{Owner: r})
	default:
		r.enterThrottled()
	}
}

// enterPool enters the pool of the origin, if there is one. A slot stays inside
// between two lives, and mostly meets the same origin again.
func (r *request) enterPool() {
	if r.pool != nil && r.pool == r.target.door {
		return
	}
	r.leavePool()
	r.pool = r.system.enterPool(r.built.Origin)
	r.target.door = r.pool
}

// ---- throttled and leasing: one wait for a permit and a connection ----

func (r *request) enterThrottled() {
	r.stage, r.state = messages.Throttled, (*request).waiting
	r.wakeAt = r.deadline
	r.trace.waits(r.built.Origin)
	t := r.ticket
	t.Reopen()
	t.Owner, t.Pool, t.Lease, t.Trace = r, r.pool, nil, r.trace.hooks
	if t.Told {
		t.Outcome, t.Signals, t.Told = throttle.Outcome{}, feedback.Feedback{}, false
	}
	t.Limited, t.Deadline = !r.unlimited(), r.system.instant(r.deadline)
	t.Permit.Deadline = t.Deadline
	if r.unlimited() {
		r.enterLeasing()
		return
	}
	t.Permit.Limit = r.limit
	t.Permit.Key = r.asked.Key
	t.Permit.Weight = r.asked.Weight
	t.Permit.Priority = int(r.asked.Priority)
	r.system.throttler.Tell(messages.AcquirePermit{Ticket: t})
}

// enterLeasing asks the pool directly: there is no limit, or the permit is
// still held from a connection that turned out to be stale. A pool that has
// ended would not answer.
func (r *request) enterLeasing() {
	r.stage, r.state = messages.Leasing, (*request).waiting
	r.wakeAt = r.deadline
	if r.system.isClosing() {
		r.settle(throttle.NeverSent)
		r.fail(messages.ErrClosed)
		return
	}
	r.pool.Tell(messages.AcquireLease{Ticket: r.ticket})
}

func (r *request) waiting(message any) {
	switch m := message.(type) {
	case messages.LeaseGranted:
		r.lease = m.Lease
		r.permit = !r.unlimited()
		r.attempt()
	case messages.TicketRefused:
		r.stage = m.Stage
		r.permit = m.Stage == messages.Leasing && !r.unlimited() // granted, and of no use now
		r.settle(throttle.NeverSent)
		r.decide(messages.SentNo, refusal(m.Refused))
	default:
		r.leaveQueue(m)
	}
}

// refusal makes a deadline that no permit can meet look like any other.
func refusal(err error) error {
	if errors.Is(err, throttle.ErrDeadline) {
		return fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
	}
	return err
}

// leaveQueue ends the wait on the caller's behalf, unless the answer is
// already on its way: then that answer decides.
func (r *request) leaveQueue(message any) {
	if !r.ticket.Cancel() {
		return
	}
	if r.unlimited() {
		r.pool.Tell(messages.AbandonLease{Ticket: r.ticket})
	} else {
		r.system.throttler.Tell(messages.AbandonPermit{Ticket: r.ticket})
	}
	r.permit = false
	r.interrupted(message)
}

// ---- signing, exchanging, settling: one attempt, without a wait but for the socket ----

func (r *request) attempt() {
	r.stage = messages.Signing
	r.trace.leased(r.lease)
	err := r.takeTurn()
	if err == nil {
		err = r.sign()
	}
	if err != nil {
		r.endTurn()
		r.upload.close()
		r.returnLease(true)
		r.settle(throttle.NeverSent)
		r.fail(err)
		return
	}
	r.stage = messages.Exchanging
	fresh := r.lease.Fresh()
	r.lease.Uses++
	response, sent, err := r.exchange()
	r.endTurn()
	if sent == messages.SentNo && !fresh && errors.Is(err, messages.ErrStale) {
		r.ticket.Reopen()
		r.trace.waits(r.built.Origin)
		r.enterLeasing() // the permit is good still; only the connection was not
		return
	}
	r.attempts++
	r.sent = max(r.sent, sent)
	refused := r.note(response, sent)
	switch {
	case err != nil:
		r.decide(sent, err)
	case refused && !r.resampled && r.system.config.Sample != nil && r.upload.repeats():
		r.enterResampling(response)
	case r.asked.Redirects > 0 && r.redirected(response):
	default:
		r.enterFinishing(response)
	}
}

// sign builds this attempt's call: the same bytes as every attempt's, and
// credentials made for this one.
func (r *request) sign() error {
	if r.ctx.Err() != nil {
		return ContextError(r.ctx)
	}
	if err := r.upload.open(&r.built); err != nil {
		return err
	}
	r.call = &r.built
	if !r.asked.Auth {
		return nil
	}
	r.signed = r.built
	r.fields = append(r.fields[:0], r.built.Fields...)
	r.signed.Fields = r.fields
	r.call = &r.signed
	if err := r.system.config.Auth.Authenticate(r.call, r.system.Clock()); err != nil {
		return err
	}
	if r.upload != nil && len(r.call.Body) > 0 {
		return errors.New("authenticator gave a body to a request whose body is streamed")
	}
	return r.late()
}

// late is the error of a request whose deadline passed in user code.
func (r *request) late() error {
	if r.pastDeadline(0) {
		return context.DeadlineExceeded
	}
	return nil
}

// exchange writes and reads. The context is watched from the side, and only
// aborts the connection; a connection that may have been aborted is not used
// again.
func (r *request) exchange() (*messages.Response, messages.Sent, error) {
	r.watch.begin(r.ctx, r.lease.Abort)
	response, sent, err := r.lease.Conn.Exchange(r.call, r.deadline)
	intact := r.watch.end()
	if err == nil && response.Stream != nil {
		return r.keepStream(response, intact)
	}
	r.upload.close()
	if err != nil {
		r.lease.UsedAt = time.Now()
		err = r.reason(err, intact)
	} else {
		r.lease.UsedAt = response.AnsweredAt
	}
	r.returnLease(intact && r.lease.Conn.Reusable())
	return response, sent, err
}

// keepStream gives the lease to the response's stream.
func (r *request) keepStream(response *messages.Response, intact bool) (*messages.Response, messages.Sent, error) {
	r.stream = newStream(r, r.lease, response.Stream)
	r.stream.OnEnd(r.upload.close)
	r.lease = nil
	if !intact {
		return nil, messages.SentYes, ContextError(r.ctx)
	}
	response.Stream = r.stream
	return response, messages.SentYes, nil
}

// reason puts the caller's own cause before the socket's view of it.
func (r *request) reason(err error, intact bool) error {
	var invalid *wire.CallError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	case !intact:
		return ContextError(r.ctx)
	case r.system.isClosing():
		return messages.ErrClosed
	}
	return err
}

func (r *request) returnLease(reusable bool) {
	if r.lease == nil {
		return
	}
	lease := r.lease
	r.lease = nil
	lease.Reusable = reusable
	r.pool.Tell(messages.ReturnLease{Lease: lease})
	r.trace.returned(reusable)
}

// note settles the permit by what is known of the request's arrival, and
// reports whether the answer refused the request's timestamp.
func (r *request) note(response *messages.Response, sent messages.Sent) (refused bool) {
	switch sent {
	case messages.SentYes:
		refused = r.heed(response)
		r.settle(throttle.Answered)
	case messages.SentMaybe:
		r.settle(throttle.Lost)
	default:
		r.settle(throttle.NeverSent)
	}
	return refused
}

// heed reads what an answer says about limits and about the server's clock.
func (r *request) heed(response *messages.Response) (refused bool) {
	read := r.system.config.Feedback
	if response == nil || read == nil && response.StatusCode < 400 {
		return false
	}
	if read == nil {
		read = feedback.RetryAfter
	}
	t := r.ticket
	t.Told = true
	t.Signals = read(feedback.Answer{
		Limit: r.limit, Key: r.asked.Key, Status: response.StatusCode, Header: &response.Header,
		Body: response.Body, Clock: r.system.Clock(),
	})
	t.Outcome.Costs = t.Signals.Costs
	if at := t.Signals.ServerTime; !at.IsZero() {
		t.Outcome.ServerTime, t.Outcome.Resolution = time.Duration(at.UnixNano()), t.Signals.Resolution
	}
	return t.Signals.TimestampRefused && r.asked.Auth
}

// settle ends the ticket. Without a permit nobody else holds it.
func (r *request) settle(fate throttle.Fate) {
	if !r.permit {
		r.ticket.Close()
		return
	}
	r.permit = false
	r.ticket.Outcome.Fate = fate
	r.system.throttler.Tell(messages.SettlePermit{Ticket: r.ticket})
}

// ---- deciding, resampling and pausing ----

// enterResampling waits for a new look at the server's clock, and then repeats
// a request whose timestamp was refused, once: the server did not execute it.
func (r *request) enterResampling(refusal *messages.Response) {
	r.stage, r.state = messages.Pausing, (*request).resampling
	r.wakeAt = r.deadline
	r.resampled = true
	r.refusal = refusal
	r.asking++
	r.system.timesync.Tell(messages.AwaitSample{Owner: r})
}

func (r *request) resampling(message any) {
	ready, ok := message.(messages.TimeReady)
	if !ok {
		r.interrupted(message)
		return
	}
	r.asking--
	if ready.Err != nil {
		r.enterFinishing(r.refusal) // no better clock to be had: the refusal is the answer
		return
	}
	r.again()
}

// decide repeats a failed attempt if that does no harm, and if there is time
// and budget for it.
func (r *request) decide(sent messages.Sent, err error) {
	r.failures++
	pause, again := r.system.retries.after(r.failures, sent, r.asked.IsIdempotent(), err)
	if !again || r.pastDeadline(pause) || !r.upload.repeats() {
		r.fail(err)
		return
	}
	r.enterPausing(pause, err)
}

func (r *request) enterPausing(pause time.Duration, err error) {
	r.stage, r.state = messages.Pausing, (*request).pausing
	r.err = err // what the caller is told if the pause is cut short
	r.wakeAt = time.Now().Add(pause)
}

func (r *request) pausing(message any) {
	if _, ok := message.(wakeDue); !ok {
		r.interrupted(message)
		return
	}
	r.err = nil
	r.again()
}

// again begins another attempt, under a permit of its own.
func (r *request) again() {
	r.renewTicket()
	r.enterThrottled()
}

// ---- finishing: post-processors, the required content type, the answer ----

func (r *request) enterFinishing(response *messages.Response) {
	r.stage = messages.Finishing
	response.Method = r.built.Method
	response.URL = r.url
	response.Attempts = r.attempts
	if r.asked.Stream && response.Stream == nil {
		response.Stream = http.NoBody
	}
	if err := r.finishResponse(response); err != nil {
		r.fail(err)
		return
	}
	r.response, r.stream = response, nil
	r.finished = true
}

// fail ends the request with an error that says where it was. Only the first
// reason counts.
func (r *request) fail(err error) {
	if r.finished {
		return
	}
	if r.stream != nil {
		_ = r.stream.Close()
		r.stream = nil
	}
	r.response = nil
	r.err = &messages.Error{Stage: r.stage, Attempts: r.attempts, Sent: r.sent, Err: err}
	r.finished = true
}

// interrupted is every state's answer to what is not its own business: the
// caller left, time is up, the engine closes.
func (r *request) interrupted(message any) {
	switch message.(type) {
	case contextDone:
		r.fail(r.withLastError(ContextError(r.ctx)))
	case wakeDue:
		r.fail(r.withLastError(context.DeadlineExceeded))
	case engineClosing:
		r.fail(r.withLastError(messages.ErrClosed))
	}
}

// withLastError keeps the failure that a pause was meant to outlive.
func (r *request) withLastError(reason error) error {
	if r.err == nil {
		return reason
	}
	return errors.Join(reason, r.err)
}

// giveBack returns whatever a panic left in hand: the connection is in doubt,
// and so is what the server has seen once the exchange had begun.
func (r *request) giveBack() {
	r.endTurn()
	if r.lease == nil && !r.permit {
		return
	}
	r.upload.close()
	untouched := r.stage < messages.Exchanging
	r.returnLease(untouched)
	if untouched {
		r.settle(throttle.NeverSent)
	} else {
		r.settle(throttle.Lost)
	}
}

func (r *request) pastDeadline(pause time.Duration) bool {
	return !r.deadline.IsZero() && time.Until(r.deadline) <= pause
}
