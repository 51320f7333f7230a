package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// attempt is one try: what it holds, and the steps between taking a lease and
// settling the permit. The steps decide nothing about the journey.
type attempt struct {
	*slot // whose attempt it is

	toSend *messages.Call  // the blueprint's call, or the slot's signed
	lease  *ticket.Lease   // nil when returned, or given to a stream
	fresh  bool            // the lease came straight from the dial
	permit bool            // a granted permit is to be settled
	fate   throttle.Fate   // what became of it, as far as is known
	signer *Account        // that it carries credentials of, as it was when they were made; nil if it has none
	turn   <-chan struct{} // in the lane of an ordered authenticator; nil without one

	pause  time.Duration // that the answer asked for, as its reader understood it
	began  time.Duration // when its exchange began, as far as is known without a look at the clock
	ended  time.Duration // when it failed; zero if it did not
	reused bool          // its connection has been used before, or is shared
	paused bool          // the throttler was told of a refusal, and pauses by itself
}

// take makes the lease and the permit that a ticket brought the attempt's own.
func (a *attempt) take(t *ticket.Ticket) {
	a.lease, a.permit, a.began = t.Lease, t.Limited, t.At
	// A ticket rests in its slot, or with the throttler, and would pin there what it
	// holds of the connection and of the caller.
	t.Lease, t.Trace, t.Values = nil, nil, nil
}

// charged is what the permit is charged in that the attempt holds; nil without one.
func (a *attempt) charged() *throttle.Charged {
	if !a.permit {
		return nil
	}
	return &a.ticket.Charged
}

// sign waits for the attempt's turn, and adds credentials made for this attempt
// alone. After an error nothing is held any more.
func (a *attempt) sign() error {
	a.stage = messages.Signing
	a.trace.leased(a.lease, a.now)
	err := a.timeSigning()
	if err != nil {
		a.giveUp()
	}
	return err
}

// giveUp gives back all that an attempt holds which has sent nothing.
func (a *attempt) giveUp() {
	a.permit = a.withdraw()
	a.settle(throttle.NeverSent)
}

// timeSigning is makeReady, with a look at the clock before and after it if there is
// somebody who signs.
func (a *attempt) timeSigning() error {
	if !a.identified() {
		return a.makeReady()
	}
	began := a.now()
	err := a.makeReady()
	a.began = a.now()
	a.timing.Signed += a.began - began
	return err
}

// makeReady has the attempt signed in its turn.
func (a *attempt) makeReady() error {
	if err := a.takeSigner(); err != nil {
		return err
	}
	if err := a.halted(); err != nil { // before a nonce is spent
		return err
	}
	return a.authenticate()
}

// withdraw gives back turn and connection, of which not one byte was written, and
// reports whether there was a permit, which it leaves to the caller.
func (a *attempt) withdraw() (permit bool) {
	a.endTurn()
	a.upload.close()
	a.returnLease(true)
	permit, a.permit = a.permit, false
	return permit
}

// authenticate lays out what will be sent: the same bytes as every attempt's,
// and the credentials.
func (a *attempt) authenticate() error {
	if err := a.contextEnded(); err != nil {
		return err
	}
	if a.upload != nil && a.asked.Auth && a.signer.signsBody { // a rotated scheme, perhaps
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, errStreamedBody)
	}
	if err := a.upload.open(a.slot, &a.call); err != nil {
		return err
	}
	a.toSend = &a.call
	if a.signer == nil {
		return nil
	}
	if a.signed == nil {
		a.signed = new(messages.Call)
	}
	*a.signed = a.call
	a.signed.Fields = slices.Clone(a.call.Fields) // an authenticator may change its own lines only
	a.signed.Done, a.signed.Closing = a.own.Done(), a.needs.Closing
	a.toSend = a.signed
	if err := a.identify(); err != nil {
		return a.unsigned(err)
	}
	if a.upload != nil && len(a.toSend.Body) > 0 {
		return errors.New("authenticator gave a body to a request whose body is streamed")
	}
	return a.late()
}

// identify adds a signature, or the key alone.
func (a *attempt) identify() error {
	if !a.asked.KeyOnly {
		return a.signer.signer.Authenticate(a.toSend, a.needs.Clock)
	}
	if !auth.SendKey(a.signer.signer, a.toSend) {
		return a.signer.keepsKey()
	}
	return nil
}

// unsigned is why there is no signature: an authenticator that waited for longer than its
// caller does says so in words of its own.
func (a *attempt) unsigned(err error) error {
	switch {
	case a.own.Ended() && errors.Is(err, context.Canceled):
		return messages.ContextError(&a.own)
	case a.isClosing() && errors.Is(err, messages.ErrClosed):
		return messages.ErrClosed
	}
	return err
}

