package h2

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

func TestAnAnswerWithoutABodyIsOneInHTTP2AsWell(t *testing.T) {
	_, conns, accepted := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/304":
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(http.StatusNotModified)
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", "0")
		case "/gzip, no length":
			w.Header().Set("Content-Encoding", "gzip")
			http.NewResponseController(w).Flush()
		default:
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", "5000000")
		}
	})
	conns.limits.Body = 1000
	c := dial(t, conns)
	for _, stream := range []bool{false, true} {
		for _, path := range []string{"/304", "/204", "/gzip", "/gzip, no length", "/HEAD"} {
			call := decoding(strings.ReplaceAll(path, " ", "%20"))
			call.Stream = stream
			if path == "/HEAD" {
				call.Method = "HEAD"
			}
			resp, sent, err := c.Exchange(call, time.Now().Add(5*time.Second))
			require.NoError(t, err, path)
			require.Equal(t, messages.SentYes, sent)
			require.Empty(t, resp.Body)
			if path == "/gzip, no length" && stream {
				body, err := io.ReadAll(resp.Stream)
				require.NoError(t, err)
				require.Empty(t, body)
			} else {
				require.Nil(t, resp.Stream, path)
			}
			require.True(t, c.Reusable(), path)
		}
	}
	require.EqualValues(t, 1, accepted.Load())
}

// A server that guards itself against rapid resets closes the connection of who sends many.
func TestAnAnswerWithoutABodyIsNotResetWhoseEndComesInAFrameOfItsOwn(t *testing.T) {
	lengthZero := []byte{0x88, 0x0f, 0x0d, 1, '0'} // RFC 7541, appendix A: 200, and content-length with a value
	for name, test := range map[string]struct {
		block  []byte
		behind []byte // the payload of a DATA frame
		ends   bool
		after  time.Duration
		taken  time.Duration
		resets int32
	}{
		"204":                     {block: []byte{0x89}, ends: true},
		"204, a moment later":     {block: []byte{0x89}, ends: true, after: time.Millisecond, taken: time.Millisecond},
		"304":                     {block: []byte{0x8b}, ends: true, after: time.Millisecond, taken: time.Millisecond},
		"no length":               {block: lengthZero, ends: true, after: time.Millisecond, taken: time.Millisecond},
		"204 that does not end":   {block: []byte{0x89}, after: time.Second, taken: endWithin, resets: 1},
		"204 with what is a body": {block: []byte{0x89}, behind: []byte("abc"), after: time.Millisecond, taken: time.Millisecond, resets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var resets atomic.Int32
			pipedPeer(t, func(c net.Conn) {
				countResets(c, &resets, func(id uint32) {
					head := append([]byte{0, 0, byte(len(test.block)), frameHeaders, flagEndHeaders, 0, 0, 0, byte(id)}, test.block...)
					c.Write(head)
					time.Sleep(test.after)
					data := append([]byte{0, 0, byte(len(test.behind)), frameData, 0, 0, 0, 0, byte(id)}, test.behind...)
					if test.ends {
						data[4] = flagEndStream
					}
					c.Write(data)
				})
			}, func(t *testing.T, conns *Conns) {
				c := dial(t, conns)
				for i := range int32(3) {
					begun := time.Now()
					resp, sent, err := c.Exchange(get("/"), begun.Add(time.Minute))
					require.NoError(t, err)
					require.Equal(t, messages.SentYes, sent)
					require.Empty(t, resp.Body)
					require.Equal(t, test.taken, time.Since(begun))
					require.True(t, c.Reusable())
					synctest.Wait()
					require.Equal(t, (i+1)*test.resets, resets.Load())
				}
				time.Sleep(time.Minute) // the server's own end
			})
		})
	}
}

func TestAnAnswerWhoseHeadIsAllOfItWaitsForNoMore(t *testing.T) {
	pipedPeer(t, func(c net.Conn) {
		serveFrames(c, func(id uint32) []byte {
			return []byte{0, 0, 1, frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, byte(id), 0x89}
		})
	}, func(t *testing.T, conns *Conns) {
		c := dial(t, conns)
		for range 3 {
			_, _, err := c.Exchange(get("/"), time.Now().Add(time.Minute))
			require.NoError(t, err)
			require.True(t, conns.conns[0].frames.open.endedByHead(c.(*Stream)))
		}
	})
}

