package h2

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// pass has p go through the sieve, and returns what net/http sees of it.
func (f *frameScan) pass(p []byte) (seen []byte, err error) {
	c := &framedConn{Conn: &pieces{p: p}, frames: f}
	seen, err = io.ReadAll(c)
	return seen, err
}

// pieces is a connection that gives p in pieces of a size; 0 gives it whole.
type pieces struct {
	net.Conn
	p    []byte
	size int
}

func (c *pieces) Read(p []byte) (int, error) {
	if len(c.p) == 0 {
		return 0, io.EOF
	}
	n := len(p)
	if c.size > 0 {
		n = min(n, c.size)
	}
	n = copy(p[:n], c.p)
	c.p = c.p[n:]
	return n, nil
}

func TestFramesAreSeenHoweverTheyAreCut(t *testing.T) {
	stream := []byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0, 0, 7} // two settings
	stream = append(stream, 0, 0, 3, framePing, 0, 0, 0, 0, 0, frameGoaway, frameGoaway, frameGoaway)
	goaway := []byte{0, 0, 1, frameGoaway, 0, 0, 0, 0, 0, 0}
	for piece := 1; piece < len(stream); piece++ {
		f := newFrameScan(1000)
		var left bool
		c := &framedConn{Conn: &pieces{p: stream, size: piece}, frames: f}
		for {
			if _, err := c.Read(make([]byte, 100)); err != nil {
				break
			}
			left = f.leaves()
		}
		require.Equal(t, 7, f.limit())
		<-f.settled
		require.False(t, left)
		f = newFrameScan(1000)
		c = &framedConn{Conn: &pieces{p: slices.Concat(stream, goaway), size: piece}, frames: f}
		for left = false; !left; left = f.leaves() {
			_, err := c.Read(make([]byte, 100))
			require.NoError(t, err)
		}
	}
}

// begun is a scan of a connection on which streams 1, 3 and 5 were begun: 3 with a
// HEAD, 5 reset.
func begun() *frameScan {
	f := newFrameScan(1000)
	f.follow([]byte(preface))
	f.follow([]byte{0, 0, 0, frameHeaders, flagEndHeaders, 0, 0, 0, 1})
	f.follower.bodiless = true
	f.follow([]byte{0, 0, 0, frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, 3})
	f.follow([]byte{0, 0, 0, frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, 5})
	f.follow([]byte{0, 0, 4, frameRSTStream, 0, 0, 0, 0, 5, 0, 0, 0, 8})
	return f
}

var (
	noSettings = []byte{0, 0, 0, frameSettings, 0, 0, 0, 0, 0}
	unknown    = []byte{0, 0, 2, 0x77, 0, 0, 0, 0, 1, 'x', 'y'}
	priority   = []byte{0, 0, 5, framePriority, 0, 0, 0, 0, 1, 0, 0, 0, 0, 7}
)

func update(id byte, by uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 4, frameWindowUpdate, 0, 0, 0, 0, id}, by)
}

func headersOf(id byte, flags byte) []byte {
	return []byte{0, 0, 1, frameHeaders, flagEndHeaders | flags, 0, 0, 0, id, 0x88}
}

func dataOf(id byte, flags byte, text string) []byte {
	return append([]byte{0, 0, byte(len(text)), frameData, flags, 0, 0, 0, id}, text...)
}

