package messages

import (
	"errors"
	"net/http"
)

// Outcome is what is known of what a request has done at the server.
type Outcome uint8

const (
	// Unknown: it may have been carried out, or not, or twice. Ask the server
	// before doing anything that depends on it; a repetition is safe only if it
	// does no harm twice.
	Unknown Outcome = iota
	// NotSent: not one byte of it has left in any attempt. It may be repeated.
	NotSent
	// Refused: it was answered, by a limit of the server's (429, 418), or was not
	// processed (a refused HTTP/2 stream), and not carried out. It may be repeated,
	// later: see Wait.
	Refused
	// Rejected: the server looked at it and refused it, by a 4xx status other than
	// those that leave it open (408, 409, 499). Repeated as it is, it fares no better.
	Rejected
	// Done: it was answered with a status of success, and the answer could be
	// used. Whether the API says otherwise inside the answer is for its caller to
	// see.
	Done
)

var outcomeNames = [...]string{"unknown", "not sent", "refused", "rejected", "done"}

// String returns "unknown", "not sent", "refused", "rejected" or "done".
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return "unknown"
	}
	return outcomeNames[o]
}

// MarshalText writes what String returns.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// OutcomeOf is engine.OutcomeOf.
func OutcomeOf(err error) (outcome Outcome) {
	if err == nil {
		return Done
	}
	// A nil pointer in an error, or what else its methods may panic on, says nothing.
	defer func() {
		if recover() != nil {
			outcome = Unknown
		}
	}()
	worst, found := judge(err)
	if !found {
		return Unknown
	}
	return worst
}

// judge returns the worst verdict on the errors that an error is made of, if any
// is about a request.
func judge(err error) (worst Outcome, found bool) {
	switch e := err.(type) {
	case *Error:
		return judgeError(e), true
	case *StatusError:
		return judgeAnswer(&e.Answer), true
	case *ContentTypeError:
		return judgeAnswer(&e.Answer), true
	case *DecodeError:
		return judgeAnswer(&e.Answer), true
	}
	switch e := err.(type) {
	case *askedCarefully:
		answers(func() bool { worst, found = judge(e.err); return true })
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return judge(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if verdict, is := judge(inner); is && (!found || doubt[verdict] > doubt[worst]) {
				worst, found = verdict, true
			}
		}
	}
	return worst, found
}

// doubt orders verdicts by how little one may rely on nothing having happened.
var doubt = [...]int{NotSent: 0, Refused: 1, Rejected: 2, Done: 3, Unknown: 4}

// judgeError believes an answer that the error is about only as far as the error
// itself does.
func judgeError(e *Error) Outcome {
	switch e.Sent {
	case SentNo:
		return NotSent
	case SentMaybe:
		return Unknown
	}
	if e.Err == nil {
		return Unknown
	}
	if verdict, found := judge(e.Err); found {
		return verdict
	}
	if errors.Is(e.Err, ErrUnprocessed) {
		return Refused
	}
	return Unknown
}

func judgeAnswer(a *Answer) Outcome {
	switch {
	case a.Sent == SentMaybe:
		return Unknown
	case a.StatusCode == http.StatusTooManyRequests, a.StatusCode == http.StatusTeapot:
		return Refused
	case NotCarriedOut(a.StatusCode):
		return Rejected
	}
	return Unknown // 5xx, a redirect, or a success that is not what was expected
}

// Outcome is what OutcomeOf says of the response's Err: Done below 400.
func (r *Response) Outcome() Outcome {
	if r.StatusCode < 400 {
		return Done
	}
	return judgeAnswer(&Answer{StatusCode: r.StatusCode, Sent: r.Sent.Worst(SentYes)})
}
