package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// connects is a limit of n new connections a minute.
func connects(n int64) throttle.Limit {
	return throttle.Limit{ID: "connects", Quota: n, Per: time.Minute, Scope: "connects", MaxDelay: time.Second}
}

// dialled is a server, and notes when it was dialled.
type dialled struct {
	*server
	fails func(n int) error // what the n-th dial, counted from 0, fails with; nil means none does

	mu  sync.Mutex
	ats []time.Duration
}

func newDialled(t *testing.T, takes time.Duration) *dialled {
	return &dialled{server: newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(takes) })}
}

func (d *dialled) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	n := len(d.ats)
	d.ats = append(d.ats, roughly(time.Since(d.start)))
	d.mu.Unlock()
	if d.fails != nil {
		if err := d.fails(n); err != nil {
			return nil, err
		}
	}
	return d.server.dial(ctx, network, addr)
}

func (d *dialled) at() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]time.Duration(nil), d.ats...)
}

func (d *dialled) newEngine(t *testing.T, config engine.Config) *engine.Engine {
	config.BaseURL, config.Connections.LimitID, config.DefaultLimitID = "http://server.test", "connects", engine.Unlimited
	config.Dial.DialContext = d.dial
	if config.Limits == nil {
		config.Limits = []throttle.Limit{connects(2)}
	}
	return newEngine(t, config)
}

// used is what counts of the limit.
func used(eng *engine.Engine, id string) (used int64) {
	for _, l := range eng.Stats().Limits.Limits {
		if l.ID == id {
			used += l.Used
		}
	}
	return used
}

func do(t *testing.T, eng *engine.Engine, n int) *sync.WaitGroup {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		})
	}
	return &all
}

func TestNewConnectionsKeepTheLimitThatTheyAreChargedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, time.Hour)
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{Timeout: time.Second}})
		do(t, eng, 6).Wait()
		require.Equal(t, []time.Duration{0, 0, time.Minute, time.Minute, 2 * time.Minute, 2 * time.Minute}, roundedTo(time.Second, s.at()))
		require.Zero(t, eng.Stats().Permits, "a connection's permit is the engine's own")
		wantNothingHeld(t, eng)
	})
}

func roundedTo(step time.Duration, all []time.Duration) []time.Duration {
	for i := range all {
		all[i] = all[i].Round(step)
	}
	return all
}

// Those that came first are answered before there is room for more connections, and serve
// whoever else waits.
func TestAConnectionThatNobodyWantsAnyMoreIsNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 2*time.Second)
		eng := s.newEngine(t, engine.Config{})
		do(t, eng, 10).Wait()
		require.Equal(t, 10*time.Second, roughly(time.Since(s.start)), "two connections, and five requests on each")
		time.Sleep(3 * time.Minute)
		require.Len(t, s.at(), 2)
		require.Zero(t, used(eng, "connects"), "what was not opened was given back")
		require.Zero(t, eng.Stats().Queued)
		for _, pool := range eng.Stats().Pools {
			require.Zero(t, pool.Dialling)
			require.Zero(t, pool.DialsFailed)
		}
	})
}

func TestAWebSocketAndThePoolsShareTheLimitOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 0)
		eng := s.newEngine(t, engine.Config{})
		for range 2 {
			permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects", Origin: "ws://server.test/stream"})
			require.NoError(t, err)
			permit.Done(engine.Done)
		}
		do(t, eng, 1).Wait()
		require.Equal(t, []time.Duration{time.Minute}, roundedTo(time.Second, s.at()))
	})
}

func TestAConnectionIsAsUrgentAsTheRequestItIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, time.Hour)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{connects(1)}, Connections: engine.Connections{MinIdle: 1}})
		do(t, eng, 1)
		synctest.Wait() // it has a connection, and another is to be kept idle
		urgent := make(chan time.Duration, 1)
		go func() {
			permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects"})
			require.NoError(t, err)
			permit.Done(engine.Done)
		}()
		synctest.Wait()
		go func() {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Priority: engine.Urgent, Timeout: 3 * time.Hour})
			require.NoError(t, err)
			urgent <- time.Since(s.start)
		}()
		require.Equal(t, time.Hour+time.Minute, (<-urgent).Round(time.Second), "before Acquire, and before what is kept idle for nobody")
	})
}

func TestWarmAndMinIdleAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 0)
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{MinIdle: 2, IdleTimeout: time.Hour}})
		require.NoError(t, eng.Warm(t.Context(), "", 3))
		require.Equal(t, []time.Duration{0, 0, time.Minute}, roundedTo(time.Second, s.at()))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		require.ErrorIs(t, eng.Warm(ctx, "", 5), context.DeadlineExceeded)
	})
}

func TestARequestGivesItsOwnPermitBackWhileItsConnectionWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 0)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{connects(1), {ID: "calls", Quota: 1, Window: throttle.Concurrency}}})
		permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects"})
		require.NoError(t, err)
		permit.Done(engine.Done)
		answered := make(chan error, 1)
		go func() {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
			answered <- err
		}()
		time.Sleep(time.Second)
		require.Equal(t, 1, eng.Stats().Pools[0].Waiting)
		require.Zero(t, used(eng, "calls"))
		other, err := eng.TryAcquire(engine.Charge{LimitID: "calls"})
		require.NoError(t, err)
		other.Done(engine.Done)
		require.NoError(t, <-answered)
		require.Equal(t, time.Minute, time.Since(s.start).Round(time.Second))
		wantNothingHeld(t, eng)
	})
}

