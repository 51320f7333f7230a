package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// recording is one case of testdata/responses.txt.
type recording struct {
	name, method, response string
	drip                   time.Duration // between two bytes
	late                   time.Duration // from response to rest
	rest                   string
	closes                 bool
	verdict                string
	kept                   bool
	netHTTP                string // what http.Transport makes of it
	lenient                string // the verdict with Limits.Lenient; never kept if it is another
	apart                  bool   // for a reason, the latter is not net/http's
}

var hostileLimits = Limits{Header: 4096, Body: 1024}

// isTimed reports whether a tape cannot play the case.
func (r recording) isTimed() bool { return r.drip+r.late > 0 }

func (r recording) call() *messages.Call {
	return &messages.Call{Method: r.method, Host: "h", Path: "/", Codings: anyCoding}
}

func TestEveryRecordedResponseGetsItsVerdict(t *testing.T) {
	for _, r := range recordings(t) {
		if r.isTimed() {
			continue // over TCP only
		}
		for _, piece := range []int{0, 1, 7, 1000} {
			t.Run(fmt.Sprintf("%s/%d bytes at a time", r.name, piece), func(t *testing.T) { r.run(t, piece, hostileLimits) })
		}
	}
}

// Leniently nothing is read otherwise that is read strictly, and nothing else is
// kept. What is not refused any more is what net/http makes of it.
func TestEveryRecordedResponseGetsItsLenientVerdict(t *testing.T) {
	lenient := hostileLimits
	lenient.Lenient = true
	for _, r := range recordings(t) {
		if r.isTimed() {
			continue
		}
		if r.verdict == "malformed" && !r.apart {
			want := strings.TrimSuffix(strings.TrimSuffix(r.netHTTP, " spent"), " kept")
			if want == "refused" {
				want = "malformed"
			}
			require.Equal(t, want, r.lenient, r.name)
		} else if r.verdict != "malformed" {
			require.Equal(t, r.verdict, r.lenient, r.name)
		}
		require.False(t, r.kept && r.lenient != r.verdict, r.name)
		r.verdict = r.lenient
		for _, piece := range []int{0, 1, 7, 1000} {
			t.Run(fmt.Sprintf("%s/%d bytes at a time", r.name, piece), func(t *testing.T) { r.run(t, piece, lenient) })
		}
	}
}

func (r recording) run(t *testing.T, piece int, limits Limits) {
	tape := play(r.response)
	if r.closes {
		tape = playAndHangUp(r.response)
	}
	tape.piece = piece
	c := over(tapeWithPending{tape}, limits)
	resp, sent, err := c.Exchange(r.call(), never)

	require.Equal(t, r.verdict, verdict(resp, err))
	require.NotEqual(t, messages.SentNo, sent)
	require.Equal(t, sent == messages.SentYes, resp != nil, "the head counts as soon as it is there")
	if r.kept {
		require.True(t, c.Reusable())
	} else {
		require.False(t, c.Reusable() && len(tape.answers) == 0, "reusable after doubt")
		r.requireStale(t, c, tape)
	}
}

// requireStale holds for whatever bytes are left behind, read or unread.
func (r recording) requireStale(t *testing.T, c *Conn, tape *tape) {
	written := tape.written.Len()
	require.False(t, c.Silent())
	resp, sent, err := c.Exchange(get("/second"), never)
	require.Nil(t, resp)
	require.ErrorIs(t, err, messages.ErrStale)
	require.Equal(t, messages.SentNo, sent)
	require.Equal(t, written, tape.written.Len())
}

func verdict(resp *messages.Response, err error) string {
	switch {
	case err == nil:
		return fmt.Sprintf("answer %d %q", resp.StatusCode, resp.Body)
	case errors.Is(err, messages.ErrMalformedResponse):
		return "malformed"
	case errors.Is(err, messages.ErrTruncated):
		return "truncated"
	case errors.Is(err, messages.ErrHeaderTooLarge):
		return "header too large"
	case errors.Is(err, messages.ErrBodyTooLarge):
		return "body too large"
	case errors.Is(err, context.DeadlineExceeded):
		return "waits"
	}
	return err.Error()
}

func recordings(t testing.TB) []recording {
	t.Helper()
	text, err := os.ReadFile("testdata/responses.txt")
	require.NoError(t, err)
	var all []recording
	for block := range strings.SplitSeq(string(text), "\n\n") {
		r := recording{method: "GET"}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			value = strings.TrimSpace(value)
			switch key {
			case "name":
				r.name = value
			case "method":
				r.method = value
			case "response":
				r.response += unquoted(t, value)
			case "gzip":
				body := coded("gzip", unquoted(t, value))
				r.response += fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			case "drip":
				r.drip = duration(t, value)
			case "late":
				pause, rest, _ := strings.Cut(value, " ")
				r.late, r.rest = duration(t, pause), unquoted(t, rest)
			case "then":
				r.closes = value == "closes"
			case "verdict":
				r.verdict, r.kept = parseVerdict(t, value)
				r.netHTTP, r.lenient = "missing", r.verdict
			case "lenient":
				r.lenient, _ = parseVerdict(t, value)
				require.Contains(t, value+" spent", " spent", "what is read loosely is never kept")
			case "apart": // why the lenient verdict is not net/http's
				r.apart = true
			case "net/http":
				r.netHTTP = parseNetHTTP(t, value, r)
			}
		}
		if r.name != "" {
			all = append(all, r)
		}
	}
	require.GreaterOrEqual(t, len(all), 130)
	return all
}

func parseVerdict(t testing.TB, text string) (verdict string, kept bool) {
	t.Helper()
	rest, isAnswer := strings.CutPrefix(text, "answer ")
	if !isAnswer {
		return text, false
	}
	status, rest, _ := strings.Cut(rest, " ")
	body, kept := strings.CutSuffix(rest, " kept")
	body = strings.TrimSuffix(body, " spent")
	return fmt.Sprintf("answer %s %q", status, unquoted(t, body)), kept
}

// parseNetHTTP reads the other verdict, in the words of recording.netHTTPVerdict.
func parseNetHTTP(t testing.TB, text string, r recording) string {
	t.Helper()
	word, kept := parseVerdict(t, text)
	if text == "same" {
		word, kept = r.verdict, r.kept
	}
	return judged(word, kept)
}

// judged adds what becomes of the connection after an answer.
func judged(verdict string, kept bool) string {
	switch {
	case !strings.HasPrefix(verdict, "answer "):
		return verdict
	case kept:
		return verdict + " kept"
	}
	return verdict + " spent"
}

func duration(t testing.TB, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// unquoted reads Go strings, each of which may be repeated: "a" * 3 "b".
func unquoted(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	for text != "" {
		quoted, err := strconv.QuotedPrefix(text)
		require.NoError(t, err)
		part, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		text = strings.TrimSpace(text[len(quoted):])
		count := 1
		if rest, ok := strings.CutPrefix(text, "* "); ok {
			number, after, _ := strings.Cut(rest, " ")
			count, err = strconv.Atoi(number)
			require.NoError(t, err)
			text = strings.TrimSpace(after)
		}
		b.WriteString(strings.Repeat(part, count))
	}
	return b.String()
}
