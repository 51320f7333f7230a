package wire

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	brotli "github.com/molecule-man/go-brrr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

// coders compress as servers do.
var coders = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"x-gzip":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"Deflate": func(w io.Writer) io.WriteCloser { bare, _ := flate.NewWriter(w, 6); return bare },
	"br":      func(w io.Writer) io.WriteCloser { b, _ := brotli.NewWriter(w, 5); return b },
	"zstd":    func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); return z },
}

func coded(coding, body string) string {
	var b bytes.Buffer
	w := coders[coding](&b)
	io.WriteString(w, body)
	w.Close()
	return b.String()
}

func withLength(coding, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nX: y\r\nContent-Length: %d\r\n\r\n%s", coding, len(body), body)
}

func inChunks(coding, body string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n", coding)
	for body != "" {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// bodyOf reads a body, however it was handed over.
func bodyOf(resp *messages.Response) (string, error) {
	if resp.Stream == nil {
		return resp.Text(), nil
	}
	body, err := io.ReadAll(resp.Stream)
	return string(body), err
}

// try asks for a body whole and streamed.
func try(t *testing.T, answer string, limits Limits, verify func(t *testing.T, c *Conn, body string, err error)) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			c := over(tapeWithPending{playAndHangUp(answer)}, limits)
			call := decoding("/")
			call.Stream = stream
			resp, sent, err := c.Exchange(call, never)
			require.Equal(t, messages.SentYes, sent)
			var body string
			if err == nil {
				body, err = bodyOf(resp)
			}
			verify(t, c, body, err)
		})
	}
}

func TestACodedBodyIsDecoded(t *testing.T) {
	body := strings.Repeat(`{"price":"61234.50"},`, 2000)
	for coding := range coders {
		for name, answer := range map[string]string{
			"length": withLength(coding, coded(coding, body)),
			"chunks": inChunks(coding, coded(coding, body), 100),
		} {
			t.Run(coding+" in "+name, func(t *testing.T) {
				try(t, answer, Limits{}, func(t *testing.T, c *Conn, got string, err error) {
					require.NoError(t, err)
					require.True(t, body == got)
					require.True(t, c.Reusable())
				})
			})
		}
	}
}

func TestTheHeaderOfADecodedBodyTellsOfItAsItIs(t *testing.T) {
	resp := exchange(t, over(play(withLength("gzip", coded("gzip", "abc"))), Limits{}), decoding("/"))
	require.Equal(t, "abc", resp.Text())
	require.True(t, resp.Uncompressed)
	require.Empty(t, resp.Header.Get("Content-Encoding")+resp.Header.Get("Content-Length"))
	require.Equal(t, "y", resp.Header.Get("X"))
}

func TestACodingNobodyAskedToUndoIsLeftAlone(t *testing.T) {
	gzipped := coded("gzip", "abc")
	for name, c := range map[string]struct {
		coding, body string
		asked        messages.Codings
	}{
		"nothing was asked for": {"gzip", gzipped, 0},
		"another one was":       {"br", coded("br", "abc"), messages.Gzip | messages.Deflate},
		"unknown":               {"lzw", "abc", anyCoding},
		"two":                   {"gzip, gzip", coded("gzip", gzipped), anyCoding},
		"two lines":             {"gzip\r\nContent-Encoding: br", gzipped, anyCoding},
	} {
		for _, stream := range []bool{false, true} {
			conn := over(tapeWithPending{play(withLength(c.coding, c.body))}, Limits{})
			call := get("/")
			call.Stream, call.Codings = stream, c.asked
			resp := exchange(t, conn, call)
			body, err := bodyOf(resp)
			require.NoError(t, err, name)
			require.Equal(t, c.body, body, name)
			require.False(t, resp.Uncompressed)
			require.Contains(t, c.coding, resp.Header.Get("Content-Encoding"), name)
			require.Equal(t, fmt.Sprint(len(c.body)), resp.Header.Get("Content-Length"))
			require.True(t, conn.Reusable())
		}
	}
}

