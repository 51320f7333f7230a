package h2

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// frameServer speaks HTTP/2 frame by frame: it answers the first request on
// each connection with the frames that answer makes of its stream.
func frameServer(t *testing.T, answer func(stream uint32) []byte) *Conns {
	return connServer(t, func(c net.Conn) { serveFrames(c, answer) })
}

// connServer has each connection served behind its handshake.
func connServer(t *testing.T, serve func(net.Conn)) *Conns {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	end := make(chan struct{})
	var all sync.WaitGroup
	t.Cleanup(func() { close(end); listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			served := make(chan struct{})
			all.Go(func() { defer close(served); serve(c) })
			all.Go(func() {
				select {
				case <-served:
				case <-end: // it lingers
					c.Close()
				}
			})
		}
	})
	addr := listener.Addr().String()
	return NewConns(addr, wire.Limits{}, openTo(addr, &tls.Config{InsecureSkipVerify: true}))
}

func serveFrames(c net.Conn, answer func(stream uint32) []byte) {
	defer c.Close()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	if _, err := io.CopyN(io.Discard, c, int64(len(preface))); err != nil {
		return
	}
	c.Write(frame(frameSettings, 0, 0))
	for {
		var header [9]byte
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return
		}
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		if _, err := io.CopyN(io.Discard, c, length); err != nil {
			return
		}
		if header[3] == frameHeaders {
			c.Write(answer(binary.BigEndian.Uint32(header[5:])))
		}
	}
}

func frame(kind, flags byte, stream uint32, payload ...uint32) []byte {
	f := []byte{0, 0, byte(4 * len(payload)), kind, flags}
	for _, word := range append([]uint32{stream}, payload...) {
		f = binary.BigEndian.AppendUint32(f, word)
	}
	return f
}

// interimAnswer is the header of an interim answer with a status of three digits.
func interimAnswer(id uint32, status string) []byte {
	const endHeaders = 4
	// HPACK: a literal that is not indexed, with the name of the static table's entry 8, :status.
	block := append([]byte{0x08, byte(len(status))}, status...)
	f := frame(frameHeaders, endHeaders, id)
	f[2] = byte(len(block))
	return append(f, block...)
}

func TestAStreamThatThePeerRefusesWasNotProcessed(t *testing.T) {
	const cancelled, noError = 8, 0
	refusedBehind := func(status string) func(id uint32) []byte {
		return func(id uint32) []byte {
			return append(interimAnswer(id, status), frame(frameRSTStream, 0, id, codeRefusedStream)...)
		}
	}
	for name, test := range map[string]struct {
		answer      func(stream uint32) []byte
		unprocessed bool
	}{
		"refused":            {func(id uint32) []byte { return frame(frameRSTStream, 0, id, codeRefusedStream) }, true},
		"cancelled":          {func(id uint32) []byte { return frame(frameRSTStream, 0, id, cancelled) }, false},
		"refused behind 100": {refusedBehind("100"), true},
		"refused behind 102": {refusedBehind("102"), false},
		"refused behind 103": {refusedBehind("103"), false},
		"goodbye behind 102": {func(id uint32) []byte {
			return append(interimAnswer(id, "102"), frame(frameGoaway, 0, 0, 0, noError)...)
		}, false},
		"goodbye with a code": {func(uint32) []byte { return frame(frameGoaway, 0, 0, 0, 11) }, true},
		"goodbye before it":   {func(uint32) []byte { return frame(frameGoaway, 0, 0, 0, noError) }, true},
		"goodbye after it": {func(id uint32) []byte {
			return append(frame(frameGoaway, 0, 0, id, noError), frame(frameRSTStream, 0, id, cancelled)...)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conns := frameServer(t, test.answer)
			c := dial(t, conns)
			_, sent, err := c.Exchange(post("an order"), time.Now().Add(10*time.Second))
			require.Error(t, err)
			require.Equal(t, messages.SentMaybe, sent, "bytes were written")
			if test.unprocessed {
				require.ErrorIs(t, err, messages.ErrUnprocessed)
			} else {
				require.NotErrorIs(t, err, messages.ErrUnprocessed)
			}
			require.False(t, c.Reusable())
		})
	}
}

func TestAPeerThatAllowsNoStreamsIsWaitedForAndNamed(t *testing.T) {
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		other := dial(t, conns) // keeps the connection
		c := dial(t, conns)
		server.allow(t, 0)
		begun := time.Now()
		_, sent, err := c.Exchange(post("an order"), begun.Add(50*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, context.Canceled, "nobody has")
		require.ErrorIs(t, err, errNoStreams)
		require.Equal(t, messages.SentNo, sent)
		require.False(t, c.Reusable())
		require.Nil(t, conns.join(), "there is no place")

		raised := exchangeAside(other, 5*time.Second)
		server.allow(t, 1)
		server.answer(t, <-server.asked)
		require.NoError(t, (<-raised).err)

		server.allow(t, 0)
		left := exchangeAside(other, 5*time.Second)
		synctest.Wait()
		conns.conns[0].frames.leave()
		end := <-left
		require.ErrorIs(t, end.err, messages.ErrStale, "there will be no streams")
		require.Equal(t, messages.SentNo, end.sent)
	})
}

