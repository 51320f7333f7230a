package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-engine/sluice/internal/eventstream"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Event is one server-sent event.
type Event struct {
	// ID is the last event id that the server has named, with this event or before it, as the
	// stream has it. It may be one that no header carries, or not with the blanks at its ends: to
	// go on, take EventsError.LastEventID.
	ID   string
	Type string // "message" if the server names none
	Data string // the lines of data, joined by line feeds; UTF-8
	// Retry is the reconnection time that the server has named last; zero if it has not.
	Retry time.Duration
	// Connection counts the connections of the sequence from 1: the one that the event came
	// by. Where it is another than that of the event before, the sequence was interrupted, and
	// what the server does not repeat by its event ids is missing.
	Connection int
}

// Subscription says how Events connects, and connects again. The zero value is good for
// most servers.
type Subscription struct {
	// LastEventID is sent as Last-Event-ID with the first request: that of an
	// EventsError, to go on where another sequence has ended. Blanks at its ends are not sent:
	// no header line has any. Empty sends none, unless the request's Header does.
	LastEventID string
	// Once ends the sequence with the stream, instead of connecting again. So it is with a
	// request that is not idempotent (Request.IsIdempotent), whether or not Once is set: a
	// POST is repeated only if nothing came of it.
	Once bool
	// Idle bounds for how long a stream may bring no byte, be it of a comment: then it is
	// given up, and connected to again. Zero means for ever: a connection that is dead
	// without a word is not noticed.
	Idle time.Duration
	// Pause is waited before connecting again, until the server names a reconnection time.
	// It doubles with each time that brings no event, up to LongestPause or the server's
	// own time, whichever is longer; to each up to a half of it is added at random. Zero
	// means 2 s, and LongestPause zero 30 s; less than 100 ms is never waited.
	Pause, LongestPause time.Duration
	// Failures bounds how often in a row there may be no stream: a dial or an exchange that
	// failed, or a refusal that says when to come back. Zero means 10, and below zero there
	// is no bound.
	Failures int
	// MaxEvent bounds the bytes of a line, and of an event's data; more is ErrEventTooLarge.
	// Zero means 1 MiB.
	MaxEvent int
	// Interrupted, if it is set, is called on the consumer's goroutine before each pause that
	// is waited: not where the sequence ends instead. A panic in it is the consumer's.
	Interrupted func(Interruption)
}

// Interruption says that a sequence of events is about to connect again.
type Interruption struct {
	Err         error         // why: io.EOF if the server ended the stream, ErrIdle, or what is or has in it an *Error or a *StatusError
	Pause       time.Duration // until it connects again; its limits may have it wait for longer
	Connection  int           // the one that ended, or could not be made, counted from 1
	LastEventID string        // what will be sent as Last-Event-ID: without blanks at its ends, and empty as well for an id that no header can carry
}

// Causes of an EventsError, beside those that any request has.
var (
	ErrEventTooLarge = errors.New("an event is over the bound: Subscription.MaxEvent")
	ErrIdle          = errors.New("the stream of events brought no byte for as long as Subscription.Idle")
)

// EventsError is the end of a sequence of events. A caller who wants to go on gives
// LastEventID to another, as Subscription.LastEventID; Wait waits until it makes sense.
type EventsError struct {
	LastEventID string // of the events that were yielded, as it would be sent: see Interruption; it is the server's, and in no text
	Connection  int    // the last one, counted from 1
	Err         error  // why: an *Error, a *StatusError, a *ContentTypeError, or one of the causes above
}

// Error is part of error.
func (e *EventsError) Error() string {
	return fmt.Sprintf("server-sent events, connection %d: %v", e.Connection, messages.Discreet(e.Err))
}

// Unwrap returns the cause.
func (e *EventsError) Unwrap() error { return e.Err }

// Format prints what Error returns for every verb and flag.
func (e EventsError) Format(f fmt.State, _ rune) { show(f, e.Error()) }

// LogValue returns what Error does.
func (e EventsError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e EventsError) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }

