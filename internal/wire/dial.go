package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

const defaultDialTimeout = 5 * time.Second

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
	// Proxy returns the proxy for an origin, nil for none. Its scheme is http
	// (CONNECT, RFC 9110, section 9.3.6, for plain origins as well), socks5 or
	// socks5h (RFC 1928, the name resolved by the proxy in both); user and
	// password are used if given.
	Proxy func(messages.Origin) (*url.URL, error)
	// TLS is the configuration for https. It is copied; the copy speaks TLS 1.2
	// at least, offers http/1.1 alone, takes the origin's host for its
	// ServerName if there is none, and resumes sessions unless told otherwise.
	TLS *tls.Config
	// Timeout bounds dialling and the TLS handshake together; zero or less
	// means 5 s. An earlier deadline of the context wins.
	Timeout time.Duration
	// Limits caps the responses of every connection dialled.
	Limits Limits

	turn    atomic.Uint32 // of addresses to begin with
	configs sync.Map      // host to *tls.Config, which is not changed any more
}

// Dial opens a connection to o, for https with the handshake done. When ctx
// ended or the timeout passed, the error satisfies errors.Is for
// context.Canceled or context.DeadlineExceeded; certificate errors are
// reachable with errors.As.
func (d *Dialer) Dial(ctx context.Context, o messages.Origin) (*Conn, error) {
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", o, err)
	}
	if o.Scheme != "http" && o.Scheme != "https" {
		return nil, fmt.Errorf("dial %s: scheme is neither http nor https", o)
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := d.connect(ctx, o, host)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", o, withContext(ctx, err))
	}
	return newConn(s, d.Limits), nil
}

func (d *Dialer) connect(ctx context.Context, o messages.Origin, host string) (*socket, error) {
	conn, err := d.reach(ctx, o)
	if err != nil {
		return nil, err
	}
	s := newSocket(conn)
	if o.Scheme == "http" {
		return s, nil
	}
	s.sealed = tls.Client(s, d.config(host))
	if err := s.sealed.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// reach opens a transport connection to the origin, through its proxy if it has
// one.
func (d *Dialer) reach(ctx context.Context, o messages.Origin) (net.Conn, error) {
	if d.Proxy == nil {
		return d.transport(ctx, o.Addr)
	}
	proxy, err := d.Proxy(o)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if proxy == nil {
		return d.transport(ctx, o.Addr)
	}
	return d.through(ctx, proxy, o.Addr)
}

func (d *Dialer) transport(ctx context.Context, addr string) (net.Conn, error) {
	if d.DialContext != nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return d.race(ctx, addr)
}

// config returns the same configuration for every connection to a host: what
// is resumed must have been begun under the same rules.
func (d *Dialer) config(host string) *tls.Config {
	if known, ok := d.configs.Load(host); ok {
		return known.(*tls.Config)
	}
	config := &tls.Config{}
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	known, _ := d.configs.LoadOrStore(host, config)
	return known.(*tls.Config)
}

// withContext adds why ctx ended to an error that does not say so itself.
func withContext(ctx context.Context, err error) error {
	cause := ctx.Err()
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}
