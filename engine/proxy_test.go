package engine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// portSet has the ports that a proxy opens no tunnels to.
type portSet map[string]bool

// passOn is what a proxy does with a request that says where it is for.
func passOn(w http.ResponseWriter, r *http.Request) {
	if !r.URL.IsAbs() || r.URL.Scheme != "http" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI, out.Host = "", r.URL.Host // whatever Host said (RFC 9112, section 3.2.2)
	out.Header.Del("Proxy-Authorization")
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Via", "1.1 squid")
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// tunnelling is a proxy that lets nobody but user:s3cret through, and opens tunnels
// to no port of plainPorts.
func tunnelling(plainPorts portSet, tunnels *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		login := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if _, password, _ := login.BasicAuth(); password != "s3cret" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		_, port, _ := net.SplitHostPort(r.Host)
		switch {
		case r.Method != http.MethodConnect:
			passOn(w, r)
			return
		case plainPorts[port]: // as Squid is configured by default
			w.WriteHeader(http.StatusForbidden)
			return
		}
		far, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		tunnels.Add(1)
		io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { io.Copy(far, near); far.Close() }()
		io.Copy(near, far)
		near.Close()
	}
}

func TestAnEngineGoesThroughAProxyOverTLS(t *testing.T) {
	var tunnels atomic.Int32
	proxy := quietTLSServer(tunnelling(nil, &tunnels))
	defer proxy.Close()
	trusting := &tls.Config{RootCAs: proxy.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	at.User = url.UserPassword("user", "s3cret")
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "far") })
	plain, sealed := httptest.NewServer(answer), quietTLSServer(answer)
	defer plain.Close()
	defer sealed.Close()

	eng := newEngine(t, engine.Config{Dial: engine.Dial{Proxy: http.ProxyURL(at), TLS: trusting}})
	for range 3 {
		for _, origin := range []string{plain.URL, sealed.URL} {
			resp, err := eng.Do(t.Context(), &engine.Request{URL: origin})
			require.NoError(t, err)
			require.Equal(t, "far", resp.Text())
		}
	}
	require.EqualValues(t, 1, tunnels.Load(), "connections are kept, and a plain origin has no tunnel")
	require.NoError(t, eng.Close())

	eng = newEngine(t, engine.Config{Dial: engine.Dial{Proxy: http.ProxyURL(at), ProxyTLS: &tls.Config{}, TLS: trusting}, Retry: engine.Retry{Max: -1}})
	_, err = eng.Do(t.Context(), &engine.Request{URL: sealed.URL})
	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unverified)
	require.NotContains(t, err.Error(), "s3cret")
	var refused *engine.ProxyError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, at.Host, refused.Proxy)
}

