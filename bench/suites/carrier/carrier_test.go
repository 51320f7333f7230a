package carrier

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, mode string) (*carrier, *os.File) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	c := &carrier{streamed: mode == Streamed, ends: true, log: log}
	t.Cleanup(func() {
		require.NoError(t, log.Close())
		for key, carriage := range c.engines {
			c.forget(key, carriage.engine)
		}
	})
	return c, log
}

func request(t *testing.T, server *httptest.Server) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	return req
}

func TestARequestIsCarriedAsItsTransportSays(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Header.Get("User-Agent"))
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport)
	for _, mode := range []string{Streamed, Read} {
		c, log := start(t, mode)
		req := request(t, server)
		response, err := c.trip(transport, req, false, nil)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "HTTP/1.1 Go-http-client/1.1", string(text))
		require.Same(t, req, response.Request)
		noted, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		require.Equal(t, Carried+"\n", string(noted))

		c.closeIdle(transport)
		require.Empty(t, c.engines, "an engine that is not in use ends with its connections")
	}
}

func TestARequestIsRepeatedOnlyForTestsOfThat(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%2 == 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport)
	for _, repeats := range []bool{false, true} {
		asked.Store(0)
		c, _ := start(t, Streamed)
		c.repeats = repeats
		response, err := c.trip(transport, request(t, server), false, nil)
		if !repeats {
			require.ErrorIs(t, err, io.EOF)
			require.EqualValues(t, 1, asked.Load())
			continue
		}
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.EqualValues(t, 2, asked.Load())
	}
}

func TestWhatOnlyATransportHasIsLeftToIt(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	c, log := start(t, Streamed)
	own := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }}
	passed := false
	_, err := c.trip(own, request(t, server), false, func() (*http.Response, error) { passed = true; return nil, io.EOF })
	require.ErrorIs(t, err, io.EOF)
	require.True(t, passed)
	noted, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	require.Contains(t, string(noted), "DialTLS")

	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	require.Empty(t, leftBecause(&http.Transport{}, request(t, server)))
	require.NotEmpty(t, leftBecause(&http.Transport{Protocols: plain}, &http.Request{URL: &url.URL{Scheme: "http"}}))
}

func TestCancelRequestEndsWhatIsCarried(t *testing.T) {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport)
	c, _ := start(t, Streamed)
	req := request(t, server)
	go func() { <-arrived; c.cancel(req) }()
	_, err := c.trip(transport, req, false, nil)
	require.ErrorIs(t, err, errCanceled)

	req = request(t, server)
	req.Method = http.MethodPost
	go func() { <-arrived }()
	response, err := c.trip(transport, req, false, nil)
	require.NoError(t, err)
	require.Len(t, c.running, 1)
	c.cancel(req)
	_, err = io.ReadAll(response.Body)
	require.ErrorIs(t, err, errCanceled)
	require.NoError(t, response.Body.Close())
	require.Empty(t, c.running)
}

func TestASettingThatChangedMakesAnotherEngine(t *testing.T) {
	c, _ := start(t, Read)
	transport := &http.Transport{}
	first, err := c.carriageOf(transport, false)
	require.NoError(t, err)
	t.Cleanup(func() { _ = first.engine.Close() })
	again, err := c.carriageOf(transport, false)
	require.NoError(t, err)
	require.Same(t, first, again)
	transport.Proxy = http.ProxyFromEnvironment
	other, err := c.carriageOf(transport, false)
	require.NoError(t, err)
	require.NotSame(t, first, other)
}

func TestAConfigurationIsToldInTheEnginesWords(t *testing.T) {
	cfg := configOf(&http.Transport{
		MaxConnsPerHost: 3, DisableCompression: true, IdleConnTimeout: time.Second, TLSHandshakeTimeout: 2 * time.Second,
		MaxResponseHeaderBytes: 100, DialContext: http.DefaultTransport.(*http.Transport).DialContext,
		ProxyConnectHeader: http.Header{"A": {"b"}},
	}, true)
	require.Equal(t, http.Header{"A": {"b"}}, cfg.Dial.ProxyConnectHeader)
	require.Equal(t, -1, cfg.Retry.Max)
	require.Equal(t, 3, cfg.Connections.Max)
	require.True(t, cfg.Connections.HTTP2("a:443"))
	require.Equal(t, time.Second, cfg.Connections.IdleTimeout)
	require.Equal(t, 2*time.Second, cfg.Dial.Timeout)
	require.NotNil(t, cfg.Dial.DialContext)
	require.Equal(t, 100, cfg.Responses.MaxHeader)
	require.Empty(t, cfg.Responses.Codings)
	require.NotNil(t, cfg.Responses.Codings)
	require.Equal(t, -1, cfg.Connections.MaxIdleTotal, "net/http has no bound")
	require.Equal(t, unbounded, configOf(&http.Transport{}, false).Connections.Max)

	cfg = configOf(&http.Transport{
		MaxIdleConns: 7, TLSClientConfig: &tls.Config{ServerName: "a.test"}, ProxyConnectHeader: http.Header{"X": {"1"}},
		GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return nil, nil },
	}, false)
	require.Equal(t, 7, cfg.Connections.MaxIdleTotal)
	require.Equal(t, "a.test", cfg.Dial.TLS.ServerName)
	require.NotNil(t, cfg.Dial.TLS.NextProtos, "nothing is named")
	require.Empty(t, cfg.Dial.TLS.NextProtos)
	require.Equal(t, http.Header{"X": {"1"}}, cfg.Dial.ProxyConnectHeader)
	require.NotNil(t, cfg.Dial.GetProxyConnectHeader)
	require.True(t, cfg.Responses.Lenient("a:80"))
}
