package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestAnExchangeWritesTheRequestAndReadsTheResponse(t *testing.T) {
	tape := play("HTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: 5\r\nX-Two:  2 \r\n\r\nhello")
	c := over(tape, Limits{})
	before := time.Now()

	resp := exchange(t, c, &messages.Call{
		Method: "POST", Host: "api.example.com", Path: "/v1/order", Query: "a=1&b=%20",
		Fields: []messages.Field{{Name: "x-Api-KEY", Value: "k"}, {Name: "Accept", Value: "*/*"}},
		Body:   []byte("payload"),
	})

	require.Equal(t, "POST /v1/order?a=1&b=%20 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 7\r\n"+
		"x-Api-KEY: k\r\nAccept: */*\r\n\r\npayload", tape.written.String())
	require.Equal(t, 201, resp.StatusCode)
	require.Equal(t, "hello", resp.Text())
	require.Equal(t, "1", resp.Header.Get("x-one"))
	require.Equal(t, "2", resp.Header.Get("X-Two"))
	require.False(t, resp.SentAt.Before(before))
	require.False(t, resp.AnsweredAt.Before(resp.SentAt))
	require.True(t, c.Reusable())
}

func TestOneConnectionCarriesManyExchanges(t *testing.T) {
	tape := play(strings.Repeat(ok, 3))
	tape.piece = len(ok)
	c := over(tape, Limits{})
	for range 3 {
		require.Equal(t, "ok", exchange(t, c, get("/")).Text())
		require.True(t, c.Reusable())
	}
}

func TestAResponseSharesNoMemoryWithTheNext(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-N: 1\r\n\r\n3\r\none\r\n0\r\n\r\n"
	two := strings.NewReplacer("one", "two", "X-N: 1", "X-N: 2").Replace(one)
	tape := play(one + two)
	tape.piece = len(one)
	c := over(tape, Limits{})

	first := exchange(t, c, get("/"))
	second := exchange(t, c, get("/"))
	require.Equal(t, "one", first.Text())
	require.Equal(t, "1", first.Header.Get("X-N"))
	require.Equal(t, "two", second.Text())
}

func TestALargeBodySharesNoMemoryWithTheNext(t *testing.T) {
	size := 2 * Believed
	chunked := func(letter string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat(letter, size))
	}
	for range 10 { // the codec's buffers are pooled, and a pool may forget
		first := exchange(t, over(play(chunked("a")), Limits{}), get("/"))
		exchange(t, over(play(chunked("b")), Limits{}), get("/"))
		require.True(t, first.Text() == strings.Repeat("a", size))
	}
}

func TestTheHeadMayBeCappedBelowTheReadBuffer(t *testing.T) {
	head := len(ok) - len("ok")
	resp := exchange(t, over(play(ok), Limits{Header: head}), get("/"))
	require.Equal(t, "ok", resp.Text())

	_, sent, err := over(play(ok), Limits{Header: head - 1}).Exchange(get("/"), never)
	require.ErrorIs(t, err, messages.ErrHeaderTooLarge)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestNoErrorTextHoldsAPartOfRequestOrResponse(t *testing.T) {
	const begin, coded = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, answer := range []string{
		"s3cret\r\n", "HTTP/1.1 s3cret\r\n", begin + "s3cret\r\n", begin + "s3cret : x\r\n", begin + "X: s3cret\n",
		begin + "X: s3cret\x00\r\n\r\n", begin + "Content-Length: s3cret\r\n", begin + "Transfer-Encoding: s3cret\r\n",
		begin + "Set-Cookie: s3cret", begin + "Content-Length: 20\r\n\r\ns3cret",
		coded + "s3cret\r\n", coded + "3;s3cret\n", coded + "6\r\ns3crets\r\n", coded + "0\r\ns3cret\r\n\r\n",
	} {
		call := post("s3cret")
		call.Query, call.Fields = "key=s3cret", []messages.Field{{Name: "X-Key", Value: "s3cret"}}
		_, _, err := over(playAndHangUp(answer), Limits{}).Exchange(call, never)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3c")
	}
}
