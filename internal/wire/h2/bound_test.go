package h2

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// boundServer answers a request when it is told to, and says how many streams it allows when
// it is told that.
type boundServer struct {
	conn  net.Conn
	asked chan uint32 // the streams of the requests that came
}

func (s *boundServer) allow(t *testing.T, conns *Conns, streams byte) {
	_, err := s.conn.Write([]byte{0, 0, lengthOfSetting, frameSettings, 0, 0, 0, 0, 0, 0, settingMaxConcurrent, 0, 0, 0, streams})
	require.NoError(t, err)
	frames := conns.conns[0].frames
	require.Eventually(t, func() bool { return frames.limit() == int(streams) }, 5*time.Second, time.Millisecond)
}

func (s *boundServer) answer(t *testing.T, stream uint32) {
	_, err := s.conn.Write([]byte{0, 0, 1, frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, byte(stream), 0x89}) // 204
	require.NoError(t, err)
}

func listenBound(t *testing.T) (*boundServer, *Conns) {
	server := &boundServer{asked: make(chan uint32, 10)}
	conns := connServer(t, func(c net.Conn) {
		server.conn = c
		serveFrames(c, func(stream uint32) []byte { server.asked <- stream; return nil })
	})
	return server, conns
}

// exchangeAside exchanges in the background.
func exchangeAside(c protocol.Connection, bound time.Duration) <-chan exchanged {
	ends := make(chan exchanged, 1)
	go func() {
		resp, sent, err := c.Exchange(post("an order"), time.Now().Add(bound))
		ends <- exchanged{resp, sent, err}
	}()
	return ends
}

type exchanged struct {
	resp *messages.Response
	sent messages.Sent
	err  error
}

// oneStreamOpen has an exchange run, whose stream is open, on a connection whose server allows
// no other, though there is a place for one.
func oneStreamOpen(t *testing.T) (server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection) {
	server, conns = listenBound(t)
	one, other := dial(t, conns), dial(t, conns)
	server.allow(t, conns, 1)
	first = exchangeAside(one, 10*time.Second)
	return server, conns, first, <-server.asked, other
}

func TestWhoWaitsForAStreamGoesOnWhenThePeerAllowsMore(t *testing.T) {
	server, conns, first, open, other := oneStreamOpen(t)
	second := exchangeAside(other, 10*time.Second)
	bound := &conns.conns[0].frames.bound
	require.Eventually(t, func() bool { return bound.waiting.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.Empty(t, server.asked, "one stream is all that the peer allows")

	server.allow(t, conns, 10)
	server.answer(t, <-server.asked)
	end := <-second
	require.NoError(t, end.err, "the first is still open")
	require.Equal(t, 204, end.resp.StatusCode)
	server.answer(t, open)
	require.NoError(t, (<-first).err)
}

func TestWhoWaitsForAStreamGoesOnWhenAnotherEnds(t *testing.T) {
	server, conns, first, open, other := oneStreamOpen(t)
	second := exchangeAside(other, 10*time.Second)
	bound := &conns.conns[0].frames.bound
	require.Eventually(t, func() bool { return bound.waiting.Load() == 1 }, 5*time.Second, time.Millisecond)

	server.allow(t, conns, 0)
	server.answer(t, open)
	require.NoError(t, (<-first).err)
	server.allow(t, conns, 1)
	server.answer(t, <-server.asked)
	require.NoError(t, (<-second).err)
	require.Zero(t, bound.running.Load())
}

func TestWhoWaitedInVainForAStreamWasNotSent(t *testing.T) {
	server, conns, first, open, other := oneStreamOpen(t)
	end := <-exchangeAside(other, 50*time.Millisecond)
	require.ErrorIs(t, end.err, errAllStreams)
	require.Equal(t, messages.SentNo, end.sent)
	server.answer(t, open)
	require.NoError(t, (<-first).err)
	require.Zero(t, conns.conns[0].frames.bound.running.Load())
}

func TestNoMoreExchangesRunThanThePeerAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b streamBound
		running := 0
		allowed := 0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				allowed = rapid.IntRange(0, 4).Draw(t, "allowed")
				b.set(allowed)
			case 1:
				taken := b.take()
				require.Equal(t, running < allowed, taken)
				if taken {
					running++
				}
			case 2:
				if running > 0 {
					running--
					b.giveBack()
				}
			}
			require.EqualValues(t, running, b.running.Load())
		}
	})
}
