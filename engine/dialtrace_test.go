package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// hooks notes which hooks of a trace were called, in their order.
type hooks struct {
	mu   sync.Mutex
	told []string
}

func (h *hooks) tell(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, what)
}

// names returns each hook once: a host may have several addresses.
func (h *hooks) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, name := range h.told {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (h *hooks) in(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:           func(string) { h.tell("get") },
		DNSStart:          func(i httptrace.DNSStartInfo) { h.tell("dns " + i.Host) },
		DNSDone:           func(i httptrace.DNSDoneInfo) { h.tell("dns done") },
		ConnectStart:      func(string, string) { h.tell("connect") },
		ConnectDone:       func(_, _ string, err error) { h.tell("connected") },
		TLSHandshakeStart: func() { h.tell("handshake") },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			if err != nil {
				h.tell("handshake failed")
				return
			}
			h.tell("handshake " + tls.VersionName(s.Version))
		},
		GotConn:          func(httptrace.GotConnInfo) { h.tell("got") },
		WroteHeaderField: func(name string, v []string) { h.tell("field " + name + "=" + strings.Join(v, "|")) },
		WroteHeaders:     func() { h.tell("headers") },
	})
}

func TestTheHooksOfADialAreToldToTheRequestThatCausedIt(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		trusting := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		trusting.ServerName = "example.com"
		eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: trusting}, Connections: engine.Connections{HTTP2: func(string) bool { return http2 }}, Responses: engine.Responses{Codings: []string{}}})
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

		ask := func() []string {
			var h hooks
			req, _ := http.NewRequestWithContext(h.in(t.Context()), "GET", "https://localhost:"+port+"/", nil)
			resp, err := clientOf(eng).Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			return h.names()
		}
		fields := []string{"field Host=localhost:" + port, "field User-Agent=sluice", "headers"}
		if http2 {
			fields = []string{"field :authority=localhost:" + port, "field :method=GET", "field :path=/", "field :scheme=https", "field user-agent=sluice", "headers"}
		}
		dialled := []string{"get", "dns localhost", "dns done", "connect", "connected", "handshake", "handshake TLS 1.3", "got"}
		require.Equal(t, append(dialled, fields...), ask())
		require.Equal(t, append([]string{"get", "got"}, fields...), ask(), "nothing is dialled")
	}
}

// quietTLSServer says nothing of handshakes that fail.
func quietTLSServer(handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = discardLog
	server.StartTLS()
	return server
}

func TestAFailedHandshakeIsToldToTheTrace(t *testing.T) {
	server := quietTLSServer(http.NotFound)
	defer server.Close()
	eng := newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})
	var h hooks
	_, err := eng.Do(h.in(t.Context()), &engine.Request{URL: server.URL})
	var unknown *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []string{"get", "connect", "connected", "handshake", "handshake failed"}, h.names())
}

// Of several waiters each has the dial that it caused, in the order of waiting;
// one that nobody waits for has none.
func TestEachDialHasTheTraceOfItsOwnWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var dials []*httptrace.ClientTrace
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			dials = append(dials, httptrace.ContextClientTrace(ctx))
			mu.Unlock()
			time.Sleep(time.Second)
			return s.dial(ctx, network, addr)
		}}})
		one, two := &httptrace.ClientTrace{}, &httptrace.ClientTrace{}
		var all sync.WaitGroup
		for _, trace := range []*httptrace.ClientTrace{one, nil, two} {
			ctx := t.Context()
			if trace != nil {
				ctx = httptrace.WithClientTrace(ctx, trace)
			}
			all.Go(func() {
				_, err := eng.Do(ctx, &engine.Request{Path: "/"})
				require.NoError(t, err)
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		require.NoError(t, eng.Warm(t.Context(), "", 4))
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []bool{true, true, true}, []bool{dials[0] == one, dials[1] == nil, dials[2] == two})
		require.Nil(t, dials[3])
	})
}

func TestADialOutlivesTheTracedRequestThatCausedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			httptrace.ContextClientTrace(ctx).ConnectDone(network, addr, nil)
			return s.dial(ctx, network, addr)
		}}})
		var h hooks
		ctx, cancel := context.WithTimeout(h.in(t.Context()), 10*time.Millisecond)
		defer cancel()
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"get"}, h.names())
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"get", "connected"}, h.names())
		require.Equal(t, 1, eng.Stats().Pools[0].Idle)
	})
}

func TestAPanicInAHookOfADialEndsTheDialAlone(t *testing.T) {
	server := quietTLSServer(func(http.ResponseWriter, *http.Request) {})
	defer server.Close()
	eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig}, Retry: engine.Retry{Max: -1}})
	for _, trace := range []*httptrace.ClientTrace{
		{ConnectStart: func(string, string) { panic("hook") }},
		{TLSHandshakeStart: func() { panic("hook") }},
	} {
		_, err := eng.Do(httptrace.WithClientTrace(t.Context(), trace), &engine.Request{URL: server.URL})
		var panicked *engine.PanicError
		require.ErrorAs(t, err, &panicked)
	}
	_, err := eng.Do(t.Context(), &engine.Request{URL: server.URL})
	require.NoError(t, err)
}

