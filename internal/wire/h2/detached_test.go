package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

// lying says that it keeps deadlines, and does not; from some moment on its methods
// do not return before it is released.
type lying struct {
	net.Conn
	stuck   atomic.Bool
	release chan struct{}
}

func (c *lying) SetDeadline(time.Time) error      { return nil }
func (c *lying) SetReadDeadline(time.Time) error  { return nil }
func (c *lying) SetWriteDeadline(time.Time) error { return nil }

func (c *lying) wait() {
	if c.stuck.Load() {
		<-c.release
	}
}

func (c *lying) Read(p []byte) (int, error)  { c.wait(); return c.Conn.Read(p) }
func (c *lying) Write(p []byte) (int, error) { c.wait(); return c.Conn.Write(p) }
func (c *lying) Close() error                { c.wait(); return c.Conn.Close() }

// conns are those over the connection, of which there is one.
func (c *lying) conns(config *tls.Config, addr string) *Conns {
	return NewConns(addr, wire.Limits{}, func(ctx context.Context, _ func()) (*wire.Socket, error) {
		dialled, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		c.Conn = dialled
		config := config.Clone()
		config.ServerName = "127.0.0.1"
		s := wire.NewSocket(c)
		s.Seal(tls.Client(s, config), config)
		return s, s.Sealed().HandshakeContext(ctx)
	})
}

func TestAnExchangeEndsAtItsDeadlineWhateverTheConnectionDoes(t *testing.T) {
	asked := make(chan struct{})
	_, config, o, _ := wiretest.ListenH2(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/waits" {
			<-asked
		}
	})
	defer close(asked)
	config.NextProtos = []string{"h2"}
	for name, call := range map[string]*messages.Call{
		"GET": get("/waits"), "POST": post(strings.Repeat("x", 1<<20)), "upload": uploading(strings.NewReader("abc"), 3),
	} {
		for _, stuck := range []bool{false, true} {
			if name != "GET" && !stuck {
				continue
			}
			conn := &lying{release: make(chan struct{})}
			conns := conn.conns(config, o.Addr)
			c, err := conns.Dial(t.Context())
			require.NoError(t, err)
			_, _, err = c.Exchange(get("/"), never)
			require.NoError(t, err)
			conn.stuck.Store(stuck)
			begun := time.Now()
			_, sent, err := c.Exchange(call, begun.Add(100*time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.Equal(t, messages.SentMaybe, sent)
			require.Less(t, time.Since(begun), 2*time.Second, "%s %v", name, stuck)
			_ = c.Close()
			close(conn.release)
			conn.Conn.Close()
		}
	}
}

func TestARequestThatWaitsBehindAnothersWriteWasNotSent(t *testing.T) {
	_, config, o, _ := wiretest.ListenH2(t, 10, mirrorH2)
	config.NextProtos = []string{"h2"}
	conn := &lying{release: make(chan struct{})}
	conns := conn.conns(config, o.Addr)
	one, other := dial(t, conns), dial(t, conns)
	_, _, err := one.Exchange(get("/"), never)
	require.NoError(t, err)

	conn.stuck.Store(true)
	first := callAside(one, post("an order"), 10*time.Second)
	frames := conns.conns[0].frames
	require.Eventually(t, func() bool { return frames.writing.Load()%2 == 1 }, 5*time.Second, time.Millisecond)
	_, sent, err := other.Exchange(post("another"), time.Now().Add(50*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentNo, sent)

	one.(*Stream).Abort()
	require.Equal(t, messages.SentMaybe, (<-first).sent)
	close(conn.release)
	conn.Conn.Close()
}
