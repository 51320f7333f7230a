package messages

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/throttle"
)

// Sent says whether any byte of a request may have reached the server.
type Sent uint8

const (
	SentNo    Sent = iota // not one byte was written
	SentMaybe             // some or all were written, or an answer left it open; the outcome is unknown
	SentYes               // the server answered, or said that it did nothing (ErrUnprocessed)
)

// String returns "no", "maybe" or "yes".
func (s Sent) String() string { return [...]string{"no", "maybe", "yes"}[s] }

// Worst returns which of two attempts leaves more in doubt, and so stands for
// both: one whose outcome is unknown, then one that was answered, then one that
// was not sent.
func (s Sent) Worst(other Sent) Sent {
	if s == SentMaybe || other == SentMaybe {
		return SentMaybe
	}
	return max(s, other)
}

// Stage is a step of a request's journey.
type Stage uint8

// The stages in the order of the journey.
const (
	Admitting Stage = iota
	Preparing
	Throttled
	Leasing
	Signing
	Exchanging
	Pausing
	Finishing
)

var stageNames = [...]string{
	"admitting", "preparing", "throttled", "leasing", "signing", "exchanging", "pausing", "finishing",
}

// String returns the stage's name.
func (s Stage) String() string { return stageNames[s] }

// Error says which request ended, where on its journey, whether anything was
// sent, what it waited for, and why. The cause is reachable with errors.Is and
// errors.As. It is never changed once it was returned.
type Error struct {
	Stage    Stage
	Attempts int  // how often the request went to a connection
	Sent     Sent // the worst of all attempts: see Sent.Worst

	Method  string // "GET" if the request names none
	Path    string // the Path or URL asked for, without user, query and fragment
	Route   string // the id of the limit that the request names; empty if no limit applies
	Account string // Request.Account; a name that the caller gave, and like Key in no text
	Egress  string // Request.Egress, likewise
	Key     string // Request.Key; it may name an account, so no text of an error has it, but Stats do: keys are what they count

	Limit   string        // the id of the limit that was full or paused; empty if none was, or if it is not known
	Waited  time.Duration // how long the request queued for permits and connections, over all attempts
	RetryAt time.Time     // before then the same request ends in the same way, by what is known; zero if that is not

	Err error // the cause; what is found in it of the caller's own is told word for word if it is printed by itself
}

// NewError returns an Error that says which request it is of. The route is the
// request's own LimitID, the engine's default being unknown here.
func NewError(r *Request, stage Stage, err error) *Error {
	if r == nil {
		return &Error{Stage: stage, Err: err}
	}
	e := &Error{Stage: stage, Route: LimitName(r.LimitID), Account: r.Account, Egress: r.Egress, Key: r.Key, Err: err}
	e.Method, e.Path = r.place()
	return e
}

// NoteLimit writes down which limit a request or permit was charged to, and what the cause of
// the error says of one that is full. Instants of the ledger count from epoch.
func NoteLimit(e *Error, limitID string, cause error, epoch time.Time) {
	if limitID != "" {
		e.Route = LimitName(limitID)
	}
	full, ok := errors.AsType[*throttle.LimitError](cause)
	if !ok {
		return
	}
	if e.Limit = full.Full; full.RetryAt > 0 {
		e.RetryAt = epoch.Add(full.RetryAt)
	}
}

// NoteMemory adds why nothing came of a wait, if time was up or the caller left, and no limit is to
// blame: silence is what the memory says of that wait, and nil if it has nothing to say.
func NoteMemory(e *Error, cause, silence error) {
	if silence == nil {
		return
	}
	_, limited := errors.AsType[*throttle.LimitError](cause)
	if !limited && (errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled)) {
		e.Err = fmt.Errorf("%w: %w", e.Err, silence)
	}
}

