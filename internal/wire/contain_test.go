//go:build unix

package wire

import (
	"bufio"
	"io"
	"net"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// harms are what the caller's code may do.
var harms = map[string]func(){
	"panics":             func() { panic("boom") },
	"ends its goroutine": runtime.Goexit,
}

// traces call harm from one hook each.
func traces(harm func()) map[string]*httptrace.ClientTrace {
	return map[string]*httptrace.ClientTrace{
		"WroteHeaderField":     {WroteHeaderField: func(string, []string) { harm() }},
		"WroteHeaders":         {WroteHeaders: harm},
		"Wait100Continue":      {Wait100Continue: harm},
		"WroteRequest":         {WroteRequest: func(httptrace.WroteRequestInfo) { harm() }},
		"GotFirstResponseByte": {GotFirstResponseByte: harm},
		"Got100Continue":       {Got100Continue: harm},
		"Got1xxResponse":       {Got1xxResponse: func(int, textproto.MIMEHeader) error { harm(); return nil }},
	}
}

// outcome is how an exchange ended, on a goroutine that may not have survived it.
type outcome struct {
	resp     *messages.Response
	sent     messages.Sent
	err      error
	survived bool
}

func exchangeApart(c *Conn, call *messages.Call) (o outcome) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.resp, o.sent, o.err = c.Exchange(call, time.Now().Add(10*time.Second))
		o.survived = true
	}()
	<-ended
	return o
}

// requireContained makes sure that what went wrong is known, and that nothing of
// the connection is left.
func requireContained(t *testing.T, o outcome, c *Conn, closed <-chan struct{}, name string) {
	t.Helper()
	if o.survived {
		var panicked *messages.PanicError
		require.ErrorAs(t, o.err, &panicked, name)
		require.NotEmpty(t, panicked.Stack)
		require.Equal(t, messages.Exchanging, panicked.Stage)
	}
	require.False(t, c.Reusable(), name)
	if o.survived {
		require.NotPanics(t, func() { c.Close() }, name) // as its owner does; without one it is closed already
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		require.Fail(t, "the connection is open still", name)
	}
	require.NotPanics(t, func() { c.Abort(); c.Close() }, name)
}

// continuing asks for the body, reads it and answers. It says when the connection
// has ended.
func continuing(t *testing.T) (messages.Origin, <-chan struct{}) {
	closed := make(chan struct{}, 100)
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		takeRequest(r)
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		io.ReadFull(r, make([]byte, 3))
		io.WriteString(c, ok)
		io.Copy(io.Discard, r)
		closed <- struct{}{}
	}), closed
}

func TestAHookThatDoesNotReturnEndsItsExchangeAlone(t *testing.T) {
	o, closed := continuing(t)
	for does, harm := range harms {
		for hook, trace := range traces(harm) {
			for how, call := range map[string]*messages.Call{"a body that waits": awaitsLeave("abc"), "a body in memory": post("abc")} {
				if how == "a body in memory" && hook == "Wait100Continue" {
					continue
				}
				name := how + ": " + hook + " " + does
				call.Trace = trace
				c := dial(t, nil, o)
				out := exchangeApart(c, call)
				if out.survived {
					require.NotEqual(t, messages.SentNo, out.sent, "%s: the head has been written", name)
					require.Equal(t, out.sent == messages.SentYes, out.resp != nil)
				} else {
					require.NotEqual(t, "panics", does, name)
				}
				requireContained(t, out, c, closed, name)
			}
		}
	}
}

// hostile does harm in one of its methods, from some call of it on.
type hostileConn struct {
	net.Conn
	method string
	calls  int // that do none
	harm   func()
}

func (c *hostileConn) meet(method string) {
	if c.method == method {
		if c.calls--; c.calls < 0 {
			c.harm()
		}
	}
}