func TestASharedHTTP2ConnectionIsToldAsReused(t *testing.T) {
	arrived, leave := make(chan struct{}, 2), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-leave
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	eng := newEngine(t, engine.Config{
		Dial: engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig}, Connections: engine.Connections{HTTP2: func(string) bool { return true }},
	})
	got := make(chan httptrace.GotConnInfo, 2)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { got <- i }})
	var all sync.WaitGroup
	for _, reused := range []bool{false, true} { // at the same time, each on a stream of its own
		all.Go(func() {
			_, err := eng.Do(ctx, &engine.Request{URL: server.URL})
			require.NoError(t, err)
		})
		<-arrived
		info := <-got
		require.Equal(t, reused, info.Reused)
		require.False(t, info.WasIdle)
	}
	close(leave)
	all.Wait()
}

func TestTheHooksOfABodyThatWaitsForLeaveAreCalled(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	var h hooks
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteHeaders:         func() { h.tell("headers") },
		Wait100Continue:      func() { h.tell("wait") },
		Got100Continue:       func() { h.tell("leave") },
		Got1xxResponse:       func(code int, _ textproto.MIMEHeader) error { h.tell(http.StatusText(code)); return nil },
		WroteRequest:         func(httptrace.WroteRequestInfo) { h.tell("request") },
		GotFirstResponseByte: func() { h.tell("first byte") },
	})
	req, _ := http.NewRequestWithContext(ctx, "PUT", server.URL, once("abc"))
	req.Header.Set("Expect", "100-continue")
	resp, err := clientOf(newEngine(t, engine.Config{})).Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Subset(t, h.names(), []string{"headers", "wait", "first byte", "leave", "Continue", "request"})
	require.Equal(t, []string{"headers", "wait", "first byte"}, h.names()[:3])
}

// The request has ended for its hooks whether or not its body was sent.
func TestTheHooksOfABodyThatIsHeldBackAreCalledAsByNetHTTP(t *testing.T) {
	for end, answer := range map[string]http.HandlerFunc{
		"the server objects": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) },
		"the server leaves":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the caller leaves":  slowly(time.Hour),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, answer)
			eng := s.newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})
			plain := &http.Transport{DialContext: s.dial, ExpectContinueTimeout: time.Second}
			for name, rt := range map[string]http.RoundTripper{"net/http": plain, "in time": eng.RoundTripper(), "streamed": eng.RoundTripper(streamed)} {
				var h hooks
				ctx, cancel := context.WithCancel(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					WroteHeaders:    func() { h.tell("headers") },
					Wait100Continue: func() { h.tell("wait") },
					WroteRequest:    func(info httptrace.WroteRequestInfo) { h.tell(fmt.Sprint("request ", info.Err)) },
				}))
				time.AfterFunc(time.Second/2, cancel)
				req, _ := http.NewRequestWithContext(ctx, "PUT", "http://server.test/", once("abc"))
				req.Header.Set("Expect", "100-continue")
				resp, err := rt.RoundTrip(req)
				require.Equal(t, end == "the server objects", err == nil, "%s: %v", name, err)
				if err == nil {
					require.NoError(t, resp.Body.Close())
				}
				time.Sleep(2 * time.Second)
				require.Equal(t, []string{"headers", "wait", "request <nil>"}, h.names(), "%s: %s", name, end)
			}
			plain.CloseIdleConnections()
		})
	}
}

func TestAPanicInAHookReachesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}, Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			if trace := httptrace.ContextClientTrace(ctx); trace != nil {
				trace.ConnectStart(network, addr)
			}
			return s.dial(ctx, network, addr)
		}}})
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectStart: func(string, string) { panic("hook") }})
		var all sync.WaitGroup
		all.Go(func() {
			_, err := eng.Do(ctx, &engine.Request{Path: "/"})
			var panicked *engine.PanicError
			require.ErrorAs(t, err, &panicked)
		})
		synctest.Wait() // it waits, and its dial is the only one there may be
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(began), "no pause follows the first dial")
		all.Wait()
		require.EqualValues(t, 1, eng.Stats().Pools[0].Dialled)
		wantNothingHeld(t, eng)
	})
}

func TestADialHasTheValuesOfTheRequestThatCausedItAndNotItsEnd(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			value any
			err   error
			cause error
		}
		dials := make(chan seen, 3)
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			dials <- seen{ctx.Value(key{}), ctx.Err(), context.Cause(ctx)}
			return s.dial(ctx, network, addr)
		}}})
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "mine"))
		time.AfterFunc(time.Second/2, func() { cancel(io.ErrClosedPipe) })
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, seen{"mine", nil, nil}, <-dials)

		_, err = eng.Do(context.WithValue(t.Context(), key{}, "another's"), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Empty(t, dials, "it serves whoever is next")
		eng.CloseIdleConnections()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, seen{}, <-dials, "and nothing of a request is left for the next")
	})
}

func TestAClientCertificateIsChosenWithTheValuesOfARequest(t *testing.T) {
	type key struct{}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	asked := make(chan any, 1)
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked <- info.Context().Value(key{})
		return new(tls.Certificate), nil
	}
	eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: config}})
	_, err := eng.Do(context.WithValue(t.Context(), key{}, "mine"), &engine.Request{URL: server.URL})
	require.NoError(t, err)
	require.Equal(t, "mine", <-asked)
}
