package dial

import (
	"bytes"
	"net"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded is a connection to a proxy that says what it says and hangs up.
type recorded struct {
	net.Conn
	left *bytes.Reader
}

func (r *recorded) Read(p []byte) (int, error)  { return r.left.Read(p) }
func (r *recorded) Write(p []byte) (int, error) { return len(p), nil }

// blankLine ends a head, of an old proxy as well.
var blankLine = regexp.MustCompile("\n\r?\n")

// Whatever a proxy says, a tunnel is open or it is not, and not one byte behind
// the proxy's answer is taken: it would be the origin's.
func FuzzTunnel(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nX: y\r\n\r\nthe origin's"), false)
	f.Add([]byte("HTTP/1.0 200 OK\nX: y\r\n\nthe origin's"), false)
	f.Add([]byte("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nX\n\n"), false)
	f.Add([]byte{5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80, 'x'}, true)
	f.Add([]byte{5, 0, 5, 0, 0, 3, 2, 'h', '.', 0, 80}, true)
	f.Add([]byte{5, 255, 5, 1}, true)
	f.Fuzz(func(t *testing.T, answer []byte, socks bool) {
		proxy := &recorded{left: bytes.NewReader(answer)}
		open := func() (int, error) { return connectTunnel(proxy, nil, "origin.test:443") }
		if socks {
			open = func() (int, error) { return socksTunnel(proxy, nil, "origin.test:443") }
		}
		status, err := open()
		if status != 0 || err != nil {
			return
		}
		taken := answer[:len(answer)-proxy.left.Len()]
		if socks {
			require.LessOrEqual(t, len(taken), 2+4+1+255+2)
			return
		}
		end := blankLine.FindIndex(answer)[1]
		require.Equal(t, string(answer[:end]), string(taken))
		require.Equal(t, byte('2'), taken[len("HTTP/1.1 ")])
	})
}
