package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/h2"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

const defaultTimeout = 5 * time.Second

// Dialer opens connections. The zero value is ready for use. It is safe for
// concurrent use; it must be neither changed nor copied once in use.
type Dialer struct {
	// DialContext opens the transport connection; nil means net.Dialer, once
	// per address of the host, as RFC 8305 has it; see race.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddr is where connections come from; nil leaves it to the system. It
	// is not for DialContext.
	LocalAddr net.Addr
	// Resolve finds a host's addresses; nil means net.DefaultResolver. It is not
	// for DialContext.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Proxy returns the proxy for an origin, nil for none. Its scheme is http or
	// https (which relays the requests of plain origins, and opens tunnels to others
	// by CONNECT, RFC 9110, section 9.3.6), socks5 or socks5h (RFC 1928, the name
	// resolved by the proxy in both); user and password are used if given.
	Proxy func(messages.Origin) (*url.URL, error)
	// ProxyConnectHeader is sent with CONNECT, and so is UserAgent, unless that is
	// empty or among it.
	ProxyConnectHeader http.Header
	UserAgent          string
	// GetProxyConnectHeader, if there is one, is asked for each tunnel, in place of
	// ProxyConnectHeader; target is the host and port it is to lead to.
	GetProxyConnectHeader func(ctx context.Context, proxy *url.URL, target string) (http.Header, error)
	// TLS is the configuration for https. It is copied; the copy speaks TLS 1.2 at least,
	// offers http/1.1 alone (and nothing by name if NextProtos is empty and not nil), takes the
	// origin's host for its ServerName if there is none, and resumes sessions unless told
	// otherwise, or unless it has GetClientCertificate or VerifyPeerCertificate and no
	// ClientSessionCache.
	TLS *tls.Config
	// ProxyTLS is the configuration for https proxies, of which is true what is
	// of TLS. Nil means TLS without its ServerName.
	ProxyTLS *tls.Config
	// Timeout bounds dialling and the TLS handshake together; zero or less
	// means 5 s. An earlier deadline of the context wins.
	Timeout time.Duration
	// Limits caps the responses of every connection dialled. Its Lenient is that of the
	// origin.
	Limits wire.Limits

	// Lenient says which origins are known to frame loosely; nil means none.
	Lenient func(messages.Origin) bool
	// HTTP2 says which https origins are offered HTTP/2 (by ALPN, so that they
	// may choose HTTP/1.1); nil means none.
	HTTP2 func(messages.Origin) bool
	// Yield, if there is one, is called before a connection is opened, and has what lingers closed
	// where that would take it beyond a bound: see YieldLingering.
	Yield func(context.Context)
	// MaxAge is how old an HTTP/2 connection may be on which another place is taken;
	// zero means any age.
	MaxAge time.Duration

	turn     atomic.Uint32 // of addresses to begin with; any dial takes the next
	decoders wire.Decoders // of all connections that are not given others by Limits

	// Any dial reads these; whoever is first makes them.
	remember sync.Once
	sessions tls.ClientSessionCache

	mu     sync.Mutex
	shared map[messages.Origin]*lot // guarded by mu: those that are dialled, or connected
}

// lot is an origin's HTTP/2 connections, for as long as there are any.
type lot struct {
	conns *h2.Conns
	dials int // under way; guarded by Dialer.mu
}

// Dial opens a connection to o, for https with the handshake done. It tells the
// httptrace.ClientTrace of ctx, if there is one, of look-up, connecting and
// handshake, of which some may still be told when Dial has returned. When ctx
// ended or the timeout passed, the error satisfies errors.Is for
// context.Canceled or context.DeadlineExceeded; certificate errors are
// reachable with errors.As. An error that another dial would only meet again is one
// in the sense of messages.Permanent: an unknown host, a certificate that is not
// trusted, a proxy that refuses.
//
// What of the caller's code is called, hooks, DialContext, Proxy, Resolve and what
// TLS asks, may panic or end its goroutine: Dial then returns a
// *messages.PanicError, as it returns anything else.
func (d *Dialer) Dial(ctx context.Context, o messages.Origin) (*wire.Conn, error) {
	return dialled(ctx, d, o, func(ctx context.Context) (*wire.Conn, error) {
		return d.dialHTTP1(ctx, o)
	})
}

