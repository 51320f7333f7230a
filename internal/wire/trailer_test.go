package wire

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestATrailerIsAnnouncedAndFollowsItsBody(t *testing.T) {
	seen := make(chan string, 1)
	c := dial(t, nil, listen(t, func(c net.Conn) {
		var b strings.Builder
		for r := bufio.NewReader(c); !strings.HasSuffix(b.String(), "\r\n\r\n0\r\nCount: 3\r\nSum: 1\r\nSum: 2\r\n\r\n"); {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			b.WriteString(line)
			if line == "3\r\n" {
				chunk, _ := r.ReadString('\n')
				b.WriteString(strings.TrimSuffix(chunk, "\r\n") + "\r\n\r\n")
			}
		}
		seen <- b.String()
		io.WriteString(c, ok)
		c.Read(make([]byte, 1))
	}))
	trailer := http.Header{"Sum": nil, "Count": nil}
	call := trailing("abc", trailer, func() {
		trailer.Set("Count", "3")
		trailer["Sum"] = []string{"1", "2"}
	})
	exchange(t, c, call)
	require.Contains(t, <-seen, "\r\nTransfer-Encoding: chunked\r\nTrailer: Count, Sum\r\n")
	require.True(t, c.Reusable())
}

func TestATrailerNeedsABodyOfUnknownLength(t *testing.T) {
	for _, call := range []*messages.Call{get("/"), post("abc"), uploading(strings.NewReader("abc"), 3)} {
		call.Trailer = http.Header{"Sum": nil}
		_, sent, err := over(play(ok), Limits{}).Exchange(call, never)
		var refused *CallError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, messages.SentNo, sent)
	}
}
