package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func clientOf(eng *engine.Engine, adjust ...func(*http.Request, *engine.Request)) *http.Client {
	return &http.Client{Transport: eng.RoundTripper(adjust...)}
}

func TestAnHTTPClientRunsThroughTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Add("Seen", r.Method+" "+r.Host+" "+r.URL.RequestURI()+" "+r.Header.Get("X")+" "+string(body))
			w.Header().Add("Seen", "again")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "short and stout")
		})
		client := clientOf(s.newEngine(t, engine.Config{}))
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/a%2Fb?q=%20#part", strings.NewReader("tea"))
		req.Host = "other.test"
		req.Header.Set("X", "1")
		req.Header.Set("Connection", "close")
		before := req.Header.Clone()

		resp, err := client.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())

		require.Equal(t, []string{"POST other.test /a%2Fb?q=%20 1 tea", "again"}, resp.Header.Values("seen"))
		require.Equal(t, "418 I'm a teapot", resp.Status)
		require.Equal(t, "short and stout", string(body))
		require.EqualValues(t, len(body), resp.ContentLength)
		require.Same(t, req, resp.Request)
		require.Equal(t, before, req.Header, "the request is not changed")
	})
}

func TestALimitAndAPriorityAreChosenForAnHTTPRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}})
		client := clientOf(eng, func(r *http.Request, asked *engine.Request) { asked.LimitID = strings.Trim(r.URL.Path, "/") })
		for range 2 {
			resp, err := client.Get("http://server.test/calls")
			require.NoError(t, err)
			resp.Body.Close()
		}
		require.Equal(t, []time.Duration{0, aged(time.Second)}, s.seen())

		_, err := client.Get("http://server.test/unknown")
		require.ErrorIs(t, err, engine.ErrUnknownLimit)
	})
}

// witness is a body that knows whether it was closed.
type witness struct {
	io.Reader
	closed atomic.Int32
}

func (w *witness) Close() error { w.closed.Add(1); return nil }

func TestARequestBodyIsAlwaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		eng := s.newEngine(t, engine.Config{})
		closed := s.newEngine(t, engine.Config{})
		closed.Close()
		for name, c := range map[string]struct {
			eng    *engine.Engine
			url    string
			length int64
			header http.Header
			fails  bool
		}{
			"read into memory": {eng: eng, length: 3},
			"streamed":         {eng: eng, length: -1},
			"too short":        {eng: eng, length: 9, fails: true},
			"no host":          {eng: eng, url: "http:///", fails: true},
			"other scheme":     {eng: eng, url: "ftp://server.test/", length: -1, fails: true},
			"upgrade":          {eng: eng, header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, fails: true},
			"engine closed":    {eng: closed, length: -1, fails: true},
		} {
			body := &witness{Reader: strings.NewReader("abc")}
			if c.url == "" {
				c.url = "http://server.test/"
			}
			u, _ := url.Parse(c.url)
			req := (&http.Request{Method: "POST", URL: u, Header: c.header, Body: body, ContentLength: c.length}).WithContext(t.Context())
			resp, err := c.eng.RoundTripper().RoundTrip(req)
			require.Equal(t, c.fails, err != nil, "%s: %v", name, err)
			if err == nil {
				require.NotNil(t, resp.Body)
				resp.Body.Close()
			}
			require.EqualValues(t, 1, body.closed.Load(), name)
		}
	})
}

func TestAnHTTPClientsErrorsAreWhatItExpects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(newServer(t, slowly(time.Hour)).newEngine(t, engine.Config{}))
		client.Timeout = time.Second
		begun := time.Now()
		_, err := client.Get("http://server.test/")
		require.Equal(t, time.Second, time.Since(begun))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://server.test/", nil)
		_, err = client.Do(req)
		require.ErrorIs(t, err, context.Canceled)
		var failed *url.Error
		require.ErrorAs(t, err, &failed)
		require.False(t, failed.Timeout())
		synctest.Wait()
	})
}

