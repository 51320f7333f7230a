package wire

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestSentIsExactWhereverTheConnectionBreaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call := post(strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 100, foreignBody, foreignBody + 1, joinedBody + 1}).Draw(t, "body")))
		head, rest, err := appendRequest(nil, call, nil)
		require.NoError(t, err)
		request := len(head) + len(rest)
		first := request // what is written before the answer is read
		if len(call.Body) > foreignBody {
			first -= len(call.Body)
		}

		answer := "HTTP/1.1 103 Early Hints\r\n\r\n" + ok
		headEnd, taken := strings.Index(answer, "ok"), rapid.IntRange(0, len(answer)).Draw(t, "answered")
		tape := playAndHangUp(answer[:taken])
		tape.piece = rapid.IntRange(1, 40).Draw(t, "piece")
		tape.capacity = rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, request+1)).Draw(t, "capacity")

		resp, sent, err := over(tape, Limits{}).Exchange(call, never)

		want := messages.SentMaybe
		switch {
		case tape.capacity == 0:
			want = messages.SentNo
		case tape.capacity >= first && taken >= headEnd:
			want = messages.SentYes
		}
		require.Equal(t, want, sent)
		require.Equal(t, tape.capacity >= first && taken == len(answer), err == nil)
		require.Equal(t, sent == messages.SentYes, resp != nil)
		if tape.capacity < first {
			require.ErrorIs(t, err, errBroken)
		}
	})
}

// model is a valid response, written down in one of the ways it may be sent.
type model struct {
	status       int
	lines        string
	body         string
	wire         string
	closeOnEnd   bool // the body ends with the connection
	announceEnd  bool // Connection: close
	interimCount int
}

func drawModel(t *rapid.T) model {
	m := model{
		status:       rapid.SampledFrom([]int{200, 201, 206, 400, 429, 503}).Draw(t, "status"),
		body:         rapid.StringMatching(`[ -~\r\n]{0,300}`).Draw(t, "body"),
		announceEnd:  rapid.Bool().Draw(t, "close"),
		interimCount: rapid.IntRange(0, 5).Draw(t, "interim"),
	}
	name, value := rapid.StringMatching(`X-[A-Za-z0-9!#$%&'*+.^_|~-]{1,20}`), rapid.StringMatching(`([!-~][ -~]{0,20}[!-~])?`)
	for range rapid.IntRange(0, 5).Draw(t, "fields") {
		m.lines += name.Draw(t, "name") + ": " + value.Draw(t, "value") + "\r\n"
	}
	if m.announceEnd {
		m.lines += "connection: foo, Close\r\n"
	}
	coded := m.code(t)
	m.wire = strings.Repeat("HTTP/1.1 103 \r\nLink: x\r\n\r\n", m.interimCount) +
		fmt.Sprintf("HTTP/1.1 %d Reason\r\n%s\r\n%s", m.status, m.lines, coded)
	return m
}

// code adds the framing line and returns the body as it is framed.
func (m *model) code(t *rapid.T) string {
	switch rapid.SampledFrom([]string{"counted", "chunked", "to the end"}).Draw(t, "framing") {
	case "counted":
		m.lines += fmt.Sprintf("Content-length: %d\r\n", len(m.body))
		return m.body
	case "chunked":
		m.lines += "transfer-Encoding: CHUNKED\r\n"
		coded := ""
		for rest := m.body; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			coded += fmt.Sprintf("%x%s\r\n%s\r\n", n, rapid.SampledFrom([]string{"", ";ext", ";a=b"}).Draw(t, "extension"), rest[:n])
			rest = rest[n:]
		}
		return coded + rapid.SampledFrom([]string{"0\r\n\r\n", "000\r\nX-Trailer: y\r\n\r\n"}).Draw(t, "end")
	}
	m.closeOnEnd = true
	return m.body
}

func TestEveryValidResponseIsReadAsItWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		tape := playAndHangUp(m.wire)
		tape.piece = rapid.IntRange(0, 60).Draw(t, "piece")
		c := over(tape, Limits{})
		resp, sent, err := c.Exchange(get("/"), never)

		require.NoError(t, err)
		require.Equal(t, messages.SentYes, sent)
		require.Equal(t, m.status, resp.StatusCode)
		require.Equal(t, m.body, string(resp.Body))
		require.Equal(t, messages.NewHeader(m.lines), resp.Header)
		require.Equal(t, !m.closeOnEnd && !m.announceEnd, c.Reusable())
		require.Empty(t, tape.answers)
	})
}

func TestAResponseCutAnywhereIsNoAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		head := strings.LastIndex(m.wire[:len(m.wire)-len(m.body)], "HTTP/1.1")
		cut := rapid.IntRange(0, len(m.wire)-1).Draw(t, "cut")
		if m.closeOnEnd { // its end is wherever the connection ends
			cut = rapid.IntRange(0, head+len("HTTP/1.1 200 Reason")).Draw(t, "cut head")
		}
		c := over(playAndHangUp(m.wire[:cut]), Limits{})
		resp, sent, err := c.Exchange(get("/"), never)
		require.ErrorIs(t, err, messages.ErrTruncated)
		require.ErrorIs(t, err, messages.ErrPeerClosed)
		if cut == 0 {
			require.ErrorIs(t, err, io.EOF)
		} else if sent == messages.SentYes || m.interimCount == 0 { // an end between two heads is none inside one
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
		require.NotEqual(t, messages.SentNo, sent)
		if resp != nil {
			require.True(t, strings.HasPrefix(m.body, resp.Text()), "what came of the body, and nothing else")
		}
		require.False(t, c.Reusable())
	})
}

func TestBytesBehindAResponseAreNeverAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		if m.closeOnEnd {
			return
		}
		tape := play(m.wire + rapid.SampledFrom([]string{"x", "\r\n", ok}).Draw(t, "stray"))
		tape.piece = rapid.IntRange(0, 60).Draw(t, "piece")
		c := over(tapeWithPending{tape}, Limits{})
		resp, _, err := c.Exchange(get("/"), never)
		require.NoError(t, err)
		require.Equal(t, m.body, string(resp.Body))

		_, sent, err := c.Exchange(get("/"), never)
		require.ErrorIs(t, err, messages.ErrStale)
		require.Equal(t, messages.SentNo, sent)
	})
}

// countingTape counts the reads of its answers.
type countingTape struct {
	*tape
	reads int
}

func (c *countingTape) Read(p []byte) (int, error) { c.reads++; return c.tape.Read(p) }

// The reader of bodies is the oracle: what it needs no other read for was all there.
func TestABodyIsLateExactlyIfReadingItTakesAnotherRead(t *testing.T) {
	// Data looks like framing, and framing is damaged.
	tokens := rapid.SliceOfN(rapid.SampledFrom([]string{
		"0\r\n", "\r\n", "0\r\n\r\n", "1\r\n", "00A ;b=c\r\n", "0;a=b\r\n", "X: y\r\n", "\n", "\r", "own", "0",
	}), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		body := ""
		for range rapid.IntRange(0, 4).Draw(t, "chunks") {
			if data := strings.Join(tokens.Draw(t, "data"), ""); data != "" {
				body += fmt.Sprintf("%x\r\n%s\r\n", len(data), data)
			}
		}
		body += strings.Join(tokens.Draw(t, "rest"), "")
		tape := &countingTape{tape: play("HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n" + body)}
		late, call := false, get("/")
		call.OnHead = func(*messages.Response) { late = true }
		_, _, err := over(tape, Limits{}).Exchange(call, never)
		whole := err == nil && tape.reads == 1
		require.Equal(t, !whole, late, "%q: %v", body, err)
	})
}

// However a head is cut into pieces, scanning it gives the same result as
// scanning it whole.
func TestScanningInPiecesIsScanningWhole(t *testing.T) {
	all := recordings(t)
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.SampledFrom(all).Draw(t, "recording").response)
		text = text[:min(len(text), 8192)]
		whole := newHead()
		wantDone, wantErr := whole.scan(text)

		pieces, n := newHead(), 0
		var done bool
		var err error
		for n < len(text) && !done && err == nil {
			n = min(len(text), n+rapid.IntRange(1, 200).Draw(t, "more"))
			done, err = pieces.scan(text[:n])
		}
		require.Equal(t, wantErr, err)
		require.Equal(t, wantDone, done)
		if err == nil {
			require.Equal(t, whole, pieces)
		}
	})
}

func TestTheEndOfEveryRecordIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]bool{0: true}
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			n := rapid.SampledFrom([]int{0, 1, 255, 256, 300, 16640}).Draw(t, "length")
			stream = append(stream, 23, 3, 3, byte(n>>8), byte(n))
			stream = append(stream, make([]byte, n)...)
			ends[len(stream)] = true
		}
		var scan recordScan
		for at := 0; at < len(stream); {
			next := min(len(stream), at+rapid.OneOf(rapid.IntRange(1, 6), rapid.IntRange(1, 9000)).Draw(t, "read"))
			scan.pass(stream[at:next])
			at = next
			require.Equal(t, !ends[at], scan.inside(), "after %d bytes", at)
		}
	})
}

func TestADeadlineEndsAnExchangeAtItsInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go func() {
			for b := make([]byte, 1<<10); ; {
				if _, err := far.Read(b); err != nil {
					return
				}
			}
		}()
		c := over(near, Limits{})
		defer c.Close()
		begun := time.Now()
		_, sent, err := c.Exchange(get("/"), begun.Add(800*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, messages.SentMaybe, sent)
		require.Equal(t, 800*time.Millisecond, time.Since(begun))
	})
}

func TestADeadlineAlsoEndsAWriteThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := over(near, Limits{})
		defer c.Close()
		begun := time.Now()
		_, sent, err := c.Exchange(get("/"), begun.Add(time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, messages.SentNo, sent)
		require.Equal(t, time.Second, time.Since(begun))
		require.False(t, c.Reusable())
	})
}

// What crypto/tls does, in small: it reads whole records into a buffer, and
// hands out the data of one at a time.
func TestASocketThatMayHaveARecordLeftIsNeverTakenForDrained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var scan recordScan
		var left []int // the data of each record that is not yet taken; none means a session ticket
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			for range rapid.IntRange(0, 3).Draw(t, "arrivals") {
				data := rapid.SampledFrom([]int{0, 1, 300}).Draw(t, "data")
				scan.pass(append([]byte{23, 3, 3, byte(data >> 8), byte(data)}, make([]byte, data)...))
				left = append(left, data)
			}
			room := rapid.SampledFrom([]int{1, 100, 4096}).Draw(t, "room")
			for len(left) > 0 && left[0] == 0 {
				left = left[1:]
			}
			switch {
			case len(left) == 0:
				scan.settle() // a probe through TLS would find silence
			case left[0] < room:
				scan.taken++
				left = left[1:]
			case left[0] == room:
				left = left[1:]
			default:
				left[0] -= room
			}
			if scan.drained() {
				require.Empty(t, left)
			}
		}
	})
}
