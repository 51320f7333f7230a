package engine_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// A server may answer before it has read a request, in either protocol. Here it is
// far away.
const (
	oneWay  = 50 * time.Millisecond
	flights = 8        // pieces on their way, in one direction
	piece   = 32 << 10 // of one
)

// far lets two ends of a connection see each other late, and no more than so many
// pieces be on their way.
func far(near, beyond net.Conn, flights int, carried *atomic.Int64) {
	pump := func(from, to net.Conn, count *atomic.Int64) {
		type cargo struct {
			due   time.Time
			bytes []byte
		}
		way := make(chan cargo, flights)
		go func() {
			defer close(way)
			for {
				b := make([]byte, piece)
				n, err := from.Read(b)
				if err != nil {
					return
				}
				count.Add(int64(n))
				way <- cargo{time.Now().Add(oneWay), b[:n]}
			}
		}()
		go func() {
			defer to.Close()
			defer from.Close()
			for c := range way {
				time.Sleep(time.Until(c.due))
				if _, err := to.Write(c.bytes); err != nil {
					from.Close()
					for range way { // nobody is to wait for room
					}
					return
				}
			}
			time.Sleep(oneWay) // the end is as far away as the rest
		}()
	}
	pump(near, beyond, carried)
	pump(beyond, near, new(atomic.Int64))
}

// throughTLS makes what dials a server in memory speak TLS, and HTTP/2 with it.
func throughTLS(t *testing.T) (*tls.Config, engine.Config) {
	lent := httptest.NewUnstartedServer(nil) // for its certificate
	lent.EnableHTTP2 = true
	lent.StartTLS()
	defer lent.Close()
	trusting := lent.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trusting.ServerName = "example.com"
	config := engine.Config{BaseURL: "https://server.test"}
	config.Dial.TLS = trusting
	config.Connections.HTTP2 = func(string) bool { return true }
	return &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}}, config
}

// eitherProtocol runs a test in fake time, over HTTP/1.1 and over HTTP/2. What it is
// given makes an engine whose server is far away, and counts what was sent.
func eitherProtocol(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, eng *engine.Engine, carried *atomic.Int64)) {
	t.Helper()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			secured, config := throughTLS(t)
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(10 * time.Second) }) // net/http's server lingers, and the ends are far
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Proto == proto { // or the test would see no answer
						handler(w, r)
					}
				})
				carried := new(atomic.Int64)
				over, room := config, 1<<16 // HTTP/2 has windows, and holds locks while it writes, in which fake time stands still
				if proto == "HTTP/1.1" {
					over, room = engine.Config{}, flights
				}
				over.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					ours, near := net.Pipe()
					beyond, theirs := net.Pipe()
					far(near, beyond, room, carried)
					if proto == "HTTP/2.0" {
						theirs = tls.Server(theirs, secured)
					}
					s.conns <- theirs
					return ours, nil
				}
				test(t, s.newEngine(t, over), carried)
			})
		})
	}
}

func TestARefusalOfALargeUploadIsThereWithinTwoRoundTrips(t *testing.T) {
	const size = 64 << 20
	eitherProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusRequestEntityTooLarge) // at once
		}
	}, func(t *testing.T, eng *engine.Engine, carried *atomic.Int64) {
		for name, upload := range map[string]func(*engine.Request){
			"in memory": func(r *engine.Request) { r.Body = make([]byte, size) },
			"read while it is sent": func(r *engine.Request) {
				r.Body, r.Upload = io.LimitReader(zeros{}, size), engine.Upload{Stream: true, Length: size}
			},
			"of unknown length": func(r *engine.Request) {
				r.Body, r.Upload = io.LimitReader(zeros{}, size), engine.Upload{Stream: true}
			},
		} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"}) // the connection is there
			require.NoError(t, err)
			before, begun := carried.Load(), time.Now()
			req := &engine.Request{Method: http.MethodPost, Path: "/", Timeout: time.Minute}
			upload(req)
			resp, err := eng.Do(t.Context(), req)
			require.NoError(t, err, name)
			require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
			require.LessOrEqual(t, time.Since(begun), 2*2*oneWay, name)
			// In HTTP/2, net/http's server takes 1 MiB unread, which is less.
			const most = 2 * 2 * (flights + 2) * piece
			require.Less(t, carried.Load()-before, int64(most), "%s: no more than is on its way in two round trips", name)
			wantNothingHeld(t, eng)
		}
	})
}

func TestAWholeAnswerEndsTheExchangeAndTheBodyIsTold(t *testing.T) {
	eitherProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Length", "6")
			_ = http.NewResponseController(w).EnableFullDuplex() // or net/http's server would wait for the body
		}
		io.WriteString(w, "enough")
		http.NewResponseController(w).Flush()
	}, func(t *testing.T, eng *engine.Engine, _ *atomic.Int64) {
		for _, stream := range []bool{false, true} {
			r, w := io.Pipe()
			resp, err := eng.Do(t.Context(), &engine.Request{
				Method: http.MethodPost, Path: "/", Body: io.Reader(r), Upload: engine.Upload{Stream: true}, Stream: stream, Timeout: time.Minute,
			})
			require.NoError(t, err)
			text := resp.Text()
			if stream {
				whole, err := io.ReadAll(resp.Stream)
				require.NoError(t, err)
				require.NoError(t, resp.Stream.Close())
				text = string(whole)
			}
			require.Equal(t, "enough", text)
			begun := time.Now()
			for range 3 { // what was read before the end is taken still
				_, err = w.Write([]byte("more"))
			}
			require.ErrorIs(t, err, io.ErrClosedPipe)
			require.Less(t, time.Since(begun), time.Second)
			wantNothingHeld(t, eng)
		}
	})
}
