package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Explanation is what would become of a request at one moment, by Engine.Explain. Like
// Stats it has keys of limits, which may name accounts.
type Explanation struct {
	At       time.Time `json:"at"`
	Request  string    `json:"request"`         // method and place, without query
	Origin   Origin    `json:"-"`               // in JSON it is told as a URL
	Route    string    `json:"route,omitempty"` // the id of the limit that it names, or is charged for want of one; empty for an unlimited one
	Priority Priority  `json:"priority"`

	// Leaves says that nothing would hold it: no halt, no limit, no pause, nobody ahead.
	// It would still wait for a connection if ConnectionFree is false.
	Leaves  bool      `json:"leaves"`
	Charges []Charged `json:"charges,omitempty"` // what it would be charged with, the limit that it names first
	HeldBy  HeldBy    `json:"held_by,omitzero"`  // what would hold it longest; zero if nothing does
	// Ahead is who goes before it and is queued for one of its limits, or waits in a scope that
	// pauses or starts slowly and is its own too; the most urgent first.
	Ahead  []QueuedStats `json:"ahead,omitempty"`
	More   bool          `json:"more,omitempty"`   // and so many of a priority that they were not all counted
	Paused []ScopeStats  `json:"paused,omitempty"` // pauses that hold it, and those it would start slowly after
	Halts  []HaltStats   `json:"halts,omitempty"`  // that refuse it

	// ConnectionFree says that an open connection is unused. Pool is that of the origin, and
	// has its Origin only if nobody has been there lately.
	ConnectionFree bool      `json:"connection_free"`
	Pool           PoolStats `json:"pool"`
}

// Charged is what one limit would be charged with.
type Charged struct {
	ID string `json:"id"`
	// Account, Key and Egress say which of the limit's meters it is, as far as they are
	// told apart.
	Account string `json:"account,omitempty"`
	Key     string `json:"key,omitempty"`
	Egress  string `json:"egress,omitempty"`

	Weight int64 `json:"weight"`
	Quota  int64 `json:"quota"`
	Room   int64 `json:"room"` // what fits now, the queue apart
	// Kept is what of Quota and Room is kept for more urgent requests: see throttle.Limit.Reserve.
	Kept int64 `json:"kept,omitempty"`
	// KeptFor is the least urgent priority that has any of Kept to take, and says nothing if that
	// is zero. JSON leaves out Normal, which is zero.
	KeptFor Priority `json:"kept_for,omitempty"`
	// Opens is when Weight fits, as for HeldBy.Until, the queue apart: not after Explanation.At if it does now,
	// and zero if time alone will not do it.
	Opens time.Time `json:"opens,omitzero"`
}

// HeldBy is what holds a request longest: a limit without room, or a pause.
type HeldBy struct {
	Limit   string `json:"limit,omitempty"`
	Account string `json:"account,omitempty"` // with Key and Egress: which of its meters
	Key     string `json:"key,omitempty"`
	Egress  string `json:"egress,omitempty"`
	// Kept is what the limit keeps for more urgent requests, by throttle.Limit.Reserve or
	// throttle.Pacing, if it has no room for that and the request; it may be full for everybody.
	Kept   throttle.Kept `json:"kept,omitzero"`
	Paused bool          `json:"paused,omitempty"` // the scope, and not the limit, holds it
	Scope  string        `json:"scope,omitempty"`  // its name
	// Until is when it may leave if nobody was ahead: after a pause those go first, one by
	// one. It is zero if an answer must come first, as in a slow start, or if there is room
	// and one of those ahead must leave. A Fixed limit opens when the server's clock is likely
	// to have its window turn.
	Until time.Time `json:"until,omitzero"`
}

// Explain says what would become of a request if it was sent now: what it would be
// charged with, what would hold it, until when and behind whom, what is paused and
// halted, and whether its origin has a connection free. It sends nothing and changes
// nothing; no pre-processor runs, so it is about the request as its caller made it, and
// one that they would mend is refused as it is. The answer is of one moment: the next
// request may change it.
//
// The error is an *Error with what the request would be refused with at once, such as
// ErrInvalidRequest, ErrUnknownLimit or ErrSpent. A halt is no error here, for Halts tell
// it.
//
// Query and Body are encoded as Do does it, which calls their String and MarshalJSON
// methods. What is found out only by reading a body is no error here: no io.Reader is
// touched, and no func() (io.Reader, error) called, neither a Body nor the Content of a
// File, so that one which stands at its end, is another request's, or has another length
// than Upload.Length passes. Nor is what only the journey shows: no credit of
// Config.Admission, a deadline that comes before the request may leave, a connection of
// HTTP/2 that has no Upgrade.
func (e *Engine) Explain(req *Request) (Explanation, error) {
	if err := e.misused(context.Background(), req); err != nil {
		return Explanation{}, messages.NewError(req, Admitting, err)
	}
	found, err := e.system.Explain(context.Background(), req, e.defaultLimit())
	switch {
	case errors.Is(err, ErrClosed): // which Do looks at first
		return Explanation{}, messages.NewError(req, Admitting, err)
	case err != nil:
		return Explanation{}, e.refusal(req, found, err)
	}
	return e.explanation(req, found), nil
}