func TestABadCodingIsAnErrorAndTheConnectionIsNotKept(t *testing.T) {
	whole := coded("gzip", strings.Repeat("x", 5000))
	bad := map[string]string{
		"not compressed":    withLength("gzip", "{}"),
		"cut short":         withLength("gzip", whole[:len(whole)-9]),
		"garbage behind":    withLength("gzip", whole+"garbage"),
		"garbage deflate":   withLength("deflate", coded("deflate", "abc")+"garbage"),
		"not brotli":        withLength("br", "\xff\xff\xff\xff"),
		"not zstd":          withLength("zstd", "{}{}{}{}{}"),
		"a wrong check sum": withLength("gzip", whole[:len(whole)-8]+"\x00\x00\x00\x00"+whole[len(whole)-4:]),
	}
	for name, answer := range bad {
		t.Run(name, func(t *testing.T) {
			try(t, answer, Limits{}, func(t *testing.T, c *Conn, _ string, err error) {
				require.ErrorIs(t, err, messages.ErrMalformedResponse)
				require.False(t, c.Reusable())
			})
		})
	}
	try(t, withLength("gzip", whole)[:100], Limits{}, func(t *testing.T, c *Conn, _ string, err error) {
		require.ErrorIs(t, err, messages.ErrTruncated, "the connection's fault comes before the coding's")
	})
}

// Many servers say gzip of every answer, be there a body or not.
func TestAnEmptyBodyIsEmptyInAnyCoding(t *testing.T) {
	for coding := range coders {
		for name, answer := range map[string]string{
			"no length": "HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + "\r\n\r\n",
			"chunks":    inChunks(coding, "", 1),
			"a length":  withLength(coding, ""),
		} {
			try(t, answer, Limits{}, func(t *testing.T, c *Conn, body string, err error) {
				require.NoError(t, err, "%s, %s", coding, name)
				require.Empty(t, body)
				require.Equal(t, name != "no length", c.Reusable())
			})
		}
		try(t, withLength(coding, "x")[:len(withLength(coding, "x"))-1], Limits{}, func(t *testing.T, _ *Conn, _ string, err error) {
			require.ErrorIs(t, err, messages.ErrTruncated, "one byte was announced")
		})
	}
}

func TestTheHeadOfAStreamDoesNotWaitForItsFirstCodedBytes(t *testing.T) {
	for coding := range coders {
		body := make(chan string)
		c := dial(t, nil, listen(t, func(c net.Conn) {
			c.Read(make([]byte, 4096))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: "+coding+"\r\n\r\n")
			io.WriteString(c, <-body)
		}))
		resp, _, err := c.Exchange(streaming(decoding("/")), time.Now().Add(5*time.Second))
		require.NoError(t, err)
		body <- coded(coding, "at last")
		got, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
		require.Equal(t, "at last", string(got))
	}
}

func TestADecodedBodyHasTheBodysCap(t *testing.T) {
	for coding := range coders {
		answer := withLength(coding, coded(coding, strings.Repeat("0123456789", 200)))
		_, sent, err := over(play(answer), Limits{Body: 1999}).Exchange(decoding("/"), never)
		require.ErrorIs(t, err, messages.ErrBodyTooLarge, coding)
		require.Equal(t, messages.SentYes, sent)
		require.Len(t, exchange(t, over(play(answer), Limits{Body: 2000}), decoding("/")).Body, 2000)
	}
}

// incompressible is a body that every coding makes longer.
func incompressible(size int) string {
	noise := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(noise)
	return string(noise)
}

func TestTheCapOfACodedBodyIsOnWhatItBecomes(t *testing.T) {
	body := incompressible(1000)
	for coding := range coders {
		squeezed := coded(coding, body)
		require.Greater(t, len(squeezed), len(body), coding)
		for how, answer := range map[string]string{
			"length": withLength(coding, squeezed), "chunks": inChunks(coding, squeezed, len(squeezed)), "small chunks": inChunks(coding, squeezed, 100),
			"to the end": "HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + "\r\n\r\n" + squeezed,
		} {
			t.Run(coding+" in "+how, func(t *testing.T) {
				resp, _, err := over(playAndHangUp(answer), Limits{Body: 1000}).Exchange(decoding("/"), never)
				require.NoError(t, err)
				require.True(t, body == resp.Text())
				_, _, err = over(playAndHangUp(answer), Limits{Body: 999}).Exchange(decoding("/"), never)
				require.ErrorIs(t, err, messages.ErrBodyTooLarge)
			})
		}
	}
}

