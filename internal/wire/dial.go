package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

const defaultDialTimeout = 5 * time.Second

// Dialer opens connections. The zero value is ready for use. It is safe for
// concurrent use as long as nobody changes it.
type Dialer struct {
	// DialContext opens the transport connection; nil means net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the configuration for https. It is copied; the copy speaks TLS 1.2
	// at least, offers http/1.1 alone, and takes the origin's host for its
	// ServerName if there is none.
	TLS *tls.Config
	// Timeout bounds dialling and the TLS handshake together; zero or less
	// means 5 s. An earlier deadline of the context wins.
	Timeout time.Duration
	// Limits caps the responses of every connection dialled.
	Limits Limits
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
	dial := d.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", o.Addr)
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

func (d *Dialer) config(host string) *tls.Config {
	config := &tls.Config{}
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName = host
	}
	return config
}

// withContext adds why ctx ended to an error that does not say so itself.
func withContext(ctx context.Context, err error) error {
	cause := ctx.Err()
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}