// mostOutdated bounds how often a request waits anew because limits are replaced, or one was
// refused alone: an authenticator may replace them whenever it is called, and with many keys
// others are refused all the time. From then on a request heeds pauses alone, and so may leave
// into a refusal of its own limit that comes after its last grant.
const mostOutdated = 8

// outdated reports whether the request is to wait anew, for the limits as they are
// now.
func (r *slot) outdated() bool {
	charged := r.attempt.charged()
	if charged == nil || !r.needs.Outdated(charged) || r.outdates >= mostOutdated {
		return false
	}
	r.outdates++
	return true
}

// depart has the exchange watched, and takes a last look whether its context has ended or it is
// halted. Whoever halts looks at those that are watched after that is posted, and so does whoever
// tells of an end: so each exchange has either seen it here, or is seen there. After an error
// nothing is held any more.
func (a *attempt) depart() error {
	_, tells := a.from.(*tenure)
	a.watch.begin(&a.own, tells, a.lease, a.bound())
	err := cmp.Or(a.contextEnded(), a.halted())
	if err == nil {
		return nil
	}
	intact, _ := a.watch.end()
	a.endTurn()
	a.upload.close()
	a.returnLease(intact)
	a.settle(throttle.NeverSent)
	return err
}

// exchange writes and reads, once depart has begun it. The context and Retry.PerAttempt are
// watched from the side, and only abort the connection; a connection that may have been aborted
// is not used again. What is held it keeps for letGo.
func (a *attempt) exchange() (*messages.Response, messages.Sent, error) {
	a.stage, a.fate = messages.Exchanging, throttle.Lost
	a.fresh = a.lease.Fresh()
	if a.observed {
		a.began, a.reused = a.now(), reused(a.lease)
	}
	a.lease.Uses++
	if shared, ok := a.lease.Conn.(protocol.Queueing); ok {
		shared.AskBefore(a.slot)
	}
	response, sent, err := a.lease.Conn.Exchange(a.toSend, a.deadline)
	intact, late := a.watch.end()
	if response != nil {
		a.timing.Leased += response.Timing.Leased
		a.timing.FirstByte += response.Timing.FirstByte
		a.timing.Body += response.Timing.Body
	}
	if err == nil && response.Stream != nil {
		return a.keepStream(response, intact, late)
	}
	if err != nil {
		a.lease.UsedAt = a.now()
		a.timeFailure(response, err)
		err = a.reason(err, intact, late)
	} else {
		a.lease.UsedAt = response.AnsweredAt.Sub(a.needs.Epoch)
	}
	a.lease.Reusable = intact && a.lease.Conn.Reusable()
	return response, sent, err
}

// bound is how long the exchange may take; zero means for as long as the request has
// time. If the two end together, it is the request's time that is up.
func (a *attempt) bound() time.Duration {
	bound := a.needs.Plan.Retry.PerAttempt
	if bound > 0 && a.pastDeadline(bound) {
		return 0
	}
	return bound
}

// letGo gives back what an exchange held, but for its permit, and what a streamed
// answer goes on holding.
func (a *attempt) letGo() {
	if a.lease != nil {
		a.returnLease(a.lease.Reusable)
	}
	a.endTurn()
	if a.stream == nil {
		a.upload.close()
	}
}

// keepStream gives the lease to the response's stream.
func (a *attempt) keepStream(response *messages.Response, intact, late bool) (*messages.Response, messages.Sent, error) {
	a.stream = newStream(a.slot, a.lease, response)
	a.stream.OnEnd(a.upload.close)
	a.lease = nil
	response.Stream = a.stream
	if !intact {
		a.ended = a.now()
		return response, messages.SentYes, a.cutShort(late) // its head is heeded all the same
	}
	return response, messages.SentYes, nil
}

// reason puts the caller's own cause before the socket's view of it.
func (a *attempt) reason(err error, intact, late bool) error {
	var invalid *wire.CallError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	case !intact:
		return a.cutShort(late)
	case a.isClosing():
		return messages.ErrClosed
	}
	return err
}

// cutShort is why an exchange was aborted.
func (a *attempt) cutShort(late bool) error {
	if h := a.watch.haltedBy(); h != nil {
		return h.Refuse()
	}
	if late && !a.own.Ended() {
		return fmt.Errorf("%w of %v", messages.ErrAttemptTimeout, a.needs.Plan.Retry.PerAttempt)
	}
	return messages.ContextError(&a.own)
}

// What a request may meet of connections that nobody has used before it: the pool
// opens another for each, and so there might be no end of them.
const (
	mostDead     = 256 // closed while they rested, as by a server that was started anew
	mostSpeaking = 64  // with something to say unasked: a 408, or what is there speaks no HTTP
)