func TestAnHTTPBodyLargerThanTheCapIsStreamedIfAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Sum")
			w.Write(make([]byte, 100_000))
			w.Header().Set("Sum", "100000")
		})
		eng := s.newEngine(t, engine.Config{Responses: engine.Responses{MaxBody: 1000}})
		_, err := clientOf(eng).Get("http://server.test/")
		require.ErrorIs(t, err, engine.ErrBodyTooLarge)

		resp, err := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Stream = true }).Get("http://server.test/")
		require.NoError(t, err)
		require.EqualValues(t, -1, resp.ContentLength)
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.EqualValues(t, 100_000, n)
		require.Equal(t, "100000", resp.Trailer.Get("Sum"))
		require.NoError(t, resp.Body.Close())
		wantNothingHeld(t, eng)
	})
}

func TestALargeHTTPBodyIsRewoundForAnotherAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var copies atomic.Int32
		eng := newServer(t, mirror(1, &copies)).newEngine(t, engine.Config{})
		body := bytes.Repeat([]byte("x"), 2<<20)
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://server.test/", bytes.NewReader(body))
		resp, err := clientOf(eng).Do(req)
		require.NoError(t, err)
		got, _ := io.ReadAll(resp.Body)
		require.True(t, bytes.Equal(body, got))
		require.EqualValues(t, 2, copies.Load())
	})
}

func TestTheHooksOfHTTPTraceAreCalledInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			io.Copy(w, r.Body)
		})
		eng := s.newEngine(t, engine.Config{})
		var told []string
		tell := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
		trace := &httptrace.ClientTrace{
			GetConn: func(hostPort string) { tell("want %s", hostPort) },
			GotConn: func(i httptrace.GotConnInfo) {
				tell("got reused=%v idle=%v %s conn=%v", i.Reused, i.WasIdle, i.IdleTime, i.Conn != nil)
			},
			PutIdleConn:          func(err error) { tell("put %v", err) },
			GotFirstResponseByte: func() { tell("first byte") },
			Got1xxResponse:       func(code int, _ textproto.MIMEHeader) error { tell("interim %d", code); return nil },
			WroteHeaders:         func() { tell("headers") },
			WroteRequest:         func(i httptrace.WroteRequestInfo) { tell("request %v", i.Err) },
		}
		ctx := httptrace.WithClientTrace(t.Context(), trace)
		for range 2 {
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://server.test/", strings.NewReader("abc"))
			resp, err := clientOf(eng).Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			time.Sleep(time.Second)
		}
		exchange := []string{"headers", "request <nil>", "first byte", "interim 103", "put <nil>"}
		require.Equal(t, append(append(append([]string{"want server.test:80", "got reused=false idle=false 0s conn=true"}, exchange...),
			"want server.test:80", "got reused=true idle=true 1s conn=true"), exchange...), told)

		told = nil
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://server.test/", nil)
		_, err := clientOf(newServer(t, slowly(time.Hour)).newEngine(t, engine.Config{})).Do(req)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, "put connection is not kept", told[len(told)-1])
		synctest.Wait()
	})
}

func TestIdleConnectionsAreClosedOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{})
		client := clientOf(eng)
		resp, err := client.Get("http://server.test/")
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, 1, eng.Stats().Pools[0].Idle)
		client.CloseIdleConnections()
		require.Zero(t, eng.Stats().Pools[0].Idle)
	})
}

func TestAnHTTPResponseKnowsItsTLSConnection(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig}})
	resp, err := clientOf(eng).Get(server.URL)
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), resp.TLS.Version)
}

func TestARoundTripperIsNoWayAroundAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{})
		resp, err := eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Auth = true }).
			RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", "http://server.test/", nil))
		require.Nil(t, resp)
		require.True(t, errors.Is(err, engine.ErrInvalidRequest))
	})
}
