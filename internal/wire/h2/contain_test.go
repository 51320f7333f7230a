package h2

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

var harms = map[string]func(){
	"panics":             func() { panic("boom") },
	"ends its goroutine": runtime.Goexit,
}

func TestAHookOfHTTP2ThatDoesNotReturnEndsItsExchangeAlone(t *testing.T) {
	_, conns, accepted := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		mirrorH2(w, r) // reading the body sends 100 Continue, unless something was written before
	})
	other := dial(t, conns) // keeps the connection
	for does, harm := range harms {
		for hook, trace := range map[string]*httptrace.ClientTrace{
			"WroteHeaderField":     {WroteHeaderField: func(string, []string) { harm() }},
			"WroteHeaders":         {WroteHeaders: harm},
			"Wait100Continue":      {Wait100Continue: harm},
			"WroteRequest":         {WroteRequest: func(httptrace.WroteRequestInfo) { harm() }},
			"GotFirstResponseByte": {GotFirstResponseByte: harm},
			"Got100Continue":       {Got100Continue: harm},
			"Got1xxResponse":       {Got1xxResponse: func(int, textproto.MIMEHeader) error { harm(); return nil }},
		} {
			name := hook + " " + does
			call := awaitsLeave("abc")
			call.Trace = trace
			if hook == "Got1xxResponse" {
				call.Path = "/hints"
			}
			c := dial(t, conns)
			resp, sent, err := c.Exchange(call, time.Now().Add(5*time.Second))
			if hook == "WroteRequest" && err == nil {
				continue // the answer was faster
			}
			var panicked *messages.PanicError
			require.ErrorAs(t, err, &panicked, name)
			require.NotEmpty(t, panicked.Stack)
			require.NotEqual(t, messages.SentNo, sent, "%s: a header was on its way", name)
			require.Equal(t, sent == messages.SentYes, resp != nil)
			require.False(t, c.Reusable())
			require.NoError(t, c.Close())

			resp, _, err = other.Exchange(post("abc"), time.Now().Add(5*time.Second))
			require.NoError(t, err, name)
			require.Equal(t, "abc", resp.Text())
		}
	}
	require.EqualValues(t, 1, accepted.Load())
}

// hostileConn does harm in one of its methods, once it is told to.
type hostileConn struct {
	net.Conn
	method string
	armed  atomic.Bool
	harm   func()
}

func (c *hostileConn) meet(method string) {
	if c.method == method && c.armed.Load() {
		c.harm()
	}
}

func (c *hostileConn) Read(p []byte) (int, error)          { c.meet("Read"); return c.Conn.Read(p) }
func (c *hostileConn) Write(p []byte) (int, error)         { c.meet("Write"); return c.Conn.Write(p) }
func (c *hostileConn) SetDeadline(time.Time) error         { c.meet("SetDeadline"); return nil }
func (c *hostileConn) SetWriteDeadline(at time.Time) error { c.meet("SetWriteDeadline"); return nil }
func (c *hostileConn) Close() error {
	defer c.Conn.Close() // or the test could not tell
	c.meet("Close")
	return nil
}

func TestAConnectionUnderHTTP2ThatDoesNotReturnEndsItsExchangesAlone(t *testing.T) {
	for does, harm := range harms {
		for _, method := range []string{"Read", "Write", "SetDeadline", "SetWriteDeadline", "Close"} {
			name := method + " " + does
			_, config, o, _ := wiretest.ListenH2(t, 5, mirrorH2)
			config = config.Clone()
			config.NextProtos = []string{"h2"}
			config.ServerName = "127.0.0.1"
			var hostile *hostileConn
			conns := NewConns(o.Addr, wire.Limits{}, func(ctx context.Context, _ func()) (*wire.Socket, error) {
				c, err := net.Dial("tcp", o.Addr)
				hostile = &hostileConn{Conn: c, method: method, harm: harm}
				if err != nil {
					return nil, err
				}
				return sealed(ctx, hostile, config)
			})
			c := dial(t, conns)
			_, _, err := c.Exchange(get("/"), never)
			require.NoError(t, err)
			hostile.armed.Store(true)
			_, _, err = c.Exchange(get("/"), time.Now().Add(5*time.Second))
			if method == "Read" || method == "Write" {
				// A read may have been under way already, and its successor do the harm.
				for range 2 {
					if err == nil {
						_, _, err = c.Exchange(get("/"), time.Now().Add(5*time.Second))
					}
				}
				require.Error(t, err, name)
				require.NotErrorIs(t, err, context.DeadlineExceeded, name)
				require.False(t, c.Reusable())
			} else {
				require.NoError(t, err, name)
			}
			closed := make(chan struct{})
			go func() { defer close(closed); c.Close() }()
			select {
			case <-closed:
			case <-time.After(5 * time.Second):
				require.Fail(t, "Close hangs", name)
			}
		}
	}
}

func TestABodyOverHTTP2ThatDoesNotReturnEndsItsExchangeAlone(t *testing.T) {
	_, conns, _ := listenH2(t, 5, mirrorH2)
	for does, harm := range harms {
		c := dial(t, conns)
		call := uploading(wiretest.ReaderFunc(func([]byte) (int, error) { harm(); return 0, nil }), -1)
		_, sent, err := c.Exchange(call, time.Now().Add(5*time.Second))
		var panicked *messages.PanicError
		require.ErrorAs(t, err, &panicked, does)
		require.Equal(t, messages.SentMaybe, sent)
	}
}
