package wire

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAnAnswerToConnectIsReadUpToItsTunnel(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
		"HTTP/1.0 200 Connection established\n\n",
		"HTTP/1.0 200 Connection established\nVia: an old one\r\n\n",
	} {
		r := strings.NewReader(head + "tunnel")
		status, err := ReadStatus(r, 1000)
		require.NoError(t, err, "%q", head)
		require.Equal(t, 200, status, "%q", head)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "tunnel", string(rest), "%q", head)
	}
	for _, head := range []string{
		"\n", "\r\n", "HTTP/1.1 200 OK\rX: 1\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "SSH-2.0-x\n\n", "HTTP/1.1 200 OK\nno field\n\n",
		"HTTP/1.1 200 OK\na\x00: 1\n\n",
	} {
		_, err := ReadStatus(strings.NewReader(head+"tunnel"), 1000)
		require.ErrorIs(t, err, messages.ErrMalformedResponse, "%q", head)
	}
	_, err := ReadStatus(strings.NewReader("HTTP/1.1 200 OK\n"+strings.Repeat("a: 1\n", 1000)), 1000)
	require.ErrorIs(t, err, errEndless)
}
