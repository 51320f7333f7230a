package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a proxy says, a tunnel is open or it is not, and not one byte behind
// the proxy's answer is taken: it would be the origin's.
func FuzzTunnel(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nX: y\r\n\r\nthe origin's"), false)
	f.Add([]byte("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nX\n\n"), false)
	f.Add([]byte{5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80, 'x'}, true)
	f.Add([]byte{5, 0, 5, 0, 0, 3, 2, 'h', '.', 0, 80}, true)
	f.Add([]byte{5, 255, 5, 1}, true)
	f.Fuzz(func(t *testing.T, answer []byte, socks bool) {
		tape := playAndHangUp(string(answer))
		open := connectTunnel
		if socks {
			open = socksTunnel
		}
		status, err := open(tape, nil, "origin.test:443")
		if status != 0 || err != nil {
			return
		}
		taken := answer[:len(answer)-len(tape.answers)]
		if socks {
			require.LessOrEqual(t, len(taken), 2+4+1+255+2)
			return
		}
		end := bytes.Index(answer, []byte("\r\n\r\n")) + len("\r\n\r\n")
		require.Equal(t, string(answer[:end]), string(taken))
		require.Equal(t, byte('2'), taken[len("HTTP/1.1 ")])
	})
}

// However HTTP/2 frames are cut into reads, the same is seen in them.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0, 0, 7}, uint8(1))
	f.Add([]byte{0, 0, 1, frameGoaway, 0, 0, 0, 0, 0, 0}, uint8(3))
	f.Add([]byte{0, 0, 0, frameSettings, flagAck, 0, 0, 0, 0, 0, 0, 0, frameSettings, 0, 0, 0, 0, 0}, uint8(9))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		whole, pieces := newFrameScan(), newFrameScan()
		whole.pass(stream)
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), max(1, int(piece)))
			pieces.pass(rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, whole.limit(), pieces.limit())
		require.Equal(t, whole.leaves(), pieces.leaves())
		require.LessOrEqual(t, whole.limit(), maxStreams)
		select {
		case <-whole.settled:
			<-pieces.settled
		default:
		}
	})
}
