//go:build linux && !race && !msan && !asan

package wire

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// overPackets returns both ends of a connection that keeps the bounds of what is
// written.
func overPackets(t *testing.T) (near, far *net.UnixConn) {
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"}
	l, err := net.ListenUnix("unixpacket", addr)
	require.NoError(t, err)
	defer l.Close()
	near, err = net.DialUnix("unixpacket", nil, addr)
	require.NoError(t, err)
	far, err = l.AcceptUnix()
	require.NoError(t, err)
	return near, far
}

func TestHeadAndBodyLeaveInOneWrite(t *testing.T) {
	for _, size := range []int{0, 100, joinedBody, joinedBody + 1, 64 << 10, 100 << 10} {
		near, far := overPackets(t)
		written := make(chan int, 1)
		go func() {
			defer far.Close()
			n, _ := far.Read(make([]byte, 1<<20)) // no more than one write
			written <- n
			io.WriteString(far, ok)
		}()
		c := over(near, Limits{})
		require.Equal(t, "ok", exchange(t, c, post(strings.Repeat("x", size))).Text())
		require.Greater(t, <-written, size)
		require.NoError(t, c.Close())
	}
}

// A peer that is woken by the first packet is awake when the rest comes.
func TestASlowBodyHasItsFirstPacketLeaveAhead(t *testing.T) {
	near, far := overPackets(t)
	defer far.Close()
	written := make(chan []byte, 1)
	go func() {
		first := make([]byte, 1<<20)
		n, _ := far.Read(first) // no more than one write
		written <- first[:n]
		far.Close()
	}()
	c := over(near, Limits{})
	_, _, err := c.Exchange(post(strings.Repeat("x", slowBody+1)), time.Time{})
	require.Error(t, err, "no packet is as large as the rest")
	require.False(t, c.Reusable())
	first := <-written
	require.Len(t, first, lead)
	require.Contains(t, string(first), "\r\n\r\nxxx", "head and body in one")
	require.NoError(t, c.Close())
}
