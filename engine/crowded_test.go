package engine_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// crowded is an HTTP/2 server that lowers its bound of streams while requests have places.
type crowded struct {
	eng    *engine.Engine
	server chan *framer   // of each connection, told with its first request
	came   chan uint32    // the streams of the requests that are not answered at once
	holds  atomic.Bool    // whether requests are answered at once
	signed atomic.Int64   // when a request was last signed
	oldest atomic.Int64   // of a signature, when its request came
	last   atomic.Int64   // when a request came
	conns  atomic.Int32   // that had a request
	left   sync.WaitGroup // who sends
}

// withCrowded has the engine keep so many places on one connection, and it may have one more.
func withCrowded(t *testing.T, places int, test func(t *testing.T, c *crowded)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowded{server: make(chan *framer, 100), came: make(chan uint32, 100)}
		c.holds.Store(true)
		config := engine.Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}}, DefaultLimitID: "calls",
			Auth: auth.Func(func(call *messages.Call, _ auth.Clock) error {
				c.signed.Store(time.Now().UnixNano())
				return nil
			}),
			Connections: engine.Connections{Max: places + 1},
		}
		framedServer(t, &config, func(f *framer, n, m int, id uint32) {
			if m == 0 {
				c.conns.Add(1)
				c.server <- f
			}
			now := time.Now().UnixNano()
			c.last.Store(now)
			c.oldest.Store(max(c.oldest.Load(), now-c.signed.Load()))
			if c.holds.Load() {
				c.came <- id
			} else {
				f.answer(id)
			}
		})
		c.eng = newEngine(t, config)
		c.send(t, places)
		f := <-c.server
		for range places {
			f.answer(<-c.came)
		}
		c.left.Wait()
		c.server <- f
		test(t, c)
		c.left.Wait()
		require.LessOrEqual(t, time.Duration(c.oldest.Load()), time.Second, "each was signed lately when it left")
		wantNothingHeld(t, c.eng)
	})
}

// send sends so many requests, which all succeed in the end.
func (c *crowded) send(t *testing.T, n int) {
	for range n {
		c.left.Go(func() {
			if _, err := c.eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
}

func (f *framer) allow(streams uint32) {
	f.writes <- func() { _ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: streams}) }
	synctest.Wait()
}

// A pause holds back who waits for a stream, though it was looked for, and the request signed,
// before the wait.
func TestWhoWaitsForAStreamHeedsAPauseAndIsSignedAnew(t *testing.T) {
	withCrowded(t, 3, func(t *testing.T, c *crowded) {
		f := <-c.server
		c.send(t, 1)
		refused := <-c.came
		f.allow(0)
		c.send(t, 2)
		time.Sleep(4 * time.Second)
		require.Empty(t, c.came, "no stream is allowed")
		f.head(refused, "429", "0", hpack.HeaderField{Name: "retry-after", Value: "10"})
		f.data(refused, "")
		time.Sleep(time.Second)
		paused := time.Now()
		c.holds.Store(false)
		f.allow(2)
		c.left.Wait()
		require.GreaterOrEqual(t, time.Unix(0, c.last.Load()).Sub(paused), 9*time.Second)
	})
}

func TestWhoFindsNoStreamGoesToAnotherConnectionThatHasRoom(t *testing.T) {
	for _, bound := range []uint32{1, 0} {
		withCrowded(t, 3, func(t *testing.T, c *crowded) {
			f := <-c.server
			c.send(t, 1)
			held := <-c.came
			f.allow(bound)
			c.holds.Store(false)
			c.send(t, 2)
			time.Sleep(30 * time.Second)
			require.EqualValues(t, 1, c.conns.Load(), "nobody has asked for a place")
			began := time.Now()
			c.send(t, 1)
			time.Sleep(time.Second)
			require.EqualValues(t, 2, c.conns.Load())
			require.Less(t, time.Unix(0, c.last.Load()).Sub(began), 100*time.Millisecond)
			f.answer(held)
		})
	}
}

// A place that was given up would have to be found anew, and a connection for it need not come about.
func TestWhoFindsNoStreamForAMomentKeepsItsPlace(t *testing.T) {
	withCrowded(t, 3, func(t *testing.T, c *crowded) {
		f := <-c.server
		c.send(t, 1)
		held := <-c.came
		f.allow(1)
		c.holds.Store(false)
		c.send(t, 2)
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		f.allow(100)
		require.Zero(t, time.Unix(0, c.last.Load()).Sub(began), "and they have left")
		require.EqualValues(t, 1, c.conns.Load())
		f.answer(held)
	})
}
