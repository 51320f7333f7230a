package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
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
		c := over(tape, Limits{Header: 4096, Body: 4096})
		resp, sent, err := c.Exchange(call, never)

		require.NotEqual(t, messages.SentNo, sent)
		require.Equal(t, sent == messages.SentYes, resp != nil)
		if resp != nil {
			require.LessOrEqual(t, len(resp.Body), 4096)
		}
		if err != nil {
			require.False(t, c.Reusable())
			return
		}
		require.Equal(t, messages.SentYes, sent)
		if c.Reusable() {
			require.Zero(t, c.reader.Buffered())
		}
		requireAgreement(t, response, call.Method, resp, len(response)-len(tape.answers), c.Reusable())
	})
}

// Leniently more is read, and nothing else: what is read strictly is the same, what
// is not is what net/http reads, and no connection is kept that is not kept strictly.
func FuzzLenientResponse(f *testing.F) {
	for _, r := range recordings(f) {
		if len(r.response) < 8192 {
			f.Add([]byte(r.response), r.method == "HEAD", uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, response []byte, isHead bool, piece uint8) {
		ask := func(lenient bool) (*tape, *Conn, *messages.Response, error) {
			call := get("/")
			if isHead {
				call.Method = "HEAD"
			}
			tape := playAndHangUp(string(response))
			tape.piece = int(piece)
			c := over(tape, Limits{Header: 4096, Body: 4096, Lenient: lenient})
			resp, _, err := c.Exchange(call, never)
			return tape, c, resp, err
		}
		_, strict, want, strictErr := ask(false)
		tape, c, resp, err := ask(true)
		if strictErr == nil {
			require.NoError(t, err)
			require.Equal(t, want.StatusCode, resp.StatusCode)
			require.True(t, bytes.Equal(want.Body, resp.Body))
			require.Equal(t, want.Header, resp.Header)
			require.Equal(t, strict.Reusable(), c.Reusable())
			return
		}
		require.False(t, c.Reusable())
		if err == nil {
			method := "GET"
			if isHead {
				method = "HEAD"
			}
			requireAgreement(t, response, method, resp, len(response)-len(tape.answers), false)
		}
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
	require.Equal(t, other.Status, resp.Status)
	require.True(t, bytes.Equal(body, resp.Body))
	if kept {
		require.Equal(t, len(response)-left.Len()-r.Buffered(), taken)
	}
}

// A body is the same read whole, streamed, and streamed by another rhythm, and
// so is what becomes of the connection; only the cap is for the whole one.
func FuzzReadings(f *testing.F) {
	for _, r := range recordings(f) {
		if len(r.response) < 8192 {
			f.Add([]byte(r.response), uint8(0))
		}
	}
	for coding := range coders {
		body := coded(coding, strings.Repeat("abc", 100))
		f.Add([]byte(withLength(coding, body)), uint8(7))
		f.Add([]byte(inChunks(coding, body, 10)), uint8(1))
		f.Add([]byte(withLength(coding, body)+ok), uint8(0))
	}
	f.Fuzz(func(t *testing.T, response []byte, piece uint8) {
		whole := readingOf(t, response, 0, false)
		streamed := readingOf(t, response, int(piece), true)
		require.LessOrEqual(t, len(whole.body), fuzzCap)
		if errors.Is(whole.err, messages.ErrBodyTooLarge) {
			return // a stream has no such cap
		}
		require.Equal(t, verdictOf(whole.err), verdictOf(streamed.err), "%v, %v", whole.err, streamed.err)
		if whole.err == nil {
			require.True(t, bytes.Equal(whole.body, streamed.body))
			require.Equal(t, whole.trailer, streamed.trailer)
		}
		if piece == 0 {
			require.Equal(t, whole.kept, streamed.kept)
		}
		requireCleanStop(t, response, whole.body, whole.kept && whole.err == nil)
	})
}

const fuzzCap = 4096

// reading is what came of one exchange.
type reading struct {
	body, trailer []byte
	err           error
	kept          bool
}

func readingOf(t *testing.T, response []byte, piece int, stream bool) (r reading) {
	tape := playAndHangUp(string(response))
	tape.piece = piece
	c := over(tape, Limits{Header: fuzzCap, Body: fuzzCap})
	call := decoding("/")
	call.Stream = stream
	resp, _, err := c.Exchange(call, never)
	switch {
	case err != nil:
		r.err = err
	case resp.Stream == nil:
		r.body = resp.Body
	default:
		require.False(t, c.Reusable(), "the exchange goes on")
		r.body, r.err = io.ReadAll(io.LimitReader(resp.Stream, 4<<20))
		require.NoError(t, resp.Stream.Close())
	}
	r.kept = c.Reusable()
	require.False(t, r.kept && r.err != nil, "kept after an error")
	require.False(t, r.kept && c.reader.Buffered() > 0, "kept with unread bytes")
	if resp != nil {
		r.trailer = []byte(resp.Trailer.Get("X") + resp.Trailer.Get("Checksum"))
	}
	return r
}

// verdictOf leaves out what only the moment of reading decides.
func verdictOf(err error) string {
	if err == nil {
		return ""
	}
	return verdict(nil, err)
}

// requireCleanStop closes a stream after as many bytes as the body has, or
// some fewer: if the connection is kept, nothing of the response is left in it.
func requireCleanStop(t *testing.T, response, body []byte, kept bool) {
	for _, n := range []int{0, len(body) / 2, len(body)} {
		tape := playAndHangUp(string(response))
		c := over(tape, Limits{Header: fuzzCap, Body: fuzzCap})
		resp, _, err := c.Exchange(streaming(decoding("/")), never)
		if err != nil || resp.Stream == nil {
			return
		}
		_, _ = io.CopyN(io.Discard, resp.Stream, int64(n))
		require.NoError(t, resp.Stream.Close())
		if c.Reusable() {
			require.True(t, kept, "kept after %d bytes, and not after all", n)
			require.Zero(t, c.reader.Buffered())
		}
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
		head, rest, err := appendRequest(nil, call, nil)
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
