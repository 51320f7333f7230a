//go:build unix

package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

func TestAServerThatCannotProveItsNameIsRefused(t *testing.T) {
	d, o := listenTLS(t, answeringTLS(ok, nil))
	d.TLS.ServerName = "" // 127.0.0.1, which the certificate has
	dial(t, d, o)

	var unknown x509.UnknownAuthorityError
	_, err := (&Dialer{}).Dial(t.Context(), o)
	require.ErrorAs(t, err, &unknown)

	var other x509.HostnameError
	d = &Dialer{TLS: d.TLS.Clone()}
	d.TLS.ServerName = "example.org"
	_, err = d.Dial(t.Context(), o)
	require.ErrorAs(t, err, &other)
}

func TestAHandshakeThatStallsEndsWithTheTimeout(t *testing.T) {
	o := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	o.Scheme = "https"
	_, err := (&Dialer{Timeout: 20 * time.Millisecond}).Dial(t.Context(), o)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = (&Dialer{}).Dial(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
}

func TestADialersOwnErrorIsKeptBesideTheTimeout(t *testing.T) {
	d := &Dialer{Timeout: time.Millisecond, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, errBroken
	}}
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "http", Addr: "127.0.0.1:1"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, errBroken)
}

func TestTheDialersConfigurationIsNotChanged(t *testing.T) {
	d := &Dialer{TLS: &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"h2"}}}
	config := d.config("example.com:443", http1)
	require.Equal(t, "example.com", config.ServerName)
	require.Equal(t, uint16(tls.VersionTLS12), config.MinVersion)
	require.Equal(t, []string{"http/1.1"}, config.NextProtos)
	require.Equal(t, []string{"h2"}, d.TLS.NextProtos)
	require.Equal(t, uint16(tls.VersionTLS10), d.TLS.MinVersion)
	require.Empty(t, d.TLS.ServerName)
}

func TestDialRefusesAnOriginItCannotReach(t *testing.T) {
	for _, o := range []messages.Origin{
		{Scheme: "http", Addr: "no-port"},
		{Scheme: "ftp", Addr: "127.0.0.1:21"},
		{Addr: "127.0.0.1:80"},
	} {
		_, err := (&Dialer{}).Dial(t.Context(), o)
		require.ErrorContains(t, err, o.String())
	}
}

func TestAnOriginWithoutHTTP2IsSpokenToInHTTP1(t *testing.T) {
	d, o := listenH2(t, 0, mirrorH2)
	require.IsType(t, (*wire.Conn)(nil), dialAny(t, d, o))
	d.HTTP2 = nil
	require.IsType(t, (*wire.Conn)(nil), dialAny(t, d, o))
}

func TestAnOriginIsSpokenToInHTTP1WhereNetHTTPSpeaksNoHTTP2(t *testing.T) {
	d, o := listenH2(t, 100, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	t.Setenv("GODEBUG", "http2client=0")
	resp, _, err := dialAny(t, d, o).Exchange(get("/"), time.Time{})
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1", string(resp.Body))
}

func TestHTTP1IsNotNamedIfTheConfigurationNamesNothing(t *testing.T) {
	for name, c := range map[string]struct{ configured, offered, want []string }{
		"by default":          {nil, http1, http1},
		"nothing is named":    {[]string{}, http1, []string{}},
		"HTTP/2 needs a name": {[]string{}, http2or1, http2or1},
		"a name is ours":      {[]string{"h2"}, http1, http1},
	} {
		d := &Dialer{TLS: &tls.Config{NextProtos: c.configured}}
		require.Equal(t, c.want, d.config("example.com:443", c.offered).NextProtos, name)
	}
}

func TestAServerMayAskForAnotherHandshakeIfTLSGrantsIt(t *testing.T) {
	config, o := wiretest.ListenRenegotiating(t, func(r *wiretest.Renegotiator) {
		for in := bufio.NewReader(r); wiretest.TakeRequest(in) && r.Ask() == nil && r.Handshake() == nil; {
			io.WriteString(r, ok)
		}
	})
	for _, offers := range []bool{false, true} {
		d := &Dialer{TLS: config, HTTP2: func(messages.Origin) bool { return offers }}
		c := dialAny(t, d, o)
		for range 2 {
			resp, _, err := c.Exchange(get("/"), time.Now().Add(time.Minute))
			require.NoError(t, err)
			require.Equal(t, "ok", resp.Text())
		}
	}
}