func TestNetHTTPSeesOnlyWhatItHasSomethingToDoWith(t *testing.T) {
	answer := slices.Concat(headersOf(1, 0), dataOf(1, 0, "abc"))
	for name, test := range map[string]struct {
		came, seen []byte
		err        error
	}{
		"an answer":             {answer, answer, nil},
		"unknown frames":        {slices.Concat(unknown, answer, unknown, unknown), answer, nil},
		"priorities":            {slices.Concat(priority, answer, priority), answer, nil},
		"of a reset stream":     {dataOf(5, 1, "abc"), dataOf(nobody, 1, "abc"), nil},
		"behind the end":        {slices.Concat(headersOf(1, 1), dataOf(1, 0, "abc")), slices.Concat(headersOf(1, 1), dataOf(nobody, 0, "abc")), nil},
		"before the header":     {dataOf(1, 0, "abc"), dataOf(nobody, 0, "abc"), nil},
		"to a HEAD":             {slices.Concat(headersOf(3, 0), dataOf(3, 0, "abc")), slices.Concat(headersOf(3, 0), dataOf(nobody, 0, "abc")), nil},
		"to a HEAD, its end":    {slices.Concat(headersOf(3, 0), dataOf(3, 1, "abc"), dataOf(3, 1, "abc")), slices.Concat(headersOf(3, 0), dataOf(nobody, 1, "abc"), dataOf(3, 1, ""), dataOf(nobody, 1, "abc")), nil},
		"an empty end of HEAD":  {slices.Concat(headersOf(3, 0), dataOf(3, 1, "")), slices.Concat(headersOf(3, 0), dataOf(3, 1, "")), nil},
		"never begun":           {slices.Concat(answer, dataOf(7, 0, "abc")), answer, errUnasked},
		"an even stream":        {headersOf(2, 0), nil, errUnasked},
		"a reset of none":       {[]byte{0, 0, 4, frameRSTStream, 0, 0, 0, 0, 9, 0, 0, 0, 8}, nil, errUnasked},
		"a long frame":          {[]byte{0xff, 0, 0, 0x77, 0, 0, 0, 0, 1}, nil, errFrameSize},
		"a promise":             {[]byte{0, 0, 4, framePromise, flagEndHeaders, 0, 0, 0, 1, 0, 0, 0, 2}, nil, errPromise},
		"too short for padding": {[]byte{0, 0, 0, frameData, flagPadded, 0, 0, 0, 1}, nil, errFrameSize},
		"a window that is full": {slices.Concat(update(1, maxWindow-firstWindow), update(1, 1), update(0, 1)), slices.Concat(update(1, maxWindow-firstWindow), update(0, 1)), nil},
		"a window of none":      {slices.Concat(update(5, 1), update(99, 1)), nil, nil},
		"windows by settings":   {[]byte{0, 0, 6, frameSettings, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 0}, []byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 0, 0, 4, 0x80, 0, 0, 0}, errWindow},
		"settings":              {[]byte{0, 0, 6, frameSettings, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9}, []byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 4, 0, 0, 0xff, 0xff}, nil},
		"settings acknowledged": {[]byte{0, 0, 0, frameSettings, flagAck, 0, 0, 0, 0}, []byte{0, 0, 0, frameSettings, flagAck, 0, 0, 0, 0}, nil},
		"too many pings":        {bytes.Repeat([]byte{0, 0, 0, framePing, 0, 0, 0, 0, 0}, maxIdle+1), bytes.Repeat([]byte{0, 0, 0, framePing, 0, 0, 0, 0, 0}, maxIdle-1), errFlood},
		"unknown, inside lines": {slices.Concat(append(headersOf(1, 0)[:4:4], 0, 0, 0, 0, 1, 0x88), unknown), slices.Concat(append(headersOf(1, 0)[:4:4], 0, 0, 0, 0, 1, 0x88), unknown), nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{0, 1, 7} {
				f := begun()
				c := &framedConn{Conn: &pieces{p: slices.Concat(noSettings, test.came), size: size}, frames: f}
				seen, err := io.ReadAll(c)
				require.True(t, bytes.Equal(slices.Concat(noSettings, test.seen), seen), "%x", seen)
				require.Equal(t, test.err, err)
			}
		})
	}
	seen, err := newFrameScan(1000).pass(unknown)
	require.Empty(t, seen)
	require.Equal(t, errNoSettings, err)
}

// However HTTP/2 frames are cut into reads, the same is seen in them, and net/http
// sees the same.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 12, frameSettings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0, 0, 7}, uint8(1))
	f.Add(slices.Concat(noSettings, []byte{0, 0, 1, frameGoaway, 0, 0, 0, 0, 0, 0}), uint8(3))
	f.Add([]byte{0, 0, 0, frameSettings, flagAck, 0, 0, 0, 0, 0, 0, 0, frameSettings, 0, 0, 0, 0, 0}, uint8(9))
	f.Add(slices.Concat(noSettings, update(1, maxWindow), update(1, 1), headersOf(3, 1)), uint8(5))
	f.Add(slices.Concat(noSettings, headersOf(1, 0), unknown, dataOf(1, 0, "abc"), priority, dataOf(5, 1, "x")), uint8(4))
	f.Add(slices.Concat(noSettings, noSettings, noSettings, noSettings), uint8('Z'))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		whole, cut := begun(), begun()
		seen, err := whole.pass(stream)
		again, errAgain := io.ReadAll(&framedConn{Conn: &pieces{p: stream, size: max(1, int(size))}, frames: cut})
		require.Equal(t, err, errAgain)
		require.True(t, bytes.Equal(seen, again), "%x\n%x", seen, again)
		added := lengthOfSetting * (len(stream) / frameHeader) // one behind all SETTINGS but the first
		require.LessOrEqual(t, len(seen), len(stream)+added+frameHeader)
		require.Equal(t, whole.limit(), cut.limit())
		require.LessOrEqual(t, whole.limit(), maxStreams)
		require.LessOrEqual(t, len(whole.open.all), 3)
		select {
		case <-whole.settled:
			<-cut.settled
		default:
		}
	})
}
