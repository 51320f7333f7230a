package dial

import (
	"context"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// lying says that it keeps deadlines, and does not; its Close does not return before
// it is released.
type lying struct {
	net.Conn
	release chan struct{}
}

func (lying) SetDeadline(time.Time) error      { return nil }
func (lying) SetReadDeadline(time.Time) error  { return nil }
func (lying) SetWriteDeadline(time.Time) error { return nil }
func (c lying) Close() error                   { <-c.release; return c.Conn.Close() }

// by has every origin reached by one proxy.
func by(proxy *url.URL) func(messages.Origin) (*url.URL, error) {
	return func(messages.Origin) (*url.URL, error) { return proxy, nil }
}

func TestADialEndsInTimeWhateverItsConnectionDoes(t *testing.T) {
	o := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for name, d := range map[string]*Dialer{
		"handshake":              {},
		"CONNECT":                {Proxy: by(&url.URL{Scheme: "http", Host: o.Addr})},
		"SOCKS5":                 {Proxy: by(&url.URL{Scheme: "socks5", Host: o.Addr})},
		"handshake with a proxy": {Proxy: by(&url.URL{Scheme: "https", Host: o.Addr})},
	} {
		release := make(chan struct{})
		dialled := make(chan net.Conn, 1)
		d.Timeout = 50 * time.Millisecond
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			dialled <- c
			return lying{c, release}, err
		}
		begun := time.Now()
		_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: o.Addr})
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.Less(t, time.Since(begun), 2*time.Second, name)
		close(release)
		(<-dialled).Close()
	}
}
