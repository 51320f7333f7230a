package engine_test

import (
	"crypto/tls"
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

// tunnelling is a proxy that lets nobody but user:s3cret through.
func tunnelling(tunnels *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		login := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if _, password, _ := login.BasicAuth(); r.Method != http.MethodConnect || password != "s3cret" {
			w.WriteHeader(http.StatusProxyAuthRequired)
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
	proxy := quietTLSServer(tunnelling(&tunnels))
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
	require.EqualValues(t, 2, tunnels.Load(), "connections are kept")
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
