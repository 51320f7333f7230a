package hostile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func newReport() *Report { return &Report{Counts: map[string]int{}} }

func TestOddAnswersAreManyAndHaveNamesOfTheirOwn(t *testing.T) {
	all := oddAnswers()
	require.Greater(t, len(all), 2000)
	names := map[string]bool{}
	for _, o := range all {
		require.False(t, names[o.String()], o.String())
		names[o.String()] = true
	}
}

// A class is a reason for answers that are odd in its way, and for no others.
func TestNoDifferenceOverAPlainAnswerHasAReason(t *testing.T) {
	plain := odd{method: "GET", answer: okay + "Content-Length: 5\r\nX-A: b\r\n\r\nhello"}
	header := http.Header{"Content-Length": {"5"}, "X-A": {"b"}}
	well := outcome{verdict: answers, status: 200, body: "hello", header: header, beside: "HTTP/1.1, length 5"}
	other := well
	other.body = "other"
	status := well
	status.status = 201
	lines := well
	lines.header = http.Header{"Content-Length": {"5"}}
	length := well
	length.beside = "HTTP/1.1, length 6"
	trailer := well
	trailer.trailer = http.Header{"X-A": {"b"}}
	malformed := outcome{verdict: fails, err: engine.ErrMalformedResponse}
	large := outcome{verdict: fails, err: engine.ErrBodyTooLarge}
	head := outcome{verdict: fails, err: engine.ErrHeaderTooLarge}
	broken := outcome{verdict: fails, err: errors.New("malformed MIME header line")}
	late := outcome{verdict: waits, err: context.DeadlineExceeded}
	pairs := [][2]outcome{
		{well, other}, {well, status}, {well, lines}, {lines, well}, {well, trailer}, {well, length}, {well, malformed}, {well, large}, {well, head}, {well, broken}, {well, late},
		{malformed, well}, {broken, well}, {late, well}, {late, malformed}, {broken, late},
	}
	for _, how := range []arrangement{strictly, leniently, relayed} {
		for _, pair := range pairs {
			for _, door := range doors {
				r := newReport()
				r.judge(difference{plain, door, pair[0], pair[1], shapeOf(plain.answer)}, how.classes)
				require.Equal(t, 1, r.Failed, "net/http %v, the engine %v: %v", pair[0], pair[1], r.Counts)
			}
		}
	}
	r := newReport()
	r.judge(difference{plain, doors[0], well, well, shapeOf(plain.answer)}, classes)
	require.Zero(t, r.Failed)
}

// A class that nothing belongs to would excuse what nobody has looked at.
func TestAClassThatNothingBelongsToIsTold(t *testing.T) {
	r := newReport()
	for _, c := range classes[1:] {
		r.count(c.kind())
	}
	strictly.demandAll(r)
	require.Equal(t, 1, r.Failed)
	require.Contains(t, r.first[0], classes[0].name)
}

// A gate that cannot fail is none: a client that reads whatever comes next is caught.
func TestAClientThatBelievesWhateverComesNextIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReport()
		listener := memnet.Listen()
		s := serve(listener, func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, okay+"Content-Length: 2\r\n\r\nok"+smuggled)
			return true
		})
		conn, err := listener.Dial()
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		naive := client{name: "naive", ask: func(_ context.Context, method, url string) outcome {
			request, err := http.NewRequest(method, url, nil)
			require.NoError(t, err)
			require.NoError(t, request.Write(conn))
			response, err := http.ReadResponse(reader, request)
			if err != nil {
				return failed(err)
			}
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return outcome{verdict: answers, status: response.StatusCode, body: string(body)}
		}}
		require.Equal(t, "ok", naive.get("GET", "http://mem.test/odd").body)
		r.next(naive, "http://mem.test", "/next", func() string { return "what was smuggled" })
		require.Equal(t, 1, r.Failed)
		require.Contains(t, fmt.Sprint(r.first), "smuggled")
		require.NoError(t, conn.Close())
		s.stop()
	})
}

func TestWhatIsOddAboutBytesIsFound(t *testing.T) {
	for text, found := range map[string]func(shape) bool{
		"HTTP/1.2 200 OK\r\n\r\n":                                                 shape.badStatus,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2000 OK\r\n\r\n":                   shape.badStatus,
		okay + "X y: z\r\n\r\n":                                                   shape.badNames,
		okay + "Transfer-Encoding: chunked\r\n\r\n0\r\nX y: z\r\n\r\n":            shape.badNames,
		okay + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello":              shape.badLengths,
		okay + "Content-Length: +5\r\n\r\nhello":                                  shape.badLengths,
		okay + "Transfer-Encoding: identity\r\n\r\nhello":                         shape.badCodings,
		okay + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n": shape.badCodings,
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":          shape.badCodings,
		okay + "Content-Length: 999999999999\r\n\r\n":                             shape.hugeBody,
		okay + "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\nhello":             shape.hugeBody,
	} {
		require.True(t, found(shapeOf(text)), "%q", text)
	}
	plain := shapeOf(okay + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n")
	for _, found := range []func(shape) bool{shape.badStatus, shape.badNames, shape.badLengths, shape.badCodings, shape.hugeBody} {
		require.False(t, found(plain))
	}
}