func TestACodingThatBecomesNothingEnds(t *testing.T) {
	for name, c := range map[string]struct{ coding, before, empty string }{
		"members":              {"gzip", "", coded("gzip", "")},
		"stored blocks":        {"deflate", "\x78\x9c", "\x00\x00\x00\xff\xff"},
		"bare stored blocks":   {"deflate", "", "\x00\x00\x00\xff\xff"},
		"metadata":             {"br", "\x0c", "\x06"},
		"frames to be skipped": {"zstd", "", "\x50\x2a\x4d\x18\x64\x00\x00\x00" + strings.Repeat("x", 100)},
	} {
		endless := c.before + strings.Repeat(c.empty, 5<<18/len(c.empty))
		for how, answer := range map[string]string{
			"chunks": inChunks(c.coding, endless, 64<<10), "to the end": "HTTP/1.1 200 OK\r\nContent-Encoding: " + c.coding + "\r\n\r\n" + endless,
		} {
			t.Run(name+" in "+how, func(t *testing.T) {
				for _, stream := range []bool{false, true} {
					conn := over(playAndHangUp(answer), Limits{Body: 1 << 30})
					call := decoding("/")
					call.Stream = stream
					resp, _, err := conn.Exchange(call, never)
					if err == nil {
						_, err = bodyOf(resp)
					}
					require.ErrorIs(t, err, messages.ErrBodyTooLarge)
					require.ErrorIs(t, err, errPadded)
					require.LessOrEqual(t, conn.payload.taken, int64(freelyCoded+mostAtOnce))
					require.False(t, conn.Reusable())
				}
			})
		}
	}
	_, _, err := over(play(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", mostCoded(1000)+1)), Limits{Body: 1000}).Exchange(decoding("/"), never)
	require.ErrorIs(t, err, messages.ErrBodyTooLarge, "its length alone says so")
}

// As a server does that has a little to say now and then.
func TestABodyThatIsFlushedByteByByteIsNoExcess(t *testing.T) {
	body := incompressible(180_000) // more than 1 MiB in gzip
	for coding := range coders {
		var b bytes.Buffer
		w := coders[coding](&b)
		for i := range len(body) {
			io.WriteString(w, body[i:i+1])
			require.NoError(t, w.(interface{ Flush() error }).Flush())
		}
		require.NoError(t, w.Close())
		try(t, withLength(coding, b.String()), Limits{}, func(t *testing.T, _ *Conn, got string, err error) {
			require.NoError(t, err, coding)
			require.True(t, body == got, coding)
		})
	}
}

func TestADecompressionBombEndsWithItsRatio(t *testing.T) {
	bomb := strings.Repeat("\x00", 16<<20)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		answer := withLength(coding, coded(coding, bomb))
		c := over(play(answer), Limits{})
		resp := exchange(t, c, streaming(decoding("/")))
		n, err := io.Copy(io.Discard, resp.Stream)
		require.ErrorIs(t, err, messages.ErrBodyTooLarge, coding)
		require.Less(t, n, int64(16<<20))
		require.False(t, c.Reusable())
	}
}

func TestAClaimedChunkIsNotAllocatedOnItsWord(t *testing.T) {
	tape := playAndHangUp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf00000\r\nabc")
	c := over(tape, Limits{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := c.Exchange(get("/"), never)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10))
}

const trailed = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nChecksum: 1\r\nB: 2\r\n\r\n"

func TestTrailersAreKept(t *testing.T) {
	resp := exchange(t, over(play(trailed), Limits{}), get("/"))
	require.Equal(t, "1", resp.Trailer.Get("checksum"))
	require.Equal(t, "2", resp.Trailer.Get("b"))
	require.Empty(t, resp.Header.Get("Checksum"))

	resp = exchange(t, over(play(trailed), Limits{}), streaming(get("/")))
	require.Empty(t, resp.Trailer.Get("checksum"))
	_, err := io.ReadAll(resp.Stream)
	require.NoError(t, err)
	require.Equal(t, "1", resp.Trailer.Get("checksum"))
}

func TestAStreamMayBeLargerThanTheCap(t *testing.T) {
	body := strings.Repeat("x", 100_000)
	for _, answer := range []string{
		inChunks("identity", body, 1000), withLength("identity", body), withLength("gzip", coded("gzip", body)),
	} {
		c := over(tapeWithPending{play(answer)}, Limits{Body: 10})
		resp := exchange(t, c, streaming(decoding("/")))
		require.False(t, c.Reusable(), "the exchange goes on")
		got, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
		require.True(t, body == string(got))
		require.True(t, c.Reusable())
		require.NoError(t, resp.Stream.Close())
		require.True(t, c.Reusable())
	}
}

func TestAResponseWithoutABodyHasNoStream(t *testing.T) {
	c := over(play("HTTP/1.1 204 No Content\r\n\r\n"), Limits{})
	require.Nil(t, exchange(t, c, streaming(get("/"))).Stream)
	require.True(t, c.Reusable())
}

func TestAStreamClosedEarlyKeepsTheConnectionOnlyIfItsEndIsHere(t *testing.T) {
	for answer, kept := range map[string]bool{
		ok:                      true,
		ok[:len(ok)-1]:          false,
		ok[:len(ok)-2]:          false, // nothing of the body is here
		trailed:                 true,
		inChunks("x", "abc", 3): true,
		withLength("x", strings.Repeat("x", 100_000)): false,
		"HTTP/1.1 200 OK\r\n\r\nabc":                  false,
	} {
		c := over(play(answer), Limits{})
		resp := exchange(t, c, streaming(get("/")))
		require.NoError(t, resp.Stream.Close())
		require.Equal(t, kept, c.Reusable(), "%.80q", answer)
		_, err := resp.Stream.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotEqual(t, io.EOF, err)
	}
}

func TestAStreamCutShortSaysSo(t *testing.T) {
	for _, answer := range []string{ok[:len(ok)-1], trailed[:len(trailed)-2], withLength("gzip", coded("gzip", "abc"))[:90]} {
		c := over(playAndHangUp(answer), Limits{})
		resp := exchange(t, c, streaming(decoding("/")))
		_, err := io.ReadAll(resp.Stream)
		require.ErrorIs(t, err, messages.ErrTruncated)
		require.False(t, c.Reusable())
	}
}

// However a body is framed, coded, cut into reads and asked for, it is the
// same body.
func TestEveryWayToReadABodyGivesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		body := make([]byte, rapid.IntRange(1, 20_000).Draw(t, "size"))
		for i := range body {
			body[i] = byte(random.IntN(8))
		}
		coding := rapid.SampledFrom([]string{"identity", "gzip", "deflate", "Deflate", "br", "zstd"}).Draw(t, "coding")
		payload := string(body)
		if coding != "identity" {
			payload = coded(coding, payload)
		}
		answer := withLength(coding, payload)
		if rapid.Bool().Draw(t, "chunked") {
			answer = inChunks(coding, payload, rapid.IntRange(1, 5000).Draw(t, "chunk"))
		}
		tape := play(answer)
		tape.piece = rapid.IntRange(0, 3000).Draw(t, "piece")
		c := over(tapeWithPending{tape}, Limits{})
		call := decoding("/")
		call.Stream = rapid.Bool().Draw(t, "stream")
		resp, _, err := c.Exchange(call, never)
		require.NoError(t, err)
		got, err := bodyOf(resp)
		require.NoError(t, err)
		require.True(t, string(body) == got)
		require.True(t, c.Reusable())
		require.Empty(t, tape.answers)
	})
}

func TestABodyIsStreamedOverTCPAsItArrives(t *testing.T) {
	next := make(chan string)
	c := dial(t, nil, listen(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for chunk := range next {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		io.WriteString(c, "0\r\n\r\n")
		c.Read(make([]byte, 1))
	}))
	resp := exchange(t, c, streaming(get("/")))
	for _, chunk := range []string{"one", "two", "three"} {
		next <- chunk
		got := make([]byte, len(chunk))
		_, err := io.ReadFull(resp.Stream, got)
		require.NoError(t, err)
		require.Equal(t, chunk, string(got))
	}
	close(next)
	rest, err := io.ReadAll(resp.Stream)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.True(t, c.Silent())
}
