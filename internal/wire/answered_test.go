package wire

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// Whatever becomes of the body, a refusal's Retry-After has been read.
func TestTheHeadOfAnAnswerWhoseBodyFailsIsHandedOver(t *testing.T) {
	const head = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n"
	for name, test := range map[string]struct {
		answer string
		want   error
		body   string
	}{
		"cut":                   {head + "Content-Length: 20\r\n\r\nhalf", messages.ErrTruncated, "half"},
		"cut in chunks":         {chunked + "4\r\nhalf\r\n20\r\nwa", messages.ErrTruncated, "halfwa"},
		"over the cap, told":    {head + "Content-Length: 200\r\n\r\n", messages.ErrBodyTooLarge, ""},
		"over the cap, untold":  {head + "\r\n" + strings.Repeat("x", 200), messages.ErrBodyTooLarge, strings.Repeat("x", 100)},
		"framed in two ways":    {chunked + "4\r\nhalf\n", messages.ErrMalformedResponse, "half"},
		"called gzip, and none": {head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", messages.ErrMalformedResponse, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			c := over(playAndHangUp(test.answer), Limits{Body: 100})
			resp, sent, err := c.Exchange(decoding("/"), never)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, messages.SentYes, sent)
			require.NotNil(t, resp)
			require.Equal(t, 429, resp.StatusCode)
			require.Equal(t, "7", resp.Header.Get("Retry-After"))
			require.Equal(t, test.body, resp.Text())
			require.Nil(t, resp.Stream)
			require.Equal(t, "HTTP/1.1", resp.Proto())
			require.False(t, resp.SentAt.Before(before) || resp.AnsweredAt.Before(resp.SentAt))
			require.False(t, c.Reusable())
		})
	}
}

func TestTheHeadOfAnAnswerIsHandedOverWhenTheDeadlineFallsInItsBody(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 418 I'm a teapot\r\nRetry-After: 7\r\nContent-Length: 20\r\n\r\nhalf")
		io.Copy(io.Discard, c)
	}))
	begun := time.Now()
	resp, sent, err := c.Exchange(get("/"), begun.Add(50*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, messages.ErrPeerClosed)
	require.Equal(t, messages.SentYes, sent)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))
	require.Equal(t, "half", resp.Text())
	require.Less(t, resp.AnsweredAt.Sub(begun), 50*time.Millisecond, "the instant is the head's")
}

func TestThatThePeerClosedCanBeToldFromGivingUp(t *testing.T) {
	reset := func(c net.Conn) { c.Read(make([]byte, 1)) } // leaves the rest unread, so that closing resets
	for name, serve := range map[string]func(net.Conn){
		"an end":          func(c net.Conn) { c.Read(make([]byte, 4096)) },
		"a reset":         reset,
		"half a head":     func(c net.Conn) { c.Read(make([]byte, 4096)); io.WriteString(c, "HTTP/1.1 200") },
		"half a body":     func(c net.Conn) { c.Read(make([]byte, 4096)); io.WriteString(c, ok[:len(ok)-1]) },
		"inside a stream": func(c net.Conn) { c.Read(make([]byte, 4096)); io.WriteString(c, ok[:len(ok)-1]) },
	} {
		t.Run(name, func(t *testing.T) {
			call := get("/")
			call.Stream = name == "inside a stream"
			resp, sent, err := dial(t, nil, listen(t, serve)).Exchange(call, never)
			if call.Stream {
				require.NoError(t, err)
				_, err = io.ReadAll(resp.Stream)
			}
			require.ErrorIs(t, err, messages.ErrPeerClosed)
			require.NotEqual(t, messages.SentNo, sent)
			switch name {
			case "a reset":
				require.ErrorIs(t, err, syscall.ECONNRESET)
			case "an end":
				require.ErrorIs(t, err, io.EOF)
				require.ErrorIs(t, err, messages.ErrTruncated)
			default:
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.ErrorIs(t, err, messages.ErrTruncated)
			}
		})
	}
	deaf := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	_, _, err := dial(t, nil, deaf).Exchange(get("/"), time.Now().Add(10*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, messages.ErrPeerClosed)

	c := dial(t, nil, deaf)
	time.AfterFunc(10*time.Millisecond, c.Abort)
	_, _, err = c.Exchange(get("/"), never)
	require.ErrorIs(t, err, ErrAborted)
	require.NotErrorIs(t, err, messages.ErrPeerClosed)

	_, _, err = dial(t, nil, deaf).Exchange(uploading(brokenReader{io.ErrUnexpectedEOF}, -1), never)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the caller's own")
	require.NotErrorIs(t, err, messages.ErrPeerClosed)

	for _, end := range []error{io.EOF, fmt.Errorf("read: %w", syscall.ECONNRESET)} {
		tape := playAndHangUp(ok)
		tape.end = end
		c := over(tapeWithPending{tape}, Limits{})
		exchange(t, c, get("/"))
		_, sent, err := c.Exchange(get("/"), never)
		require.ErrorIs(t, err, messages.ErrStale)
		require.ErrorIs(t, err, messages.ErrPeerClosed, "it left while nobody asked")
		require.Equal(t, messages.SentNo, sent)
	}
}
