package wire

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// The response, and its header lines and body behind it.
func TestAnExchangeOverTCPAllocatesOnce(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	c := dial(t, nil, listen(t, func(c net.Conn) {
		for request := make([]byte, 4096); ; {
			if _, err := c.Read(request); err != nil {
				return
			}
			c.Write(answer)
		}
	}))
	call := get("/api/v3/ticker")
	for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
		allocations := testing.AllocsPerRun(200, func() {
			if _, _, err := c.Exchange(call, deadline); err != nil {
				t.Error(err)
			}
		})
		require.LessOrEqual(t, allocations, 1.0)
	}
}

func TestLookingForTheLastChunkAllocatesNothing(t *testing.T) {
	body := []byte("3;a=b\r\nown\r\n0\r\nX-Sum: 3\r\n\r\n")
	require.True(t, holdsLastChunk(body))
	require.Zero(t, testing.AllocsPerRun(100, func() { holdsLastChunk(body) }))
}

// A length is only a claim until the bytes are there.
func TestALengthIsNotAllocatedOnItsWord(t *testing.T) {
	tape := playAndHangUp("HTTP/1.1 200 OK\r\nContent-Length: 16000000\r\n\r\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := over(tape, Limits{}).Exchange(get("/"), never)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*Believed))
}