// Error is part of error: one line, without query, header and body. What code of the caller's
// has said it tells as it is, but for the URLs in it: see Err for their user, query and fragment.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sluice: ")
	if e.Method != "" {
		b.WriteString(strings.TrimSuffix(e.Method+" "+e.Path, " ") + ": ")
	}
	fmt.Fprintf(&b, "%s (%s): %s", e.whereabouts(), e.circumstances(), discreetly(e.Err))
	return oneLine(b.String())
}

// whereabouts are the stage, and what stood in the way there.
func (e *Error) whereabouts() string {
	if e.Limit != "" {
		return fmt.Sprintf("%s by %q", e.Stage, e.Limit)
	}
	return e.Stage.String()
}

// circumstances are what stands in brackets: the way there, then what is known of
// the arrival.
func (e *Error) circumstances() string {
	var way []string
	if e.Route != "" && (e.Stage == Throttled || e.Limit != "") {
		way = append(way, fmt.Sprintf("route %q", e.Route))
	}
	if e.Waited >= time.Millisecond { // less is no wait
		way = append(way, "waited "+roughly(e.Waited))
	}
	if e.Attempts > 1 {
		way = append(way, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if in := e.RetryAfter(); in > 0 {
		way = append(way, "try again in "+roughly(in))
	}
	sent := "sent: " + e.Sent.String()
	switch outcome := judgeError(e); outcome {
	case Unknown:
		sent += ", outcome unknown"
	case Refused, Rejected:
		sent += ", " + outcome.String()
	}
	if len(way) == 0 {
		return sent
	}
	return strings.Join(way, ", ") + "; " + sent
}

// roughly writes a duration as people say it: in tenths of a second, and below
// one in milliseconds.
func roughly(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.String()
}

// CauseFirst returns an error that reads as the cause of e and then, in brackets,
// where on its journey that ended the request, which it does not name: as an
// http.Client expects of what it sends requests by. errors.As finds e in it.
func CauseFirst(e *Error) error { return &causeFirst{e} }

type causeFirst struct{ failure *Error }

// Error is part of error.
func (c *causeFirst) Error() string {
	return oneLine(fmt.Sprintf("%s (sluice: %s, %s)", discreetly(c.failure.Err), c.failure.whereabouts(), c.failure.circumstances()))
}

// Unwrap returns the *Error.
func (c *causeFirst) Unwrap() error { return c.failure }

// Timeout and Temporary are those of the *Error. Whoever asks an error of net/http's
// for them does not look further than this.
func (c *causeFirst) Timeout() bool   { return c.failure.Timeout() }
func (c *causeFirst) Temporary() bool { return c.failure.Temporary() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter is how long it is from now until RetryAt; zero if that is unknown
// or past.
func (e *Error) RetryAfter() time.Duration {
	if e.RetryAt.IsZero() {
		return 0
	}
	return max(0, time.Until(e.RetryAt))
}

// Timeout reports whether the cause was a deadline, as net.Error and
// http.Client ask.
func (e *Error) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &timeout) && answers(timeout.Timeout)
}

// Temporary is part of net.Error: whether the same request may fare better
// later. It says nothing of whether repeating it does harm; Sent does.
func (e *Error) Temporary() bool {
	var temporary interface{ Temporary() bool }
	if e.Timeout() || !e.RetryAt.IsZero() || errors.As(e.Err, &temporary) && answers(temporary.Temporary) {
		return true
	}
	for _, passing := range []error{ErrOverloaded, ErrTooManyWaiters, ErrUnprocessed, ErrStale, ErrNoTime, ErrActorFailed, throttle.ErrNoRoom} {
		if errors.Is(e.Err, passing) {
			return true
		}
	}
	return false
}

// Causes an Error may have, beside those of the throttle package, the network
// and the context. ErrClosed is also that of what was aborted on its way, whose outcome is
// unknown: see OutcomeOf.
var (
	ErrClosed            = errors.New("engine is shut down")
	ErrOverloaded        = errors.New("too many requests in flight: Admission.MaxInFlight and MaxWaiting bound them")
	ErrNoLimit           = errors.New("request names no limit: set LimitID, Config.DefaultLimitID, or engine.Unlimited")
	ErrTooManyWaiters    = errors.New("too many requests wait for a connection: Connections.MaxWaiters bounds them")
	ErrTruncated         = errors.New("response ended early")
	ErrPeerClosed        = errors.New("server closed or reset the connection")
	ErrMalformedResponse = errors.New("malformed response")
	ErrHeaderTooLarge    = errors.New("response header over the cap")
	ErrBodyTooLarge      = errors.New("response body over the cap")
	ErrUnknownAccount    = errors.New("request names an account that the engine does not have, or has no longer: see Config.Accounts and Engine.SetAccount")
	ErrUnknownEgress     = errors.New("request names an egress that is not among Config.Egress")
	ErrInvalidRequest    = errors.New("invalid request")
	ErrStale             = errors.New("connection was not silent before use")
	ErrUnprocessed       = errors.New("server says that it did not process the request")
	ErrNoTime            = errors.New("server time is not known")
	ErrActorFailed       = errors.New("an engine actor failed")
	ErrNoEngine          = errors.New("engine is nil, or was not made by engine.New")
	ErrInsideRequest     = errors.New("called from inside a request")
	ErrStillRunning      = errors.New("code that requests wait for has not returned")
)

// Permanent reports whether an error says of itself that it would come again
// however soon or late the same thing were tried: it has a method Permanent that
// returns true.
func Permanent(err error) bool {
	var lasting interface{ Permanent() bool }
	return errors.As(err, &lasting) && answers(lasting.Permanent)
}

// PanicError is a panic in code the engine called on a request's behalf: a
// processor, an authenticator, a body reader. Its text says where it was. What the panic
// said may be anything that such code has in hand, and is read from the fields alone,
// but for what the language itself says, as of an index out of range.
type PanicError struct {
	Stage Stage
	Value any
	Stack []byte
}

// panicError is the error of code that panicked, for the deferred function that recovered it.
func panicError(stage Stage, recovered any) *PanicError {
	cut := contain.NewCut(recovered)
	return &PanicError{Stage: stage, Value: cut.Value, Stack: cut.Stack}
}

// Error is part of error.
func (e *PanicError) Error() string {
	text := "panic while " + e.Stage.String()
	if at := contain.Place(e.Stack); at != "" {
		text += " in " + at
	}
	return text + ": " + e.said()
}

func (e *PanicError) said() string {
	said, all := contain.Said(e.Value)
	if !all {
		said += ", see PanicError.Value"
	}
	return said
}

// Unwrap returns the panic's value if it was an error, and one that can be asked what it is made
// of: a nil pointer to a type of error cannot, and whoever looks at this error would panic too. It
// may be another error that stands for the value, and in which errors.Is and errors.As find it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	if err == nil || !canBeAsked(err) {
		return nil
	}
	return carefully(err)
}

