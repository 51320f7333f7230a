package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/actors/timesync"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/internal/httpdate"
	"github.com/sluice-engine/sluice/internal/jsonpath"
	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// TimeSource reads the server's clock once. ServerTime returns what the server
// said and the step of its figure (a millisecond, a second), and the moments
// just before the question left and just after the answer came.
type TimeSource interface {
	ServerTime(ctx context.Context, eng *Engine) (TimeReading, error)
}

// TimeReading is one reading of the server's clock. Sent and Received must
// come from time.Now, and be a minute apart at most: a slower reading is an error.
type TimeReading struct {
	Server         time.Time
	Resolution     time.Duration // zero means exact
	Sent, Received time.Time
	// Date is the Date header of the same answer. It is a second source, by which
	// a time far from this machine's is confirmed sooner, and one from a cache is
	// found out. Zero means that there was none, or that Server is made of it.
	Date time.Time
}

// TimeFunc makes a function a TimeSource.
type TimeFunc func(ctx context.Context, eng *Engine) (TimeReading, error)

// ServerTime calls f.
func (f TimeFunc) ServerTime(ctx context.Context, eng *Engine) (TimeReading, error) {
	return f(ctx, eng)
}

// TimeEndpoint reads the server's clock with a GET through the engine itself,
// so that the reading waits for permits and connections like anything else.
type TimeEndpoint struct {
	// Path, joined to Config.BaseURL, or full URL of the endpoint; one of them must be given.
	Path, URL string
	// Field is where the answer's JSON has the time, names joined by dots, the
	// elements of a list by number ("data.0.ts"): a Unix time in s, ms, µs or ns,
	// told by its size, or a text in RFC 3339. Empty means the Date header, which
	// every server has, to the second.
	Field string
	// LimitID is the limit the reading is charged to, or Unlimited; see
	// ChargedTo. Empty means Config.DefaultLimitID, and is a mistake if that is
	// empty too and there are limits: a look at the clock obeys the pauses of its
	// limit, and one that obeyed none would make a ban longer.
	LimitID string
	// Account and Egress name whose quota the reading is charged to, and the way that it
	// takes, as those of a Request. Empty means the default ones. No account signs it.
	Account, Egress string
	// Timeout bounds one reading; zero means 5 s. If no time is known, and its limit is full or
	// paused beyond that, it waits in the queue, and the time begins when it is let go. An answer
	// that has taken more than a minute since it was sent tells no time.
	Timeout time.Duration
}

// TimeFrom reads the server's clock from a JSON field, as in
//
//	TimeFrom("/api/v3/time", "serverTime").ChargedTo("time")
//
// The Date header of the same answer must agree with the field, if there is one: a field
// that is seconds older is a cache's, and the reading an error.
func TimeFrom(path, field string) TimeEndpoint { return TimeEndpoint{Path: path, Field: field} }

// ChargedTo returns the same endpoint, each reading of which is charged to the
// limit of that id, or to none if it is Unlimited.
func (t TimeEndpoint) ChargedTo(limitID string) TimeEndpoint {
	t.LimitID = limitID
	return t
}

// endpoint is what New can look at.
func (t TimeEndpoint) endpoint() TimeEndpoint { return t }

// ServerTime is part of TimeSource.
func (t TimeEndpoint) ServerTime(ctx context.Context, eng *Engine) (TimeReading, error) {
	response, err := t.ask(ctx, eng)
	if err != nil {
		return TimeReading{}, err
	}
	text, err := t.find(response)
	if err != nil {
		return TimeReading{}, err
	}
	unix, resolution, err := clock.ParseTime(text)
	if err != nil {
		return TimeReading{}, fmt.Errorf("server time: Config.Time reads %q: %w", cmp.Or(t.Field, "Date"), err)
	}
	reading := TimeReading{
		Server: time.Unix(0, int64(unix)), Resolution: resolution,
		Sent: response.SentAt, Received: response.AnsweredAt,
	}
	if t.Field != "" { // or Date and Server are the same
		reading.Date, _ = httpdate.Parse(response.Header.Get("Date"))
	}
	return reading, nil
}

