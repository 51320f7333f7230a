package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// steadyServer answers every request with the same bytes, and allocates nothing.
func steadyServer(t testing.TB, answer string) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	bytes := []byte(answer)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for request := make([]byte, 4<<10); ; {
					if _, err := c.Read(request); err != nil {
						return
					}
					c.Write(bytes)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

const smallAnswer = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:00:00 GMT\r\nContent-Type: application/json\r\n" +
	"Content-Length: 45\r\n\r\n" + `{"symbol":"BTCUSDT","price":"60000.00000000"}`

// The response, and its header and body behind it.
func TestASmallGetAllocatesOnce(t *testing.T) {
	eng, err := engine.New(engine.Config{BaseURL: steadyServer(t, smallAnswer), Limits: tapeLimits})
	require.NoError(t, err)
	defer eng.Close()
	cancellable, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := &engine.Request{Path: "/price", LimitID: "route"}
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
		allocations := testing.AllocsPerRun(500, func() {
			resp, err := eng.Do(ctx, req)
			if err != nil || len(resp.Body) != 45 {
				t.Error(err, resp)
			}
		})
		require.LessOrEqual(t, allocations, 1.0, name)
	}
}

// The call with its request and its answer, the URL, the engine's answer with header and
// body behind it, and the header as net/http has it, which is three: the map, its places and
// the values.
func TestASmallRoundTripAllocatesSixTimes(t *testing.T) {
	at := steadyServer(t, smallAnswer)
	eng, err := engine.New(engine.Config{Limits: tapeLimits, DefaultLimitID: "route"})
	require.NoError(t, err)
	defer eng.Close()
	transport := eng.RoundTripper() // with an adjust function it is more, if anybody has called Resign before
	var room [64]byte
	for _, target := range []string{"/price", "/price?symbol=BTCUSDT"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+target, nil)
		require.NoError(t, err)
		allocations := testing.AllocsPerRun(500, func() {
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := io.ReadFull(resp.Body, room[:])
			resp.Body.Close()
			if n != 45 {
				t.Error(resp)
			}
		})
		require.LessOrEqual(t, allocations, 6.0, target)
	}
}
