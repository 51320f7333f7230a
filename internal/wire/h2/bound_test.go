package h2

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
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
	c := conns.conns[0]
	require.Eventually(t, func() bool {
		return c.frames.limit() == int(streams) && c.client.Available() == max(0, int(streams)-c.client.InFlight())
	}, 5*time.Second, time.Millisecond)
}

// acknowledge acknowledges every PING that came.
func (s *boundServer) acknowledge(t *testing.T) {
	_, err := s.conn.Write(frame(framePing, flagAck, 0, 0, 0))
	require.NoError(t, err)
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
	return callAside(c, post("an order"), bound)
}

func callAside(c protocol.Connection, call *messages.Call, bound time.Duration) <-chan exchanged {
	ends := make(chan exchanged, 1)
	go func() {
		resp, sent, err := c.Exchange(call, time.Now().Add(bound))
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
	requireNothingInFlight(t, conns)
}

func TestWhoWaitsForAStreamFindsOneThatNobodyToldItOf(t *testing.T) {
	server, conns, first, open, other := oneStreamOpen(t)
	bound := &conns.conns[0].frames.bound
	bound.told.Do(func() {}) // net/http says nothing
	second := exchangeAside(other, 2*time.Second)
	require.Eventually(t, func() bool { return bound.waiting.Load() == 1 }, 5*time.Second, time.Millisecond)
	server.answer(t, open)
	require.NoError(t, (<-first).err)
	select {
	case stream := <-server.asked:
		server.answer(t, stream)
		require.NoError(t, (<-second).err)
	case end := <-second:
		require.NoError(t, end.err)
	}
	requireNothingInFlight(t, conns)
}

// requireNothingInFlight waits for net/http, which lets go of a stream a moment later.
func requireNothingInFlight(t *testing.T, conns *Conns) {
	t.Helper()
	client := conns.conns[0].client
	require.Eventually(t, func() bool { return client.InFlight() == 0 }, 5*time.Second, time.Millisecond)
}

func TestWhoWaitedInVainForAStreamWasNotSent(t *testing.T) {
	server, conns, first, open, other := oneStreamOpen(t)
	end := <-exchangeAside(other, 50*time.Millisecond)
	require.ErrorIs(t, end.err, errAllStreams)
	require.Equal(t, messages.SentNo, end.sent)
	server.answer(t, open)
	require.NoError(t, (<-first).err)
	requireNothingInFlight(t, conns)
}

// answerStuckUpload has a place upload a body whose reader waits, and cannot be closed. The answer
// comes all the same.
func answerStuckUpload(t *testing.T, server *boundServer, c protocol.Connection) (release func()) {
	t.Helper()
	called, released := make(chan struct{}, 1), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	reader := wiretest.ReaderFunc(func([]byte) (int, error) { called <- struct{}{}; <-released; return 0, io.EOF })
	early := callAside(c, uploading(reader, -1), 10*time.Second)
	stream := <-server.asked
	<-called
	server.answer(t, stream)
	require.NoError(t, (<-early).err, "nobody waits for the reader")
	return release
}

func TestAPlaceWhoseUploadKeepsTheOnlyStreamIsTakenByNobody(t *testing.T) {
	server, conns := listenBound(t)
	one := dial(t, conns)
	server.allow(t, conns, 1)
	answerStuckUpload(t, server, one)
	require.False(t, one.Reusable())
	require.NoError(t, one.Close())

	other := dial(t, conns)
	require.False(t, other.(*Stream).Shared(), "the connection lingers, and has no stream left")
	end := exchangeAside(other, 10*time.Second)
	server.answer(t, <-server.asked)
	require.NoError(t, (<-end).err)
}

func TestAStreamCountsUntilTheReaderOfItsRequestHasReturned(t *testing.T) {
	server, conns := listenBound(t)
	one, two, three := dial(t, conns), dial(t, conns), dial(t, conns)
	server.allow(t, conns, 1)
	release := answerStuckUpload(t, server, one)
	waitForTheStream(t, server, conns, two, three, release)
}

// net/http does not give ever more requests to a connection that may be dead.
func TestAStreamGivenUpCountsUntilThePeerIsKnownToBeThere(t *testing.T) {
	server, conns := listenBound(t)
	one, two, three := dial(t, conns), dial(t, conns), dial(t, conns)
	server.allow(t, conns, 1)
	late := exchangeAside(one, 50*time.Millisecond)
	<-server.asked
	require.Equal(t, messages.SentMaybe, (<-late).sent)
	waitForTheStream(t, server, conns, two, three, func() { server.acknowledge(t) })
}

// waitForTheStream waits for the one stream that the peer allows, which an exchange that is over
// still has: in vain at first, and then until release.
func waitForTheStream(t *testing.T, server *boundServer, conns *Conns, vain, patient protocol.Connection, release func()) {
	t.Helper()
	end := <-exchangeAside(vain, 50*time.Millisecond)
	require.ErrorIs(t, end.err, errAllStreams)
	require.Equal(t, messages.SentNo, end.sent)
	require.Nil(t, conns.join())

	next := exchangeAside(patient, 5*time.Second)
	bound := &conns.conns[0].frames.bound
	require.Eventually(t, func() bool { return bound.waiting.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.Empty(t, server.asked)
	release()
	select {
	case stream := <-server.asked:
		server.answer(t, stream)
		require.NoError(t, (<-next).err)
	case end := <-next:
		require.NoError(t, end.err, "it goes on")
	}
}

// The server refuses a stream too many. It answers before it has read a body, and so an exchange
// is over before its stream is.
func TestNoMoreStreamsAreBegunThanThePeerAllows(t *testing.T) {
	_, conns, _ := listenH2(t, 3, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	large := post(strings.Repeat("x", 100<<10))
	var crowd sync.WaitGroup
	for range 12 {
		crowd.Go(func() {
			for range 10 {
				c, err := conns.Dial(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				for range 10 {
					if _, _, err := c.Exchange(large, time.Now().Add(30*time.Second)); !assert.NoError(t, err) || !c.Reusable() {
						break
					}
				}
				assert.NoError(t, c.Close())
			}
		})
	}
	crowd.Wait()
}

func TestAReaderIsNotCalledOnceItsExchangeIsOver(t *testing.T) {
	u := newUpload(uploading(wiretest.ReaderFunc(func([]byte) (int, error) { panic("it is") }), -1))
	require.False(t, u.end())
	_, err := u.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReaderLeft)
}
