package wire

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// heap is what is live.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// wideZstd is coded as a server does that knows no length in advance: its window
// is the largest there is.
func wideZstd(t *testing.T, body string) string {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	require.NoError(t, err)
	io.WriteString(w, body)
	require.NoError(t, w.Flush())
	require.NoError(t, w.Close())
	return b.String()
}

func TestIdleConnectionsPinNothingOfTheirLastAnswer(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20<<10/16)
	answers := map[string]string{
		"zstd":         withLength("zstd", wideZstd(t, body)),
		"gzip":         withLength("gzip", coded("gzip", body)),
		"br":           withLength("br", coded("br", body)),
		"deflate":      withLength("deflate", coded("deflate", body)),
		"a large head": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 60<<10) + "\r\nContent-Length: 2\r\n\r\nok",
		"a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " +
			strings.Repeat("x", 60<<10) + "\r\n\r\n",
	}
	for _, how := range []string{"whole", "streamed", "streamed in part", "shared decoders"} {
		for name, answer := range answers {
			before := heap()
			limits := Limits{}
			if how == "shared decoders" {
				limits.Decoders = new(Decoders)
			}
			idle := make([]*Conn, 20)
			for i := range idle {
				idle[i] = over(play(""), limits)
				ask(t, idle[i], answer, how)
			}
			require.Less(t, heap()-before, int64(len(idle)*64<<10), "%s, %s", name, how)
			runtime.KeepAlive(idle)
		}
	}
}

func ask(t *testing.T, c *Conn, answer, how string) {
	c.socket.dialled().(*tape).answers = []byte(answer)
	call := decoding("/")
	call.Fields = []messages.Field{{Name: "X", Value: strings.Repeat("x", 2*keptRequest)}}
	call.Stream = strings.HasPrefix(how, "streamed")
	resp := exchange(t, c, call)
	switch {
	case resp.Stream == nil:
	case how == "streamed":
		_, err := io.Copy(io.Discard, resp.Stream)
		require.NoError(t, err)
	default:
		resp.Stream.Read(make([]byte, 10))
		require.NoError(t, resp.Stream.Close())
	}
	recorder := c.socket.dialled().(*tape)
	recorder.answers, recorder.written = nil, bytes.Buffer{}
}

func TestDecodersAreUsedAgain(t *testing.T) {
	shared := new(Decoders)
	answer := withLength("gzip", coded("gzip", "abc"))
	used := map[*Decoder]bool{}
	for range 100 {
		c := over(play(answer), Limits{Decoders: shared})
		resp := exchange(t, c, streaming(decoding("/")))
		used[resp.Stream.(*stream).decoded] = true
		_, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
	}
	require.Len(t, used, 1, "the map holds it, so that it is not collected")

	var lent []*Decoder
	for range 3 * mostResting {
		lent = append(lent, shared.Lend(messages.Gzip, &payload{}, &Limits{}))
	}
	for _, d := range lent {
		d.Release()
	}
	require.Len(t, shared.resting[messages.Gzip], mostResting)
}

// The cap is what a server may ask for, not what each answer costs.
func TestRoomForAHeadGrowsAsItsBytesArrive(t *testing.T) {
	for _, size := range []int{5 << 10, 70 << 10, 1 << 20} {
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 2\r\n\r\nok", strings.Repeat("x", size))
		c := over(play(head), Limits{Header: 256 << 20})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		resp := exchange(t, c, get("/"))
		runtime.ReadMemStats(&after)
		require.Len(t, resp.Header.Get("X"), size)
		require.Equal(t, "ok", resp.Text())
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8*size+64<<10))
		require.Equal(t, readBuffer, c.reader.Size())
		require.True(t, c.Reusable())
	}
}
