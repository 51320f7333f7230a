//go:build unix

package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// failure is how a dial fails, which it must, over either version of HTTP.
func failure(t *testing.T, d *Dialer, o messages.Origin) error {
	t.Helper()
	_, err := d.Dial(t.Context(), o)
	require.Error(t, err)
	d.HTTP2 = func(messages.Origin) bool { return true }
	_, err2 := d.DialAny(t.Context(), o)
	require.Error(t, err2)
	require.Equal(t, messages.Permanent(err), messages.Permanent(err2), "%v; %v", err, err2)
	return err
}

var named = messages.Origin{Scheme: "https", Addr: "name.test:443"}

func TestAnUnknownHostIsAPermanentFailureAndAServerThatFailsIsNot(t *testing.T) {
	for _, c := range []struct {
		err  *net.DNSError
		want bool
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, true},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, false},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, false},
		{&net.DNSError{Err: "no such host", IsNotFound: true, IsTemporary: true}, false},
	} {
		resolving := &Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, c.err }}
		unresolved := failure(t, resolving, named)
		require.Equal(t, c.want, messages.Permanent(unresolved), c.err)
		dial, ok := errors.AsType[*net.OpError](unresolved)
		require.True(t, ok, "as net.Dialer has it")
		require.Equal(t, "dial", dial.Op)
		require.Equal(t, c.err.IsTimeout, dial.Timeout())
		require.ErrorIs(t, unresolved, c.err)
		dialling := &Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: c.err}
		}}
		err := failure(t, dialling, named)
		require.Equal(t, c.want, messages.Permanent(err), c.err)
		var found *net.DNSError
		require.ErrorAs(t, err, &found)
	}
	none := &Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, nil }}
	require.True(t, messages.Permanent(failure(t, none, named)))
}

func TestACertificateThatIsNotTrustedIsAPermanentFailure(t *testing.T) {
	d, o := listenTLS(t, answeringTLS(ok, nil))
	pin := errors.New("not the pinned key")
	for name, config := range map[string]*tls.Config{
		"unknown authority":      {ServerName: "example.com"},
		"another name":           {RootCAs: d.TLS.RootCAs, ServerName: "example.org"},
		"the caller's own check": {InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return pin }},
		"the caller's own older check": {InsecureSkipVerify: true, VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error {
			return pin
		}},
	} {
		require.True(t, messages.Permanent(failure(t, &Dialer{TLS: config}, o)), name)
	}
	config := d.TLS.Clone()
	asked := 0
	config.VerifyConnection = func(tls.ConnectionState) error { asked++; return nil }
	dial(t, &Dialer{TLS: config}, o)
	require.Equal(t, 1, asked)
}

// An alert is all that the peer says of why.
func TestAHandshakeThatThePeerRefusesIsAPermanentFailureUnlessThePeerIsAtFault(t *testing.T) {
	for alert, want := range map[byte]bool{40: true, 48: true, 70: true, 112: true, 80: false, 90: false} {
		o := listen(t, func(c net.Conn) {
			c.Read(make([]byte, 1))
			c.Write([]byte{21, 3, 3, 0, 2, 2, alert})
			io.Copy(io.Discard, c)
		})
		o.Scheme = "https"
		require.Equal(t, want, messages.Permanent(failure(t, new(Dialer), o)), "alert %d", alert)
	}
	plain := listen(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	plain.Scheme = "https"
	require.True(t, messages.Permanent(failure(t, new(Dialer), plain)), "it speaks no TLS")
}

func TestAnswersOfAProxyAreAboutTheRequestOrAboutTheProxy(t *testing.T) {
	for status, want := range map[int]bool{302: true, 400: true, 403: true, 407: true, 501: true, 408: false, 429: false, 500: false, 502: false, 503: false, 504: false} {
		o := listen(t, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status)
			}
		})
		through := &Dialer{Proxy: by(&url.URL{Scheme: "http", Host: o.Addr})}
		require.Equal(t, want, messages.Permanent(failure(t, through, named)), status)
	}
	for reply, want := range map[byte]bool{1: false, 2: true, 3: false, 4: false, 5: false, 6: false, 7: true, 8: true} {
		o := listen(t, func(c net.Conn) {
			io.ReadFull(c, make([]byte, 3))
			c.Write([]byte{5, 0})
			io.ReadFull(c, make([]byte, 4+1+len("name.test")+2))
			c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		})
		through := &Dialer{Proxy: by(&url.URL{Scheme: "socks5", Host: o.Addr})}
		require.Equal(t, want, messages.Permanent(failure(t, through, named)), "SOCKS5 reply %d", reply)
	}
	wrong := proxied(t, "socks5", nil)
	wrong.User = url.UserPassword("user", "wrong")
	require.True(t, messages.Permanent(failure(t, &Dialer{Proxy: by(wrong)}, named)), "a password")
	require.True(t, messages.Permanent(failure(t, &Dialer{Proxy: by(&url.URL{Scheme: "ftp", Host: "proxy.test"})}, named)), "a scheme")
}

func TestWhatMayPassIsNoPermanentFailure(t *testing.T) {
	for _, err := range []error{
		syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EMFILE, os.ErrDeadlineExceeded, io.EOF, errors.New("something else"),
	} {
		d := &Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}}
		require.False(t, messages.Permanent(failure(t, d, named)), err)
	}
	late := &Dialer{Timeout: time.Millisecond, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}}
	require.False(t, messages.Permanent(failure(t, late, named)), "it was not looked for to the end")
}