// find returns the time as it stands in the answer. A cache's is of no use: it
// is the origin's of long ago.
func (t TimeEndpoint) find(response *Response) (string, error) {
	if response.Header.Get("Age") != "" { // only caches send it (RFC 9111, section 5.1)
		return "", errors.New("server time: answer came from a cache: it has an Age header")
	}
	if t.Field == "" {
		return response.Header.Get("Date"), nil // of any status, for every answer has a Date
	}
	if err := response.Err(); err != nil {
		return "", err
	}
	return fieldOf(response.Body, t.Field)
}

// ask asks for the answer. Timeout is for that: where whoever waits for the reading would have
// waited for the limit as well, it begins when the limit opens.
func (t TimeEndpoint) ask(ctx context.Context, eng *Engine) (*Response, error) {
	req := t.request()
	patience, is := ctx.Value(patienceKey{}).(timesync.Patience)
	if !is {
		return eng.ask(ctx, req, nil)
	}
	turn := &lookTurn{eng: eng, asked: *req, patience: patience}
	defer turn.telling.Wait() // a look leaves no goroutine behind
	if wait := time.Until(patience.Until); wait > 0 {
		own, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		ctx, turn.within = own, req.Timeout
		turn.late = time.AfterFunc(wait+req.Timeout, func() { cancel(context.DeadlineExceeded) })
		defer turn.late.Stop()
		req.Timeout += wait
	}
	return eng.ask(ctx, req, turn)
}

// patienceKey is the key of a timesync.Patience in the context of a reading.
type patienceKey struct{}

// lookTurn hears when a reading comes to wait for its limit, and when it is let go: its time
// begins then, whenever the limit was to open.
type lookTurn struct {
	eng      *Engine
	asked    Request
	patience timesync.Patience
	late     *time.Timer // ends a reading that waits for its limit; nil for one that does so in its own time
	within   time.Duration
	gone     atomic.Bool // it waits no more
	telling  sync.WaitGroup
}

// Asks is part of request.Standby.
func (l *lookTurn) Asks(in request.Queue) {
	if in == nil {
		l.eng.looking.Store(nil)
		return
	}
	l.eng.looking.Store(&looking{in})
}

// StandsBy is part of request.Standby.
func (l *lookTurn) StandsBy(in request.Queue) {
	if in != nil {
		l.gone.Store(false)
		l.telling.Go(func() { l.tellWhen(in) }) // apart: it asks the throttler, and functions of costs
	}
}

// tellWhen tells when the limit opens, and takes that back if the reading was let go meanwhile:
// what that told may have come first.
func (l *lookTurn) tellWhen(in request.Queue) {
	full, _ := l.eng.held(&l.asked, l.eng.defaultLimit())
	if full == nil || !in.Queues() {
		return
	}
	why := messages.NewError(&l.asked, Throttled, fmt.Errorf("%w: %w", full, context.DeadlineExceeded))
	messages.NoteLimit(why, full.ID, full, l.eng.system.Epoch())
	l.patience.Waits(why.RetryAt, why)
	if l.gone.Load() {
		l.patience.Left()
	}
}

// GoesOn is part of request.Standby.
func (l *lookTurn) GoesOn(bool) {
	if l.late != nil {
		l.late.Reset(l.within)
	}
	l.gone.Store(true)
	l.patience.Left()
}

// AskedAt is part of request.Standby.
func (*lookTurn) AskedAt() string { return "" }

// Over is part of request.Standby.
func (*lookTurn) Over() error { return nil }

// Ends is part of request.Standby.
func (*lookTurn) Ends(*Response, error) {}

// lacksRoom reports whether a request failed because its limits or their queue had no room for it,
// and when a limit opens that was full beyond its time; zero if that is not known.
func lacksRoom(err error) (opens time.Time, lacks bool) {
	failure, is := errors.AsType[*Error](err)
	switch {
	case !is:
		return time.Time{}, false
	case errors.Is(failure.Err, throttle.ErrDeadline):
		return failure.RetryAt, true
	}
	return time.Time{}, errors.Is(failure.Err, throttle.ErrQueueFull) || errors.Is(failure.Err, throttle.ErrNoRoom)
}

