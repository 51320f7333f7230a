package engine

import (
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Error says where on its journey a request ended, how often it was attempted,
// whether anything was sent, and why. Do and Fetch return no other type, but
// for Fetch's *StatusError.
type Error = messages.Error

// StatusError is a 4xx or 5xx answer, as Fetch and Response.Err report it.
type StatusError = messages.StatusError

// ContentTypeError is an answer of another media type than Request.Accept.
type ContentTypeError = messages.ContentTypeError

// PanicError is a panic in a processor, an authenticator or a body reader.
type PanicError = messages.PanicError

// ProxyError is a proxy that did not open a connection.
type ProxyError = messages.ProxyError

// Stage is a step of the journey; see Error.Stage.
type Stage = messages.Stage

// The stages, in the order of the journey.
const (
	Admitting  = messages.Admitting  // waiting for a credit
	Preparing  = messages.Preparing  // pre-processors, building, the first look at the server's clock
	Throttled  = messages.Throttled  // waiting for a permit
	Leasing    = messages.Leasing    // waiting for a connection
	Signing    = messages.Signing    // in the authenticator
	Exchanging = messages.Exchanging // writing and reading
	Pausing    = messages.Pausing    // between two attempts
	Finishing  = messages.Finishing  // post-processors, decoding
)

// Sent says whether the server may have seen the request; see Error.Sent.
type Sent = messages.Sent

// What is known of a failed request's arrival.
const (
	SentNo    = messages.SentNo    // not one byte was written
	SentMaybe = messages.SentMaybe // some were: the outcome is unknown
	SentYes   = messages.SentYes   // the server answered
)

// Causes to look for with errors.Is. A deadline or a cancelled context is
// found as context.DeadlineExceeded or context.Canceled, and by the context's
// own cause.
var (
	ErrClosed            = messages.ErrClosed
	ErrOverloaded        = messages.ErrOverloaded
	ErrNoLimit           = messages.ErrNoLimit
	ErrInvalidRequest    = messages.ErrInvalidRequest
	ErrTooManyWaiters    = messages.ErrTooManyWaiters
	ErrTruncated         = messages.ErrTruncated
	ErrUnprocessed       = messages.ErrUnprocessed // so it is repeated, idempotent or not
	ErrMalformedResponse = messages.ErrMalformedResponse
	ErrHeaderTooLarge    = messages.ErrHeaderTooLarge
	ErrBodyTooLarge      = messages.ErrBodyTooLarge
	ErrNoTime            = messages.ErrNoTime
	ErrActorFailed       = messages.ErrActorFailed

	ErrUnknownLimit = throttle.ErrUnknownLimit
	ErrWeight       = throttle.ErrWeight
	ErrQueueFull    = throttle.ErrQueueFull
)
