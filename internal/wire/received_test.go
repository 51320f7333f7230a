package wire

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

// answerOf is an answer whose body has that many bytes, in chunks of that size or,
// for zero, of known length.
func answerOf(size, chunk int) (answer []byte) {
	text := strings.Repeat("0123456789abcde\n", size/16)
	if chunk == 0 {
		return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size), text...)
	}
	answer = []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for ; text != ""; text = text[min(chunk, len(text)):] {
		answer = fmt.Appendf(answer, "%x\r\n%s\r\n", min(chunk, len(text)), text[:min(chunk, len(text))])
	}
	return append(answer, "0\r\n\r\n"...)
}

// A thousand servers promise sixteen megabytes each, and send some kilobytes at most.
func TestALyingLengthOrChunkHoldsLittleMemory(t *testing.T) {
	const conns = 1000
	for _, head := range []string{"Content-Length: 16000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf42400\r\n"} {
		for _, sent := range []int{0, 8 << 10} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var wg sync.WaitGroup
			for range conns {
				wg.Go(func() {
					tape := playAndHangUp("HTTP/1.1 200 OK\r\n" + head + strings.Repeat("x", sent))
					_, _, err := over(tape, Limits{}).Exchange(get("/"), never)
					require.ErrorIs(t, err, messages.ErrTruncated)
				})
			}
			wg.Wait()
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(conns*(2*Believed+4*sent+32<<10)))
		}
	}
}

func TestWhatIsAllocatedIsAtMostCreditTimesWhatCame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(1, 1<<40).Draw(t, "length")
		total := 0
		for filled := 0; filled < length; {
			next := stage(length, filled)
			require.Greater(t, next, filled)
			require.LessOrEqual(t, next, max(Believed, credit*filled))
			if filled > 0 || next == length { // the first is lent otherwise
				total += next
			}
			filled = next
		}
		require.LessOrEqual(t, float64(total), 1.07*float64(length)+16)
	})
}

func TestABodyIsTheSameHoweverItComes(t *testing.T) {
	for _, size := range []int{16, 4000, 4096, 64 << 10, 64<<10 + 16, 1<<20 + 16, 3 << 20} {
		for _, chunk := range []int{0, 1000, 4096, 64 << 10, 1 << 20} {
			for _, piece := range []int{0, 1000, 70_000} {
				tape := play(string(answerOf(size, chunk)))
				tape.piece = piece
				resp := exchange(t, over(tape, Limits{}), get("/"))
				require.Equal(t, string(answerOf(size, 0)), string(answerOf(len(resp.Body), 0)[:len(answerOf(size, 0))-size])+resp.Text(), "%d %d %d", size, chunk, piece)
			}
		}
	}
}

func TestAPartOfABodyKeepsNothingOfOthers(t *testing.T) {
	full := string(answerOf(1<<20, 0))
	for _, cut := range []int{len(full) - 1, len(full) / 2, 100, 50_000, 70_000} {
		resp, _, err := over(playAndHangUp(full[:cut]), Limits{}).Exchange(get("/"), never)
		require.ErrorIs(t, err, messages.ErrTruncated)
		_, whole, _ := strings.Cut(full[:cut], "\r\n\r\n")
		require.True(t, whole == string(resp.Body))
		// What was never overwritten may have been anybody's.
		for _, b := range resp.Body[len(resp.Body):cap(resp.Body)] {
			require.Zero(t, b)
		}
	}
}

// Head and body of a small answer are one piece of memory, and those of a larger one
// are not: who keeps one is not to pin the other.
func TestOnlyASmallBodyStandsBehindItsHead(t *testing.T) {
	for _, size := range []int{16, 3200, 4096, 8 << 20} {
		resp := exchange(t, over(play(string(answerOf(size, 0))), Limits{}), get("/"))
		text := resp.Status
		behind := uintptr(unsafe.Pointer(unsafe.SliceData(resp.Body))) - uintptr(unsafe.Pointer(unsafe.StringData(text)))
		require.Equal(t, size < 4000, behind < joinedAnswer, "%d bytes", size)
		require.Equal(t, strconv.Itoa(size), resp.Header.Get("Content-Length"))
		clear(resp.Body[:cap(resp.Body)])
		require.Equal(t, strconv.Itoa(size), resp.Header.Get("Content-Length"), "the body has no part of the head")
		_ = append(resp.Body, "more"...)
		require.Equal(t, "200 OK", resp.Status)
	}
}

// waits notes how much room the read has that finds nothing any more.
type waits struct {
	*tape
	widest, last int
}

func (c *waits) Read(p []byte) (int, error) {
	c.widest, c.last = max(c.widest, len(p)), len(p)
	return c.tape.Read(p)
}

// A stream that waits holds no more than an idle connection does.
func TestAStreamThatWaitsHasANarrowReader(t *testing.T) {
	const size = 320 << 10
	answer := answerOf(size, 2000)
	tape := &waits{tape: play(string(answer[:len(answer)-len("0\r\n\r\n")]))}
	c := over(tape, Limits{})
	resp := exchange(t, c, streaming(get("/")))
	n, err := io.Copy(io.Discard, struct{ io.Reader }{resp.Stream})
	require.Error(t, err)
	require.EqualValues(t, size, n)
	require.Greater(t, tape.widest, readBuffer, "what comes fast in small chunks is read in large portions")
	require.Equal(t, readBuffer, tape.last)
	require.Same(t, c.narrow, c.reader)
}
