package engine

import (
	"fmt"
	"strings"
)

// Totals count what has happened since New. Each only ever grows, from one Stats to the
// next, and goes on being told when the engine has ended: they are what a counter of a
// monitoring system is to be set to. They are counted where the engine had to write
// something anyway, and cost a request nothing that could be measured.
//
// Requests are those of Do, Fetch, Submit and RoundTripper, and the engine's own looks at the
// server's clock; not those that named no engine, no context or no request, nor rehearsals of
// DryRun. Begun is the sum of those that have ended, by their Outcome, and of those that are
// on their journey. Of those that share an answer by Request.Coalesce the one that is sent counts,
// for all; its callers, who count in Stats.InFlight each, and may leave before it ends, are those of
// CoalesceStats.
type Totals struct {
	Begun int64 `json:"begun"` // requests

	Done     int64 `json:"done"`     // requests that have ended, and were answered with a status below 400
	Refused  int64 `json:"refused"`  // ended, refused by a limit of the server's, or not processed
	Rejected int64 `json:"rejected"` // ended, by any other 4xx status that says so
	NotSent  int64 `json:"not_sent"` // ended before a byte of them had left
	Unknown  int64 `json:"unknown"`  // ended, and nobody knows what they have done

	Attempts int64 `json:"attempts"` // exchanges of requests that have ended
	Repeated int64 `json:"repeated"` // those of them that repeat another one of their request; to follow a redirect is not to repeat

	Overloaded     int64 `json:"overloaded"`       // requests that ended with ErrOverloaded
	QueueFull      int64 `json:"queue_full"`       // with ErrQueueFull
	TooManyWaiters int64 `json:"too_many_waiters"` // with ErrTooManyWaiters

	Pauses      int64 `json:"pauses"`       // of scopes, that an answer began, and calls of Pause
	PermitsLost int64 `json:"permits_lost"` // whose requests were given up, and may have arrived all the same

	// Connections of all origins and egresses; over HTTP/2, places for a stream.
	Opened      int64 `json:"opened"`
	DialsFailed int64 `json:"dials_failed"`
	Closed      int64 `json:"closed"`

	DeadLetters int64 `json:"dead_letters"` // messages to an actor that had ended
	Restarts    int64 `json:"restarts"`     // of actors that failed: a mistake in the engine, or a panic in code of the user's that it could not contain
}

// String is one line for people: what has begun, and of the rest what is not zero.
func (t Totals) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d begun", t.Begun)
	for _, n := range []struct {
		n    int64
		what string
	}{
		{t.Done, "done"}, {t.Refused, "refused"}, {t.Rejected, "rejected"}, {t.NotSent, "not sent"}, {t.Unknown, "unknown"},
		{t.Attempts, "attempts"}, {t.Repeated, "repeated"},
		{t.Overloaded, "overloaded"}, {t.QueueFull, "met a full queue"}, {t.TooManyWaiters, "met too many waiters"},
		{t.Pauses, "pauses"}, {t.PermitsLost, "permits lost"},
		{t.Opened, "connections opened"}, {t.DialsFailed, "dials failed"}, {t.Closed, "connections closed"},
		{t.DeadLetters, "dead letters"}, {t.Restarts, "restarts"},
	} {
		if n.n != 0 {
			fmt.Fprintf(&b, ", %d %s", n.n, n.what)
		}
	}
	return b.String()
}

// totals asks nobody who could keep it waiting.
func (e *Engine) totals() Totals {
	away, overloaded := e.admission.turnedAway.Load(), e.admission.overloaded.Load()
	all := e.system.Totals()
	t := Totals{
		Done: all.Ended[Done], Refused: all.Ended[Refused], Rejected: all.Ended[Rejected],
		NotSent: all.Ended[NotSent] + away, Unknown: all.Ended[Unknown],
		Attempts: all.Attempts, Repeated: all.Repeated,
		Overloaded: overloaded, QueueFull: all.QueueFull, TooManyWaiters: all.PoolOverfull,
		Pauses: all.Pauses, PermitsLost: all.Lost, Opened: all.Opened, DialsFailed: all.Failed, Closed: all.Closed,
		DeadLetters: all.DeadLetters, Restarts: all.Restarts,
	}
	// One that began while they were counted may have been seen at its end alone.
	t.Begun = max(all.Begun+away, t.Done+t.Refused+t.Rejected+t.NotSent+t.Unknown)
	return t
}