func (t TimeEndpoint) request() *Request {
	timeout := min(cmp.Or(t.Timeout, 5*time.Second), unit.Longest) // to which a wait is added
	return &Request{Path: t.Path, URL: t.URL, LimitID: t.LimitID, Account: t.Account, Egress: t.Egress, Priority: Urgent, Timeout: timeout}
}

// fieldOf finds a field in a JSON document, and returns it as it stands.
func fieldOf(document []byte, field string) (string, error) {
	document = jsontext.WithoutMark(document)
	if raw, found := jsonpath.Find(document, field); found {
		return string(raw), nil
	}
	return "", fmt.Errorf("server time: Config.Time reads %q: %w", field, missing(document, field))
}

// missing says which name on the way to a field leads nowhere.
func missing(document []byte, field string) error {
	name, rest, more := strings.Cut(field, ".")
	if inner, found := jsonpath.Find(document, name); found && more {
		return missing(inner, rest)
	}
	if !json.Valid(document) || !bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		return fmt.Errorf("no JSON object around %q", name)
	}
	return fmt.Errorf("answer has no field %q", name)
}

// ask is Do for the engine's own errands: they need no credit, because a request
// that has one waits for them. Without BaseURL and Origins an errand is sent as to a
// stranger: without credentials and Config.Header.
// standby is told when it is let go; nil tells nobody.
func (e *Engine) ask(ctx context.Context, req *Request, standby request.Standby) (*Response, error) {
	terms := &request.Terms{Deadline: e.deadline(ctx, req.Timeout), LimitID: e.defaultLimit(), Stranger: len(e.homes) == 0, Errand: true, Standby: standby}
	ctx = context.WithValue(ctx, errandKey{}, true)
	carry := e.system.Carry
	if e.observers != nil {
		carry = e.observed
	}
	response, _, err := carry(ctx, req, terms)
	return response, err
}

// sampler turns a TimeSource into what timesync calls.
func (e *Engine) sampler(source TimeSource) timesync.Sample {
	return func(ctx context.Context, epoch time.Time, patience timesync.Patience) (sample clock.Sample, err error) {
		// This runs on a goroutine of the engine's own, which a panic in a caller's
		// TimeSource must not end.
		defer func() {
			if v := recover(); v != nil {
				err = wire.Panicked(Preparing, v)
			}
		}()
		r, err := source.ServerTime(context.WithValue(ctx, patienceKey{}, patience), e)
		if err == nil {
			return r.sample(epoch)
		}
		if at, lacks := lacksRoom(err); lacks {
			err = &timesync.Later{At: at, Err: err}
		}
		return clock.Sample{}, err
	}
}

// sample is the reading on the estimator's clock. Sent and Received have
// monotonic readings, as epoch has: a step of the wall clock between them changes
// nothing. What the wall clock showed is kept beside it.
func (r TimeReading) sample(epoch time.Time) (clock.Sample, error) {
	if r.Sent.IsZero() || r.Received.IsZero() || r.Received.After(time.Now()) {
		return clock.Sample{}, errors.New("server time: its reading does not say when it was Sent and Received")
	}
	s := clock.Sample{
		Sent: r.Sent.Sub(epoch), Received: r.Received.Sub(epoch), // Sub saturates, at what no Sample may hold
		Local:  max(1, clock.Unix(r.Received)), // with zero there is nothing that Server is compared with
		Server: clock.Unix(r.Server), Resolution: r.Resolution, Date: clock.Unix(r.Date),
	}
	if !r.Date.IsZero() && s.Date == 0 { // which would stand for none, and contradict nothing
		return clock.Sample{}, clock.ErrBeside
	}
	if err := s.Validate(); err != nil {
		return clock.Sample{}, err
	}
	if old := s.Old(); old > 0 {
		return clock.Sample{}, fmt.Errorf("server time: answer came from a cache: by its Date header its time is %v old", old.Round(time.Second))
	}
	return s, nil
}