// countResets serves HTTP/2 frame by frame, each request on a goroutine of its own.
func countResets(c net.Conn, resets *atomic.Int32, serve func(stream uint32)) {
	defer c.Close()
	if _, err := io.CopyN(io.Discard, c, int64(len(preface))); err != nil {
		return
	}
	c.Write(frame(frameSettings, 0, 0))
	for {
		var read [frameHeader]byte
		if _, err := io.ReadFull(c, read[:]); err != nil {
			return
		}
		h := readHeader(read[:])
		if _, err := io.CopyN(io.Discard, c, int64(h.length)); err != nil {
			return
		}
		switch h.kind {
		case frameHeaders:
			go serve(h.stream)
		case frameRSTStream:
			resets.Add(1)
		}
	}
}

// Neither side waits for the other to end first (RFC 9113, section 8.1).
func TestAnAnswerThatIsCompleteEndsTheExchangeThoughTheBodyIsOpen(t *testing.T) {
	_, conns, accepted := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "enough")
	})
	for _, stream := range []bool{false, true} {
		for how, body := range map[string]func() (io.Reader, func() bool){
			"that can be closed": func() (io.Reader, func() bool) {
				r, w := io.Pipe()
				return r, func() bool {
					var err error
					for range 10 { // what was read before the end is taken still
						_, err = w.Write([]byte("x"))
					}
					return err == io.ErrClosedPipe
				}
			},
			"that cannot": func() (io.Reader, func() bool) {
				r, w := io.Pipe()
				return struct{ io.Reader }{r}, func() bool { w.Close(); return true }
			},
		} {
			reader, closed := body()
			call := uploading(reader, -1)
			call.Stream = stream
			c := dial(t, conns)
			resp, _, err := c.Exchange(call, time.Now().Add(5*time.Second))
			require.NoError(t, err, how)
			text := resp.Text()
			if stream {
				got, err := io.ReadAll(resp.Stream)
				require.NoError(t, err)
				text = string(got)
			}
			require.Equal(t, "enough", text)
			require.True(t, c.Reusable())
			require.True(t, closed(), "the close reaches the caller's body")
			_, _, err = c.Exchange(get("/"), never)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 1, accepted.Load())
}

// A stream that is given up is reset; the connection is as good as before.
func TestFiveRequestsGivenUpNeedOneHandshake(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			<-r.Context().Done()
			return
		}
		for {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	}
	for name, give := range map[string]func(t *testing.T, conns *Conns){
		"closed early": func(t *testing.T, conns *Conns) {
			c := dial(t, conns)
			resp, _, err := c.Exchange(streaming(get("/")), never)
			require.NoError(t, err)
			resp.Stream.Read(make([]byte, 10))
			require.NoError(t, resp.Stream.Close())
			_, err = resp.Stream.Read(make([]byte, 10))
			require.ErrorIs(t, err, wire.ErrStreamClosed)
			require.True(t, c.Reusable())
			resp, _, err = c.Exchange(streaming(get("/")), never)
			require.NoError(t, err, "the place is good")
			require.NoError(t, resp.Stream.Close())
			c.(*Stream).spent = true // or the last to leave would close the connection, as it should
			c.Close()
		},
		"too late": func(t *testing.T, conns *Conns) {
			c := dial(t, conns)
			_, _, err := c.Exchange(get("/late"), time.Now().Add(20*time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, c.Reusable())
			c.Close()
		},
		"aborted": func(t *testing.T, conns *Conns) {
			c := dial(t, conns)
			time.AfterFunc(20*time.Millisecond, c.Abort)
			_, _, err := c.Exchange(get("/late"), never)
			require.ErrorIs(t, err, wire.ErrAborted)
			c.Close()
		},
		"over the cap": func(t *testing.T, conns *Conns) {
			c := dial(t, conns)
			_, _, err := c.Exchange(get("/"), never)
			require.ErrorIs(t, err, messages.ErrBodyTooLarge)
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, conns, accepted := listenH2(t, 5, serve)
			conns.limits.Body = 10_000
			for range 5 {
				give(t, conns)
			}
			require.EqualValues(t, 1, accepted.Load())
			require.Len(t, conns.conns, 1)
			require.Eventually(t, conns.Empty, 5*time.Second, 10*time.Millisecond, "nobody came back")
		})
	}
}

