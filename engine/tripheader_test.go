package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestWhatConnectionDoesNotNameIsNoOfferToChangeTheProtocol(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(http.Header{"Connection": r.Header["Connection"], "Upgrade": r.Header["Upgrade"]})
	}))
	t.Cleanup(server.Close)
	eng := newEngine(t, engine.Config{})
	for name, c := range map[string]struct{ sent, arrives http.Header }{
		"an Upgrade alone": {sent: http.Header{"Upgrade": {"foo"}}},
		"an Upgrade that something else is named beside": {
			sent:    http.Header{"Upgrade": {"foo"}, "Connection": {"X"}, "X": {"1"}},
			arrives: http.Header{"Connection": {"X"}},
		},
		"an Upgrade that is named": {
			sent:    http.Header{"Upgrade": {"foo"}, "Connection": {"upgrade"}},
			arrives: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"foo"}},
		},
		"a name without an Upgrade": {
			sent:    http.Header{"Connection": {"Upgrade, X", "Y"}},
			arrives: http.Header{"Connection": {"X, Y, Upgrade"}},
		},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header = c.sent
		resp, err := eng.RoundTripper(streamed).RoundTrip(req)
		require.NoError(t, err, name)
		var seen http.Header
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&seen))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.arrives["Connection"], seen["Connection"], name)
		require.Equal(t, c.arrives["Upgrade"], seen["Upgrade"], name)
	}
}

func TestARequestNamesOneUserAgent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(r.Header["User-Agent"])
	}))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	req.Header["User-Agent"] = []string{"first", "second"}
	for _, rt := range []http.RoundTripper{newEngine(t, engine.Config{}).RoundTripper(), server.Client().Transport} {
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.JSONEq(t, `["first"]`, string(text))
	}
	require.Len(t, req.Header["User-Agent"], 2, "the request is the caller's")
}

type keyOfADial struct{}

// With net/http a DialContext finds what the request's context has: a span, say.
func TestADialLooksUpWhatTheRequestThatCausedItHas(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	var mu sync.Mutex
	var found []any
	var ended []bool
	eng := newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		_, bounded := ctx.Deadline()
		found, ended = append(found, ctx.Value(keyOfADial{})), append(ended, !bounded)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}})
	var connects int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectStart: func(string, string) { connects++ }})
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, keyOfADial{}, "first"), time.Minute)
	defer cancel()
	for _, value := range []any{"first", "second"} {
		_, err := eng.Do(context.WithValue(ctx, keyOfADial{}, value), &engine.Request{URL: server.URL, Close: true})
		require.NoError(t, err)
	}
	require.Equal(t, []any{"first", "second"}, found)
	require.Equal(t, []bool{false, false}, ended, "Dial.Timeout bounds it")
	require.Equal(t, 2, connects, "a trace is told once of each dial")
}

// What runs out of time in its own dial does not end it for whoever waits too.
func TestADialOutlivesTheRequestThatCausedIt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	began, goOn := make(chan context.Context, 1), make(chan struct{})
	eng := newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}, Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		began <- ctx
		<-goOn
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), keyOfADial{}, 1))
	first := make(chan error, 1)
	go func() {
		_, err := eng.Do(ctx, &engine.Request{URL: server.URL})
		first <- err
	}()
	dial := <-began
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	require.NoError(t, dial.Err())
	require.Equal(t, 1, dial.Value(keyOfADial{}))
	close(goOn)
	_, err := eng.Do(t.Context(), &engine.Request{URL: server.URL})
	require.NoError(t, err)
}

func TestAProxyThatFailsIsNetHTTPsOpError(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	nobody, err := url.Parse(gone.URL)
	require.NoError(t, err)
	for _, by := range []*url.URL{at, nobody} {
		eng := newEngine(t, engine.Config{Dial: engine.Dial{Proxy: http.ProxyURL(by)}})
		_, err = (&http.Client{Transport: eng.RoundTripper()}).Get("https://origin.test/")
		failed, is := err.(*url.Error).Err.(*net.OpError)
		require.True(t, is, "%T", err.(*url.Error).Err)
		require.Equal(t, "proxyconnect", failed.Op)
		var refused *engine.ProxyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
	}
}

func TestAHeaderOverTheCapAndALateHandshakeAreToldInNetHTTPsWords(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Long", strings.Repeat("a", 2000))
	}))
	t.Cleanup(server.Close)
	eng := newEngine(t, engine.Config{Responses: engine.Responses{MaxHeader: 1000}})
	_, err := (&http.Client{Transport: eng.RoundTripper()}).Get(server.URL)
	require.ErrorContains(t, err, "net/http: server response headers exceeded 1000 bytes; aborted")
	require.ErrorIs(t, err, engine.ErrHeaderTooLarge)

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	eng = newEngine(t, engine.Config{Dial: engine.Dial{Timeout: 20 * time.Millisecond}, Retry: engine.Retry{Max: -1}})
	_, err = (&http.Client{Transport: eng.RoundTripper()}).Get("https://" + silent.Addr().String())
	require.ErrorContains(t, err, "TLS handshake timeout")
	require.True(t, err.(*url.Error).Timeout())
}

func TestInterimAnswersOverTheCapAreToldInNetHTTPsWords(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Long", strings.Repeat("a", 100))
			for range 20 {
				w.WriteHeader(103)
			}
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		config := asNetHTTP(server, http2)
		config.Responses.MaxHeader = 1000
		_, err := (&http.Client{Transport: newEngine(t, config).RoundTripper()}).Get(server.URL)
		require.ErrorContains(t, err, "server response headers exceeded 1000 bytes", http2)
		require.ErrorIs(t, err, engine.ErrHeaderTooLarge)
	}
}

func TestAHookIsToldOfAFieldWithAllItsLines(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	told := map[string][][]string{}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteHeaderField: func(name string, values []string) { told[name] = append(told[name], values) },
	})
	_, err := newEngine(t, engine.Config{}).Do(ctx, &engine.Request{URL: server.URL, Header: http.Header{"X": {"a", "b", ""}, "Y": {"c"}}})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"a", "b", ""}}, told["X"])
	require.Equal(t, [][]string{{"c"}}, told["Y"])
	require.Len(t, told["Host"], 1)
}
