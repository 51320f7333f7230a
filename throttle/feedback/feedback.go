// Package feedback reads what answers say about limits: how long to pause, how
// much is used, what the server's clock shows.
//
// Servers disagree about names, units and whether they count up or down, so
// most of the package is data: HeaderUsage and BodyCodes describe a server, and
// Binance, Bybit, KuCoin, Gate, XRateLimit and RateLimitFields are descriptions
// that are ready to use. Anything else is a function of the same type.
//
// What cannot be understood is ignored: a malformed header must not stop a
// program that works. All functions are pure and safe for concurrent use.
package feedback

import (
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// Answer is what a Reader sees of a response.
type Answer struct {
	Limit, Key string // what the request was charged to
	Status     int    // as received
	Header     Header
	Body       []byte // not to be kept or changed
	Clock      Clock  // the server's time, as well as it is known
}

// Header has the header lines of an answer; an http.Header will do.
type Header interface {
	// Get returns the value of the first line of that name, or "".
	Get(name string) string
}

// Clock tells the server's time.
type Clock interface{ Now() time.Time }

// Feedback is what an answer says. The zero value says nothing.
type Feedback struct {
	// Pause stops everything that shares a scope with the request, queued
	// requests included; afterwards the scope starts slowly. It is capped by
	// throttle.Options.MaxPause.
	Pause time.Duration
	// Scope names the scope to pause; empty means every scope of the request's
	// limits.
	Scope string
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
type Usage struct {
	Limit, Key string
	Used       int64     // -1 if only Remaining is known
	Remaining  int64     // read if Used is -1
	Quota      int64     // what the server says the limit is; 0 if it does not
	At         time.Time // a server time in the window this is about; zero means the present window
}

// Reader reads an answer.
type Reader func(Answer) Feedback

// Join asks several readers. The longest pause counts, all usage and costs, and
// the first server time.
func Join(readers ...Reader) Reader {
	return func(a Answer) Feedback {
		var all Feedback
		for _, read := range readers {
			all.add(read(a))
		}
		return all
	}
}

func (f *Feedback) add(o Feedback) {
	if o.Pause > f.Pause { // of two that are alike the first reader's scope counts
		f.Pause, f.Scope = o.Pause, o.Scope
	}
	f.Usage = append(f.Usage, o.Usage...)
	f.Costs = append(f.Costs, o.Costs...)
	if f.ServerTime.IsZero() {
		f.ServerTime, f.Resolution = o.ServerTime, o.Resolution
	}
	f.TimestampRefused = f.TimestampRefused || o.TimestampRefused
}
