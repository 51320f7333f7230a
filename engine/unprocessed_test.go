package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// framer is the server's end of an HTTP/2 connection. It writes on a goroutine of its
// own, for both ends of a pipe may write, and neither would read then.
type framer struct {
	*http2.Framer
	writes chan func()
}

func (f *framer) refuse(id uint32) {
	f.writes <- func() { _ = f.WriteRSTStream(id, http2.ErrCodeRefusedStream) }
}

// leave says goodbye to all streams.
func (f *framer) leave() {
	f.writes <- func() { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }
}

// answer answers a stream with an empty 200.
func (f *framer) answer(id uint32) {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"}) // to memory
	f.writes <- func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
}

// framedServer is an HTTP/2 server in memory that calls heard for each header that has
// come on its n-th connection: the m-th on that, both from 0.
func framedServer(t *testing.T, config *engine.Config, heard func(f *framer, n, m int, id uint32)) {
	served := httptest.NewUnstartedServer(nil)
	served.EnableHTTP2 = true
	served.StartTLS() // for its certificate
	secrets := served.TLS.Clone()
	secrets.SessionTicketsDisabled = true // or both ends of a pipe would write a first word, and neither read it
	config.BaseURL = "https://example.com"
	config.Dial.TLS = served.Client().Transport.(*http.Transport).TLSClientConfig
	served.Client().CloseIdleConnections()
	served.Close()
	config.Connections.HTTP2 = func(string) bool { return true }
	var conns atomic.Int32
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	config.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		n := int(conns.Add(1)) - 1
		serving.Go(func() {
			defer far.Close()
			serveFrames(tls.Server(far, secrets), func(f *framer, m int, id uint32) { heard(f, n, m, id) })
		})
		return near, nil
	}
}

func serveFrames(c net.Conn, heard func(f *framer, m int, id uint32)) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	f := &framer{http2.NewFramer(c, c), make(chan func(), 1000)}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for write := range f.writes {
			write()
		}
	}()
	defer func() { close(f.writes); <-written }()
	f.writes <- func() { _ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}) }
	for m := 0; ; {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.writes <- func() { _ = f.WriteSettingsAck() }
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				data := frame.Data
				f.writes <- func() { _ = f.WritePing(true, data) }
			}
		case *http2.HeadersFrame:
			heard(f, m, frame.StreamID)
			m++
		}
	}
}

const crowd = 60

// crowdSucceeds has as many orders as are a crowd sent at once, and all succeed.
func crowdSucceeds(t *testing.T, config engine.Config) {
	config.Connections.Max = crowd
	eng := newEngine(t, config)
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			resp, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/order"})
			if err != nil {
				t.Error(err)
			} else if resp.Attempts > 2 {
				t.Error("attempts", resp.Attempts)
			}
		})
	}
	all.Wait()
	wantNothingHeld(t, eng)
}

// A budget that is meant for failing servers would let some of them pass.
func TestACrowdThatAGoodbyeRefusesIsRepeatedToTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var config engine.Config
		framedServer(t, &config, func(f *framer, n, m int, id uint32) {
			switch {
			case n > 0:
				f.answer(id)
			case m == crowd-1:
				f.leave()
			}
		})
		crowdSucceeds(t, config)
	})
}

func TestACrowdOfRefusedStreamsIsRepeatedToTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var config engine.Config
		var refused atomic.Int32
		framedServer(t, &config, func(f *framer, _, _ int, id uint32) {
			if refused.Add(1) > crowd {
				f.answer(id)
			} else {
				f.refuse(id)
			}
		})
		crowdSucceeds(t, config)
	})
}

