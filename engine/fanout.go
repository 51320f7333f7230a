package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// FanOut says how many requests go out together: see Engine.Stream, All, FetchAll and Map.
// Its zero value sends up to 1,024 at once, hands results over as they come, and goes on
// after failures. A number below zero is a mistake, which the run ends with.
type FanOut struct {
	// Window is how many requests may be on their way, or finished and not yet handed over,
	// at once; the input is asked for another only while there are fewer. It bounds the
	// memory of a run: some 2 KB each, and the answers. Besides there are goroutines of some
	// 8 KB: for each origin as many as it may have connections, of each priority as many again
	// and eight that are more urgent than some of these, and 256 of those that wait for limits;
	// others that do wait without one. Zero means 1,024: sixteen times what Connections.Max is by
	// default, so that connections stay busy while a good part waits for limits, and a run through
	// limits by key has many keys at hand. For requests that no limit holds, the number of
	// connections is enough. With 1, each request is sent when the loop has come round from the one
	// before.
	Window int
	// InOrder hands the results over in the order of the input. What has finished before
	// its turn waits, within Window: a slow first one holds the others up, and no memory
	// beyond that. False is in the order in which they come.
	InOrder bool

	// Each bounds every request from when it was read, its wait for its turn in the run and the
	// waits between repetitions of RetryLater included; its Request.Timeout bounds each time it
	// is sent. Zero is no bound.
	Each time.Duration
	// Within bounds the whole run. Zero is no bound.
	Within time.Duration

	// FailStatuses makes failures of answers with a status of 400 and above: the result has
	// a *StatusError instead of the Response, which is told when the beginning of a streamed body
	// is there, or a second has passed. False leaves any status a response, as Do does.
	FailStatuses bool
	// StopAtFirst cancels the rest at the first failure, as soon as that is known: what is
	// on its way ends with ErrStopped, and is handed over like any other result; nothing
	// more of the input is read. False goes on.
	StopAtFirst bool
	// RetryLater is how many times more a request is sent that was refused for now: by an
	// error with a RetryAt, ErrQueueFull, ErrOverloaded or ErrTooManyWaiters, or by a status
	// of 429, 418 or 503 (FailStatuses or not). It goes again when the refusal says, else after
	// 100 ms to 200 ms that double each time, unless that is past Each or Within. One that is
	// not idempotent goes again only if it was certainly not carried out: OutcomeOf is NotSent
	// or Refused. Those that wait hold no others back: up to 10,000 of them count in no
	// Window, but for a run InOrder. Close and Shutdown end them at once, with ErrClosed beside
	// the refusal, and so does the end of the run, with its cause. Zero sends nothing again;
	// Config.Retry does its work before all this.
	RetryLater int

	// OnProgress is told how far the run has come, every ProgressEvery and once at its end,
	// on the goroutine of the loop: between two results, or while it waits for one, and so not
	// while the body of the loop runs. A panic in it is one of the loop. Nil tells nobody.
	OnProgress func(Progress)
	// ProgressEvery is the time between two calls of OnProgress; zero means a second.
	ProgressEvery time.Duration
	// Total is how many requests the input has, for Progress.EstimatedEnd; zero means that
	// it is not known. All and FetchAll know it.
	Total int64
}

// Result is how one request of a run has ended.
type Result struct {
	// Index counts the requests of the input, from 0. It is -1 in a result that is about
	// the run itself: then Request is nil and Err a *RunError, and it is the last one.
	Index   int64
	Request *Request // as the input had it
	// Response is nil if there is an Err.
	Response *Response
	// Err is what Do would have returned, or a *StatusError with FanOut.FailStatuses. With
	// FanOut.RetryLater it is that of the last try, and its Sent the worst of that and of
	// all tries that may have been carried out.
	Err error
	// Tries is how often the request was submitted: more than once with
	// FanOut.RetryLater.
	Tries int
}

// ErrStopped is the cause of requests that were cancelled, or not sent at all, because
// another one of their run had failed, by FanOut.StopAtFirst.
var ErrStopped = errors.New("cancelled, because another request of the run failed: see FanOut.StopAtFirst")

// Causes of a RunError, beside those of contexts.
var (
	// ErrRanTwice is ranging for a second time over what Stream has returned.
	ErrRanTwice = errors.New("the results of a run can be ranged over once: call Stream again, with an input of its own")
	// ErrInvalidRun is a run that cannot begin: a nil context or input, a number below zero.
	ErrInvalidRun = errors.New("invalid run")
)

// errLeft is what those end with that nobody waits for any more.
var errLeft = errors.New("the loop over the results was left")