// staleUnused reports whether an exchange failed on a connection that had died
// while it was idle, and so is no failure of the origin's.
func (a *attempt) staleUnused(sent messages.Sent, err error) bool {
	if sent == messages.SentNo && errors.Is(err, wire.ErrCrowded) {
		return true // another place has room, which the pool finds; each takes its time
	}
	if sent != messages.SentNo || a.fresh || !errors.Is(err, messages.ErrStale) {
		return false
	}
	if a.lease.Uses > 1 {
		return true
	}
	a.unserved++
	if errors.Is(err, messages.ErrPeerClosed) {
		return a.unserved <= mostDead
	}
	return a.unserved <= mostSpeaking
}

func (a *attempt) returnLease(reusable bool) {
	if a.lease == nil {
		return
	}
	lease := a.lease
	a.lease = nil // first: from Tell on it is the pool's, and may be somebody else's
	lease.Reusable = reusable
	a.pool.Tell(ticket.ReturnLease{Lease: lease})
	a.trace.returned(reusable)
}

// conclude settles the permit by what is known of the request's arrival, lets go of
// what else is held, and reports whether the answer refused the request's
// timestamp.
func (a *attempt) conclude(response *messages.Response, sent messages.Sent, err error) (refused bool) {
	switch sent {
	case messages.SentYes:
		a.fate = throttle.Answered
		if (a.stream != nil || err != nil) && a.permit && a.ticket.Charged.CountsOpen() {
			a.fate = openUntil(err == nil)
			a.leavePermitOpen()
		}
		refused = a.heed(response)
		if !a.asked.Auth || response == nil {
			refused = false
		} else if !refused {
			refused = auth.RefusedTimestamp(a.signer.signer, response.StatusCode, response.Body)
		}
	case messages.SentMaybe:
		a.fate = fateOf(err)
	default:
		a.fate = throttle.NeverSent
	}
	if a.permit && a.ticket.Told && pauses(&a.ticket.Said.Signals) {
		heard := make(chan struct{})
		a.ticket.Said.Heard = heard
		a.settle(a.fate)
		a.awaitHeard(heard)
		a.letGo()
		return refused
	}
	a.letGo() // first, or whoever has the permit next finds no connection, and dials one
	a.settle(a.fate)
	return refused
}

// leavePermitOpen has the permit of a streamed answer that a limit counts as open
// settled when the stream ends: the request is open for as long as the server sends.
func (a *attempt) leavePermitOpen() {
	if a.stream == nil {
		return
	}
	a.permit = false
	held, throttler := a.ticket, a.needs.Throttler
	a.ticket = new(ticket.Ticket) // the stream has the old one
	a.ticket.Close()
	stream := a.stream
	stream.OnEnd(func() {
		held.Fate = openUntil(stream.whole.Load())
		throttler.Tell(ticket.SettlePermit{Ticket: held})
	})
}

// openUntil is the fate of an answered request that a limit counts as open. Whoever
// leaves before the end of the answer knows that the server hears of it, and when is
// as when the server closes.
func openUntil(whole bool) throttle.Fate {
	if whole {
		return throttle.Answered
	}
	return throttle.Closed
}

// fateOf is what became of a request that may have been sent. That the peer closed
// the connection proves that it arrived before, or never.
func fateOf(err error) throttle.Fate {
	if errors.Is(err, messages.ErrPeerClosed) {
		return throttle.Closed
	}
	return throttle.Lost
}

// renewCredentials reports whether an answer refused the request for what its
// authenticator has other credentials for by now: a nonce that was too small, a
// token that was revoked, a key that was rotated while the request was under way. The
// server did not execute it.
func (a *attempt) renewCredentials(response *messages.Response) bool {
	if a.signer == nil {
		return false
	}
	if response.StatusCode == http.StatusUnauthorized {
		if now := a.accounts.of(a.asked.Account); now != a.signer && now != nil && now.signer != nil {
			return true
		}
	}
	if a.asked.KeyOnly {
		return false
	}
	signer := a.signer.signer
	if auth.RefusedNonce(signer, response.StatusCode, response.Body) {
		return auth.RaiseNonce(signer, a.needs.Clock)
	}
	return auth.Rejected(signer, a.toSend, response)
}

// settle ends the ticket. Without a permit nobody else holds it.
func (a *attempt) settle(fate throttle.Fate) {
	if !a.permit {
		a.ticket.Close()
		return
	}
	a.permit = false
	a.ticket.Fate = fate
	a.needs.Throttler.Tell(ticket.SettlePermit{Ticket: a.ticket})
}

// giveBack returns whatever a panic left in hand: the connection is in doubt,
// and so is what the server has seen once the exchange had begun.
func (a *attempt) giveBack() {
	if a.slot == nil { // it panicked before its first attempt
		return
	}
	a.closeStream()
	a.endTurn()
	if a.lease == nil && !a.permit {
		return
	}
	a.upload.close()
	untouched := a.stage < messages.Exchanging
	a.returnLease(untouched)
	if untouched {
		a.fate = throttle.NeverSent
	}
	a.settle(a.fate)
}
