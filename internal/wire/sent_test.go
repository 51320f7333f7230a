//go:build unix

package wire

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// randomBody is a body of which no two parts are alike.
func randomBody(size int) []byte {
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(body)
	return body
}

// takingWhole answers each request with the length of its body, which it compares.
func takingWhole(t *testing.T, want []byte) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			time.Sleep(time.Millisecond) // so that a narrow socket is full
			got, _ := io.ReadAll(req.Body)
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes of body came, not as they were sent", len(got))
			}
			io.WriteString(c, ok)
		}
	}
}

// However much of head and body a socket takes at once, they arrive in order.
func TestABodyThatIsSentInPartsArrivesAsItIs(t *testing.T) {
	for _, size := range []int{33 << 10, 100 << 10, slowBody, slowBody + 1, 3 << 20} {
		for _, field := range []int{0, 50 << 10} { // which makes the head larger than the socket's buffer
			body := randomBody(size)
			under := dialled(t, narrowly(t, takingWhole(t, body)))
			require.NoError(t, under.(*net.TCPConn).SetWriteBuffer(4<<10))
			c := over(under, Limits{})
			call := post("")
			call.Body = body
			call.Fields = []messages.Field{{Name: "X-Long", Value: string(bytes.Repeat([]byte("x"), field))}}
			for range 3 {
				require.Equal(t, "ok", exchange(t, c, call).Text())
				require.True(t, c.Reusable())
			}
			require.NoError(t, c.Close())
		}
	}
}

func TestALargeBodyIsSentFromWhereItIs(t *testing.T) {
	body := randomBody(8 << 20)
	server := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for takeRequest(r) {
			io.CopyN(io.Discard, r, int64(len(body)))
			io.WriteString(c, ok)
		}
	})
	c := dial(t, nil, server)
	call := post("")
	call.Body = body
	exchange(t, c, call)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if !c.Reusable() { // on a busy machine the last write may have returned too late
			c = dial(t, nil, server)
		}
		exchange(t, c, call)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "of 80 MiB")
}

// What is handed to a deadline half way is known to have been sent in part.
func TestADeadlineEndsTheRestOfABodyInMemory(t *testing.T) {
	under := dialled(t, narrowly(t, func(c net.Conn) { <-t.Context().Done() }))
	require.NoError(t, under.(*net.TCPConn).SetWriteBuffer(4<<10))
	c := over(under, Limits{})
	defer c.Close()
	call := post("")
	call.Body = randomBody(8 << 20)
	_, sent, err := c.Exchange(call, time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, ErrDeadline)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
	clear(call.Body) // the race detector would see somebody read
}
