//go:build linux && !race && !msan && !asan

package wire

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

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
