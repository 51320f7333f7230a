// Package feedback reads what answers say about limits: how long to pause, how
// much is used, what the server's clock shows.
//
// Servers disagree about names, units and whether they count up or down, so
// most of the package is data: HeaderUsage and BodyCodes describe a server, and
// RetryAfter, XRateLimit, RateLimitFields and the readers that are named after
// exchanges are descriptions that are ready to use. Anything else is a function
// of the same type; Join and Prefer put several together.
//
// What cannot be understood is ignored: a malformed header must not stop a
// program that works. All functions are pure and safe for concurrent use.
package feedback

import (
	"slices"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// Answer is what a Reader sees of a response.
type Answer struct {
	Limit, Key string // what the request was charged to; empty for one without a limit
	Account    string // whose request it was; empty for the default account
	Egress     string // where it left from; empty for the default way out
	Origin     string // whom it was asked of: "https://api.example.com"; empty if that is not known
	Status     int    // as received
	Header     Header
	Body       []byte // not to be kept or changed; empty where a refusal is read by its head, see Reader
	Clock      Clock  // the server's time, as well as it is known
}

// Header has the header lines of an answer; an http.Header will do. One that has no Values,
// as http.Header and messages.Header have, tells of a list that stands on several lines what is
// on the first. One that has the Lookup of *messages.Header as well may be asked for several
// names at once.
type Header interface {
	// Get returns the value of the first line of that name, or "".
	Get(name string) string
}

// Clock tells the server's time.
type Clock interface{ Now() time.Time }

// Feedback is what an answer says. The zero value says nothing.
type Feedback struct {
	// Refused says that the server refused the request because of a limit, and
	// so did not execute it: by a status of 429 or 418, by a code in the body,
	// or by a 403 where that is how a server speaks of limits. Refusals alone
	// pause what shares a limit with the request.
	Refused bool
	// Busy says that the server is overloaded or in maintenance. No limit was
	// hit, and the request may have been executed. If both are set, Refused
	// counts.
	Busy bool
	// Pause is for how long: never negative, and at most MaxPause. With Refused
	// it stops everything that shares a scope with the request, queued requests
	// included; afterwards the scope starts slowly. Zero leaves the length to
	// the throttler, which never lets a refusal pass without a pause. It is
	// capped by throttle.Options.MaxPause; with Busy, by a far lower cap of the
	// throttler's own. With neither it says nothing.
	Pause time.Duration

	// What stops is told by the first of these three that is set. If none is,
	// it is every scope of the limits that the request was charged to, linked
	// ones included. A request that was charged to none stops its origin.

	// Whole stops everything that goes to the request's origin, whatever its
	// limits: the address is banned.
	Whole bool
	// Scope is the name of the one scope to stop. Empty means those of the limits that the
	// request was charged to, and so does a name that no limit has, of which a warning
	// in the log tells.
	Scope string
	// OwnLimit stops only what is charged to the limit that the request named
	// (with the request's key, if that limit counts by key), and nothing else in
	// its scope: what the server counts by endpoint is full, and the limits it
	// is linked to are not. The limit is held for as long as Pause says, whatever its
	// window has room for, and does not start slowly. With a Pause of zero it is held
	// for the least pause, and counts as full if time gives it room.
	OwnLimit bool

	// Usage corrects counters upwards, never downwards.
	Usage []Usage
	// Costs are what the request really cost, where that is known only now.
	Costs []throttle.Cost
	// ServerTime is when the server read its clock while it had the request,
	// cut off to Resolution. It lets a sliding limit's permit come back sooner.
	ServerTime time.Time
	Resolution time.Duration
	// TimestampRefused says that the server found the request's timestamp
	// outside its window, and did not execute it.
	TimestampRefused bool
}

// Usage is what a server says about one limit.
//
// It is about one instance of a limit that is told apart, see throttle.Limit.By: the one
// of Account, Key and Egress. Of these what is left empty is that of the request which
// was answered.
type Usage struct {
	Limit, Key string
	Account    string
	Egress     string
	Used       int64     // -1 if only Remaining is known
	Remaining  int64     // what the server will still admit; read if Used is -1
	Quota      int64     // what the server says the limit is; 0 if it does not
	At         time.Time // a server time in the window this is about; zero means the present window

	// Ends is when that window ends, as the server says it: by its clock, a second more or less.
	// EndsIn is how long it was until then when the server read the number, where it counts down: at
	// most, and up to two seconds less, which is what it says and a second. Zero says nothing. Of a Fixed
	// limit a number is passed over which by them is surely about a window that is over, as that of a
	// server which counts a request when it arrives and answers in the next window.
	Ends   time.Time
	EndsIn time.Duration
}

// Of returns how much of quota, which is what the table of limits says, has to
// count as used for no more to be sent than the server will still admit: quota
// less what remains of the server's own, and never less than what the server
// counts as used. It lies between 0 and quota.
func (u Usage) Of(quota int64) int64 {
	quota = max(0, quota)
	used, remaining := u.Used, u.Remaining
	if used >= 0 {
		if u.Quota <= 0 {
			return min(used, quota)
		}
		remaining = max(0, u.Quota-used)
	}
	if remaining < 0 {
		return 0 // it says nothing
	}
	return min(quota, max(used, quota-min(quota, remaining)))
}

// Reader reads an answer. It must be safe for concurrent use. One of 429, 418 or 503
// whose body comes later than its head is read more than once, for it counts from its head on:
// first without its Body, then without its Header too, if there is no Retry-After, to know whether
// a pause is stated there or guessed by the status, and then as a whole. What the head states
// stays paused; what is guessed is a pause of a second until the whole is read. In
// HTTP/2, where they are frames of their own, a body counts as late if it was not read yet; in
// HTTP/1.1 so does one of no said length, which ends with its connection.
type Reader func(Answer) Feedback

// read asks a reader. A nil one is RetryAfter, as it is to an engine.
func (r Reader) read(a Answer) Feedback {
	if r == nil {
		return RetryAfter(a)
	}
	return r(a)
}

// Join asks several readers, of which a nil one is RetryAfter, and takes all usage and costs,
// and the first server time. Of what they say about refusals and overloads the gravest counts:
// a refusal more than an overload, a longer pause more than a shorter one, and of two that are
// alike what the first reader says.
func Join(readers ...Reader) Reader {
	return func(a Answer) Feedback {
		var all Feedback
		for _, read := range readers {
			f := read.read(a)
			if f.graver(&all) {
				all.believe(&f)
			}
			all.add(&f)
		}
		return all
	}
}

// Prefer is Join, but what the first reader says that speaks of a refusal or an
// overload counts, and later ones are not heard about that. So a code in the
// body that means "busy" is stronger than the status of 429 it came with:
//
//	feedback.Prefer(codes.Read, feedback.RetryAfter)
func Prefer(readers ...Reader) Reader {
	return func(a Answer) Feedback {
		var all Feedback
		for _, read := range readers {
			f := read.read(a)
			if all.verdict() == nothing {
				all.believe(&f)
			}
			all.add(&f)
		}
		return all
	}
}

// verdict is what a feedback says about the request, by gravity.
type verdict int

const (
	nothing verdict = iota
	busy
	refused
)

func (f *Feedback) verdict() verdict {
	switch {
	case f.Refused:
		return refused
	case f.Busy:
		return busy
	}
	return nothing
}

func (f *Feedback) graver(than *Feedback) bool {
	ours, theirs := f.verdict(), than.verdict()
	return ours > theirs || ours == theirs && f.Pause > than.Pause
}

// believe takes over what o says about refusals and overloads, and about what
// stops for how long.
func (f *Feedback) believe(o *Feedback) {
	f.Refused, f.Busy, f.Pause = o.Refused, o.Busy && !o.Refused, clamp(o.Pause)
	f.Whole, f.Scope, f.OwnLimit = o.Whole, o.Scope, o.OwnLimit
}

// add takes over all else.
func (f *Feedback) add(o *Feedback) {
	f.Usage = joined(f.Usage, o.Usage)
	f.Costs = joined(f.Costs, o.Costs)
	if f.ServerTime.IsZero() {
		f.ServerTime, f.Resolution = o.ServerTime, o.Resolution
	}
	f.TimestampRefused = f.TimestampRefused || o.TimestampRefused
}

// joined is append, but a list alone is not copied. Its reader may use what lies
// behind it for something else, hence its capacity.
func joined[T any](a, b []T) []T {
	if len(a) == 0 {
		return slices.Clip(b)
	}
	return append(a, b...)
}
