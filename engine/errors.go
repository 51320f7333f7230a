package engine

import (
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Error says which request ended, where on its journey, how often it was
// attempted, whether anything was sent, which limit it waited for, from when on
// it may fare better, and why. Do and Fetch return no other type, but for Fetch's
// *StatusError. OutcomeOf says what is known of the request's effect, and Wait
// waits until it makes sense to try again.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Error
type Error = messages.Error

// Answer is what the server answered, with header and body: StatusError,
// ContentTypeError and DecodeError carry one each.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Answer
type Answer = messages.Answer

// StatusError is an answer of another status than 2xx, as Fetch and Response.Err
// report it, with its header and body.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.StatusError
type StatusError = messages.StatusError

// ContentTypeError is an answer of another media type than Request.Accept.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.ContentTypeError
type ContentTypeError = messages.ContentTypeError

// DecodeError is an answer whose body is not what Fetch or Response.JSON was to
// decode it into.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.DecodeError
type DecodeError = messages.DecodeError

// PanicError is a panic in code of the caller's: a processor, an authenticator, a body
// reader, an adjust function, what decodes an answer. It has its value and its stack; its
// text has where it was, and not what it said.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.PanicError
type PanicError = messages.PanicError

// ProxyError is a proxy that did not open a connection, and its status.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.ProxyError
type ProxyError = messages.ProxyError

// PoolFullError is a cap on connections that kept a request from one until its
// time was up, and how many are held by streams that were not closed. It comes
// with context.DeadlineExceeded or ErrTooManyWaiters.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.PoolFullError
type PoolFullError = messages.PoolFullError

// SkewError is a time of the server's that was not believed, because it is far
// from this machine's and was not confirmed: see Clock.Trust. It comes with
// ErrNoTime.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.SkewError
type SkewError = messages.SkewError

// Stage is a step of the journey, from Admitting to Finishing; see Error.Stage.
// All of them: go doc github.com/sluice-engine/sluice/engine.Admitting.
//
// Its method: go doc github.com/sluice-engine/sluice/messages.Stage
type Stage = messages.Stage

// The stages, in the order of the journey.
const (
	Admitting  Stage = messages.Admitting  // waiting for a credit
	Preparing  Stage = messages.Preparing  // pre-processors, building, the first look at the server's clock
	Throttled  Stage = messages.Throttled  // waiting for a permit
	Leasing    Stage = messages.Leasing    // waiting for a connection
	Signing    Stage = messages.Signing    // in the authenticator
	Exchanging Stage = messages.Exchanging // writing and reading
	Pausing    Stage = messages.Pausing    // between two attempts
	Finishing  Stage = messages.Finishing  // post-processors, decoding
)

// Sent says whether the server may have seen the request: SentNo, SentMaybe or
// SentYes; see Error.Sent.
//
// Its method: go doc github.com/sluice-engine/sluice/messages.Sent
type Sent = messages.Sent

// What is known of a failed request's arrival.
const (
	SentNo    Sent = messages.SentNo    // not one byte was written
	SentMaybe Sent = messages.SentMaybe // some were: the outcome is unknown
	SentYes   Sent = messages.SentYes   // the server answered, or said that it did nothing
)

// Causes to look for with errors.Is. A deadline or a cancelled context is
// found as context.DeadlineExceeded or context.Canceled, and by the context's
// own cause.
var (
	ErrClosed            = messages.ErrClosed            // after Close or Shutdown; also of what these have aborted on its way, whose outcome is unknown: see OutcomeOf
	ErrOverloaded        = messages.ErrOverloaded        // beyond Config.Admission
	ErrNoLimit           = messages.ErrNoLimit           // the request names no limit, and there is no default
	ErrUnknownAccount    = messages.ErrUnknownAccount    // the request names an account that is not among Config.Accounts, or was removed before it was signed
	ErrUnknownEgress     = messages.ErrUnknownEgress     // the request names an egress that is not among Config.Egress
	ErrInvalidRequest    = messages.ErrInvalidRequest    // the request cannot be sent as it stands
	ErrBodyRead          = messages.ErrBodyRead          // the request had begun to read a body that there is but once
	ErrTooManyWaiters    = messages.ErrTooManyWaiters    // beyond Connections.MaxWaiters
	ErrTruncated         = messages.ErrTruncated         // the answer ended early
	ErrAttemptTimeout    = messages.ErrAttemptTimeout    // an attempt took longer than Retry.PerAttempt; a timeout, but not the caller's deadline
	ErrUnprocessed       = messages.ErrUnprocessed       // the server says that it did nothing, so it is repeated, idempotent or not
	ErrMalformedResponse = messages.ErrMalformedResponse // the answer is not HTTP
	ErrHeaderTooLarge    = messages.ErrHeaderTooLarge    // beyond Responses.MaxHeader
	ErrBodyTooLarge      = messages.ErrBodyTooLarge      // beyond Responses.MaxBody
	ErrNoTime            = messages.ErrNoTime            // the server's clock could not be read
	ErrActorFailed       = messages.ErrActorFailed       // a part of the engine failed, and begins anew
	ErrNoEngine          = messages.ErrNoEngine          // a nil *Engine, or a zero Engine
	ErrInsideRequest     = messages.ErrInsideRequest     // Close or Shutdown by code that a request waits for
	ErrStillRunning      = messages.ErrStillRunning      // Close or Shutdown gave up waiting for such code, or for a Memory of one's own

	ErrHalted       = throttle.ErrHalted       // Engine.Halt selects the request: nothing of it was sent, unless Error.Sent says so
	ErrUnknownLimit = throttle.ErrUnknownLimit // no limit has the id that the request names
	ErrNoKey        = throttle.ErrNoKey        // the limit is keyed, and the request has no Key
	ErrUnknownKey   = throttle.ErrUnknownKey   // the request's Key is not among the limit's Keys
	ErrLongName     = throttle.ErrLongName     // the request's Key, account, egress or origin has more than 64 KiB
	ErrNotCharged   = throttle.ErrNotCharged   // Request.Weights names a limit that is not on the request's route
	ErrWeight       = throttle.ErrWeight       // the request weighs more than its limit ever admits
	ErrRouteWeight  = throttle.ErrRouteWeight  // the request has a Weight, and its limit is a route without a quota
	ErrSpent        = throttle.ErrSpent        // nothing is left of a Lifetime limit
	ErrNoRoom       = throttle.ErrNoRoom       // TryAcquire found no room, and does not wait
	ErrQueueFull    = throttle.ErrQueueFull    // beyond Throttle.MaxQueued
)
