package load

import (
	"context"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Client sends requests. It must be safe for concurrent use.
type Client interface {
	// Do makes one request and fills in the answer; a failure is in Answer.Err.
	Do(ctx context.Context, r *targets.Request, a *Answer)
	// Limits says how full the client's limits are, and Connections how many are open;
	// nil and 0 if it knows of none.
	Limits() []results.LimitUse
	Connections() int
	Close()
}

// Answer is what became of a request.
type Answer struct {
	Status int
	Header http.Header // nil unless the request has KeepBody
	Body   []byte      // nil unless the request has KeepBody
	In     int64       // bytes of the body
	// Sent is when the first byte left; zero if none did. End is when the last byte came, or
	// when it failed.
	Sent, End time.Time
	// Connected is what setting up a connection for this request took; zero if there was one.
	Connected time.Duration
	// Repeats is how many times the client sent it before Sent, because a connection broke or by
	// a rule of its own: the server has seen it so many times more.
	Repeats int
	Stages  results.Stages
	Err     error
	Kind    string // of Err, in a few words: "timeout", "refused", "reset", "dns", "tls", "limit"

	sent    bool // a client has begun to count its sendings
	refused bool // this machine refused it a connection, though another may have served it
}

// Config is a run.
type Config struct {
	Header results.Header // Name, Targets, Environment…; Run fills in what it knows
	// Schedule makes the run an open one; Closed a closed one. Exactly one is given.
	Schedule *schedule.Spec
	Closed   *Closed
	Plan     targets.Plan
	// Client sends. Run does not close it.
	Client Client
	// MaxInFlight bounds requests that were handed to the client and have not ended; what is
	// due beyond it waits in the harness, and that is its lag. 0 means no bound.
	MaxInFlight int
	// Timeout ends a request that long after it was sent to the client; 0 means 30 s.
	Timeout time.Duration
	// Drain is how long outstanding requests are waited for when nothing more is issued; 0
	// means Timeout, and a second more.
	Drain time.Duration
	// Worker deals the run out: this is machine Worker, from 0, of Workers. It has every
	// Workers-th instant of a schedule, and its share of a closed run's callers and requests.
	// 0 of 0 has all.
	Worker, Workers int
	// Objectives are judged at the end, and while it runs where Abort says so. One of an operation
	// that Plan does not have is refused.
	Objectives []slo.Objective
	// Abort ends the run early once an objective can be seen to fail, but not before this
	// long; 0 means never.
	Abort time.Duration
	// Notes are what the user should know of the run beside its figures: they go into its End.
	Notes []string
	// Out is where the results are written while it runs; nil means nowhere.
	Out *results.Writer
	// Each is called with each interval when it is complete, one call at a time, and before
	// it is written; what it points to is only lent. It holds up the accounts, but no request.
	// Nil means that nobody wants them.
	Each func(results.Interval)
	// Watch is called a few times a second, one call at a time; nil means nobody looks.
	Watch func(results.Snapshot)
}

// MostCallers is how many callers a closed run has at most: each is a goroutine, and a million of
// them are some ten gigabytes with their connections.
const MostCallers = 1_000_000

// Closed is a closed loop: callers that each send the next request when the last is answered.
type Closed struct {
	Callers  int           // at least 1, at most MostCallers
	Requests uint64        // in all; 0 means until For has passed
	For      time.Duration // 0 means until Requests are done
	WarmUp   time.Duration
	Think    time.Duration // between an answer and the next request
}