// What is known of a request outlives a repetition that comes to nothing.
func TestARequestThatWasRefusedIsRefusedThoughItsRepetitionIsNotSent(t *testing.T) {
	full := []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}}
	for name, test := range map[string]struct {
		config engine.Config
		goes   bool // the server is down for the repetition
		cause  error
	}{
		"for a limit that is full":  {engine.Config{Limits: full, DefaultLimitID: "calls"}, false, context.DeadlineExceeded},
		"for a server that is down": {engine.Config{}, true, syscall.ECONNREFUSED},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				framedServer(t, &test.config, func(f *framer, _, _ int, _ uint32) { f.leave() })
				dial := test.config.Dial.DialContext
				var dials atomic.Int32
				test.config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dials.Add(1) > 1 && test.goes {
						return nil, syscall.ECONNREFUSED
					}
					return dial(ctx, network, addr)
				}
				eng := newEngine(t, test.config)
				_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/order", Timeout: 10 * time.Second})
				require.ErrorIs(t, err, test.cause)
				require.ErrorIs(t, err, engine.ErrUnprocessed)
				require.Equal(t, engine.Refused, engine.OutcomeOf(err), err)
			})
		})
	}
}

// goneConn is a connection whose peer has closed it.
type goneConn struct{ net.Conn }

func (goneConn) Read([]byte) (int, error)         { return 0, io.EOF }
func (goneConn) Write([]byte) (int, error)        { return 0, syscall.EPIPE }
func (goneConn) Close() error                     { return nil }
func (goneConn) SetDeadline(time.Time) error      { return nil }
func (goneConn) SetReadDeadline(time.Time) error  { return nil }
func (goneConn) SetWriteDeadline(time.Time) error { return nil }

// The same in HTTP/1.1: of what was written to nobody all is known.
func TestACrowdOnConnectionsThatDiedBeforeAByteWasWrittenIsRepeatedToTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var dials atomic.Int32
		crowdSucceeds(t, engine.Config{BaseURL: "http://server.test", Dial: engine.Dial{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) > crowd {
					return s.dial(ctx, network, addr)
				}
				return goneConn{}, nil
			},
		}})
	})
}

// What is refused for ever has an end, and more and more time before it.
func TestARequestThatIsRefusedForEverIsNot(t *testing.T) {
	dead := func(context.Context, string, string) (net.Conn, error) { return goneConn{}, nil }
	for name, c := range map[string]struct {
		heard   func(f *framer, n, m int, id uint32)
		outcome engine.Outcome
	}{
		"by goodbyes":             {func(f *framer, _, _ int, _ uint32) { f.leave() }, engine.Refused},
		"by resets":               {func(f *framer, _, _ int, id uint32) { f.refuse(id) }, engine.Refused},
		"by connections that die": {nil, engine.NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := engine.Config{BaseURL: "http://server.test", Dial: engine.Dial{DialContext: dead}}
				var asked atomic.Int32
				if c.heard != nil {
					framedServer(t, &config, func(f *framer, n, m int, id uint32) { asked.Add(1); c.heard(f, n, m, id) })
				}
				eng := newEngine(t, config)
				begun := time.Now()
				_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/order"})
				failure := new(engine.Error)
				require.ErrorAs(t, err, &failure)
				require.Equal(t, c.outcome, engine.OutcomeOf(err), "%v", err)
				require.Equal(t, 1+8+2, failure.Attempts)
				require.Greater(t, time.Since(begun), 3500*time.Millisecond)
				if c.heard != nil {
					require.EqualValues(t, failure.Attempts, asked.Load())
					require.ErrorIs(t, err, engine.ErrUnprocessed)
				}
			})
		})
	}
}

// Whoever wants no repetition gets none.
func TestNothingIsRepeatedWithoutBudgetForWhomNothingIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := engine.Config{Retry: engine.Retry{Max: -1}}
		framedServer(t, &config, func(f *framer, _, _ int, id uint32) { f.refuse(id) })
		_, err := newEngine(t, config).Do(t.Context(), &engine.Request{Path: "/"})
		failure := new(engine.Error)
		require.ErrorAs(t, err, &failure)
		require.Equal(t, 1, failure.Attempts)
		require.Equal(t, engine.Refused, engine.OutcomeOf(err))
	})
}
