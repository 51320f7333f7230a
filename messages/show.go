package messages

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/contain"
)

// How errors look in a log, in JSON and under every verb: as they read, and
// without query, header and body. Each has value receivers, so that it holds for
// a value as well as for a pointer to it.

// show prints a text for any verb and flag; %q and %#q quote it.
func show(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// attrs are what an error has to say, in the order of their importance. Those
// that say nothing are left out.
type attrs []slog.Attr

func (a *attrs) text(key, value string) {
	if value != "" {
		*a = append(*a, slog.String(key, oneLine(value)))
	}
}

func (a *attrs) number(key string, value int) {
	if value != 0 {
		*a = append(*a, slog.Int(key, value))
	}
}

func (a *attrs) wait(key string, value time.Duration) {
	if value != 0 {
		*a = append(*a, slog.Duration(key, value))
	}
}

func (a *attrs) instant(key string, value time.Time) {
	if !value.IsZero() {
		*a = append(*a, slog.Time(key, value))
	}
}

func (a *attrs) cause(err error) {
	if err != nil {
		a.text("error", discreetly(err))
	}
}

func (a attrs) log() slog.Value { return slog.GroupValue(a...) }

// json writes an object; a duration is a text such as "1.5s".
func (a attrs) json() ([]byte, error) {
	object := make(map[string]any, len(a))
	for _, attr := range a {
		switch attr.Value.Kind() {
		case slog.KindDuration:
			object[attr.Key] = attr.Value.Duration().String()
		default:
			object[attr.Key] = attr.Value.Any()
		}
	}
	return json.Marshal(object)
}

func (e Error) attrs() (a attrs) {
	a.text("method", e.Method)
	a.text("path", e.Path)
	a.text("stage", e.Stage.String())
	a.text("limit", e.Limit)
	a.text("route", e.Route)
	a.wait("waited", e.Waited)
	a.instant("retry_at", e.RetryAt)
	a.number("attempts", e.Attempts)
	a.text("sent", e.Sent.String())
	a.cause(e.Err)
	return a
}

// Format prints what Error returns for every verb and flag.
func (e Error) Format(f fmt.State, verb rune) { show(f, verb, e.Error()) }

// LogValue returns a group of what is known: method, path, stage, limit, route,
// waited, retry_at, attempts, sent, error.
func (e Error) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e Error) MarshalJSON() ([]byte, error) { return e.attrs().json() }

func (a Answer) attrs() (all attrs) {
	all.text("method", a.Method)
	all.text("url", withoutSecrets(a.URL))
	all.number("status", a.StatusCode)
	all.number("bytes", len(a.Body))
	all.number("attempts", a.Attempts)
	all.text("sent", a.Sent.String())
	all.instant("answered_at", a.AnsweredAt)
	return all
}

// String names the request and the status.
func (a Answer) String() string { return oneLine(a.summary()) }

// Format prints what String returns for every verb and flag.
func (a Answer) Format(f fmt.State, verb rune) { show(f, verb, a.String()) }

// LogValue returns a group: method, url, status, bytes, attempts, sent,
// answered_at.
func (a Answer) LogValue() slog.Value { return a.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (a Answer) MarshalJSON() ([]byte, error) { return a.attrs().json() }

func (e ContentTypeError) attrs() attrs {
	a := e.Answer.attrs()
	a.text("got", e.Got)
	a.text("want", e.Want)
	return a
}

// Format prints what Error returns for every verb and flag.
func (e ContentTypeError) Format(f fmt.State, verb rune) { show(f, verb, e.Error()) }

// LogValue returns the group of the answer, and got and want.
func (e ContentTypeError) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e ContentTypeError) MarshalJSON() ([]byte, error) { return e.attrs().json() }

func (e DecodeError) attrs() attrs {
	a := e.Answer.attrs()
	a.text("into", e.Into)
	a.text("error", e.why())
	return a
}

// Format prints what Error returns for every verb and flag.
func (e DecodeError) Format(f fmt.State, verb rune) { show(f, verb, e.Error()) }

// LogValue returns the group of the answer, and into and error.
func (e DecodeError) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e DecodeError) MarshalJSON() ([]byte, error) { return e.attrs().json() }

func (e PanicError) attrs() (a attrs) {
	a.text("stage", e.Stage.String())
	a.text("panic", e.said())
	a.text("in", contain.Place(e.Stack))
	return a
}

// Format prints what Error returns for every verb and flag; the stack is read from
// the field.
func (e PanicError) Format(f fmt.State, verb rune) { show(f, verb, e.Error()) }

// LogValue returns a group: stage, panic and in, which is where it was.
func (e PanicError) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e PanicError) MarshalJSON() ([]byte, error) { return e.attrs().json() }

func (e ProxyError) attrs() (a attrs) {
	a.text("proxy", e.Proxy)
	a.number("status", e.Status)
	a.cause(e.Err)
	return a
}