// Events sends a request and yields the server-sent events of its answer, as they come and
// as the HTML standard has them read. When the stream ends it connects again, with
// Last-Event-ID, after a pause, and each time within the limits as any request.
//
//	for event, err := range engine.Events(ctx, eng, &engine.Request{Path: "/stream"}, engine.Subscription{Idle: time.Minute}) {
//		if err != nil {
//			return err
//		}
//		use(event.Type, event.Data)
//	}
//
// An error is yielded once, as an *EventsError, and ends the sequence: ctx has ended, or
// the engine; the answer has another status than 200 (a *StatusError) or another media
// type than text/event-stream (a *ContentTypeError); an event is too large; or connecting
// has failed too often. A status of 429, 418 or 503 with Retry-After is waited for, and for no
// less than the pause before any other connection, also where it says "at once"; not so a 503 to
// a request that is not idempotent, which may have been carried out. A 204 ends
// the sequence without an error: the server wants nobody to come back. So a 502 of a proxy ends
// it as well: to go on, range over another one behind EventsError.LastEventID. Close and Shutdown
// end a pause at once, with ErrClosed; a stream Shutdown lets go on, until its own context ends.
//
// The request is sent with Stream, and with Accept and Cache-Control if its Header has
// none. Its Timeout, or the engine's, bounds each time of connecting until the answer's head
// is there; the stream itself only ctx bounds, and Idle. It is read on the
// consumer's goroutine, when that wants the next event, and needs none of its own: a consumer
// who takes long holds the server up. Breaking off, a panic and runtime.Goexit in
// the loop close the stream and its connection. Ranging over the sequence again begins anew.
func Events(ctx context.Context, eng *Engine, req *Request, how Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := misusedEvents(ctx, eng, req, &how); err != nil {
			yield(Event{}, &EventsError{LastEventID: withoutBlanks(how.LastEventID), Connection: 1, Err: messages.NewError(req, Admitting, err)})
			return
		}
		own, err := contained(ctx, req)
		if err != nil {
			yield(Event{}, &EventsError{LastEventID: withoutBlanks(how.LastEventID), Connection: 1, Err: err})
			return
		}
		s := &subscription{Subscription: how, engine: eng, caller: own, asked: req, parser: eventstream.Parser{ID: how.LastEventID}}
		if s.parser.ID == "" {
			s.parser.ID = headerOf(req.Header, "Last-Event-ID")
		}
		s.given = s.parser.ID
		for {
			s.connection++
			err := s.follow(yield)
			if err == errSatisfied {
				return
			}
			switch err = s.again(err); err {
			case nil:
			case errSatisfied:
				return
			default:
				yield(Event{}, &EventsError{LastEventID: s.sentID(), Connection: s.connection, Err: err})
				return
			}
		}
	}
}

func misusedEvents(ctx context.Context, eng *Engine, req *Request, how *Subscription) error {
	if err := eng.misused(ctx, req); err != nil {
		return err
	}
	if how.Idle < 0 || how.Pause < 0 || how.LongestPause < 0 || how.MaxEvent < 0 {
		return fmt.Errorf("%w: a duration or MaxEvent of the Subscription is below zero", ErrInvalidRequest)
	}
	if err := unit.Missing(req.Timeout, time.Microsecond); err != nil { // which the requests themselves do not have
		return fmt.Errorf("%w: Timeout %w", ErrInvalidRequest, err)
	}
	return nil
}

// errSatisfied ends a sequence without an error: the consumer or the server wants no more.
var errSatisfied = errors.New("no more events are wanted")

// subscription is one loop over a sequence of events. It belongs to the consumer's
// goroutine.
type subscription struct {
	Subscription
	engine *Engine
	caller context.Context
	asked  *Request
	given  string // the id to begin behind, as the caller has it

	parser     eventstream.Parser // its ID and Retry go from stream to stream
	connection int                // counted from 1
	failures   int                // times in a row without a stream
	barren     int                // times in a row without an event
}