func (c *hostileConn) Read(p []byte) (int, error)  { c.meet("Read"); return c.Conn.Read(p) }
func (c *hostileConn) Write(p []byte) (int, error) { c.meet("Write"); return c.Conn.Write(p) }
func (c *hostileConn) SetDeadline(at time.Time) error {
	c.meet("SetDeadline")
	return c.Conn.SetDeadline(at)
}
func (c *hostileConn) SetReadDeadline(at time.Time) error {
	c.meet("SetReadDeadline")
	return c.Conn.SetReadDeadline(at)
}
func (c *hostileConn) SetWriteDeadline(at time.Time) error {
	c.meet("SetWriteDeadline")
	return c.Conn.SetWriteDeadline(at)
}
func (c *hostileConn) Close() error {
	defer c.Conn.Close() // or the test could not tell
	c.meet("Close")
	return nil
}

func TestAConnectionThatDoesNotReturnEndsItsExchangeAlone(t *testing.T) {
	o, closed := continuing(t)
	for does, harm := range harms {
		for _, method := range []string{"Read", "Write", "SetReadDeadline", "SetWriteDeadline"} {
			for calls := range 3 {
				name := method + " " + does
				c := over(&hostileConn{Conn: dialled(t, o.Addr), method: method, calls: calls, harm: harm}, Limits{})
				out := exchangeApart(c, uploading(strings.NewReader("abc"), 3))
				if out.survived && out.err == nil {
					c.Close() // it was not called that often
					<-closed
					continue
				}
				requireContained(t, out, c, closed, name)
				if method == "Write" {
					require.Equal(t, messages.SentMaybe, out.sent, "%s: who knows behind what", name)
				}
			}
		}
	}
}

func TestAConnectionThatDoesNotReturnFromAnAbortIsClosed(t *testing.T) {
	arrived := make(chan struct{}, 10)
	o := listen(t, func(c net.Conn) {
		if takeRequest(bufio.NewReader(c)) {
			arrived <- struct{}{}
		}
		io.Copy(io.Discard, c)
	})
	for _, harm := range harms {
		c := over(&hostileConn{Conn: dialled(t, o.Addr), method: "SetDeadline", harm: harm}, Limits{})
		go func() { <-arrived; c.Abort() }()
		_, sent, err := c.Exchange(get("/"), time.Now().Add(10*time.Second))
		require.ErrorIs(t, err, ErrAborted)
		require.Equal(t, messages.SentMaybe, sent)
		require.NoError(t, c.Close())

		c = over(&hostileConn{Conn: dialled(t, o.Addr), method: "Close", harm: harm}, Limits{})
		var panicked *messages.PanicError
		require.ErrorAs(t, c.Close(), &panicked)
	}
}

func TestABodyThatDoesNotReturnEndsItsExchangeAlone(t *testing.T) {
	o, closed := continuing(t)
	for name, harm := range harms {
		c := dial(t, nil, o)
		out := exchangeApart(c, uploading(readerFunc(func([]byte) (int, error) { harm(); return 0, nil }), -1))
		require.True(t, out.survived, "it is not the body's goroutine")
		require.Equal(t, messages.SentMaybe, out.sent)
		c.Close()
		requireContained(t, out, c, closed, name)
	}
}

func TestAStreamThatDoesNotReturnIsClosed(t *testing.T) {
	closed := make(chan struct{}, 10)
	o := listen(t, func(c net.Conn) {
		takeRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal")
		io.Copy(io.Discard, c)
		closed <- struct{}{}
	})
	for does, harm := range harms {
		hostile := &hostileConn{Conn: dialled(t, o.Addr), harm: harm}
		c := over(hostile, Limits{})
		resp := exchange(t, c, streaming(get("/")))
		var out outcome
		hostile.method = "Read"
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, out.err = io.ReadAll(resp.Stream)
			out.survived = true
		}()
		<-ended
		requireContained(t, out, c, closed, does)
		_, err := resp.Stream.Read(make([]byte, 1))
		require.Error(t, err)
	}
}
