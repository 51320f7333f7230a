package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestARequestBodyIsSentAsItIsRead(t *testing.T) {
	for _, tls := range []bool{false, true} {
		config, o := echo(t, tls)
		c := dial(t, config, o)
		for _, size := range []int{0, 1, 15, 16, 32<<10 - 8, 32 << 10, 3_000_000} {
			body := strings.Repeat("x", size)
			resp := exchange(t, c, uploading(strings.NewReader(body), int64(size)))
			require.True(t, body == resp.Text())
			require.Empty(t, resp.Header.Get("Framing"))

			resp = exchange(t, c, uploading(io.LimitReader(strings.NewReader(body), int64(size)), -1))
			require.True(t, body == resp.Text())
			require.Equal(t, "chunked", resp.Header.Get("Framing"))
			require.True(t, c.Reusable())
		}
	}
}

func TestABodyNotAsLongAsItSaidIsAnError(t *testing.T) {
	for _, length := range []int64{2, 4} {
		config, o := echo(t, false)
		c := dial(t, config, o)
		_, sent, err := c.Exchange(uploading(strings.NewReader("abc"), length), never)
		require.ErrorIs(t, err, messages.ErrInvalidRequest)
		require.Equal(t, messages.SentMaybe, sent)
		require.False(t, c.Reusable())
	}
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) {
	if r.err == nil {
		panic("broken")
	}
	return 0, r.err
}

func TestABodyThatCannotBeReadEndsTheExchange(t *testing.T) {
	broken := errors.New("disk on fire")
	config, o := echo(t, false)
	_, sent, err := dial(t, config, o).Exchange(uploading(io.MultiReader(strings.NewReader("abc"), brokenReader{broken}), -1), never)
	require.ErrorIs(t, err, broken)
	require.Equal(t, messages.SentMaybe, sent)

	var panicked *messages.PanicError
	_, _, err = dial(t, config, o).Exchange(uploading(brokenReader{}, -1), never)
	require.ErrorAs(t, err, &panicked)
}

func TestAStaleConnectionLeavesTheBodyUnread(t *testing.T) {
	body := strings.NewReader("abc")
	c := over(tapeWithPending{play("")}, Limits{})
	c.reusable = false
	_, sent, err := c.Exchange(uploading(body, 3), never)
	require.ErrorIs(t, err, messages.ErrStale)
	require.Equal(t, messages.SentNo, sent)
	require.Equal(t, 3, body.Len())
}

// A server may answer before it has read the body. The rest is not sent, and
// the connection not kept.
func TestAnEarlyAnswerIsTakenAndTheBodyLetGo(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, r)
	}))
	endless, write := io.Pipe()
	go func() {
		for {
			if _, err := write.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	resp := exchange(t, c, uploading(endless, -1))
	require.Equal(t, 413, resp.StatusCode)
	require.False(t, c.Reusable())
}

func TestABodyIsSentWhenTheServerAsksForIt(t *testing.T) {
	config, o := echo(t, false)
	c := dial(t, config, o)
	begun := time.Now()
	require.Equal(t, "abc", exchange(t, c, awaitsLeave("abc")).Text())
	require.Less(t, time.Since(begun), ContinueWait)
	require.True(t, c.Reusable())
}

func TestABodyIsNotSentToAServerThatObjects(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		req, _ := http.ReadRequest(r)
		if req.Header.Get("Expect") == "100-continue" {
			io.WriteString(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
		}
		io.Copy(io.Discard, r)
	}))
	call := awaitsLeave("abc")
	resp := exchange(t, c, call)
	require.Equal(t, 417, resp.StatusCode)
	require.Equal(t, 3, call.Reader.(*strings.Reader).Len())
	require.False(t, c.Reusable())
}

func TestABodyDoesNotWaitForLeaveForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		begun := time.Now()
		go func() {
			req, _ := http.ReadRequest(bufio.NewReader(far))
			req.Header.Del("Expect") // nobody sends 100 Continue
			io.ReadAll(req.Body)
			io.WriteString(far, ok)
		}()
		c := over(near, Limits{})
		defer c.Close()
		exchange(t, c, awaitsLeave("abc"))
		require.Equal(t, ContinueWait, time.Since(begun))
		require.True(t, c.Reusable())
	})
}

func TestADeadlineEndsAnUploadThatNobodyReads(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) { c.Read(make([]byte, 1)); time.Sleep(100 * time.Millisecond) }))
	_, sent, err := c.Exchange(uploading(strings.NewReader(strings.Repeat("x", 64<<20)), 64<<20), time.Now().Add(30*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestARequestAndItsResponseAreStreamedAtOnce(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for b := make([]byte, 1); ; {
			if _, err := req.Body.Read(b); err != nil {
				break
			}
			io.WriteString(c, "1\r\n"+string(b)+"\r\n")
		}
		io.WriteString(c, "0\r\n\r\n")
		c.Read(make([]byte, 1))
	}))
	body, write := io.Pipe()
	resp := exchange(t, c, streaming(uploading(body, -1)))
	for _, b := range []byte("abc") {
		write.Write([]byte{b})
		got := make([]byte, 1)
		_, err := io.ReadFull(resp.Stream, got)
		require.NoError(t, err)
		require.Equal(t, b, got[0])
	}
	write.Close()
	_, err := io.ReadAll(resp.Stream)
	require.NoError(t, err)
	require.True(t, c.Reusable())
}

// counted counts what is read of it.
type countedReader struct {
	io.Reader
	read int
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func TestABodyIsReadNoFurtherThanItsLength(t *testing.T) {
	for _, length := range []int{1, 3, 40_000, 100_000} {
		c := dial(t, nil, listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
		body := &countedReader{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
		_, _, err := c.Exchange(uploading(body, int64(length)), never)
		require.ErrorIs(t, err, messages.ErrInvalidRequest)
		require.Equal(t, length+1, body.read, "one byte too many says that it is too long")
	}
}
