package h2

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
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
	t.Helper()
	s.announce(t, conns, streams)
	client := conns.conns[0].client
	require.Eventually(t, func() bool { return client.Available() == max(0, int(streams)-client.InFlight()) }, 5*time.Second, time.Millisecond)
}

// announce is allow without a wait for net/http, which does not heed it while a header is written.
func (s *boundServer) announce(t *testing.T, conns *Conns, streams byte) {
	t.Helper()
	_, err := s.conn.Write(settingsFrame(streams))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return conns.conns[0].frames.limit() == int(streams) }, 5*time.Second, time.Millisecond)
}

// settingsFrame says how many streams are allowed.
func settingsFrame(streams byte) []byte {
	return []byte{0, 0, lengthOfSetting, frameSettings, 0, 0, 0, 0, 0, 0, settingMaxConcurrent, 0, 0, 0, streams}
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

// heldWrites is a connection of the client's whose writes wait while they are held.
type heldWrites struct {
	net.Conn
	turn *sync.RWMutex // held while they wait
	came *atomic.Int32
}

func (c heldWrites) Write(p []byte) (int, error) {
	c.came.Add(1)
	c.turn.RLock()
	defer c.turn.RUnlock()
	return c.Conn.Write(p)
}

func TestABoundThatFallsUnderLoadHoldsNobodyUp(t *testing.T) {
	server, conns := listenBound(t)
	var held sync.RWMutex
	var writes atomic.Int32
	conns.open = func(ctx context.Context, _ func()) (*wire.Socket, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", conns.addr)
		if err != nil {
			return nil, err
		}
		return sealed(ctx, heldWrites{c, &held, &writes}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	const crowd = 8
	var places [crowd]protocol.Connection
	for i := range places {
		places[i] = dial(t, conns)
	}
	server.allow(t, conns, crowd)
	var ends [crowd]<-chan exchanged
	before := writes.Load()
	held.Lock()
	for i, c := range places {
		ends[i] = exchangeAside(c, 10*time.Second)
	}
	require.Eventually(t, func() bool { return writes.Load() > before }, 5*time.Second, time.Millisecond)
	server.announce(t, conns, 1)
	held.Unlock()
	for range crowd {
		select {
		case stream := <-server.asked:
			server.answer(t, stream)
		case <-time.After(5 * time.Second):
			require.Fail(t, "nobody goes on")
		}
	}
	for _, end := range ends {
		require.NoError(t, (<-end).err)
	}
}

// net/http has whoever comes when the peer has lowered its bound wait, and wakes nobody itself when
// that is raised.
func TestWhoWaitsInNetHTTPGoesOnWhenThePeerAllowsMore(t *testing.T) {
	var server net.Conn
	asked := make(chan uint32, 10)
	pipedPeer(t, func(c net.Conn) {
		server = c
		serveFrames(c, func(stream uint32) []byte { asked <- stream; return nil })
	}, func(t *testing.T, conns *Conns) {
		allow := func(streams byte) {
			_, err := server.Write(settingsFrame(streams))
			require.NoError(t, err)
			synctest.Wait()
		}
		c := dial(t, conns)
		allow(0)
		client := conns.conns[0].client
		ended := make(chan error, 1)
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
			if err == nil {
				_, err = client.RoundTrip(req)
			}
			ended <- err
		}()
		synctest.Wait()
		require.Empty(t, asked)
		allow(1)
		require.Len(t, asked, 1)
		require.NoError(t, c.Close())
		require.Error(t, <-ended)
	})
}

func TestWhoWaitedInVainForItsTurnWasNotSent(t *testing.T) {
	server, conns := listenBound(t)
	one, two := dial(t, conns), dial(t, conns)
	c := conns.conns[0]
	c.turn.Take()
	end := <-exchangeAside(one, 20*time.Millisecond)
	require.ErrorIs(t, end.err, wire.ErrDeadline)
	require.ErrorIs(t, end.err, errTurn)
	require.Equal(t, messages.SentNo, end.sent)

	aborted := exchangeAside(two, 10*time.Second)
	two.Abort()
	end = <-aborted
	require.ErrorIs(t, end.err, wire.ErrAborted)
	require.Equal(t, messages.SentNo, end.sent)

	c.turn.Pass()
	three := exchangeAside(dial(t, conns), 10*time.Second)
	server.answer(t, <-server.asked)
	require.NoError(t, (<-three).err)
}