// RunError says that a run ended before its input was read to the end, or did not begin. With
// FanOut.StopAtFirst, All and those like it return one as well for a run that ended by itself when all
// was read, and not all done.
type RunError struct {
	Pulled int64 // how many requests were read from the input
	Err    error // why: the context's error, ErrStopped, ErrRanTwice, ErrInvalidRun, ErrNoEngine

	all bool // there were no more
}

// Error is part of error.
func (e *RunError) Error() string {
	if e.all {
		return fmt.Sprintf("sluice: run of requests: ended before all %d were done: %v", e.Pulled, messages.Discreet(e.Err))
	}
	if e.Pulled == 0 {
		return fmt.Sprintf("sluice: run of requests: none was read from the input: %v", messages.Discreet(e.Err))
	}
	return fmt.Sprintf("sluice: run of requests: ended after %d were read from the input, which has or may have more: %v", e.Pulled, messages.Discreet(e.Err))
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Err }

// Stream sends the requests of an input, many at once, and yields how each has ended:
// exactly one result for every request that was read, while the loop goes on.
//
//	for req, result := range eng.Stream(ctx, input, engine.FanOut{}) {
//		if result.Err != nil {
//			…
//		}
//	}
//
// Requests begin in the order of the input, those that begin together in any. To one origin
// there are no more on their way at once than it may have connections, and others that wait for
// limits, or have waited for them and go when these open, or that are more urgent than some of those,
// of whom up to eight more then wait for the next connections; the rest wait in the run, the most
// urgent first, where they hold no credit of Config.Admission and are in no queue: their
// Request.Timeout begins when they do, while FanOut.Each began when they were read. Those with
// Coalesce are not held back: the more of them ask at once, the more they share.
//
// The input is read on a goroutine of its own, and only while fewer than FanOut.Window
// requests are on their way: it may be endless, and a slow one holds back no results. How
// many there are makes no difference to the memory that is in use. It must not read what
// the loop changes without a lock. A request must not be changed until its result is there;
// the same value may come more than once. A nil request has a result with an error.
//
// The loop may end at any time, by break, by a panic or by runtime.Goexit: then, and when
// ctx ends, what is on its way is cancelled, and waited for. So is the input, which has to
// return when its yield says false: one that blocks elsewhere should watch ctx, and is
// waited for for ten seconds at most; then the log has a warning that names the caller of
// Stream, and its goroutine ends when the input returns. A panic in the input, or a
// runtime.Goexit, comes to the goroutine of the loop, after what is on its way has been
// cancelled.
//
// If the run ended before the input did, by ctx, FanOut.Within or StopAtFirst, the last
// result has an Index of -1 and says so with a *RunError. So does the only result of a run
// that could not begin: with a nil ctx or input, a mistake in how, or an engine that is none. On
// a closed engine every request has ErrClosed. What Stream returns can be ranged over once:
// a second time yields ErrRanTwice.
//
// With Request.Stream the body of the loop reads or closes Response.Stream: it ends with the
// loop at the latest, and until then holds a connection and a credit of Config.Admission.
// Streams of results that are not handed over are closed. With InOrder a stream is begun when
// every request before it has ended: one whose turn is later would hold what they may wait for.
func (e *Engine) Stream(ctx context.Context, input iter.Seq[*Request], how FanOut) iter.Seq2[*Request, Result] {
	return e.newRun(ctx, input, how, rules{}).results
}

const (
	defaultWindow   = 1024
	defaultProgress = time.Second
	// mostOutside is how many that wait to go again count in no window.
	mostOutside = 10_000
	// leavePatience is how long an input, or a request, is waited for that does not end when
	// its run does.
	leavePatience = 10 * time.Second
)

// read returns how with its defaults, or everything that is wrong with it.
func (how FanOut) read() (FanOut, error) {
	var wrong []error
	for _, number := range []struct {
		name  string
		value int64
	}{
		{"Window", int64(how.Window)}, {"Each", int64(how.Each)}, {"Within", int64(how.Within)},
		{"RetryLater", int64(how.RetryLater)}, {"ProgressEvery", int64(how.ProgressEvery)}, {"Total", how.Total},
	} {
		if number.value < 0 {
			wrong = append(wrong, fmt.Errorf("FanOut.%s is below zero: %d", number.name, number.value))
		}
	}
	if how.Window == 0 {
		how.Window = defaultWindow
	}
	if how.ProgressEvery == 0 {
		how.ProgressEvery = defaultProgress
	}
	return how, errors.Join(wrong...)
}
