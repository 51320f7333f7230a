package engine

import "github.com/sluice-engine/sluice/messages"

// Outcome is what is known of what a request has done at the server: Unknown,
// NotSent, Refused, Rejected or Done.
//
// Its methods: go doc github.com/sluice-engine/sluice/messages.Outcome
type Outcome = messages.Outcome

// The outcomes. The zero value is Unknown.
const (
	// Unknown: it may have been carried out, or not, or twice. Ask the server
	// before doing anything that depends on it; a repetition is safe only if it
	// does no harm twice.
	Unknown Outcome = messages.Unknown
	// NotSent: not one byte of it has left in any attempt. It may be repeated.
	NotSent Outcome = messages.NotSent
	// Refused: it was answered, by a limit of the server's (429, 418), or was not
	// processed (a refused HTTP/2 stream), and not carried out. It may be repeated,
	// later: see Wait.
	Refused Outcome = messages.Refused
	// Rejected: the server looked at it and refused it, by a 4xx status other than
	// those that leave it open (408, 409, 499). Repeated as it is, it fares no better.
	Rejected Outcome = messages.Rejected
	// Done: it was answered with a status of success, and the answer could be
	// used. Whether the API says otherwise inside the answer is for its caller to
	// see.
	Done Outcome = messages.Done
)

// OutcomeOf returns what an error of Do, Fetch, Response.Err or a client over
// RoundTripper says of its request, however it was wrapped or joined; nil is Done.
// Nothing is taken for granted: an error that is not of this package is Unknown, of
// several that were joined the one in most doubt counts, and so do attempts before
// the one that was answered. An error whose methods panic, as those of a nil *Error
// do, is Unknown.
//
// A few statuses below 500 are Unknown too, because they are sent for requests
// that were carried out, in part or for all that is known: 408 (the backend did
// not answer in time), 409 (a conflict halfway through) and 499 (the caller left). So is
// an answer of success that could not be decoded: it is not what was expected.
func OutcomeOf(err error) Outcome { return messages.OutcomeOf(err) }
