package h2

import (
	"context"
	"crypto/tls"
	"errors"
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
	conn  net.Conn    // the last
	asked chan uint32 // the streams of the requests that came
}

// allow returns when everybody has heard of it.
func (s *boundServer) allow(t *testing.T, streams byte) {
	t.Helper()
	_, err := s.conn.Write(settingsFrame(streams))
	require.NoError(t, err)
	synctest.Wait()
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

// withBound runs a test in fake time.
func withBound(t *testing.T, test func(t *testing.T, server *boundServer, conns *Conns)) {
	server := new(boundServer)
	pipedPeer(t, func(c net.Conn) {
		server.conn = c
		serveFrames(c, func(stream uint32) []byte { server.asked <- stream; return nil })
	}, func(t *testing.T, conns *Conns) {
		server.asked = make(chan uint32, 10) // which is the bubble's
		test(t, server, conns)
	})
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

// withOneStream has an exchange run, whose stream is open, on a connection whose server allows
// no other, though there is a place for one.
func withOneStream(t *testing.T, test func(t *testing.T, server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection)) {
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		one, other := dial(t, conns), dial(t, conns)
		server.allow(t, 1)
		first := exchangeAside(one, 10*time.Second)
		test(t, server, conns, first, <-server.asked, other)
	})
}

func TestWhoWaitsForAStreamGoesOnWhenThePeerAllowsMore(t *testing.T) {
	withOneStream(t, func(t *testing.T, server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection) {
		second := exchangeAside(other, 10*time.Second)
		time.Sleep(soon - 1)
		require.Empty(t, server.asked, "one stream is all that the peer allows")

		server.allow(t, 10)
		server.answer(t, <-server.asked)
		end := <-second
		require.NoError(t, end.err, "the first is still open")
		require.Equal(t, 204, end.resp.StatusCode)
		server.answer(t, open)
		require.NoError(t, (<-first).err)
	})
}

func TestWhoWaitsForAStreamGoesOnWhenAnotherEnds(t *testing.T) {
	withOneStream(t, func(t *testing.T, server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection) {
		second := exchangeAside(other, 10*time.Second)
		synctest.Wait()
		server.allow(t, 0)
		server.answer(t, open)
		require.NoError(t, (<-first).err)
		server.allow(t, 1)
		server.answer(t, <-server.asked)
		require.NoError(t, (<-second).err)
		requireNothingInFlight(t, conns)
	})
}

func requireNothingInFlight(t *testing.T, conns *Conns) {
	t.Helper()
	synctest.Wait() // net/http lets go of a stream a moment later
	require.Zero(t, conns.conns[0].client.InFlight())
}

// One after another: all at once would find no room there either.
func TestWhoFindsNoStreamGivesItsPlaceUpForOneWhereThereIsRoom(t *testing.T) {
	for _, bound := range []byte{1, 0} {
		withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
			one := dial(t, conns)
			var others [5]protocol.Connection
			for i := range others {
				others[i] = dial(t, conns)
			}
			first := exchangeAside(one, 10*time.Second)
			open, its := <-server.asked, server.conn
			server.allow(t, bound)
			began := time.Now()
			var ends [len(others)]<-chan exchanged
			for i, other := range others {
				ends[i] = exchangeAside(other, 10*time.Second)
			}
			time.Sleep(100 * soon)
			require.Empty(t, server.asked, "they wait: a new connection might not come about")
			for _, end := range ends {
				require.Empty(t, end)
			}
			beside := dial(t, conns)
			require.False(t, beside.(*Stream).Shared())
			for i, end := range ends {
				end := <-end
				require.ErrorIs(t, end.err, wire.ErrCrowded)
				require.Equal(t, messages.SentNo, end.sent)
				require.False(t, others[i].Reusable())
			}
			require.InDelta(t, 100*soon+time.Duration(len(others))*soon, time.Since(began), float64(2*soon))
			server.conn = its
			server.answer(t, open)
			require.NoError(t, (<-first).err)
			requireNothingInFlight(t, conns)
		})
	}
}

func TestWhatWasSignedLongAgoIsNotSentWhenAStreamComesFree(t *testing.T) {
	withOneStream(t, func(t *testing.T, server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection) {
		second := exchangeAside(other, 10*time.Second)
		time.Sleep(outdated + time.Millisecond)
		require.Empty(t, second)
		server.allow(t, 2)
		end := <-second
		require.ErrorIs(t, end.err, wire.ErrRecalled)
		require.Equal(t, messages.SentNo, end.sent)
		require.True(t, other.Reusable())

		third := exchangeAside(other, 10*time.Second)
		server.answer(t, <-server.asked)
		require.NoError(t, (<-third).err)
		server.answer(t, open)
		require.NoError(t, (<-first).err)
		requireNothingInFlight(t, conns)
	})
}

func TestWhoWaitedInVainForAStreamWasNotSent(t *testing.T) {
	for bound, want := range map[byte]error{0: errNoStreams, 1: errAllStreams} {
		withOneStream(t, func(t *testing.T, server *boundServer, conns *Conns, first <-chan exchanged, open uint32, other protocol.Connection) {
			server.allow(t, bound)
			end := <-exchangeAside(other, 5*soon)
			require.ErrorIs(t, end.err, want)
			require.ErrorIs(t, end.err, wire.ErrDeadline)
			require.Equal(t, messages.SentNo, end.sent)
			server.answer(t, open)
			require.NoError(t, (<-first).err)
			requireNothingInFlight(t, conns)
		})
	}
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
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		one := dial(t, conns)
		server.allow(t, 1)
		answerStuckUpload(t, server, one)
		require.False(t, one.Reusable())
		require.NoError(t, one.Close())

		other := dial(t, conns)
		require.False(t, other.(*Stream).Shared(), "the connection lingers, and has no stream left")
		end := exchangeAside(other, 10*time.Second)
		server.answer(t, <-server.asked)
		require.NoError(t, (<-end).err)
	})
}