func (d *Dialer) dialHTTP1(ctx context.Context, o messages.Origin) (*wire.Conn, error) {
	limits := d.limits(o)
	r, err := d.route(o)
	if err != nil {
		return nil, err
	}
	s, err := d.connect(ctx, o, r, http1, func() {})
	if err != nil {
		return nil, err
	}
	if r.relays {
		return wire.NewRelayedConn(s, limits, o.Addr, wire.ProxyCredentials(r.proxy.User)), nil
	}
	return wire.NewConn(s, limits), nil
}

// DialAny is Dial for whoever takes HTTP/2 as well: for an origin that speaks
// it, the connection is one of its streams.
func (d *Dialer) DialAny(ctx context.Context, o messages.Origin) (protocol.Connection, error) {
	return dialled(ctx, d, o, func(ctx context.Context) (protocol.Connection, error) {
		if o.Scheme != "https" || d.HTTP2 == nil || !d.HTTP2(o) || !h2.Available() {
			c, err := d.dialHTTP1(ctx, o)
			if err != nil {
				return nil, err // not c, which would be an interface that holds nil
			}
			return c, nil
		}
		l := d.enter(o)
		defer d.leave(o, l)
		return l.conns.Dial(ctx)
	})
}

// dialled runs a dial on a goroutine of its own, for much of it is the caller's
// code, and waits for it.
func dialled[C any](ctx context.Context, d *Dialer, o messages.Origin, dial func(context.Context) (C, error)) (C, error) {
	var c, none C
	ctx, cancel, err := d.begin(ctx, o)
	if err != nil {
		return none, permanentError{fmt.Errorf("dial %s: %w", o, err)}
	}
	defer cancel() // of the dial: the connection outlives it
	if panicked := wire.Apart(messages.Leasing, func() { c, err = dial(ctx) }); panicked != nil {
		return none, fmt.Errorf("dial %s: %w", o, panicked)
	}
	if err != nil {
		if ctx.Err() == nil { // otherwise nobody knows what it would have come to
			err = marked(err)
		}
		return none, fmt.Errorf("dial %s: %w", o, messages.Discreet(withContext(ctx, err))) // it may be of the caller's making
	}
	return c, nil
}

// limits calls code of the caller's.
func (d *Dialer) limits(o messages.Origin) wire.Limits {
	l := d.Limits
	l.Lenient = d.Lenient != nil && d.Lenient(o)
	if l.Decoders == nil {
		l.Decoders = &d.decoders
	}
	return l
}

// enter returns the HTTP/2 connections to o, for a dial.
func (d *Dialer) enter(o messages.Origin) *lot {
	limits := d.limits(o)
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.shared[o]
	if l == nil {
		open := func(ctx context.Context, leaves func()) (*wire.Socket, error) {
			r, err := d.route(o)
			if err != nil {
				return nil, err
			}
			return d.connect(ctx, o, r, http2or1, leaves)
		}
		l = &lot{conns: h2.NewConns(o.Addr, limits, open)}
		l.conns.RetireAfter(d.MaxAge)
		l.conns.WhenEmpty(func() { d.forget(o, l) })
		if d.shared == nil {
			d.shared = make(map[messages.Origin]*lot)
		}
		d.shared[o] = l
	}
	l.dials++
	return l
}

func (d *Dialer) leave(o messages.Origin, l *lot) {
	d.mu.Lock()
	l.dials--
	d.mu.Unlock()
	d.forget(o, l)
}

// Close closes what is connected and that nobody uses: what a moment more would have
// kept for whoever comes back. It is called when nobody dials any more.
func (d *Dialer) Close() {
	for _, l := range d.lots() {
		l.conns.Close() // outside the lock, which forget takes
	}
}

