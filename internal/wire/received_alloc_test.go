//go:build !race

// The race detector has a sync.Pool forget at random.

package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// allocatedBytes is how many bytes f allocates in the median of some calls.
func allocatedBytes(f func()) uint64 {
	// What is lent is let go by the collector, which is not to come in between.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	f()
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// alwaysAnswering answers whatever comes with the answer.
func alwaysAnswering(t *testing.T, answer []byte) messages.Origin {
	return listen(t, func(c net.Conn) {
		for request := make([]byte, 4096); ; {
			if _, err := c.Read(request); err != nil {
				return
			}
			c.Write(answer)
		}
	})
}

func TestABodyIsAllocatedOnce(t *testing.T) {
	for _, size := range []int{64 << 10, 64<<10 + 16, 256 << 10, 1 << 20, 8 << 20} {
		for _, chunk := range []int{0, 4096, 64 << 10} {
			c := dial(t, nil, alwaysAnswering(t, answerOf(size, chunk)))
			var body []byte
			allocated := allocatedBytes(func() { body = exchange(t, c, get("/")).Body })
			require.Len(t, body, size)
			require.LessOrEqual(t, float64(allocated), 1.1*float64(size)+1<<13, "%d bytes in chunks of %d", size, chunk)
		}
	}
}

func TestADecodedBodyIsAllocatedOnce(t *testing.T) {
	const size = 8 << 20
	var coded bytes.Buffer
	w := gzip.NewWriter(&coded)
	for i := range size / 8 {
		fmt.Fprintf(w, "%08x", i)
	}
	w.Close()
	answer := append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", coded.Len()), coded.Bytes()...)
	c := dial(t, nil, alwaysAnswering(t, answer))
	var body []byte
	allocated := allocatedBytes(func() { body = exchange(t, c, decoding("/")).Body })
	require.Len(t, body, size)
	require.LessOrEqual(t, float64(allocated), 1.1*size)
}
