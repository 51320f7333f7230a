package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// lay makes the request of a call, and keeps the target's bytes as they are.
func (s *Stream) lay(call *messages.Call, host string) *http.Request {
	// https, for that is what the peer is told, though net/http takes the connection
	// for a plain one. Opaque, for a path would be decoded and encoded anew.
	s.url = url.URL{Scheme: "https", Host: host, Opaque: call.Path, RawQuery: call.Query, ForceQuery: call.ForceQuery}
	if !strings.HasPrefix(call.Path, "/") || strings.HasPrefix(call.Path, "//") { // it would not be taken for a path
		s.url.Opaque = "//" + host + call.Path
	}
	s.layFields(call.Fields)
	s.request.Method, s.request.Host = call.Method, host
	ctx, body, length := s.contextOf(call), io.ReadCloser(nil), int64(0)
	switch {
	case call.Reader != nil:
		s.uploading = newUpload(call)
		body, length = s.uploading, max(-1, call.Length) // any other is no length to net/http
	case len(call.Body) > 0:
		s.sending = wire.NewLent(call.Body)
		body, length = s.sending, int64(len(call.Body))
	}
	if call.Reader != nil && call.Continue {
		maps.DeleteFunc(s.request.Header, func(name string, _ []string) bool { return strings.EqualFold(name, "Expect") })
		s.request.Header.Set("Expect", "100-continue")
		s.fields = nil // the header is no longer that of the fields
	}
	if body == nil && ctx == s.ctx { // the request made once will do
		return &s.request
	}
	if body != nil { // net/http may still be sending it when the answer is over
		ctx, s.stop = context.WithCancel(ctx)
	}
	req := s.request.WithContext(ctx) // a shallow copy: the header is shared, for it leaves before the body
	req.Body, req.ContentLength = body, length
	if call.Reader != nil {
		req.Trailer = call.Trailer // the map itself: the values come while the body is read
	}
	return req
}

// contextOf returns the context of a call's request, without a cancelling of its own.
func (s *Stream) contextOf(call *messages.Call) context.Context {
	var trace *httptrace.ClientTrace
	switch {
	case call.Trace != nil:
		s.hooks = &hooks{stream: s}
		trace = s.hooks.of(call.Trace)
	case call.Method == http.MethodHead:
		trace = s.ownHooks()
	default:
		return s.ctx
	}
	if call.Method == http.MethodHead && trace.WroteHeaderField == nil {
		trace.WroteHeaderField = s.wroteField
	}
	return httptrace.WithClientTrace(s.bare, trace)
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
// an error, and it does not end well unless it is as long as it said and its trailer
// is in order. Of the length net/http sees to half: it ends a stream that is too
// short as if it were whole.
type upload struct {
	io.Reader
	length  int64 // negative: unknown
	read    int64
	trailer http.Header
	ended   atomic.Bool  // read to its end, or to an error; set by net/http's goroutine, read by whichever closes
	state   atomic.Int32 // of the reader, see readerRests; set by net/http's goroutine and, at the end, by the owner
}

// What net/http's goroutine and the exchange's owner agree on about an upload's reader.
const (
	readerRests int32 = iota
	readerCalled
	readerLeft // the exchange is over, and it is not called any more
)

var errReaderLeft = errors.New("the exchange ended before its request body")

// end has the reader not be called any more. It reports whether a call has not returned yet.
func (u *upload) end() (called bool) { return u.state.Swap(readerLeft) == readerCalled }

func newUpload(call *messages.Call) *upload {
	return &upload{Reader: call.Reader, length: call.Length, trailer: call.Trailer}
}

// Read is part of io.Reader.
func (u *upload) Read(p []byte) (n int, err error) {
	if u.length >= 0 && len(p) > 0 { // one byte too many says as much as all of them
		p = p[:min(int64(len(p))-1, u.length-u.read)+1]
	}
	if !u.state.CompareAndSwap(readerRests, readerCalled) {
		return 0, errReaderLeft
	}
	panicked := wire.Apart(messages.Exchanging, func() { n, err = u.Reader.Read(p) })
	u.state.CompareAndSwap(readerCalled, readerRests)
	switch {
	case panicked != nil:
		n, err = 0, fmt.Errorf("request body: %w", panicked)
	case u.length >= 0 && (u.read+int64(n) > u.length || err == io.EOF && u.read+int64(n) < u.length):
		n, err = 0, wire.ErrBodyLength
	case err == io.EOF:
		// Only now are its values there. An end would have net/http send them.
		if bad := wire.CheckTrailer(u.trailer); bad != nil {
			err = bad
		}
	case err != nil:
		err = &wire.BodyError{Err: err}
	}
	u.read += int64(n)
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
