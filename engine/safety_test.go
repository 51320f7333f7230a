package engine_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// Each rule for safe connections has its test here, over real sockets. Those
// about redirects and secrets are in redirect_test.go and errors_test.go.

// rawServer hands each connection to serve with its number, from 0, and a
// function that takes one request off it.
func rawServer(t *testing.T, serve func(n int, c net.Conn, take func() *http.Request)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				serve(n, c, func() *http.Request {
					req, err := http.ReadRequest(r)
					if err != nil {
						return nil
					}
					io.Copy(io.Discard, req.Body)
					return req
				})
			})
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return "http://" + listener.Addr().String()
}

const plainOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func rawEngine(t *testing.T, url string) *engine.Engine {
	return newEngine(t, engine.Config{BaseURL: url, Connections: engine.Connections{Max: 1}, Timeout: 5 * time.Second})
}

func TestAStrayByteNeverBecomesTheNextAnswer(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, pause := range map[string]time.Duration{"in the same segment": 0, "later": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			strayed := make(chan struct{}, 100)
			eng := rawEngine(t, rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
				for take() != nil {
					if pause == 0 {
						io.WriteString(c, plainOK+evil)
					} else {
						io.WriteString(c, plainOK)
						time.Sleep(pause)
						io.WriteString(c, evil)
					}
					strayed <- struct{}{}
				}
			}))
			for range 5 {
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				require.Equal(t, "ok", resp.Text())
				<-strayed
				time.Sleep(5 * time.Millisecond) // for the stray bytes to arrive
			}
		})
	}
}

func TestAnAnswerThatCanBeReadInTwoWaysIsAnErrorAndItsConnectionIsClosed(t *testing.T) {
	for name, answer := range map[string]string{
		"length and chunks": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"a bare CR":         "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello",
		"a bad chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			eng := rawEngine(t, rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
				take()
				io.WriteString(c, answer)
				take()
			}))
			_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/"})
			require.ErrorIs(t, err, engine.ErrMalformedResponse)
			require.Zero(t, eng.Stats().Pools[0].Idle)
		})
	}
}

func TestNothingInAnAnswerIsUnboundedByDefault(t *testing.T) {
	for name, c := range map[string]struct {
		begin, again string
		want         error
	}{
		"head":     {"HTTP/1.1 200 OK\r\n", "X: " + strings.Repeat("x", 1000) + "\r\n", engine.ErrHeaderTooLarge},
		"body":     {"HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1<<20), engine.ErrBodyTooLarge},
		"chunks":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "fffff\r\n" + strings.Repeat("x", 0xfffff) + "\r\n", engine.ErrBodyTooLarge},
		"trailers": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: " + strings.Repeat("x", 1000) + "\r\n", engine.ErrHeaderTooLarge},
		"interim":  {"", "HTTP/1.1 103 Early Hints\r\n\r\n", engine.ErrHeaderTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			eng := rawEngine(t, rawServer(t, func(_ int, conn net.Conn, take func() *http.Request) {
				take()
				for _, err := io.WriteString(conn, c.begin); err == nil; {
					_, err = io.WriteString(conn, c.again)
				}
			}))
			_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/"})
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestACancelledExchangeLosesItsConnectionAndFreesItsSlot(t *testing.T) {
	arrived := make(chan struct{}, 1)
	eng := rawEngine(t, rawServer(t, func(n int, c net.Conn, take func() *http.Request) {
		take()
		if n == 0 {
			arrived <- struct{}{}
			take() // until the connection closes
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
			return
		}
		io.WriteString(c, plainOK)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	begun := time.Now()
	_, err := eng.Do(ctx, &engine.Request{Path: "/"})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(begun), 4*time.Second, "it ends at once, not with its timeout")

	resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	require.Equal(t, "ok", resp.Text())
	require.EqualValues(t, 2, eng.Stats().Pools[0].Dialled)
}

func TestAPostThatTheServerReadAndDroppedIsSentOnce(t *testing.T) {
	for name, before := range map[string]int{"on a fresh connection": 0, "on a used connection": 1} {
		t.Run(name, func(t *testing.T) {
			var copies atomic.Int32
			eng := rawEngine(t, rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
				for req := take(); req != nil; req = take() {
					if req.Method == http.MethodPost {
						copies.Add(1)
						return
					}
					io.WriteString(c, plainOK)
				}
			}))
			for range before {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
			}
			_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order"})
			var e *engine.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, engine.SentMaybe, e.Sent)
			require.Contains(t, e.Error(), "outcome unknown")
			require.EqualValues(t, 1, copies.Load())

			_, err = eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order", Idempotent: true})
			require.Error(t, err)
			require.EqualValues(t, 1+3, copies.Load(), "whoever says so gets repetitions")
		})
	}
}

func TestARequestThatWasAnsweredIsNotRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		method, answer string
		err            error
	}{
		"an order, cut off":             {http.MethodPost, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", engine.ErrTruncated},
		"what would only come again":    {http.MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", engine.ErrMalformedResponse},
		"what is too large, every time": {http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", engine.ErrBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			var copies atomic.Int32
			eng := rawEngine(t, rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
				take()
				copies.Add(1)
				io.WriteString(c, test.answer)
			}))
			_, err := eng.Do(t.Context(), &engine.Request{Method: test.method, Path: "/"})
			require.ErrorIs(t, err, test.err)
			var e *engine.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, engine.SentYes, e.Sent)
			require.EqualValues(t, 1, copies.Load())
		})
	}
}