func canBeAsked(err error) (can bool) {
	defer func() { can = recover() == nil }()
	ask(err)
	return true
}

// ask asks an error what an engine asks of errors.
func ask(err error) {
	var before *PanicError
	_, _, _ = errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &before)
}

// SkewError is a time of the server's that was not believed: it is far from this
// machine's, and was not confirmed.
type SkewError struct {
	Server, Local time.Time // what the two clocks said at the same moment
	Why           string    // why it was not confirmed
}

// Error is part of error.
func (e *SkewError) Error() string {
	const layout = "2006-01-02 15:04:05Z"
	return fmt.Sprintf("server's clock says %s, this machine's says %s, and %s: if the server is right, "+
		"set this machine's clock, or Clock.Trust above the difference (%v)",
		e.Server.UTC().Format(layout), e.Local.UTC().Format(layout), e.Why, e.Server.Sub(e.Local).Abs().Round(time.Second))
}

// ContextError is the error of a context that ended: the cause and the plain
// error are both reachable with errors.Is and errors.As. In the place of a cause whose own
// methods panic there is that panic; one that panics only later says nothing then: whoever looks
// at the error may be nobody who could contain it.
func ContextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case err == nil, cause == context.Canceled, cause == context.DeadlineExceeded:
		return cause
	case cause == nil: // a context of the caller's own need not say the same twice
		cause = err
	}
	if covers(cause, err) {
		return tame(cause)
	}
	return &causeError{cause: tame(cause), err: tame(err)}
}

