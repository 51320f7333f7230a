package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// answersWith is a server of one answer to every request.
func answersWith(t *testing.T, answer string) string {
	return rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
		for take() != nil {
			_, _ = io.WriteString(c, answer)
		}
	})
}

// lenient reads as net/http does.
func lenient(t *testing.T) http.RoundTripper {
	return newEngine(t, engine.Config{Responses: engine.Responses{Lenient: func(string) bool { return true }}}).RoundTripper()
}

func bare(t *testing.T) *http.Transport {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestAnAnswerSaysOfItsVersionAndItsAgeWhatNetHTTPMakesOfIt(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.2 200 OK\r\n", "HTTP/1.9 200 OK\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nCache-Control: max-age=1\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache, x\r\n",
		"HTTP/1.1 200 OK\r\nPragma: x\r\nPragma: no-cache\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nPragma: x\r\n",
		"HTTP/1.0 200 OK\r\nPragma: no-cache\r\n",
	} {
		url := answersWith(t, head+"Content-Length: 2\r\n\r\nok")
		tell := func(rt http.RoundTripper) string {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err, head)
			dump, err := httputil.DumpResponse(resp, true)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return fmt.Sprint(resp.Proto, " ", resp.ProtoMajor, " ", resp.ProtoMinor, " ", resp.Close, "\n", string(dump))
		}
		require.Equal(t, tell(bare(t)), tell(lenient(t)), head)
	}
}

func TestAVersionThatIsReadLooselyIsTold(t *testing.T) {
	url := answersWith(t, "HTTP/1.3 200 OK\r\nContent-Length: 2\r\n\r\nok")
	eng := newEngine(t, engine.Config{Responses: engine.Responses{Lenient: func(string) bool { return true }}})
	resp, err := eng.Do(t.Context(), &engine.Request{URL: url})
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.3", resp.Proto())
}

// writtenTo is a connection that keeps what is written to it.
type writtenTo struct {
	net.Conn
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *writtenTo) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	return w.Conn.Write(p)
}

// lines are those of the request that was written, but for the first.
func (w *writtenTo) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(w.text.String(), "\r\n")[1:]
	slices.Sort(lines)
	return lines
}

// A server would cut them off as well, and so they are looked at on their way.
func TestBlanksAroundAValueAreNotSent(t *testing.T) {
	url := answersWith(t, plainOK)
	header := http.Header{"A": {" a", "b ", "\tc d\t ", "  "}, "B": {"whole"}, "Accept-Encoding": {" identity "}, "User-Agent": {" me\t"}}
	given := header.Clone()
	var conn *writtenTo
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		conn = &writtenTo{Conn: c}
		return conn, err
	}
	written := func(rt http.RoundTripper) []string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		req.Header = header
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return conn.lines()
	}
	transport := bare(t)
	transport.DialContext = dial
	want := written(transport)
	require.Contains(t, want, "A: c d")
	require.Equal(t, want, written(newEngine(t, engine.Config{Dial: engine.Dial{DialContext: dial}}).RoundTripper()))
	require.Equal(t, given, header, "the caller's own is as it was")
}

// net/http would find it out as it writes.
func TestALengthWithoutABodyIsAMistake(t *testing.T) {
	url := answersWith(t, plainOK)
	for _, length := range []int64{-1, 5} {
		said := func(rt http.RoundTripper) string {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
			require.NoError(t, err)
			req.ContentLength = length
			_, err = rt.RoundTrip(req)
			require.Error(t, err)
			return err.Error()
		}
		require.Equal(t, fmt.Sprintf("http: Request.ContentLength=%d with nil Body", length), said(newEngine(t, engine.Config{}).RoundTripper()))
		require.Contains(t, said(bare(t)), said(newEngine(t, engine.Config{}).RoundTripper()))
	}
}

// nilBody is a body of the caller's, which is not there.
type nilBody struct{ io.Reader }

func (b *nilBody) Read(p []byte) (int, error) { return b.Reader.Read(p) }
func (b *nilBody) Close() error               { return b.Reader.(io.Closer).Close() }

func TestABodyThatIsThereByItsTypeAloneIsAMistake(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for _, body := range []io.ReadCloser{
		(*nilBody)(nil), io.NopCloser((*bytes.Reader)(nil)), io.NopCloser((*strings.Reader)(nil)), io.NopCloser((*bytes.Buffer)(nil)), io.NopCloser(nil),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server.test/", nil)
		require.NoError(t, err)
		req.Body, req.ContentLength = body, 3
		_, err = eng.RoundTripper().RoundTrip(req)
		require.EqualError(t, err, "http: Request.Body holds a nil pointer", "%T", body)
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
	}
}
