package throttle

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reasons why a request is not admitted. They arrive wrapped in a LimitError.
var (
	ErrUnknownLimit  = errors.New("no such limit: Limits has none of that id")
	ErrUnknownScope  = errors.New("no such scope")
	ErrScopeTogether = errors.New("no part of the scope can pause alone, for not all of its limits are told apart so: see Limit.By")
	ErrWeight        = errors.New("weight can never fit")
	ErrRouteWeight   = errors.New("a route without a quota of its own takes no weight")
	ErrNotCharged    = errors.New("a weight is given for a limit that is not charged by")
	ErrReweigh       = errors.New("weighed by tariffs that are no longer the table's")
	ErrWeightTwice   = errors.New("more than one weight is given for a limit")
	ErrQueueFull     = errors.New("queue is full: Throttle.MaxQueued bounds it")
	ErrDeadline      = errors.New("no room before the deadline")
	ErrNoRoom        = errors.New("no room now, and it is not to wait")
	ErrSpent         = errors.New("lifetime budget is spent")
	ErrPermitInUse   = errors.New("permit is queued or granted already")
	ErrPermitUnused  = errors.New("permit is neither granted nor parked")
)

// LimitError says which limit a request was refused for, and why. The reason
// is reachable with errors.Is.
//
// Where the reason is ErrDeadline, ErrNoRoom or ErrQueueFull, it also says what to wait
// for.
type LimitError struct {
	ID  string // of the limit that the request names
	Err error

	// Full is the limit that lets the request go last: the one without room, or
	// one whose scope is paused. It is empty for a request without a limit, for one whose
	// deadline had passed before it asked, and in the moment in which there is room again and those
	// who go before it have not left yet.
	Full string
	// Account, Key and Egress are what the instance of Full is for, as far as those of
	// that limit are told apart. A key may name an account.
	Account, Key, Egress string
	// Kept is what Full keeps from the request for more urgent ones, if it has no room for both;
	// it may be full for everybody.
	Kept Kept
	// Paused says that Full need not be full: its scope is paused, or starts slowly
	// after a pause.
	Paused bool
	// RetryAt is the instant, on the clock of `now`, from which asking again is
	// worthwhile: before it the request cannot leave, unless what is in flight turns out never to
	// have left, or lets who is paced (Options.Pacing) go earlier. Where a Fixed window has to turn
	// that is before the server's clock can have it turn; while it may turn at any moment, it is
	// when it is likely to, and when that is past when it surely has. 0 means that no instant is
	// known, only another event can bring it: an answer, or one who leaves. A budget with a
	// Fallback is told of as it is: where what is in flight or lost of it may use it up, the
	// request goes over to the fallback then, and may leave at another instant.
	RetryAt time.Duration

	ids *ids // of the table, if it does not have ID
}

// Error is part of error. No text has an account, a key or an egress. That of an
// ErrUnknownLimit has the ids that are closest to the one that is unknown.
func (e *LimitError) Error() string {
	if e.ID == NoLimit && e.Paused {
		return e.Err.Error() + " (paused)"
	}
	var of []string
	switch {
	case e.Full != "" && e.Key != "": // which may name an account
		of = append(of, fmt.Sprintf("of one key of %q", e.Full))
	case e.Full != "" && e.Account != "":
		of = append(of, fmt.Sprintf("of one account of %q", e.Full))
	case e.Full != "" && e.Egress != "":
		of = append(of, fmt.Sprintf("of one egress of %q", e.Full))
	case e.Full != "" && e.Full != e.ID:
		of = append(of, fmt.Sprintf("of %q", e.Full))
	}
	if kept := e.Kept.String(); kept != "" {
		of = append(of, kept)
	}
	if e.Paused {
		of = append(of, "paused")
	}
	if e.ids != nil {
		if near := e.ids.near(e.ID); near != "" {
			of = append(of, near)
		}
	}
	if len(of) == 0 {
		return fmt.Sprintf("limit %q: %v", e.ID, e.Err)
	}
	return fmt.Sprintf("limit %q: %v (%s)", e.ID, e.Err, strings.Join(of, ", "))
}

// Unwrap returns the reason.
func (e *LimitError) Unwrap() error { return e.Err }
