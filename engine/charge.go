package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Charge says what a permit is for: which limit it is charged to, how much, how urgent it
// is. The zero value charges Config.DefaultLimitID with its own weight.
type Charge struct {
	// LimitID names the limit to charge, with all that it is linked to. Unlimited charges
	// none, and obeys the pauses of the whole origin. Empty means Config.DefaultLimitID;
	// without that it is ErrNoLimit, unless there are no limits at all.
	LimitID string
	// Weight overrides the named limit's own weight; zero means no override.
	Weight int64
	// Weights override what limits on the way are charged, each by its id, zero included,
	// and win over Weight. One that names a limit that is not on the way is an error.
	// Tariffs and Config.Costs go by what a request asks for, and say nothing of a charge.
	Weights map[string]int64
	// Account, Key and Egress pick the meter of every limit on the way that is told apart
	// by them; see throttle.Limit.By. Empty means the default account and way out, and no
	// key; names that the engine does not have are ErrUnknownAccount and ErrUnknownEgress.
	Account, Key, Egress string
	// Priority orders those that wait, requests and permits alike: the higher goes first.
	// Zero is Normal.
	Priority Priority
	// Origin is the URL of what the permit is used for, as "wss://stream.example.com"; its
	// path is of no matter, and ws and wss are http and https. Pauses belong to origins.
	// Empty means that of Config.BaseURL; without that it is ErrInvalidRequest.
	Origin string
	// Timeout bounds the wait of Acquire, beside its context. Zero means Config.Timeout,
	// and a negative one that only the context bounds it. Below a microsecond it is an error.
	Timeout time.Duration
}

// String tells the limit and the origin; neither the key nor the account.
func (c Charge) String() string {
	text := "charge"
	if c.LimitID != "" {
		text += fmt.Sprintf(" of %q", c.LimitID)
	}
	if c.Origin != "" {
		text += " at " + place(c.Origin)
	}
	return text
}

// Format prints what String returns for every verb and flag.
func (c Charge) Format(f fmt.State, _ rune) { show(f, c.String()) }

// LogValue returns what String does.
func (c Charge) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes what String returns.
func (c Charge) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// Settlement says what became of what a permit was taken for, and what the server said
// about limits. Every field is optional.
type Settlement struct {
	// Outcome is what is known of what was sent. Done and Rejected say that it was
	// answered. NotSent gives everything back at once, and is for what provably never
	// left. Refused says that a limit of the server's refused it, as a 429 does a request:
	// every scope of the limits that the permit is charged to pauses. Unknown, the zero
	// value, says that it may still arrive: what it cost stays in flight for the limits'
	// MaxDelay.
	Outcome Outcome
	// PeerClosed says, with Unknown, that the peer closed the connection before an answer
	// came: it arrived before that, or never will, and stays in flight for CloseDelay
	// alone.
	PeerClosed bool
	// RetryAfter is, with Refused, for how long the server asked to be left alone. Zero
	// means that it did not say; then the pause is Throttle.LeastPause, and grows with
	// every further refusal. Throttle.MaxPause bounds it.
	RetryAfter time.Duration
	// Scope is, with Refused, the name of the one scope that pauses; throttle.WholeOrigin
	// stops everything that goes to the origin. Empty means those of the limits, and so
	// does a name that none has.
	Scope string
	// Costs are what it really cost, where that is known only now; other limits cost what
	// was reserved. They are read if it was answered. Nil means what was reserved.
	Costs []throttle.Cost
	// Usage is what the server says is used of its limits, and corrects counters upwards.
	// Nil says nothing.
	Usage []feedback.Usage
	// ServerTime is when the server read its clock while it had what was sent, cut off to
	// Resolution: it lets a sliding limit's weight come back sooner. Zero means that it is
	// not known.
	ServerTime time.Time
	Resolution time.Duration
}

// fate is what is to be made of the reservation.
func (s *Settlement) fate() throttle.Fate { return fateOf(s.Outcome, s.PeerClosed) }

// fateOf takes an outcome it does not know for the worst.
func fateOf(outcome Outcome, peerClosed bool) throttle.Fate {
	switch outcome {
	case NotSent:
		return throttle.NeverSent
	case Done, Rejected, Refused:
		return throttle.Answered
	}
	if peerClosed {
		return throttle.Closed
	}
	return throttle.Lost
}

// outcome is what the ledger is told.
func (s *Settlement) outcome() throttle.Outcome {
	o := throttle.Outcome{Fate: s.fate(), Costs: s.Costs, Resolution: s.Resolution}
	if !s.ServerTime.IsZero() {
		o.ServerTime = time.Duration(s.ServerTime.UnixNano())
	}
	return o
}

// said is what the server said, in the words of answers; nil if that is nothing.
func (s *Settlement) said() *feedback.Feedback {
	if s.Outcome != Refused && len(s.Usage) == 0 {
		return nil
	}
	said := &feedback.Feedback{Refused: s.Outcome == Refused, Usage: s.Usage}
	if said.Refused {
		said.Pause = min(max(0, s.RetryAfter), feedback.MaxPause)
		said.Whole = s.Scope == throttle.WholeOrigin
		if !said.Whole {
			said.Scope = s.Scope
		}
	}
	return said
}
