package h2

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// lay makes the request of a call, and keeps the target's bytes as they are.
func (s *Stream) lay(call *messages.Call, host string) *http.Request {
	// https, for that is what the peer is told, though net/http takes the connection
	// for a plain one. Opaque, for a path would be decoded and encoded anew.
	s.url = url.URL{Scheme: "https", Host: host, Opaque: "//" + host + call.Path, RawQuery: call.Query, ForceQuery: call.ForceQuery}
	s.layFields(call.Fields)
	s.request.Method, s.request.Host = call.Method, host
	req := &s.request
	switch {
	case call.Reader != nil:
		req = s.requestWith(newUpload(call), call.Length)
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
		s.hooks = &hooks{stream: s}
		return req.WithContext(httptrace.WithClientTrace(req.Context(), s.hooks.of(call.Trace)))
	}
	return req
}

// requestWith returns a request of its own for a body, which net/http may still
// be sending when the answer is over.
func (s *Stream) requestWith(body io.ReadCloser, length int64) *http.Request {
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	req := s.request.WithContext(ctx) // a shallow copy: the header is shared, for it leaves before the body
	req.Body, req.ContentLength = body, length
	return req
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
	header["User-Agent"] = nil // or net/http would name itself
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

// upload is a body that net/http reads, on a goroutine of its own: a panic in it is
// an error, and it does not end well before its trailer is in order.
type upload struct {
	io.Reader
	room    int64 // how much more is read: one byte behind the length, if it has one
	trailer http.Header
	ended   atomic.Bool // read to its end, or to an error; set by net/http's goroutine, read by whichever closes
}

func newUpload(call *messages.Call) *upload {
	u := &upload{Reader: call.Reader, room: math.MaxInt64, trailer: call.Trailer}
	if call.Length >= 0 {
		u.room = min(call.Length, math.MaxInt64-1) + 1
	}
	return u
}

// Read is part of io.Reader.
func (u *upload) Read(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), u.room)]
	defer func() { u.room -= int64(n) }()
	panicked := wire.Apart(messages.Exchanging, func() { n, err = u.Reader.Read(p) })
	switch {
	case panicked != nil:
		n, err = 0, fmt.Errorf("request body: %w", panicked)
	case err == io.EOF:
		// Only now are its values there. An end would have net/http send them.
		if bad := wire.CheckTrailer(u.trailer); bad != nil {
			err = bad
		}
	}
	if err != nil {
		u.ended.Store(true)
	}
	return n, err
}

// Close is part of io.Closer. A reader that can be closed is, if it was not read
// to its end: it may be waiting for what nobody wants any more.
func (u *upload) Close() error {
	if closer, ok := u.Reader.(io.Closer); ok && !u.ended.Swap(true) {
		_ = wire.Apart(messages.Exchanging, func() { closer.Close() })
	}
	return nil
}