// It would only come again, and takes a permit each time.
func TestAnAnswerWhoseHeadCannotBeReadIsAskedForOnce(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		err    error
	}{
		"it is not HTTP":                 {"SSH-2.0-x\r\n", engine.ErrMalformedResponse},
		"it has two lengths":             {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", engine.ErrMalformedResponse},
		"it is too large":                {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", engine.ErrHeaderTooLarge},
		"what comes before it is so too": {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 30<<10)+"\r\n\r\n", 50), engine.ErrHeaderTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			var copies atomic.Int32
			eng := rawEngine(t, rawServer(t, func(_ int, c net.Conn, take func() *http.Request) {
				take()
				copies.Add(1)
				io.WriteString(c, test.answer)
			}))
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, test.err)
			require.EqualValues(t, 1, copies.Load())
		})
	}
}

func TestAPostOnAConnectionClosedWhileIdleSucceedsWithOneCopy(t *testing.T) {
	var copies atomic.Int32
	closed := make(chan struct{})
	eng := rawEngine(t, rawServer(t, func(n int, c net.Conn, take func() *http.Request) {
		for req := take(); req != nil; req = take() {
			if req.Method == http.MethodPost {
				copies.Add(1)
			}
			io.WriteString(c, plainOK)
			if n == 0 {
				c.Close()
				close(closed)
				return
			}
		}
	}))
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	<-closed
	time.Sleep(10 * time.Millisecond) // for the end to arrive
	resp, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order"})
	require.NoError(t, err)
	require.Equal(t, 1, resp.Attempts)
	require.EqualValues(t, 1, copies.Load())
}

func TestNothingACallerSaysBreaksOutOfItsPlace(t *testing.T) {
	eng := rawEngine(t, rawServer(t, func(_ int, _ net.Conn, take func() *http.Request) { take() }))
	for name, req := range map[string]engine.Request{
		"method": {Method: "GET / HTTP/1.1\r\nX:", Path: "/"},
		"path":   {Path: "/ HTTP/1.1\r\nX: y", Encoded: true},
		"name":   {Path: "/", Header: http.Header{"X\r\nY": {"z"}}},
		"value":  {Path: "/", Header: http.Header{"X": {"y\r\nZ: z"}}},
		"host":   {Path: "/", Header: http.Header{"Host": {"a\r\nZ: z"}}},
		"length": {Path: "/", Header: http.Header{"Content-Length": {"5"}}},
	} {
		_, err := eng.Do(t.Context(), &req)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
		var e *engine.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, engine.SentNo, e.Sent)
	}
}