// follow connects once, and yields the events of the stream until it ends. It returns why
// it ended, which is never nil.
func (s *subscription) follow(yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(s.caller)
	defer cancel(nil)
	stream, err := s.connect(ctx, cancel)
	if err != nil {
		s.failures++
		s.barren++
		return err
	}
	// Deferred, because the loop's body may panic, or end this goroutine.
	defer func() { _ = wire.Guard(Finishing, func() { _ = stream.Close() }) }()
	s.failures = 0
	s.barren++
	s.parser = eventstream.Parser{Most: cmp.Or(s.MaxEvent, 1<<20), ID: s.parser.ID, Retry: s.parser.Retry, Retries: s.parser.Retries}
	return s.read(stream, cancel, yield)
}

// connect returns the stream of a good answer.
func (s *subscription) connect(ctx context.Context, cancel context.CancelCauseFunc) (io.ReadCloser, error) {
	if bound := cmp.Or(s.asked.Timeout, s.engine.timeout); bound > 0 {
		late := time.AfterFunc(bound, func() { cancel(context.DeadlineExceeded) })
		defer late.Stop()
	}
	response, err := s.engine.Do(ctx, s.request())
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusNoContent:
		_ = wire.Guard(Finishing, response.Release)
		return nil, errSatisfied
	case response.StatusCode != http.StatusOK:
		return nil, refusalOf(response, func() { cancel(nil) })
	}
	if response.Stream == nil { // a post-processor has read it
		response.Stream = io.NopCloser(bytes.NewReader(response.Body))
	}
	if err := response.Require(eventStream); err != nil {
		_ = wire.Guard(Finishing, func() { _ = response.Stream.Close() })
		return nil, err
	}
	return response.Stream, nil
}

const eventStream = "text/event-stream"

// request is what is sent: a copy of the caller's.
func (s *subscription) request() *Request {
	req := *s.asked
	req.Stream, req.Timeout = true, -1 // connect bounds it
	req.Header = req.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	for name, value := range map[string]string{"Accept": eventStream, "Cache-Control": "no-store"} {
		if !hasHeader(req.Header, name) {
			setHeader(req.Header, name, value)
		}
	}
	if id := s.sentID(); id != "" {
		setHeader(req.Header, "Last-Event-ID", id)
	} else {
		delHeader(req.Header, "Last-Event-ID")
	}
	return &req
}

// sentID is what is sent as Last-Event-ID, and handed out to go on behind: nothing for an id of
// the server's that no header can carry, which is no mistake of the caller's.
func (s *subscription) sentID() string {
	if s.parser.ID != s.given && !httpguts.ValidHeaderFieldValue(s.parser.ID) {
		return ""
	}
	return withoutBlanks(s.parser.ID)
}

// withoutBlanks is an id as a header line carries it (RFC 9110, section 5.5): the blanks at its
// ends are none of a value's.
func withoutBlanks(id string) string { return strings.Trim(id, " \t") }

// read yields the events of a stream until that ends.
func (s *subscription) read(stream io.Reader, cancel context.CancelCauseFunc, yield func(Event, error) bool) error {
	var idle *time.Timer // it runs while the stream is read, and never while the consumer is at work
	if s.Idle > 0 {
		idle = time.AfterFunc(s.Idle, func() { cancel(ErrIdle) })
		defer idle.Stop()
	}
	buffer := make([]byte, 4<<10)
	for {
		n, err := 0, error(nil)
		if panicked := wire.Guard(Exchanging, func() { n, err = stream.Read(buffer) }); panicked != nil { // a post-processor's
			return panicked
		}
		if idle != nil {
			idle.Stop()
		}
		for rest := buffer[:n]; len(rest) > 0; {
			var event eventstream.Event
			var dispatched bool
			var wrong error
			if event, rest, dispatched, wrong = s.parser.Next(rest); wrong != nil {
				return ErrEventTooLarge
			}
			if !dispatched {
				break
			}
			s.barren = 0
			if !yield(Event{event.ID, event.Type, event.Data, s.parser.Retry, s.connection}, nil) {
				return errSatisfied
			}
		}
		switch {
		case errors.Is(err, ErrIdle):
			return ErrIdle // and not the end of a context, which is the engine's own
		case err != nil:
			return err
		case idle != nil:
			idle.Reset(s.Idle)
		}
	}
}

