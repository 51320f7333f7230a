package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// sayingConn writes what it is given, and then says of it what it likes.
type sayingConn struct {
	net.Conn
	says func(n int) (int, error)
}

func (c sayingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		return n, err
	}
	time.Sleep(time.Millisecond) // it has arrived
	return c.says(n)
}

// ordersOver runs an order over connections that say so, by the engine's own method and by
// an http.Client, and returns how often it came and what is known of it.
func ordersOver(t *testing.T, says func(n int) (int, error)) (came []int32, outcomes []engine.Outcome) {
	synctest.Test(t, func(t *testing.T) {
		var orders atomic.Int32
		s := newServer(t, func(http.ResponseWriter, *http.Request) { orders.Add(1) })
		config := engine.Config{}
		config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := s.dial(ctx, network, addr)
			return sayingConn{c, says}, err
		}
		eng := s.newEngine(t, config)
		note := func(err error) {
			time.Sleep(time.Second)
			came, outcomes = append(came, orders.Swap(0)), append(outcomes, engine.OutcomeOf(err))
		}
		_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", Body: "an order"})
		note(err)
		client := &http.Client{Transport: eng.RoundTripper()}
		answer, err := client.Post("http://server.test/order", "text/plain", strings.NewReader("an order"))
		if err == nil {
			answer.Body.Close()
		}
		note(err)
		wantNothingHeld(t, eng)
	})
	return came, outcomes
}

func TestAnOrderIsSentOnceAndInDoubtWhateverAConnectionSaysOfItsWrite(t *testing.T) {
	for name, says := range map[string]func(n int) (int, error){
		"a panic":                  func(int) (int, error) { panic("behind the Write") },
		"the end of its goroutine": func(int) (int, error) { runtime.Goexit(); return 0, nil },
		"more than it was given":   func(n int) (int, error) { return n + 7, nil },
		"less than nothing":        func(int) (int, error) { return -1, nil },
		"nothing":                  func(int) (int, error) { return 0, nil },
		"nothing, and an end":      func(int) (int, error) { return 0, io.EOF },
		"nothing, and an error":    func(int) (int, error) { return 0, errors.New("odd") },
		"nothing, and a timeout":   func(int) (int, error) { return 0, context.DeadlineExceeded },
		"all, and an error":        func(n int) (int, error) { return n, errors.New("odd") },
		"all, and closed":          func(n int) (int, error) { return n, net.ErrClosed },
	} {
		came, outcomes := ordersOver(t, says)
		for i := range came {
			require.LessOrEqual(t, came[i], int32(1), "%s: %v", name, outcomes)
			require.NotEqual(t, engine.NotSent, outcomes[i], name)
		}
	}
}

// closedConn is closed from its second write on, as a server does with a connection that
// was idle, in the moment behind the look at it.
type closedConn struct {
	net.Conn
	says   error
	writes atomic.Int32
}

func (c *closedConn) Write(p []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		return 0, c.says
	}
	return c.Conn.Write(p)
}

func TestAnOrderThatMeetsAConnectionsEndIsRepeated(t *testing.T) {
	for _, says := range []error{net.ErrClosed, io.ErrClosedPipe, &net.OpError{Op: "write", Err: syscall.EPIPE}, syscall.ECONNRESET} {
		synctest.Test(t, func(t *testing.T) {
			var came atomic.Int32
			s := newServer(t, func(http.ResponseWriter, *http.Request) { came.Add(1) })
			config := engine.Config{}
			config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := s.dial(ctx, network, addr)
				return &closedConn{Conn: c, says: says}, err
			}
			eng := s.newEngine(t, config)
			for n := range 2 {
				_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", Body: "an order"})
				require.NoError(t, err, "%v", says)
				require.EqualValues(t, n+1, came.Load())
			}
		})
	}
}