// CloseLingering closes the HTTP/2 connections that nobody uses, and that a moment
// more would have kept for whoever comes back.
func (d *Dialer) CloseLingering() {
	for _, l := range d.lots() {
		l.conns.CloseLingering() // outside the lock, which forget takes
	}
}

// YieldLingering closes those as well, but for the sake of another connection: what is given up from
// then on may linger again.
func (d *Dialer) YieldLingering(ctx context.Context) {
	for _, l := range d.lots() {
		l.conns.Yield(ctx) // likewise
	}
}

func (d *Dialer) lots() []*lot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.shared))
}

// forget drops an origin that nobody dials and nobody is connected to: there may
// be thousands, one after another.
func (d *Dialer) forget(o messages.Origin, l *lot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.dials == 0 && l.conns.Empty() && d.shared[o] == l {
		delete(d.shared, o)
	}
}

func (d *Dialer) begin(ctx context.Context, o messages.Origin) (context.Context, context.CancelFunc, error) {
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return nil, nil, err
	}
	if o.Scheme != "http" && o.Scheme != "https" {
		return nil, nil, errors.New("scheme is neither http nor https")
	}
	timeout := cmp.Or(max(0, d.Timeout), defaultTimeout)
	if protocol.DialGateOf(ctx) != nil {
		ctx, cancel := withPatience(ctx, timeout)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, nil
}

// What is offered by ALPN.
var (
	http1    = []string{"http/1.1"}
	http2or1 = []string{"h2", "http/1.1"}
)

// connect opens a socket to the origin, for https with the handshake done, or to the
// proxy that relays to it. It calls leaves as an h2.Open does.
func (d *Dialer) connect(ctx context.Context, o messages.Origin, r route, offer []string, leaves func()) (s *wire.Socket, err error) {
	ended, err := pass(ctx)
	if err != nil {
		return nil, err
	}
	err = errNothing // for code of the caller's that does not return
	defer func() { ended(err) }()
	if d.Yield != nil {
		d.Yield(ctx)
	}
	leaves()
	conn, err := d.reach(ctx, o, r)
	if err != nil {
		return nil, err
	}
	kept := false
	defer closeUnless(&kept, conn)
	s = wire.NewSocket(conn)
	if o.Scheme == "https" {
		config := d.config(o.Addr, offer)
		s.Seal(tls.Client(s, config), config)
		if err := handshake(ctx, s); err != nil {
			return nil, err
		}
	}
	kept = true
	return s, nil
}

// closeUnless is deferred wherever code of the caller's is called while a
// connection is nobody's yet: it may panic, or not return at all.
func closeUnless(kept *bool, conn net.Conn) {
	if !*kept {
		_ = wire.Apart(messages.Leasing, func() { conn.Close() })
	}
}

// reach opens a transport connection to the origin, through its proxy if it has
// one.
func (d *Dialer) reach(ctx context.Context, o messages.Origin, r route) (net.Conn, error) {
	if r.proxy == nil {
		return d.transport(ctx, o.Addr)
	}
	return d.through(ctx, r, o.Addr)
}

var errNothing = errors.New("DialContext returned neither a connection nor an error")

func (d *Dialer) transport(ctx context.Context, addr string) (net.Conn, error) {
	if d.DialContext != nil {
		conn, err := d.DialContext(ctx, "tcp", addr) // by name: who dials for us resolves as well
		if err != nil {
			return nil, err
		}
		if conn == nil {
			return nil, errNothing
		}
		if messages.HoldsNil(conn) {
			return nil, fmt.Errorf("%w, but a nil %T", errNothing, conn)
		}
		return wire.Detached(conn), nil // what is done through a proxy is under deadlines too
	}
	return d.race(ctx, addr)
}

// withContext adds why ctx ended to an error that does not say so itself.
func withContext(ctx context.Context, err error) error {
	cause := ctx.Err()
	if cause == nil || errors.Is(err, cause) { // net's timeouts are os.ErrDeadlineExceeded, not the context's
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}
