package h2

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFramesAreSeenHoweverTheyAreCut(t *testing.T) {
	stream := []byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0, 0, 7} // two settings
	stream = append(stream, 0, 0, 3, 0, 0, 0, 0, 0, 1, frameGoaway, frameGoaway, frameGoaway)    // data
	goaway := []byte{0, 0, 1, frameGoaway, 0, 0, 0, 0, 0, 0}
	for piece := 1; piece < len(stream); piece++ {
		f := newFrameScan()
		for at := 0; at < len(stream); at += piece {
			f.pass(stream[at:min(at+piece, len(stream))])
		}
		require.Equal(t, 7, f.limit())
		<-f.settled
		require.False(t, f.leaves())
		f.pass(goaway)
		require.True(t, f.leaves())
	}
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