func TestAStreamCountsUntilTheReaderOfItsRequestHasReturned(t *testing.T) {
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		one, two, three := dial(t, conns), dial(t, conns), dial(t, conns)
		server.allow(t, 1)
		release := answerStuckUpload(t, server, one)
		waitForTheStream(t, server, conns, two, three, release)
	})
}

// net/http does not give ever more requests to a connection that may be dead.
func TestAStreamGivenUpCountsUntilThePeerIsKnownToBeThere(t *testing.T) {
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		one, two, three := dial(t, conns), dial(t, conns), dial(t, conns)
		server.allow(t, 1)
		late := exchangeAside(one, 50*time.Millisecond)
		<-server.asked
		require.Equal(t, messages.SentMaybe, (<-late).sent)
		waitForTheStream(t, server, conns, two, three, func() { server.acknowledge(t) })
	})
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
	time.Sleep(soon - 1)
	require.Empty(t, server.asked)
	release()
	server.answer(t, <-server.asked)
	require.NoError(t, (<-next).err)
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
					_, _, err := c.Exchange(large, time.Now().Add(30*time.Second))
					again := errors.Is(err, wire.ErrCrowded) || errors.Is(err, wire.ErrRecalled) // a stream may outlive its exchange
					if !c.Reusable() || !again && !assert.NoError(t, err) {
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

// goesOn makes an exchange as a pool does: where there is no room it is made elsewhere.
func goesOn(t *testing.T, conns *Conns, c protocol.Connection) <-chan exchanged {
	ends := make(chan exchanged, 1)
	go func() {
		for deadline := time.Now().Add(10 * time.Second); ; {
			resp, sent, err := c.Exchange(post("an order"), deadline)
			if errors.Is(err, wire.ErrRecalled) {
				continue
			}
			if errors.Is(err, wire.ErrCrowded) && sent == messages.SentNo {
				if err = c.Close(); err == nil {
					c, err = conns.Dial(t.Context())
				}
				if err == nil {
					continue
				}
			}
			ends <- exchanged{resp, sent, errors.Join(err, c.Close())}
			return
		}
	}()
	return ends
}

// net/http's locks are held meanwhile, of which fake time knows nothing.
func TestABoundThatFallsUnderLoadHoldsNobodyUp(t *testing.T) {
	for _, wait := range []time.Duration{0, 5 * soon} {
		served := make(chan net.Conn, 10)
		conns := connServer(t, func(c net.Conn) {
			served <- c
			serveFrames(c, func(stream uint32) []byte {
				return []byte{0, 0, 1, frameHeaders, flagEndHeaders | flagEndStream, 0, 0, 0, byte(stream), 0x89} // 204
			})
		})
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
			var err error
			places[i], err = conns.Dial(t.Context())
			require.NoError(t, err)
		}
		server, first := <-served, conns.conns[0]
		var ends [crowd]<-chan exchanged
		before := writes.Load()
		held.Lock()
		for i, c := range places {
			ends[i] = goesOn(t, conns, c)
		}
		require.Eventually(t, func() bool { return writes.Load() > before }, 5*time.Second, time.Millisecond)
		_, err := server.Write(settingsFrame(1))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return first.frames.limit() == 1 }, 5*time.Second, time.Millisecond)
		time.Sleep(wait) // in which some go elsewhere
		held.Unlock()
		for _, end := range ends {
			require.NoError(t, (<-end).err)
		}
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
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
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
	})
}

// asked is a sender who counts how often it is asked.
type askedSender struct {
	may   bool
	times int
}

func (s *askedSender) MayLeave() bool { s.times++; return s.may }

// A request that leaves late was looked at, and signed, before that.
func TestBehindAWaitForTheTurnItIsAskedWhetherTheRequestMayStillLeave(t *testing.T) {
	for name, c := range map[string]struct {
		wait  time.Duration
		may   bool
		want  error
		asked int
	}{
		"hardly a wait":                   {soon, false, nil, 0},
		"it may":                          {soon + 1, true, nil, 1},
		"it may not":                      {soon + 1, false, wire.ErrRecalled, 1},
		"as long as a signature is good":  {outdated, true, nil, 1},
		"longer than a signature is good": {outdated + 1, true, wire.ErrRecalled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
				place := dial(t, conns).(*Stream)
				sender := &askedSender{may: c.may}
				place.AskBefore(sender)
				one := conns.conns[0]
				one.turn.Take()
				ends := exchangeAside(place, 10*time.Second)
				time.Sleep(c.wait)
				one.turn.Pass()
				if c.want == nil {
					server.answer(t, <-server.asked)
				}
				end := <-ends
				require.ErrorIs(t, end.err, c.want)
				require.Equal(t, c.asked, sender.times)
				require.True(t, place.Reusable())
				requireNothingInFlight(t, conns)
				require.True(t, one.turn.Try(), "the next has it")
				if c.want == nil {
					require.False(t, end.resp.SentAt.Before(time.Now()), "when it left")
					require.Equal(t, c.wait, end.resp.Timing.Leased)
				} else {
					require.Equal(t, messages.SentNo, end.sent)
					require.Empty(t, server.asked)
				}
				one.turn.Pass()
				next := exchangeAside(place, 10*time.Second) // and nobody is asked who made the exchange before
				server.answer(t, <-server.asked)
				require.NoError(t, (<-next).err)
				require.Equal(t, c.asked, sender.times)
			})
		})
	}
}