func TestPlainRequestsGoToAProxyThatOpensTunnelsForTLSAlone(t *testing.T) {
	var tunnels, proxyConns atomic.Int32
	seen := make(chan *http.Request, 20)
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- r
		io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
	})
	plain, sealed := httptest.NewServer(answer), quietTLSServer(answer)
	defer plain.Close()
	defer sealed.Close()
	asked := make(chan *http.Request, 20)
	_, plainPort, err := net.SplitHostPort(plain.Listener.Addr().String())
	require.NoError(t, err)
	serve := tunnelling(portSet{plainPort: true}, &tunnels)
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		serve(w, r)
	}))
	proxy.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			proxyConns.Add(1)
		}
	}
	proxy.Start()
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	at.User = url.UserPassword("user", "s3cret")
	trusting := &tls.Config{RootCAs: sealed.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}

	eng := newEngine(t, engine.Config{
		Header: http.Header{"User-Agent": {"bot/1"}},
		Dial:   engine.Dial{Proxy: http.ProxyURL(at), TLS: trusting, ProxyConnectHeader: http.Header{"X-Tenant": {"me"}}},
	})
	for _, req := range []*engine.Request{
		{URL: plain.URL + "/a%2Fb?x=1", Encoded: true},
		{URL: plain.URL + "/p", Method: "POST", Body: "data"},
		{URL: plain.URL + "/u", Method: "PUT", Body: io.Reader(io.LimitReader(zeros{}, 100_000)), Upload: engine.Upload{Stream: true}},
	} {
		resp, err := eng.Do(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, resp.Text())
		require.Equal(t, "1.1 squid", resp.Header.Get("Via"))
		toProxy, toOrigin := <-asked, <-seen
		require.Equal(t, plain.Listener.Addr().String(), toProxy.Host)
		require.Equal(t, "bot/1", toProxy.UserAgent())
		require.Empty(t, toProxy.Header.Get("X-Tenant"), "it is CONNECT's")
		require.Empty(t, toOrigin.Header.Get("Proxy-Authorization"))
	}
	require.EqualValues(t, 1, proxyConns.Load(), "the connection is kept")
	require.Zero(t, tunnels.Load())
	require.Equal(t, "http://"+plain.Listener.Addr().String(), eng.Stats().Pools[0].Origin.String(), "in the pool of its origin")

	resp, err := eng.Do(t.Context(), &engine.Request{URL: sealed.URL + "/s"})
	require.NoError(t, err)
	require.Equal(t, "GET /s ", resp.Text())
	toProxy, toOrigin := <-asked, <-seen
	require.Equal(t, http.MethodConnect, toProxy.Method)
	require.Equal(t, "bot/1", toProxy.UserAgent())
	require.Equal(t, "me", toProxy.Header.Get("X-Tenant"))
	require.Empty(t, toOrigin.Header.Get("Proxy-Authorization"))
	require.Empty(t, toOrigin.Header.Get("X-Tenant"))

	client := &http.Client{Transport: eng.RoundTripper()}
	answered, err := client.Get(plain.URL + "/sdk")
	require.NoError(t, err)
	require.NoError(t, answered.Body.Close())
	require.Equal(t, "/sdk", (<-seen).URL.Path)
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWhatAProxySaysOfAPlainRequestIsItsAnswer(t *testing.T) {
	var tunnels atomic.Int32
	proxy := httptest.NewServer(tunnelling(nil, &tunnels))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	for password, want := range map[string]int{"wr0ng": http.StatusProxyAuthRequired, "s3cret": http.StatusBadGateway} {
		at.User = url.UserPassword("user", password)
		eng := newEngine(t, engine.Config{Dial: engine.Dial{Proxy: http.ProxyURL(at)}, Retry: engine.Retry{Max: -1}})
		resp, err := eng.Do(t.Context(), &engine.Request{URL: "http://127.0.0.1:1/", Method: "POST", Body: "x"})
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode)
		require.Equal(t, engine.SentYes, resp.Sent)

		_, err = eng.Do(t.Context(), &engine.Request{URL: "http://127.0.0.1:1/", Header: http.Header{"Host": {"other.test"}}})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.NotContains(t, err.Error(), password)

		_, err = eng.Do(t.Context(), &engine.Request{URL: "https://127.0.0.1:1/"})
		var refused *engine.ProxyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Status)
		require.NotContains(t, err.Error(), password)
	}
	at.Host, at.User = "127.0.0.1:1", url.UserPassword("user", "s3cret")
	eng := newEngine(t, engine.Config{Dial: engine.Dial{Proxy: http.ProxyURL(at)}, Retry: engine.Retry{Max: -1}})
	_, err = eng.Do(t.Context(), &engine.Request{URL: "http://h.test/"})
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, engine.SentNo, failure.Sent)
	var unreached *engine.ProxyError
	require.ErrorAs(t, err, &unreached)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestAHeaderForCONNECTMustBeOne(t *testing.T) {
	for name, value := range map[string]string{"X Y": "", "X": "a\r\nEvil: 1", "host": "other.test", "Content-Length": "3"} {
		_, err := engine.New(engine.Config{Dial: engine.Dial{ProxyConnectHeader: http.Header{name: {value}}}})
		require.ErrorContains(t, err, "Dial.ProxyConnectHeader", name)
	}
}

func TestTheHeaderOfCONNECTIsAskedForEachTunnel(t *testing.T) {
	asked := make(chan *http.Request, 9)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		http.Error(w, "no", http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	at.User = url.UserPassword("user", "s3cret")
	errNoToken := errors.New("no token for " + at.String())
	made := []func() (http.Header, error){
		func() (http.Header, error) { return http.Header{"Token": {"1"}}, nil },
		func() (http.Header, error) { return http.Header{"Token": {"2"}}, nil },
		func() (http.Header, error) { return nil, nil },
		func() (http.Header, error) { return nil, errNoToken },
		func() (http.Header, error) { return http.Header{"Content-Length": {"3"}}, nil },
	}
	eng := newEngine(t, engine.Config{
		Retry: engine.Retry{Max: -1},
		Dial: engine.Dial{
			Proxy: http.ProxyURL(at), ProxyConnectHeader: http.Header{"X-Tenant": {"me"}}, Backoff: 1, BackoffCap: 1,
			GetProxyConnectHeader: func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
				require.Equal(t, at.Host, proxy.Host)
				require.Equal(t, "origin.test:443", target)
				next := made[0]
				made = made[1:]
				return next()
			},
		},
	})
	ask := func() error {
		_, err := eng.Do(t.Context(), &engine.Request{URL: "https://origin.test/"})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
		var failed *engine.ProxyError
		require.ErrorAs(t, err, &failed)
		return err
	}
	for _, token := range []string{"1", "2", ""} {
		ask()
		r := <-asked
		require.Equal(t, token, r.Header.Get("Token"))
		require.Empty(t, r.Header.Get("X-Tenant"), "it is made in place of that")
		require.NotEmpty(t, r.Header.Get("Proxy-Authorization"))
	}
	require.ErrorIs(t, ask(), errNoToken)
	require.ErrorContains(t, ask(), "Content-Length")
	require.Empty(t, asked, "nothing was sent")
}
