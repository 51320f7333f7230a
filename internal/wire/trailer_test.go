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

// ending is a body that does something when it ends.
func ending(body string, end func()) io.Reader {
	return io.MultiReader(strings.NewReader(body), readerFunc(func([]byte) (int, error) { end(); return 0, io.EOF }))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func trailing(body string, trailer http.Header, end func()) *messages.Call {
	call := uploading(ending(body, end), -1)
	call.Trailer = trailer
	return call
}

func TestATrailerIsAnnouncedAndFollowsItsBody(t *testing.T) {
	seen := make(chan string, 1)
	c := dial(t, &Dialer{}, listen(t, func(c net.Conn) {
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

func TestATrailerArrivesOverEitherProtocol(t *testing.T) {
	for _, streams := range []int{0, 5} {
		announced := make(chan http.Header, 1)
		_, d, o, _ := listenH2(t, streams, func(w http.ResponseWriter, r *http.Request) {
			announced <- r.Trailer.Clone()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, r.Trailer.Get("Sum"))
		})
		for range 2 {
			trailer := http.Header{"Sum": nil}
			resp, _, err := dialAny(t, d, o).Exchange(trailing("abc", trailer, func() { trailer.Set("Sum", "42") }), never)
			require.NoError(t, err)
			require.Equal(t, "42", resp.Text())
			require.Equal(t, http.Header{"Sum": nil}, <-announced)
		}
	}
}

func TestATrailerThatIsNoneIsNeverSent(t *testing.T) {
	for _, streams := range []int{0, 5} {
		_, d, o, _ := listenH2(t, streams, mirrorH2)
		for _, name := range []string{"Content-Length", "transfer-encoding", "Trailer", "Host", "Authorization", "Cookie", "Content-Type", "If-Match", "Range", "A B", "", "X\r\nY"} {
			c := dialAny(t, d, o)
			_, sent, err := c.Exchange(trailing("abc", http.Header{name: nil}, func() {}), never)
			var refused *CallError
			require.ErrorAs(t, err, &refused, name)
			require.Equal(t, "trailer", refused.Part)
			require.Equal(t, messages.SentNo, sent)
			require.True(t, c.Reusable())
			c.Close()
		}
		for name, late := range map[string]http.Header{
			"a value":           {"Sum": {"s3cret\r\nX: y"}},
			"an unfit addition": {"Sum": {"1"}, "Host": {"s3cret"}},
		} {
			c := dialAny(t, d, o)
			trailer := http.Header{"Sum": nil}
			_, sent, err := c.Exchange(trailing("abc", trailer, func() {
				for k, v := range late {
					trailer[k] = v
				}
			}), never)
			var refused *CallError
			require.ErrorAs(t, err, &refused, name)
			require.NotContains(t, err.Error(), "s3cret")
			require.Equal(t, messages.SentMaybe, sent)
			require.False(t, c.Reusable())
			c.Close()
		}
	}
}

func TestATrailerNeedsABodyOfUnknownLength(t *testing.T) {
	for _, call := range []*messages.Call{get("/"), post("abc"), uploading(strings.NewReader("abc"), 3)} {
		call.Trailer = http.Header{"Sum": nil}
		_, sent, err := NewConn(play(ok), Limits{}).Exchange(call, never)
		var refused *CallError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, messages.SentNo, sent)
	}
}

func TestAPanicInABodyOverHTTP2IsAnError(t *testing.T) {
	_, d, o, _ := listenH2(t, 5, mirrorH2)
	_, _, err := dialAny(t, d, o).Exchange(uploading(brokenReader{}, -1), never)
	var panicked *messages.PanicError
	require.ErrorAs(t, err, &panicked)
	_, _, err = dialAny(t, d, o).Exchange(get("/"), never)
	require.NoError(t, err)
}

func TestOverHTTP2ABodyIsNotSentToAServerThatObjects(t *testing.T) {
	_, d, o, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
	call := awaitsLeave("abc")
	body := call.Reader.(*strings.Reader)
	resp, _, err := dialAny(t, d, o).Exchange(call, never)
	require.NoError(t, err)
	require.Equal(t, http.StatusExpectationFailed, resp.StatusCode)
	require.Equal(t, 3, body.Len())
}
