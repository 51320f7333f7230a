package wire

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// A row of CSV may end like a last chunk.
func TestClosingAStreamWaitsForNothingWhateverItsDataLooksLike(t *testing.T) {
	for _, text := range []string{
		"3\r\n0\r\n\r\n", "7\r\na,b,0\r\n\r\n", "5\r\n0\r\n\r\n", "5\r\n0\r\n\r\n\r\n", "0\r", "0\r\nX: y\r\n", "3\r\nabc", "3\r\nabc\r\n", "",
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go func() {
				takeRequest(bufio.NewReader(far))
				io.WriteString(far, chunkedHead+text)
			}()
			c := over(near, Limits{})
			resp := exchange(t, c, streaming(get("/")))
			require.NoError(t, resp.Stream.Close(), text) // or the bubble ends in a deadlock
			require.False(t, c.Reusable(), text)
			require.NoError(t, c.Close())
			far.Close()
		})
	}
}

// However much of a body is there when it is closed: nothing is read for it, and the
// connection is kept only if the end is there.
func TestClosingAStreamReadsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body strings.Builder
		for range rapid.IntRange(0, 4).Draw(t, "chunks") {
			data := rapid.StringOfN(rapid.SampledFrom([]rune("0\r\nX5;")), 1, 9, -1).Draw(t, "data")
			body.WriteString(string(rune('0'+len(data))) + rapid.SampledFrom([]string{"", ";x", " "}).Draw(t, "extension") + "\r\n" + data + "\r\n")
		}
		body.WriteString("0\r\n" + rapid.SampledFrom([]string{"", "X: 0\r\n"}).Draw(t, "trailer") + "\r\n")
		whole := body.String()
		here := rapid.IntRange(0, len(whole)).Draw(t, "here")
		tape := play(chunkedHead + whole[:here])
		c := over(tape, Limits{})
		resp, _, err := c.Exchange(streaming(get("/")), never)
		require.NoError(t, err)
		_, _ = io.CopyN(io.Discard, resp.Stream, int64(min(rapid.IntRange(0, 3).Draw(t, "taken"), here/10)))
		reads := c.source.reads
		require.NoError(t, resp.Stream.Close())
		require.Equal(t, reads, c.source.reads, "%q", whole[:here])
		require.Equal(t, here == len(whole), c.Reusable(), "%q", whole[:here])
	})
}
