package h2

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// lay makes the request of a call, and keeps the target's bytes as they are.
func (s *Stream) lay(call *messages.Call, host string) *http.Request {
	// https, for that is what the peer is told, though net/http takes the connection
	// for a plain one. Opaque, for a path would be decoded and encoded anew.
	s.url = url.URL{Scheme: "https", Host: host, Opaque: "//" + host + call.Path, RawQuery: call.Query}
	s.layFields(call.Fields)
	s.request.Method, s.request.Host = call.Method, host
	req := &s.request
	switch {
	case call.Reader != nil:
		req = s.requestWith(&upload{call.Reader, call.Trailer}, call.Length)
		req.Trailer = call.Trailer // the map itself: the values come while the body is read
	case len(call.Body) > 0: // without one, the request made once will do
		s.sending = wire.NewLent(call.Body)
		req = s.requestWith(s.sending, int64(len(call.Body)))
	}
	if call.Reader != nil && call.Continue {
		req.Header.Set("Expect", "100-continue")
		s.fields = nil // the header is no longer that of the fields
	}
	if call.Trace != nil { // beside the hooks of s.ctx, not instead of them
		return req.WithContext(httptrace.WithClientTrace(s.ctx, call.Trace))
	}
	return req
}

// requestWith returns a request of its own for a body, which net/http may still
// be sending when the answer is over.
func (s *Stream) requestWith(body io.Reader, length int64) *http.Request {
	req := s.request // a shallow copy: the header is shared, for it leaves before the body
	req.Body, req.ContentLength = io.NopCloser(body), length
	return &req
}

// layFields makes the header of fields. Requests of one engine mostly have the
// same ones.
func (s *Stream) layFields(fields []messages.Field) {
	if s.fields != nil && slices.Equal(s.fields, fields) {
		return
	}
	s.fields = append(s.fields[:0], fields...)
	// Large enough at once, for the header holds parts of it.
	s.values = slices.Grow(s.values[:0], len(fields))
	header := s.request.Header
	clear(header)
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch have := header[name]; {
		case name == "Host": // it is in request.Host
		case have != nil:
			header[name] = append(have, f.Value)
		default:
			n := len(s.values)
			s.values = append(s.values, f.Value)
			header[name] = s.values[n : n+1 : n+1] // full: a second value makes a list of its own
		}
	}
}

// upload is a body that net/http reads: a panic in it is an error, and it
// does not end well before its trailer is in order.
type upload struct {
	io.Reader
	trailer http.Header
}

// Read is part of io.Reader.
func (u *upload) Read(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			// It is a goroutine of net/http's that would end the process.
			n, err = 0, fmt.Errorf("request body: %w", &messages.PanicError{Stage: messages.Exchanging, Value: v})
		}
	}()
	n, err = u.Reader.Read(p)
	if err == io.EOF {
		// Only now are its values there. An end would have net/http send them.
		if bad := wire.CheckTrailer(u.trailer); bad != nil {
			err = bad
		}
	}
	return n, err
}