func TestAConnectionThatStaysSilentIsNotKept(t *testing.T) {
	silentPeer(t, func(t *testing.T, conns *Conns) {
		for _, patience := range []time.Duration{time.Second, 6 * time.Second} {
			c := dial(t, conns)
			_, _, err := c.Exchange(get("/"), time.Now().Add(patience))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, c.Close())
			require.Equal(t, patience == 6*time.Second, conns.Empty())
		}
	})
}

// One that lasts for no longer than a round trip says nothing about the connection.
func TestNobodyElseWaitsOnAConnectionOnWhichAnExchangeHeardNothing(t *testing.T) {
	var peers []net.Conn
	pipedPeer(t, func(c net.Conn) {
		peers = append(peers, c)
		serveFrames(c, func(uint32) []byte { return nil })
	}, func(t *testing.T, conns *Conns) {
		one, resting, late := dial(t, conns), dial(t, conns), dial(t, conns)
		_, _, err := one.Exchange(get("/"), time.Now().Add(silentFor/2))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, resting.Reusable())
		_, _, err = late.Exchange(get("/"), time.Now().Add(2*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		_, sent, err := resting.Exchange(get("/"), never)
		require.ErrorIs(t, err, messages.ErrStale, "it rested on the same connection")
		require.Equal(t, messages.SentNo, sent)
		require.False(t, dial(t, conns).(*Stream).Shared())
		require.Len(t, peers, 2)

		_, err = peers[0].Write(frame(framePing, flagAck, 0, 0, 0))
		require.NoError(t, err)
		synctest.Wait()
		require.Same(t, late.(*Stream).conn, dial(t, conns).(*Stream).conn, "it is there")
		conns.Close() // nothing lingers beyond the test
	})
}

func TestAPeerThatClosesBeforeItsSettingsCostsNoTime(t *testing.T) {
	_, conns, _ := listenH2(t, 5, mirrorH2)
	open := conns.open
	conns.open = func(ctx context.Context, leaves func()) (*wire.Socket, error) {
		s, err := open(ctx, leaves)
		if err == nil {
			s.Conn.Close()
		}
		return s, err
	}
	begun := time.Now()
	_, err := conns.Dial(t.Context())
	require.Error(t, err)
	require.Less(t, time.Since(begun), time.Second)
}

func TestNobodyNamesAUserAgentInTheCallersPlace(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		_, named := r.Header["User-Agent"]
		if named {
			io.WriteString(w, r.UserAgent())
		}
	})
	c := dial(t, conns)
	for _, agent := range []string{"", "mine", ""} {
		call := get("/")
		if agent != "" {
			call.Fields = []messages.Field{{Name: "user-agent", Value: agent}}
		}
		resp, _, err := c.Exchange(call, never)
		require.NoError(t, err)
		require.Equal(t, agent, resp.Text())
	}
}

func TestInHTTP2ControlCharactersAreRefusedBeforeAnythingIsSent(t *testing.T) {
	_, conns, accepted := listenH2(t, 5, mirrorH2)
	c := dial(t, conns)
	for _, value := range []string{"\x1b[2J", "\x7f", "\x00", "a\vb", "\b"} {
		call := get("/")
		call.Fields = []messages.Field{{Name: "X", Value: value}}
		_, sent, err := c.Exchange(call, never)
		var refused *wire.CallError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, messages.SentNo, sent)
		require.True(t, c.Reusable())
	}
	require.EqualValues(t, 1, accepted.Load())
}

func TestInterimAnswersOverHTTP2AreBoundedThoughSomebodyListens(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", strings.Repeat("x", 1000))
		for range 100 {
			w.WriteHeader(http.StatusEarlyHints)
		}
	})
	conns.limits.Header = 20_000
	heard := 0
	call := get("/")
	call.Trace = &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { heard++; return nil }}
	_, _, err := dial(t, conns).Exchange(call, never)
	require.ErrorIs(t, err, messages.ErrHeaderTooLarge)
	require.Equal(t, 18, heard)
}