// again waits until it is time to connect again, or returns why the sequence ends.
func (s *subscription) again(why error) error {
	switch {
	case s.caller.Err() != nil:
		if _, told := errors.AsType[*Error](why); told && errors.Is(why, s.caller.Err()) {
			return why
		}
		return s.gone(messages.ContextError(s.caller), why)
	case !s.mayConnectAgain(why):
		if why == io.EOF {
			return errSatisfied // what has an end of its own has come to it
		}
		return s.broken(why)
	}
	pause := s.pause(why)
	if deadline, has := s.caller.Deadline(); has && time.Until(deadline) <= pause {
		return s.broken(errors.Join(context.DeadlineExceeded, why))
	}
	if s.engine.ending.hasBegun() {
		return s.gone(ErrClosed, why)
	}
	if s.Interrupted != nil {
		cause := why
		if why != io.EOF && why != ErrIdle {
			cause = s.broken(why)
		}
		s.Interrupted(Interruption{Err: cause, Pause: pause, Connection: s.connection, LastEventID: s.sentID()})
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.caller.Done():
		return s.gone(messages.ContextError(s.caller), why)
	case <-s.engine.ending.begun:
		return s.gone(ErrClosed, why)
	}
}

// pause is how long to wait before connecting again.
func (s *subscription) pause(why error) time.Duration {
	base := s.parser.Retry
	if s.parser.Retries == 0 {
		base = cmp.Or(s.Pause, 2*time.Second)
	}
	pause := reconnectPause(base, cmp.Or(s.LongestPause, 30*time.Second), s.barren, rand.N[time.Duration])
	return max(pause, pauseAfter(why))
}

// gone is the error of a sequence whose context, or engine, has ended. If there was no stream, why
// says what became of the request.
func (s *subscription) gone(ended, why error) error {
	if s.failures > 0 {
		ended = errors.Join(ended, why)
	}
	return s.broken(ended)
}

// mayConnectAgain reports whether another connection may fare better, and does no harm.
func (s *subscription) mayConnectAgain(why error) bool {
	if bound := cmp.Or(s.Failures, 10); bound > 0 && s.failures >= bound {
		return false
	}
	if status, refused := errors.AsType[*StatusError](why); refused {
		if _, said := retryAfter(&status.Answer); !said { // "at once" is said as well, and pause waits
			return false
		}
	}
	if _, is := errors.AsType[*ContentTypeError](why); is {
		return false
	}
	if _, is := errors.AsType[*PanicError](why); is {
		return false
	}
	if errors.Is(why, ErrEventTooLarge) || errors.Is(why, ErrHalted) || errors.Is(why, ErrSpent) || lasting(why) {
		return false
	}
	if s.failures == 0 && s.Once { // there was a stream
		return false
	}
	if s.asked.IsIdempotent() {
		return true
	}
	return s.failures > 0 && untouched(why)
}

// broken is the error of a request whose stream ended before its time.
func (s *subscription) broken(why error) error {
	if _, told := errors.AsType[*Error](why); told {
		return why
	}
	if _, told := errors.AsType[*StatusError](why); told {
		return why
	}
	failure := messages.NewError(s.asked, Exchanging, why)
	failure.Attempts, failure.Sent = 1, SentYes
	return failure
}

// reconnectPause is how long to wait before connecting again, after so many times in a row
// that brought no event.
//
// Invariants: it is never shorter than base, nor than leastPause, and never longer than one
// and a half times the longest of base, longest and leastPause. draw(n) is at least 0, and
// below n.
func reconnectPause(base, longest time.Duration, barren int, draw func(time.Duration) time.Duration) time.Duration {
	pause := min(max(base, leastPause), unit.Longest)
	longest = min(max(longest, pause), unit.Longest)
	for ; barren > 1 && pause < longest; barren-- {
		pause = min(2*pause, longest)
	}
	return pause + draw(pause/2+1)
}
