package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// Whatever a server says, a connection that is kept has nothing left to read,
// and an answer is the one net/http reads, if net/http reads one at all.
func FuzzResponse(f *testing.F) {
	for _, r := range recordings(f) {
		if len(r.response) < 8192 {
			f.Add([]byte(r.response), r.method == "HEAD", uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, response []byte, isHead bool, piece uint8) {
		call := get("/")
		if isHead {
			call.Method = "HEAD"
		}
		tape := playAndHangUp(string(response))
		tape.piece = int(piece)
		c := NewConn(tape, Limits{Header: 4096, Body: 4096})
		resp, sent, err := c.Exchange(call, never)

		require.NotEqual(t, messages.SentNo, sent)
		if err != nil {
			require.Nil(t, resp)
			require.False(t, c.Reusable())
			return
		}
		require.Equal(t, messages.SentYes, sent)
		require.LessOrEqual(t, len(resp.Body), 4096)
		if c.Reusable() {
			require.Zero(t, c.reader.Buffered())
		}
		requireAgreement(t, response, call.Method, resp, len(response)-len(tape.answers), c.Reusable())
	})
}

func requireAgreement(t *testing.T, response []byte, method string, resp *messages.Response, taken int, kept bool) {
	left := bytes.NewReader(response)
	r := bufio.NewReader(left)
	var other *http.Response
	for other == nil || other.StatusCode < 200 {
		var err error
		if other, err = http.ReadResponse(r, &http.Request{Method: method}); err != nil {
			return
		}
	}
	body, err := io.ReadAll(other.Body)
	if err != nil {
		return
	}
	require.Equal(t, other.StatusCode, resp.StatusCode)
	require.True(t, bytes.Equal(body, resp.Body))
	if kept {
		require.Equal(t, len(response)-left.Len()-r.Buffered(), taken)
	}
}

// Whatever is in a call, it is refused, or net/http reads back one request and
// nothing behind it, with the lines that were in the call.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "api.example.com", "/v1/depth", "symbol=BTCUSDT", "X-Key", "value", []byte("body"))
	f.Add("POST", "a\r\nb", "/ HTTP/1.1\r\nHost: evil\r\n\r\n", "a b", "X\r\nY", "1\r\nContent-Length: 3", []byte(nil))
	f.Add("OPTIONS", "h", "*", "", "Host", "other", []byte(nil))
	f.Add("PUT", "h", "/", "", "Transfer-Encoding", "chunked", []byte("0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, method, host, path, query, name, value string, body []byte) {
		call := &messages.Call{Method: method, Host: host, Path: path, Query: query, Body: body,
			Fields: []messages.Field{{Name: name, Value: value}, {Name: "X-Last", Value: "1"}}}
		head, rest, err := appendRequest(nil, call)
		if err != nil {
			var refused *CallError
			require.ErrorAs(t, err, &refused)
			return
		}
		r := bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest)))
		req, err := http.ReadRequest(r)
		if err != nil {
			return // net/http has views on targets and hosts that are none of ours
		}
		got, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, got))
		require.Equal(t, method, req.Method)
		require.Equal(t, call.Target(), req.RequestURI)
		require.Equal(t, []string{"1"}, req.Header.Values("X-Last")[len(req.Header.Values("X-Last"))-1:])
		_, err = r.ReadByte()
		require.Equal(t, io.EOF, err)
	})
}