// refusal is the error of a request that is refused at once.
func (e *Engine) refusal(req *Request, found actors.Explained, why error) error {
	refused := messages.NewError(req, found.Stage, why)
	messages.NoteLimit(refused, found.Subject.LimitID, why, e.system.Epoch())
	return refused
}

func (e *Engine) explanation(req *Request, found actors.Explained) Explanation {
	epoch, f := e.system.Epoch(), found.Forecast
	x := Explanation{
		At: time.Now(), Request: req.String(), Origin: found.Origin, Route: messages.LimitName(found.Subject.LimitID), Priority: req.Priority,
		Ahead: queuedStats(f.Ahead), More: f.More, Pool: PoolStats{Origin: found.Origin},
	}
	for _, c := range f.Charges {
		one := Charged{ID: c.ID, Account: c.Of.Account, Key: c.Of.Key, Egress: c.Of.Egress, Weight: c.Weight, Quota: c.Quota, Room: c.Room, Kept: c.Kept, KeptFor: c.KeptFor}
		if c.Opens != throttle.Never {
			one.Opens = epoch.Add(c.Opens)
		}
		x.Charges = append(x.Charges, one)
	}
	for _, p := range f.Paused {
		one := ScopeStats{Origin: p.Origin, Name: p.Name, Account: p.Account, Egress: p.Egress}
		if !p.Recovering {
			one.PausedUntil = epoch.Add(p.Until)
		}
		x.Paused = append(x.Paused, one)
	}
	if !f.AtOnce {
		x.HeldBy = heldBy(f.Hold, epoch)
	}
	for _, h := range e.halts.Standing() {
		if h.Selects(found.Subject) {
			x.Halts = append(x.Halts, haltStats([]*throttle.Halt{h})...)
		}
	}
	if found.Pooled {
		x.Pool = poolStats([]protocol.PoolStats{found.Pool})[0]
	}
	x.ConnectionFree = x.Pool.Idle > 0
	x.Leaves = f.AtOnce && len(x.Halts) == 0
	return x
}

// String is a few lines for people.
func (x Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, priority %d", x.Request, x.Priority)
	switch {
	case len(x.Halts) > 0:
		fmt.Fprintf(&b, ": halted since %s (%s)", clockTime(x.Halts[0].Since), x.Halts[0].Selects)
	case x.Leaves:
		b.WriteString(": leaves now")
	default:
		b.WriteString(": waits " + x.HeldBy.String())
	}
	for _, c := range x.Charges {
		fmt.Fprintf(&b, "\n  charged %d to %q, which has room for %d of %d", c.Weight, strings.TrimSuffix(c.ID+"/"+c.Key, "/"), c.Room, c.Quota)
		if c.Kept > 0 {
			fmt.Fprintf(&b, ", %v", throttle.Kept{Weight: c.Kept, For: c.KeptFor})
		}
	}
	for _, q := range x.Ahead {
		fmt.Fprintf(&b, "\n  behind %d of priority %d", q.N, q.Priority)
	}
	for _, s := range x.Paused {
		fmt.Fprintf(&b, "\n  %s %s", scopeText(s.Name), pausedText(s))
	}
	free := "no connection is free"
	switch {
	case x.ConnectionFree:
		free = "a connection is free"
	case x.Pool.Leased+x.Pool.Dialling == 0:
		free = "no connection is open yet"
	case x.Pool.AtLimit > 0:
		free = "no connection is free, and a new one waits for its own limit"
	}
	fmt.Fprintf(&b, "\n  %s: %s", x.Origin, free)
	return b.String()
}

// String is one line.
func (h HeldBy) String() string {
	text := fmt.Sprintf("for %q", h.Limit)
	if kept := h.Kept.String(); kept != "" {
		text += " (" + kept + ")"
	}
	switch {
	case h.Paused && h.Until.IsZero():
		return "for the slow start of " + scopeText(h.Scope) + " behind a pause, until an answer comes"
	case h.Paused:
		text = "for the pause of " + scopeText(h.Scope)
	}
	if h.Until.IsZero() {
		return text + ", until an answer comes or somebody leaves"
	}
	return text + " until " + clockTime(h.Until)
}

// scopeText names a scope for people: that of limits without a name is none of theirs.
func scopeText(name string) string {
	switch name {
	case "":
		return "the limits' scope"
	case throttle.WholeOrigin:
		return "the whole origin"
	}
	return fmt.Sprintf("scope %q", name)
}

func pausedText(s ScopeStats) string {
	if s.PausedUntil.IsZero() {
		return "starts slowly after a pause"
	}
	return "is paused until " + clockTime(s.PausedUntil)
}

func clockTime(t time.Time) string { return t.Format("15:04:05.000") }

// LogValue returns what String does.
func (x Explanation) LogValue() slog.Value { return slog.StringValue(x.String()) }

// MarshalJSON writes the fields, in the style of Stats, and the origin as a URL.
func (x Explanation) MarshalJSON() ([]byte, error) {
	type fields Explanation
	return json.Marshal(struct {
		fields
		Origin string `json:"origin"`
	}{fields(x), x.Origin.String()})
}