func TestWhatIsNoStatusIsNoAnswer(t *testing.T) {
	for _, status := range []string{"-1", "0", "99", "1000", "99999", "abc", "+200", "0200", "2e2", "101", ""} {
		block := append([]byte{0x08, byte(len(status))}, status...) // :status, remembered by nobody
		conns := frameServer(t, func(id uint32) []byte {
			return append([]byte{0, 0, byte(len(block)), frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, byte(id)}, block...)
		})
		resp, sent, err := dial(t, conns).Exchange(get("/"), time.Now().Add(5*time.Second))
		require.ErrorIs(t, err, messages.ErrMalformedResponse, status)
		require.Nil(t, resp)
		require.Equal(t, messages.SentMaybe, sent)
	}
}

// net/http counts such a window while it holds the connection's lock, and takes the
// same lock to end the stream: nobody on the connection would ever return.
func TestAWindowThatOverflowsEndsItsExchangeAlone(t *testing.T) {
	conns := frameServer(t, func(id uint32) []byte {
		return append(frame(frameWindowUpdate, 0, id, maxWindow), frame(frameWindowUpdate, 0, id, maxWindow)...)
	})
	_, _, err := dial(t, conns).Exchange(get("/"), time.Now().Add(5*time.Second))
	require.ErrorIs(t, err, errWindow)
}

func TestADeadlineThatRingsAsTheExchangeEndsSpendsThePlace(t *testing.T) {
	_, conns, _ := listenH2(t, 5, mirrorH2)
	c := dial(t, conns).(*Stream)
	_, err := c.begin(time.Now(), time.Now().Add(time.Nanosecond))
	require.NoError(t, err)
	require.Eventually(t, c.late.Load, 5*time.Second, time.Millisecond)
	c.spent = false // all went well
	c.end()
	require.False(t, c.Reusable())
}

// silentPeer runs a test in fake time, whose peer answers nothing, pings included.
func silentPeer(t *testing.T, test func(t *testing.T, conns *Conns)) {
	pipedPeer(t, func(c net.Conn) { serveFrames(c, func(uint32) []byte { return nil }) }, test)
}

// pipedPeer has a peer serve in memory, in a bubble.
func pipedPeer(t *testing.T, serve func(net.Conn), test func(t *testing.T, conns *Conns)) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.EnableHTTP2 = true
	server.StartTLS()
	certificates := server.TLS.Certificates
	server.Close()
	synctest.Test(t, func(t *testing.T) {
		conns := NewConns("server.test:443", wire.Limits{}, func(ctx context.Context, _ func()) (*wire.Socket, error) {
			near, far := net.Pipe()
			go serve(tls.Server(far, &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}}))
			return sealed(ctx, near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		})
		t.Cleanup(conns.Close) // what lingers, behind the places' own
		test(t, conns)
	})
}

func TestAConnectionWhosePeerAnswersNoPingIsGivenUp(t *testing.T) {
	silentPeer(t, func(t *testing.T, conns *Conns) {
		c := dial(t, conns)
		began := time.Now()
		_, sent, err := c.Exchange(get("/"), never)
		require.Error(t, err)
		require.Equal(t, messages.SentMaybe, sent)
		require.Equal(t, 2*pingAfter, time.Since(began), "the silence, and the wait for the answer")
		require.False(t, c.Reusable())
	})
}

// The peer of this test has answered before it reads the body, and asks for all
// of it then.
func TestABodyIsTheCallersAgainWhenTheExchangeIsOver(t *testing.T) {
	const (
		windowUpdate           = 8
		endStreamAndHeaders    = 0x5
		indexedStatusNoContent = 0x89 // RFC 7541, appendix A
	)
	conns := frameServer(t, func(id uint32) []byte {
		header := frame(frameHeaders, endStreamAndHeaders, id)
		header[2] = 1
		answer := append(header, indexedStatusNoContent)
		answer = append(answer, frame(windowUpdate, 0, 0, 1<<24)...)
		return append(answer, frame(windowUpdate, 0, id, 1<<24)...)
	})
	c := dial(t, conns)
	body := make([]byte, 8<<20)
	call := post("")
	call.Body = body
	resp, _, err := c.Exchange(call, never)
	require.NoError(t, err)
	require.Equal(t, 204, resp.StatusCode)
	for range 20 {
		for at := 0; at < len(body); at += 1 << 10 {
			body[at] = 1 // the race detector would see somebody read
		}
		time.Sleep(time.Millisecond)
	}
}
