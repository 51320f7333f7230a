// Package wiretest has what the tests of wire, wire/dial and wire/h2 share.
//
//	calls.go           what is asked, and what must come of it
//	servers.go         who answers
//	renegotiator.go    who asks for a second handshake first
//
// It imports neither of them, so that the tests inside each may import it.
package wiretest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// OK is the whole of an answer, whose body is "ok".
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// AnyCoding is every content coding there is.
const AnyCoding = messages.Gzip | messages.Deflate | messages.Brotli | messages.Zstd

// Never is the deadline of an exchange without one.
var Never time.Time

// Get asks for a path.
func Get(path string) *messages.Call {
	return &messages.Call{Method: "GET", Host: "api.example.com", Path: path}
}

// Post sends a body.
func Post(body string) *messages.Call {
	return &messages.Call{Method: "POST", Host: "api.example.com", Path: "/", Body: []byte(body)}
}

// Decoding is Get by a caller who undoes any coding.
func Decoding(path string) *messages.Call {
	call := Get(path)
	call.Codings = AnyCoding
	return call
}

// Streaming makes a call one whose answer is streamed.
func Streaming(call *messages.Call) *messages.Call {
	call.Stream = true
	return call
}

// Uploading sends a body that is read while it is sent; a negative length is
// unknown.
func Uploading(body io.Reader, length int64) *messages.Call {
	call := Post("")
	call.Reader, call.Length = body, length
	return call
}

// AwaitsLeave sends a body that waits for 100 Continue.
func AwaitsLeave(body string) *messages.Call {
	call := Uploading(strings.NewReader(body), int64(len(body)))
	call.Continue = true
	return call
}

// Trailing sends a body and a trailer; end is called when the body has ended.
func Trailing(body string, trailer http.Header, end func()) *messages.Call {
	ending := ReaderFunc(func([]byte) (int, error) { end(); return 0, io.EOF })
	call := Uploading(io.MultiReader(strings.NewReader(body), ending), -1)
	call.Trailer = trailer
	return call
}

// ReaderFunc is a Read.
type ReaderFunc func([]byte) (int, error)

// Read is part of io.Reader.
func (f ReaderFunc) Read(p []byte) (int, error) { return f(p) }

// Exchange returns the answer to a call that must have one.
func Exchange(t *testing.T, c protocol.Connection, call *messages.Call) *messages.Response {
	t.Helper()
	resp, sent, err := c.Exchange(call, Never)
	require.NoError(t, err)
	require.Equal(t, messages.SentYes, sent)
	return resp
}

// RequireStale makes sure that a connection carries nothing more.
func RequireStale(t *testing.T, c protocol.Connection) {
	t.Helper()
	resp, sent, err := c.Exchange(Get("/"), Never)
	require.Nil(t, resp)
	require.ErrorIs(t, err, messages.ErrStale)
	require.Equal(t, messages.SentNo, sent)
	require.False(t, c.Reusable())
}