// covers reports whether an error is found in another. One that cannot be asked covers none.
func covers(cause, err error) bool {
	return answers(func() bool { return errors.Is(cause, err) })
}

// answers is what a question is answered with that is asked of an error of somebody else's: a
// panic is no.
func answers(question func() bool) (yes bool) {
	defer func() {
		if v := recover(); v != nil {
			yes = false
		}
	}()
	return question()
}

// tame asks an error what contexts' errors are asked, and returns the panic if it answers
// with one. What is not known to answer every time is asked with care from then on.
func tame(err error) (tamed error) {
	defer func() {
		if v := recover(); v != nil {
			tamed = panicError(Finishing, v)
		}
	}()
	ask(err)
	return carefully(err)
}

// carefully returns an error that stands for one of somebody else's, and that never panics.
func carefully(err error) error {
	switch err.(type) {
	case nil, *PanicError, *causeError, *askedCarefully:
		return err
	}
	if err == context.Canceled || err == context.DeadlineExceeded || reflect.TypeOf(err) == typeOfPlain {
		return err
	}
	return &askedCarefully{err}
}

// typeOfPlain is that of what errors.New makes.
var typeOfPlain = reflect.TypeOf(ErrClosed)

// askedCarefully is an error of somebody else's, whose methods may panic now and then. It has no
// Unwrap, so that errors.Is and errors.As look into it nowhere but here.
type askedCarefully struct{ err error }

// Error is part of error.
func (a *askedCarefully) Error() (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = panicError(Finishing, v).Error()
		}
	}()
	return a.err.Error()
}

// Is reports whether the error is found in it.
func (a *askedCarefully) Is(target error) bool { return covers(a.err, target) }

// As finds in it what the target is for.
func (a *askedCarefully) As(target any) bool {
	return answers(func() bool { return errors.As(a.err, target) })
}

// causeError reads as the cause, and matches both.
type causeError struct{ cause, err error }

// Error is part of error.
func (e *causeError) Error() string { return e.cause.Error() }

// Unwrap returns both.
func (e *causeError) Unwrap() []error { return []error{e.cause, e.err} }

// ProxyError says that a proxy did not open a connection. Its text holds no
// credentials.
type ProxyError struct {
	Proxy  string // host and port
	Status int    // of the answer to CONNECT, or the SOCKS reply code; 0 if there was none
	Err    error  // why else; nil if Status says it
}

// Error is part of error.
func (e *ProxyError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("proxy %s: %s", e.Proxy, discreetly(e.Err))
	}
	return fmt.Sprintf("proxy %s refused with %d", e.Proxy, e.Status)
}

// Unwrap returns the cause.
func (e *ProxyError) Unwrap() error { return e.Err }

// PoolFullError says why a request got no connection: as many are in use, or
// being opened, as may be, and none was returned in time. What streams hold is not
// returned before they have been read to the end, or closed.
type PoolFullError struct {
	Cap      string        // which is full: "Connections.Max" or "Connections.MaxTotal"
	Most     int           // its value
	Streams  int           // how many of the connections to the request's origin are held by streams that are not closed
	Oldest   time.Duration // how long ago the oldest of them was opened
	OpenedAt string        // where, with Connections.TraceStreams; otherwise empty
}

// Error is part of error: one line.
func (e *PoolFullError) Error() string {
	text := fmt.Sprintf("all %d connections of %s are in use or being opened", e.Most, e.Cap)
	if e.Streams == 0 {
		return text
	}
	text += fmt.Sprintf(", %d of them by response streams that were not closed, the oldest opened %s ago", e.Streams, roughly(e.Oldest))
	if e.OpenedAt != "" {
		text += " at " + e.OpenedAt
	}
	return text
}