// Format prints what Error returns for every verb and flag.
func (e ProxyError) Format(f fmt.State, verb rune) { show(f, verb, e.Error()) }

// LogValue returns a group: proxy, status, error.
func (e ProxyError) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e ProxyError) MarshalJSON() ([]byte, error) { return e.attrs().json() }

// line is all of it in one line, as slog's text handler writes it.
func (a attrs) line() string {
	var b strings.Builder
	for i, attr := range a {
		if i > 0 {
			b.WriteByte(' ')
		}
		text := attr.Value.String()
		if attr.Value.Kind() == slog.KindTime {
			text = attr.Value.Time().Format(time.RFC3339Nano)
		}
		if strings.ContainsAny(text, " =\"") {
			text = strconv.Quote(text)
		}
		b.WriteString(attr.Key + "=" + text)
	}
	return b.String()
}

func (a *attrs) request(r *Request) {
	if r == nil {
		return
	}
	method, path := r.place()
	a.text("method", method)
	a.text("path", path)
}

func (a *attrs) yes(key string, value bool) {
	if value {
		*a = append(*a, slog.Bool(key, true))
	}
}

func (a *attrs) origin(o Origin) {
	if o != (Origin{}) {
		a.text("origin", o.String())
	}
}

func (t Timing) attrs() (a attrs) {
	for _, stage := range []struct {
		key string
		is  time.Duration
	}{
		{"total", t.Total}, {"admitted", t.Admitted}, {"queued", t.Queued}, {"leased", t.Leased},
		{"signed", t.Signed}, {"first_byte", t.FirstByte}, {"body", t.Body}, {"paused", t.Paused},
	} {
		a.wait(stage.key, stage.is)
	}
	return a
}

// String is one line of those that are not zero: "total=1.2s queued=1s first_byte=200ms".
func (t Timing) String() string { return t.attrs().line() }

// LogValue returns a group of those that are not zero: total, admitted, queued, leased,
// signed, first_byte, body, paused.
func (t Timing) LogValue() slog.Value { return t.attrs().log() }

// MarshalJSON writes an object of what LogValue returns, each as a text such as "1.5s".
func (t Timing) MarshalJSON() ([]byte, error) { return t.attrs().json() }

func (w Waited) attrs() (a attrs) {
	a.request(w.Request)
	a.text("limit", w.LimitID)
	a.wait("queued", w.Queued)
	a.wait("leased", w.Leased)
	a.cause(w.Err)
	return a
}

// String is one line of what LogValue returns.
func (w Waited) String() string { return w.attrs().line() }

// Format prints what String returns for every verb and flag.
func (w Waited) Format(f fmt.State, verb rune) { show(f, verb, w.String()) }

// LogValue returns a group: method, path, limit, queued, leased, error.
func (w Waited) LogValue() slog.Value { return w.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (w Waited) MarshalJSON() ([]byte, error) { return w.attrs().json() }

func (t Attempted) attrs() (a attrs) {
	a.request(t.Request)
	a.origin(t.Origin)
	a.number("attempt", t.Number)
	a.yes("reused", t.Reused)
	a.instant("sent_at", t.SentAt)
	a.wait("took", t.Took)
	a.number("status", t.StatusCode)
	a.text("sent", t.Sent.String())
	a.yes("refused", t.Refused)
	a.wait("paused", t.Paused)
	a.yes("again", t.Again)
	a.cause(t.Err)
	return a
}

// String is one line of what LogValue returns.
func (t Attempted) String() string { return t.attrs().line() }

// Format prints what String returns for every verb and flag.
func (t Attempted) Format(f fmt.State, verb rune) { show(f, verb, t.String()) }

// LogValue returns a group: method, path, origin, attempt, reused, sent_at, took, status,
// sent, refused, paused, again, error.
func (t Attempted) LogValue() slog.Value { return t.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (t Attempted) MarshalJSON() ([]byte, error) { return t.attrs().json() }

func (e Ended) attrs() (a attrs) {
	a.request(e.Request)
	a.text("limit", e.LimitID)
	a.origin(e.Origin)
	a.number("attempts", e.Attempts)
	if e.Response != nil {
		a.number("status", e.Response.StatusCode)
	}
	a.text("outcome", e.Outcome().String())
	a.cause(e.Err)
	return append(a, e.Timing.attrs()...)
}

// String is one line of what LogValue returns.
func (e Ended) String() string { return e.attrs().line() }

// Format prints what String returns for every verb and flag.
func (e Ended) Format(f fmt.State, verb rune) { show(f, verb, e.String()) }

// LogValue returns a group: method, path, limit, origin, attempts, status, outcome, error,
// and what Timing has.
func (e Ended) LogValue() slog.Value { return e.attrs().log() }

// MarshalJSON writes an object of what LogValue returns.
func (e Ended) MarshalJSON() ([]byte, error) { return e.attrs().json() }
