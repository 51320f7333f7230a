package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// How the engine and its configuration print: in the same words for every verb, for
// slog and for encoding/json. Keys stand in headers, in URLs of proxies, in TLS
// configurations, in authenticators: none of them is printed.

func show(f fmt.State, text string) { _, _ = io.WriteString(f, text) }

// place is a URL without user, password, query and fragment.
func place(url string) string {
	return strings.TrimPrefix(messages.Request{URL: url}.String(), "GET ")
}

// String tells the base URL and how many limits there are.
func (c Config) String() string {
	return fmt.Sprintf("engine.Config for %s with %d limits", cmp.Or(place(c.BaseURL), "full URLs"), len(c.Limits))
}

// Format prints what String returns for every verb and flag.
func (c Config) Format(f fmt.State, _ rune) { show(f, c.String()) }

// LogValue returns what String does.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes what String returns.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// String tells the times, and what is set besides.
func (d Dial) String() string {
	text := fmt.Sprintf("engine.Dial within %v", d.Timeout)
	for _, set := range []struct {
		name string
		is   bool
	}{
		{"a DialContext", d.DialContext != nil}, {"a LocalAddr", d.LocalAddr != ""}, {"a Proxy", d.Proxy != nil},
		{"TLS", d.TLS != nil}, {"ProxyTLS", d.ProxyTLS != nil},
	} {
		if set.is {
			text += ", with " + set.name
		}
	}
	return text
}

// Format prints what String returns for every verb and flag.
func (d Dial) Format(f fmt.State, _ rune) { show(f, d.String()) }

// LogValue returns what String does.
func (d Dial) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalJSON writes what String returns.
func (d Dial) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// String tells what is set.
func (w Egress) String() string {
	text := "engine.Egress"
	for _, set := range []struct {
		name string
		is   bool
	}{{" with a LocalAddr", w.LocalAddr != ""}, {" with a DialContext", w.DialContext != nil}, {" with a Proxy", w.Proxy != nil}} {
		if set.is {
			text += set.name
		}
	}
	return text
}

// Format prints what String returns for every verb and flag.
func (w Egress) Format(f fmt.State, _ rune) { show(f, w.String()) }

// LogValue returns what String does.
func (w Egress) LogValue() slog.Value { return slog.StringValue(w.String()) }

// MarshalJSON writes what String returns.
func (w Egress) MarshalJSON() ([]byte, error) { return json.Marshal(w.String()) }

// String tells the base URL.
func (e *Engine) String() string {
	if e.made() != nil {
		return "engine.Engine, not made by engine.New"
	}
	return "engine.Engine for " + cmp.Or(e.baseOrigin, "full URLs")
}

// Format prints what String returns for every verb and flag.
func (e *Engine) Format(f fmt.State, _ rune) { show(f, e.String()) }

// LogValue returns what String does.
func (e *Engine) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalJSON writes what String returns.
func (e *Engine) MarshalJSON() ([]byte, error) { return json.Marshal(e.String()) }

// String tells the place and the field.
func (t TimeEndpoint) String() string {
	return fmt.Sprintf("engine.TimeEndpoint %s, %s", place(cmp.Or(t.URL, t.Path)), cmp.Or(t.Field, "the Date header"))
}

// Format prints what String returns for every verb and flag.
func (t TimeEndpoint) Format(f fmt.State, _ rune) { show(f, t.String()) }

// LogValue returns what String does.
func (t TimeEndpoint) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON writes what String returns.
func (t TimeEndpoint) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// What the RoundTripper hands out is printed by whoever prints an http.Response.

// Format prints what it is, for every verb and flag.
func (t *roundTripper) Format(f fmt.State, _ rune) { show(f, "RoundTripper of "+t.engine.String()) }

// Format prints the length of what is left to be read, for every verb and flag.
func (b *memoryBody) Format(f fmt.State, _ rune) {
	show(f, fmt.Sprintf("body of %d bytes", len(b.left)))
}

// Format prints what it is, for every verb and flag.
func (s *tripStream) Format(f fmt.State, _ rune) { show(f, "streamed body of an answer") }

// Format prints what Error returns for every verb and flag.
func (f Failure) Format(s fmt.State, _ rune) { show(s, f.Error()) }

// LogValue returns what Error does.
func (f Failure) LogValue() slog.Value { return slog.StringValue(f.Error()) }

// MarshalJSON writes what Error returns.
func (f Failure) MarshalJSON() ([]byte, error) { return json.Marshal(f.Error()) }

// Format prints what Error returns for every verb and flag.
func (f Failures) Format(s fmt.State, _ rune) { show(s, f.Error()) }

// LogValue returns what Error does.
func (f Failures) LogValue() slog.Value { return slog.StringValue(f.Error()) }

// MarshalJSON writes what Error returns.
func (f Failures) MarshalJSON() ([]byte, error) { return json.Marshal(f.Error()) }

// String tells the request, as that prints, and whether it has ended.
func (p *Pending) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasEnded() {
		return "ended: " + p.request.String()
	}
	return "pending: " + p.request.String()
}

// Format prints what String returns for every verb and flag.
func (p *Pending) Format(f fmt.State, _ rune) { show(f, p.String()) }

// Format prints what Error returns for every verb and flag.
func (e RunError) Format(s fmt.State, _ rune) { show(s, e.Error()) }

// LogValue returns what Error does.
func (e RunError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e RunError) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }

// String is one line: the request, and its answer or its error.
func (r Result) String() string {
	switch {
	case r.Request == nil && r.Err != nil: // it is about the run
		return messages.Discreet(r.Err).Error()
	case r.Err != nil:
		return fmt.Sprintf("request %d: %v", r.Index, messages.Discreet(r.Err))
	}
	return fmt.Sprintf("request %d: %v", r.Index, r.Response)
}

// Format prints what String returns for every verb and flag.
func (r Result) Format(s fmt.State, _ rune) { show(s, r.String()) }

// LogValue returns what String does.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON writes the fields, and the error as its text.
func (r Result) MarshalJSON() ([]byte, error) {
	told := struct {
		Index    int64     `json:"index"`
		Request  *Request  `json:"request,omitempty"`
		Response *Response `json:"response,omitempty"`
		Err      string    `json:"error,omitempty"`
		Tries    int       `json:"tries"`
	}{Index: r.Index, Request: r.Request, Response: r.Response, Tries: r.Tries}
	if r.Err != nil {
		told.Err = messages.Discreet(r.Err).Error()
	}
	return json.Marshal(told)
}
