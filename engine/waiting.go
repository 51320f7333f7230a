package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Waiter is one who waits: a request, or a caller of Acquire. Like Stats it has account
// labels and the keys of limits, and so have its text and its JSON; it has no query, no
// header and no body.
type Waiter struct {
	Subject  string    `json:"subject"`            // method and path as they are sent, without query; "permit" for one of Acquire
	LimitID  string    `json:"limit_id,omitempty"` // that it names, or is charged for want of one; empty for an unlimited one
	Account  string    `json:"account,omitempty"`  // label; empty is the default account
	Origin   string    `json:"origin,omitempty"`   // where it goes, as a URL; empty for one that waits for a credit
	Priority Priority  `json:"priority"`
	Since    time.Time `json:"since"` // when this wait began
	For      WaitsFor  `json:"-"`     // in JSON it is told by its name
	// HeldBy is what holds one that waits for a permit, and until when; zero for others.
	HeldBy HeldBy `json:"held_by,omitzero"`
	// Ahead is how many go before it, of those that wait for the same: the limit that holds it,
	// the pool or the credit.
	Ahead int `json:"ahead"`
	// Behind is the subject of the one directly before it; empty if there is none.
	Behind string `json:"behind,omitempty"`
}

// WaitsFor is what a Waiter waits for.
type WaitsFor uint8

const (
	ForCredit     WaitsFor = iota + 1 // to be admitted; see Config.Admission
	ForPermit                         // a limit, or the end of a pause
	ForConnection                     // one to its origin
)

// String is "credit", "permit" or "connection".
func (w WaitsFor) String() string {
	switch w {
	case ForCredit:
		return "credit"
	case ForPermit:
		return "permit"
	case ForConnection:
		return "connection"
	}
	return "nothing"
}

// Waiting returns the first of those who wait at this moment, at most n of each kind: for
// permits, for connections, for a credit, in this order, and each kind in the order in which
// they will go if nothing comes between. It tells what they wait for, until when and behind
// whom. n counts as 1,024 if it is more.
//
// It is for people and for pages, and its cost does not grow with how many wait: of more than
// 4,096 queues for permits (a priority of one set of limits each) the most urgent are looked
// at, and of more than 256 pools some. The throttler and the pools answer for themselves one
// after the other, so that one who moves on meanwhile may be told of twice, or not at all. A
// request that pauses between two attempts, is being signed or is on the wire waits for none
// of these, and is not told of. An engine that has ended has none.
func (e *Engine) Waiting(n int) []Waiter {
	if e.made() != nil || n < 1 {
		return nil
	}
	n = min(n, mostWaiting)
	all := e.waiters(ForPermit, e.system.WaitingForPermits(n))
	all = append(all, e.waiters(ForConnection, e.system.WaitingForConnections(n))...)
	return append(all, e.admission.waiters(n)...)
}

const mostWaiting = 1024 // of a kind that Waiting tells of

func (e *Engine) waiters(what WaitsFor, found []protocol.Waiter) []Waiter {
	epoch := e.system.Epoch()
	all := make([]Waiter, 0, len(found))
	for _, f := range found {
		w := Waiter{
			Subject: subject(f.Method, f.Path), LimitID: messages.LimitName(f.Limit), Account: f.Account, Origin: f.Origin,
			Priority: f.Priority, Since: epoch.Add(f.Since), For: what, Ahead: f.Ahead,
		}
		if f.Behind >= 0 && f.Behind < len(all) {
			w.Behind = all[f.Behind].Subject
		}
		if what == ForPermit {
			w.HeldBy = heldBy(f.Hold, epoch)
		}
		all = append(all, w)
	}
	return all
}

// subject is what is sent where, without what may be a secret.
func subject(method, path string) string {
	if method == "" {
		return "permit"
	}
	return messages.Request{Method: method, Path: path}.String()
}

// heldBy tells a hold in times of day.
func heldBy(h throttle.Hold, epoch time.Time) HeldBy {
	by := HeldBy{Limit: h.Limit, Account: h.Account, Key: h.Key, Egress: h.Egress, Kept: h.Kept, Paused: h.Paused, Scope: h.Scope.Name}
	if h.Until != 0 && h.Until != throttle.Never {
		by.Until = epoch.Add(h.Until)
	}
	return by
}

// waiters tells of the first n that wait for a credit.
func (a *admission) waiters(n int) (all []Waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.queue.firstOf(n) {
		w := Waiter{
			Subject: subject(p.about.Method, p.about.Path), LimitID: messages.LimitName(p.about.LimitID), Account: p.about.Account,
			Priority: p.priority, Since: p.since, For: ForCredit, Ahead: len(all),
		}
		if len(all) > 0 {
			w.Behind = all[len(all)-1].Subject
		}
		all = append(all, w)
	}
	return all
}

// String is one line: `POST /order of "main", priority 5, waits 1.2s for "orders" until
// 12:00:03.500, behind 3`.
func (w Waiter) String() string {
	var b strings.Builder
	b.WriteString(w.Subject)
	if w.Account != "" {
		fmt.Fprintf(&b, " of %q", w.Account)
	}
	fmt.Fprintf(&b, ", priority %d, waits since %s ", w.Priority, clockTime(w.Since))
	switch w.For {
	case ForPermit:
		b.WriteString(w.HeldBy.String())
	case ForConnection:
		b.WriteString("for a connection to " + w.Origin)
	default:
		b.WriteString("for a " + w.For.String())
	}
	if w.Ahead > 0 {
		fmt.Fprintf(&b, ", behind %d", w.Ahead)
	}
	return b.String()
}

// LogValue returns what String does.
func (w Waiter) LogValue() slog.Value { return slog.StringValue(w.String()) }

// MarshalJSON writes the fields, in the style of Stats, and For by its name.
func (w Waiter) MarshalJSON() ([]byte, error) {
	type fields Waiter
	return json.Marshal(struct {
		fields
		For string `json:"for"`
	}{fields(w), w.For.String()})
}
