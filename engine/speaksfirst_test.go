package engine_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// A connection that has something to say before it is asked is of no use, and no
// number of them is.
func TestAServerThatSpeaksFirstCostsABoundedNumberOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		dial := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			dials.Add(1)
			go func() {
				defer far.Close()
				io.WriteString(far, "220 mail.test ESMTP\r\n")
				io.Copy(io.Discard, far)
			}()
			return near, nil
		}
		eng := newEngine(t, engine.Config{
			BaseURL: "http://h.test", Connections: engine.Connections{MinIdle: 60}, Dial: engine.Dial{DialContext: dial},
		})
		for range 3 {
			before := dials.Load()
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 5 * time.Second}) // in a pipe both ends may wait to be read
			require.Error(t, err)
			time.Sleep(time.Second)
			require.LessOrEqual(t, dials.Load()-before, int32(60+64+10), "as many as are kept idle, and a bounded number beside")
		}
	})
}

// One that closes what it has accepted has no end of connections either.
func TestAServerThatClosesAtOnceCostsABoundedNumberOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		eng := newEngine(t, engine.Config{
			BaseURL: "http://h.test", Connections: engine.Connections{MinIdle: 60},
			Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				dials.Add(1)
				return near, far.Close()
			}},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.Error(t, err)
		require.LessOrEqual(t, dials.Load(), int32(60+256+10))
	})
}

// stuckConn says that it keeps deadlines, and from its second write on nothing of it
// returns before it is released.
type stuckConn struct {
	net.Conn
	writes  *atomic.Int32
	release chan struct{}
}

func (stuckConn) SetDeadline(time.Time) error      { return nil }
func (stuckConn) SetReadDeadline(time.Time) error  { return nil }
func (stuckConn) SetWriteDeadline(time.Time) error { return nil }
func (c stuckConn) Close() error                   { <-c.release; return c.Conn.Close() }
func (c stuckConn) Write(p []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		<-c.release
	}
	return c.Conn.Write(p)
}

func TestDoReturnsInTimeWhateverADialledConnectionDoes(t *testing.T) {
	for name, request := range map[string]*engine.Request{
		"GET": {Path: "/"}, "POST": {Method: "POST", Path: "/", Body: strings.Repeat("x", 1<<20)}, "stream": {Path: "/", Stream: true},
		"upload": {Method: "POST", Path: "/", Body: strings.NewReader("x"), Upload: engine.Upload{Stream: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			var fars []net.Conn
			var mu sync.Mutex
			eng, err := engine.New(engine.Config{BaseURL: "http://h.test", Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				mu.Lock()
				defer mu.Unlock()
				fars = append(fars, far)
				go io.Copy(io.Discard, far)
				return stuckConn{near, new(atomic.Int32), release}, nil
			}}})
			require.NoError(t, err)
			request.Timeout = 3 * time.Second
			begun := time.Now()
			_, err = eng.Do(t.Context(), request)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.LessOrEqual(t, time.Since(begun), 3*time.Second+10*time.Millisecond, name)

			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			begun = time.Now()
			_, err = eng.Do(ctx, &engine.Request{Path: "/"})
			require.ErrorIs(t, err, context.Canceled, name)
			require.LessOrEqual(t, time.Since(begun), time.Second+10*time.Millisecond, name)
			time.Sleep(time.Second)
			wantNothingHeld(t, eng)
			begun = time.Now()
			require.NoError(t, eng.Close())
			require.LessOrEqual(t, time.Since(begun), time.Second)
			close(release)
			for _, far := range fars {
				far.Close()
			}
		})
	}
}
