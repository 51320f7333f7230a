package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/internal/clock"
)

// TimeSource reads the server's clock once. ServerTime returns what the server
// said and the step of its figure (a millisecond, a second), and the moments
// just before the question left and just after the answer came.
type TimeSource interface {
	ServerTime(ctx context.Context, eng *Engine) (TimeReading, error)
}

// TimeReading is one reading of the server's clock. Sent and Received must
// come from time.Now.
type TimeReading struct {
	Server         time.Time
	Resolution     time.Duration // zero means exact
	Sent, Received time.Time
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
	// Path or full URL of the endpoint.
	Path, URL string
	// Field is where the answer's JSON has the time, names joined by dots.
	// Empty means the Date header, which every server has, to the second.
	Field string
	// Unit is the unit of a number there; zero means milliseconds since 1970.
	// A string there is read as RFC 3339, or as a number.
	Unit time.Duration
	// LimitID is the limit the reading is charged to; empty means the
	// engine's default, or none if it has none: name one if the endpoint
	// counts.
	LimitID string
	// Timeout bounds one reading; zero means 5 s.
	Timeout time.Duration
}

// TimeFrom reads the server's clock from a JSON field in milliseconds, as in
// TimeFrom("/api/v3/time", "serverTime").
func TimeFrom(path, field string) TimeEndpoint { return TimeEndpoint{Path: path, Field: field} }

func (t TimeEndpoint) limitID() string { return t.LimitID }

// ServerTime is part of TimeSource.
func (t TimeEndpoint) ServerTime(ctx context.Context, eng *Engine) (TimeReading, error) {
	response, err := eng.ask(ctx, t.request())
	if err != nil {
		return TimeReading{}, err
	}
	reading := TimeReading{Sent: response.SentAt, Received: response.AnsweredAt}
	if t.Field == "" {
		reading.Server, err = dateOf(response)
		reading.Resolution = time.Second
		return reading, err
	}
	if err := response.Err(); err != nil {
		return TimeReading{}, err
	}
	reading.Resolution = t.unit()
	reading.Server, err = timeIn(response.Body, t.Field, t.unit())
	return reading, err
}

func (t TimeEndpoint) request() *Request {
	timeout := t.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	return &Request{Path: t.Path, URL: t.URL, LimitID: t.LimitID, Priority: Urgent, Timeout: timeout}
}

func (t TimeEndpoint) unit() time.Duration {
	if t.Unit == 0 {
		return time.Millisecond
	}
	return t.Unit
}

// dateOf reads the Date header (RFC 9110, section 6.6.1). An answer from a
// cache is of no use: its date is the origin's of long ago.
func dateOf(response *Response) (time.Time, error) {
	if response.Header.Get("Age") != "" {
		return time.Time{}, errors.New("answer came from a cache")
	}
	return time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", response.Header.Get("Date"))
}

// timeIn finds the field in a JSON document and reads it as a time.
func timeIn(document []byte, field string, unit time.Duration) (time.Time, error) {
	for _, name := range strings.Split(field, ".") {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(document, &object); err != nil {
			return time.Time{}, fmt.Errorf("server time: no JSON object around %q", name)
		}
		var ok bool
		if document, ok = object[name]; !ok {
			return time.Time{}, fmt.Errorf("server time: answer has no field %q", name)
		}
	}
	text := strings.Trim(string(document), `"`)
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	return unixTime(text, unit)
}

// unixTime reads a decimal count of units since 1970.
func unixTime(text string, unit time.Duration) (time.Time, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	part, err2 := strconv.ParseFloat("0."+fraction+"0", 64)
	if err != nil || err2 != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return time.Time{}, fmt.Errorf("server time %.40q is neither a number nor RFC 3339", text)
	}
	return time.Unix(0, n*int64(unit)).Add(time.Duration(part * float64(unit))), nil
}

// ask is Do for the engine's own errands: they need no credit, because a
// request that has one waits for them.
func (e *Engine) ask(ctx context.Context, req *Request) (*Response, error) {
	if req.LimitID == "" && e.defaultLimitID == "" {
		req.LimitID = Unlimited
	}
	return e.system.Do(ctx, req, e.deadline(ctx, req))
}

// sampleSpacing keeps the first looks at the server's clock apart: requests
// need one, and precision can wait for the others.
const sampleSpacing = 250 * time.Millisecond

// sampler turns a TimeSource into what timesync calls.
func (e *Engine) sampler(source TimeSource) actors.SampleTime {
	return func(ctx context.Context, epoch time.Time) (sample clock.Sample, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Stage: Preparing, Value: v}
			}
		}()
		r, err := source.ServerTime(ctx, e)
		if err != nil {
			return clock.Sample{}, err
		}
		return clock.Sample{
			Sent: r.Sent.Sub(epoch), Received: r.Received.Sub(epoch),
			Server: time.Duration(r.Server.UnixNano()), Resolution: r.Resolution,
		}, nil
	}
}
