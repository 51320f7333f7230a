//go:build unix

package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

var harms = map[string]func(){
	"panics":             func() { panic("boom") },
	"ends its goroutine": runtime.Goexit,
}

// watched counts the connections that a server has, and says when all are gone.
func watched(t *testing.T, sealed bool) (*Dialer, messages.Origin, func() bool) {
	var open, ever atomic.Int32
	serve := func(c net.Conn) {
		open.Add(1)
		ever.Add(1)
		defer open.Add(-1)
		answering(ok, nil)(c)
	}
	gone := func() bool { return open.Load() == 0 }
	if sealed {
		d, o := listenTLS(t, func(c *tls.Conn, _ *joiner) { serve(c) })
		return d, o, gone
	}
	return &Dialer{}, listen(t, serve), gone
}

func TestCodeOfTheCallersThatDoesNotReturnEndsItsDialAlone(t *testing.T) {
	hook := func(trace httptrace.ClientTrace) func(*Dialer, *messages.Origin) context.Context {
		return func(d *Dialer, _ *messages.Origin) context.Context {
			return httptrace.WithClientTrace(context.Background(), &trace)
		}
	}
	named := func(o *messages.Origin) {
		_, port, _ := net.SplitHostPort(o.Addr)
		o.Addr = "localhost:" + port
	}
	for does, harm := range harms {
		for what, spoil := range map[string]func(*Dialer, *messages.Origin) context.Context{
			"DialContext": func(d *Dialer, _ *messages.Origin) context.Context {
				d.DialContext = func(context.Context, string, string) (net.Conn, error) { harm(); return nil, nil }
				return context.Background()
			},
			"Proxy": func(d *Dialer, _ *messages.Origin) context.Context {
				d.Proxy = func(messages.Origin) (*url.URL, error) { harm(); return nil, nil }
				return context.Background()
			},
			"HTTP2": func(d *Dialer, _ *messages.Origin) context.Context {
				d.HTTP2 = func(messages.Origin) bool { harm(); return true }
				return context.Background()
			},
			"Resolve": func(d *Dialer, o *messages.Origin) context.Context {
				named(o)
				d.Resolve = func(context.Context, string) ([]netip.Addr, error) { harm(); return nil, nil }
				return context.Background()
			},
			"ConnectDone in a race": func(d *Dialer, o *messages.Origin) context.Context {
				named(o)
				d.Resolve = func(context.Context, string) ([]netip.Addr, error) { return ips("127.0.0.1", "127.0.0.1"), nil }
				return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{ConnectDone: func(string, string, error) { harm() }})
			},
			"DNSStart": func(d *Dialer, o *messages.Origin) context.Context {
				named(o)
				return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) { harm() }})
			},
			"ConnectStart":      hook(httptrace.ClientTrace{ConnectStart: func(string, string) { harm() }}),
			"ConnectDone":       hook(httptrace.ClientTrace{ConnectDone: func(string, string, error) { harm() }}),
			"TLSHandshakeStart": hook(httptrace.ClientTrace{TLSHandshakeStart: harm}),
			"TLSHandshakeDone":  hook(httptrace.ClientTrace{TLSHandshakeDone: func(tls.ConnectionState, error) { harm() }}),
			"VerifyPeerCertificate": func(d *Dialer, _ *messages.Origin) context.Context {
				d.TLS.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { harm(); return nil }
				return context.Background()
			},
			"GetClientCertificate": func(d *Dialer, _ *messages.Origin) context.Context {
				d.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { harm(); return nil, nil }
				return context.Background()
			},
		} {
			d, o, gone := watched(t, true)
			ctx := spoil(d, &o)
			_, err := d.DialAny(ctx, o)
			var panicked *messages.PanicError
			require.ErrorAs(t, err, &panicked, "%s %s", what, does)
			require.Equal(t, messages.Leasing, panicked.Stage)
			require.NotEmpty(t, panicked.Stack)
			require.Eventually(t, gone, 5*time.Second, time.Millisecond, "%s %s: a connection is open still", what, does)
		}
	}
}

// hostileConn does harm in one of its methods.
type hostileConn struct {
	net.Conn
	method string
	harm   func()
}

func (c *hostileConn) meet(method string) {
	if c.method == method {
		c.harm()
	}
}

func (c *hostileConn) Read(p []byte) (int, error)  { c.meet("Read"); return c.Conn.Read(p) }
func (c *hostileConn) Write(p []byte) (int, error) { c.meet("Write"); return c.Conn.Write(p) }
func (c *hostileConn) SetDeadline(at time.Time) error {
	c.meet("SetDeadline")
	return c.Conn.SetDeadline(at)
}
func (c *hostileConn) SetWriteDeadline(time.Time) error { c.meet("SetWriteDeadline"); return nil }
func (c *hostileConn) Close() error {
	defer c.Conn.Close() // or the test could not tell
	c.meet("Close")
	return nil
}

// Goroutines of crypto/tls's and of context's call these as well.
func TestAConnectionThatDoesNotReturnEndsItsDialAlone(t *testing.T) {
	for does, harm := range harms {
		for _, method := range []string{"Read", "Write", "SetDeadline", "SetWriteDeadline", "Close"} {
			for _, scheme := range []string{"https", "via http", "via socks5"} {
				var gone atomic.Int32
				silent := listen(t, func(c net.Conn) { io.Copy(io.Discard, c); gone.Add(1) })
				d := &Dialer{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, silent.Addr)
					return &hostileConn{c, method, harm}, err
				}}
				o := messages.Origin{Scheme: "https", Addr: "h:443"}
				if via, ok := strings.CutPrefix(scheme, "via "); ok {
					d.Proxy = by(&url.URL{Scheme: via, Host: silent.Addr})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				_, err := d.Dial(ctx, o)
				cancel()
				require.Error(t, err, "%s: %s %s", scheme, method, does)
				require.Eventually(t, func() bool { return gone.Load() == 1 }, 5*time.Second, time.Millisecond, "%s: %s %s", scheme, method, does)
			}
		}
	}
}

// Name servers are none of the request's business.
func TestTheResolversConnectionsAreNotTold(t *testing.T) {
	var looked, connected atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { looked.Add(1) },
		ConnectStart: func(string, string) { connected.Add(1) },
	})
	for _, ctx := range []context.Context{forResolver(ctx), forResolver(forResolver(ctx))} {
		trace := httptrace.ContextClientTrace(ctx)
		require.Nil(t, trace.ConnectStart)
		trace.DNSStart(httptrace.DNSStartInfo{})
	}
	require.EqualValues(t, 2, looked.Load())
	require.Zero(t, connected.Load())
	require.Nil(t, httptrace.ContextClientTrace(forResolver(t.Context())))
}