func TestWhoeverWaitsForAConnectionThatWaitsForItsTurnCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 0)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{connects(1)}, Connections: engine.Connections{Max: 1}})
		permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects"})
		require.NoError(t, err)
		permit.Done(engine.Done)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 10 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `a new one waits for limit "connects"`)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		require.Equal(t, "0 leased, 0 idle, 1 dialling (1 at their limit)", eng.Stats().Pools[0].String())
		why, err := eng.Explain(&engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Contains(t, why.String(), "no connection is free, and a new one waits for its own limit")
		wantNothingHeldBut(t, eng, 1)
		do(t, eng, 1).Wait() // and the next has what the first has begun
		require.Equal(t, []time.Duration{time.Minute}, roundedTo(time.Second, s.at()))
		require.Zero(t, eng.Stats().Pools[0].AtLimit)
		wantNothingHeld(t, eng)
	})
}

// wantNothingHeldBut asserts that nobody waits but so many connections for their turn.
func wantNothingHeldBut(t *testing.T, eng *engine.Engine, dials int) {
	t.Helper()
	stats := eng.Stats()
	require.Zero(t, stats.InFlight)
	require.Equal(t, dials, stats.Queued)
	require.Equal(t, dials, stats.Pools[0].Dialling)
}

func TestAnEngineEndsThoughConnectionsWaitForTheirTurn(t *testing.T) {
	for _, graceful := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newDialled(t, 0)
			eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{connects(1)}})
			permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects"})
			require.NoError(t, err)
			permit.Done(engine.Done)
			answers := make(chan error, 5)
			for range 5 {
				go func() {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
					answers <- err
				}()
			}
			synctest.Wait()
			if graceful { // requests under way have their connections
				require.NoError(t, eng.Shutdown(t.Context()))
				require.GreaterOrEqual(t, time.Since(s.start), time.Minute)
			} else {
				require.NoError(t, eng.Close())
				require.Zero(t, time.Since(s.start))
			}
			for range 5 {
				if err := <-answers; graceful {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, engine.ErrClosed)
				}
			}
		})
	}
}

func TestADialThatFailsHereCostsNothingAndOneThatFailsThereDoes(t *testing.T) {
	for _, one := range []struct {
		err  error
		used int64
	}{
		{&net.DNSError{Err: "no such host", Name: "server.test", IsTemporary: true}, 0},
		{errors.New("connection reset"), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newDialled(t, 0)
			s.fails = func(int) error { return one.err }
			eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{connects(10)}, Retry: engine.Retry{Max: -1}})
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, one.err)
			require.Equal(t, one.used, used(eng, "connects"))
		})
	}
}

// What leaves the wait without a permit is a dial that failed, and says why.
func TestAConnectionThatIsRefusedItsTurnSaysWhichLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDialled(t, 0)
		eng := s.newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "connects", Quota: 1, Window: throttle.Lifetime}},
			Throttle: throttle.Options{}, Retry: engine.Retry{Max: -1}, Connections: engine.Connections{IdleTimeout: time.Second},
		})
		do(t, eng, 1).Wait()
		time.Sleep(time.Minute)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrSpent)
		require.ErrorContains(t, err, `a new connection is charged to "connects"`)
		failure, ok := errors.AsType[*engine.Error](err)
		require.True(t, ok)
		require.Equal(t, engine.Leasing, failure.Stage)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		require.Len(t, s.at(), 1)
	})
}

func TestHTTP2IsChargedByConnectionAndNotByStream(t *testing.T) {
	eng, accepted := listenH2With(t, engine.Config{
		DefaultLimitID: engine.Unlimited,
		Connections:    engine.Connections{Max: 20, LimitID: "connects", HTTP2: func(string) bool { return true }},
		Limits:         []throttle.Limit{connects(100)},
	})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
			require.Equal(t, "HTTP/2.0", resp.Text())
		})
	}
	all.Wait()
	require.Equal(t, accepted.Load(), used(eng, "connects"))
	require.Less(t, accepted.Load(), int64(20))
}

// The first of them waits for its turn for longer than a dial may take, and the others for
// what it opens.
func TestRequestsOutliveTheWaitForTheOneHTTP2ConnectionTheyShare(t *testing.T) {
	eng, accepted := listenH2With(t, engine.Config{
		DefaultLimitID: engine.Unlimited, Dial: engine.Dial{Timeout: 50 * time.Millisecond, Backoff: time.Millisecond},
		Connections: engine.Connections{Max: 20, LimitID: "connects", HTTP2: func(string) bool { return true }},
		Limits:      []throttle.Limit{{ID: "connects", Quota: 1, Per: 300 * time.Millisecond, Scope: "connects"}},
	})
	permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "connects"})
	require.NoError(t, err)
	permit.Done(engine.Done)
	do(t, eng, 10).Wait()
	require.EqualValues(t, 1, accepted.Load())
	wantNothingHeld(t, eng)
}

// listenH2With is a server of HTTP/2 that counts its connections, and an engine for it.
func listenH2With(t *testing.T, config engine.Config) (*engine.Engine, *atomic.Int64) {
	accepted := new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	config.BaseURL, config.Dial.TLS = s.URL, s.Client().Transport.(*http.Transport).TLSClientConfig
	return newEngine(t, config), accepted
}

func TestAConnectionsLimitMustBeOneThatAConnectionCanBeChargedTo(t *testing.T) {
	for id, want := range map[string]string{
		"other":          `Connections.LimitID "other" is not among Limits`,
		engine.Unlimited: "Connections.LimitID is Unlimited: leave it empty to charge connections to no limit",
		"keyed":          `Connections.LimitID "keyed" has a count for each key or account, and a connection has neither`,
	} {
		_, err := engine.New(engine.Config{
			Connections: engine.Connections{LimitID: id},
			Limits:      []throttle.Limit{{ID: "keyed", Quota: 1, Per: time.Second, Keyed: true}},
		})
		require.EqualError(t, err, "sluice: configuration: "+want)
	}
}
