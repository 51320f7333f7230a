package actors

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// origin answers every exchange after a while, and counts arrivals.
type origin struct {
	start  time.Time
	answer time.Duration // from arrival to answer

	mu       sync.Mutex
	arrivals []time.Duration
	open     int // connections
	most     int // connections at once
}

func (o *origin) dial(context.Context, messages.Origin) (protocol.Connection, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	o.most = max(o.most, o.open)
	return &link{origin: o, aborted: make(chan struct{}), reusable: true}, nil
}

// link is one connection to an origin.
type link struct {
	origin   *origin
	aborted  chan struct{}
	once     sync.Once
	reusable bool
}

func (l *link) Exchange(_ *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	o := l.origin
	o.mu.Lock()
	o.arrivals = append(o.arrivals, time.Since(o.start))
	o.mu.Unlock()
	late := make(<-chan time.Time)
	if !deadline.IsZero() {
		late = time.After(time.Until(deadline))
	}
	select {
	case <-time.After(o.answer):
		return &messages.Response{StatusCode: 200, AnsweredAt: time.Now()}, messages.SentYes, nil
	case <-l.aborted:
		l.reusable = false
		return nil, messages.SentMaybe, context.Canceled
	case <-late:
		l.reusable = false
		return nil, messages.SentMaybe, context.DeadlineExceeded
	}
}

func (l *link) Reusable() bool { return l.reusable }
func (l *link) Abort()         { l.once.Do(func() { close(l.aborted) }) }
func (l *link) Close() error {
	l.origin.mu.Lock()
	defer l.origin.mu.Unlock()
	l.origin.open--
	return nil
}

// start runs a system until the end of the test.
func start(t *testing.T, o *origin, config Config) *System {
	t.Helper()
	o.start = time.Now()
	base, err := request.ParseBase("http://server.test")
	require.NoError(t, err)
	config.Request.Base = base
	if config.Dial == nil {
		config.Dial = o.dial
	}
	if config.Pool == (pool.Config{}) {
		config.Pool = pool.Config{MaxConns: 64, MaxWaiters: 1000, IdleTimeout: time.Minute}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Start(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Close()
		require.NoError(t, s.Wait(context.Background()))
		time.Sleep(time.Second) // the actor library's own timers
		require.Zero(t, o.open, "open connections")
	})
	return s
}

// Do carries one request, which is charged to nothing if it names no limit.
func (s *System) Do(ctx context.Context, asked *messages.Request, deadline time.Time) (*messages.Response, error) {
	response, _, err := s.Carry(ctx, asked, &request.Terms{Deadline: deadline, LimitID: messages.Unlimited})
	return response, err
}

// send carries n requests at once, and returns how each ended.
func send(s *System, n int, asked messages.Request) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, errs[i] = s.Do(context.Background(), &asked, time.Time{}) })
	}
	all.Wait()
	return errs
}

// failThrottler makes the throttler panic.
func failThrottler(s *System) {
	s.throttler.Tell(protocol.ReplaceLimits{Limits: s.config.Limits, Owner: breaking{}})
}

func TestAThrottlerThatFailsLosesNobodyAndLetsNobodyThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: 100 * time.Millisecond}
		s := start(t, o, Config{Limits: []throttle.Limit{{ID: "calls", Quota: 3, Per: 10 * time.Second}}})

		done := make(chan []error)
		go func() { done <- send(s, 10, messages.Request{Path: "/", LimitID: "calls"}) }()
		for _, at := range []time.Duration{50 * time.Millisecond, 3 * time.Second, 3 * time.Second, 12 * time.Second} {
			time.Sleep(at)
			failThrottler(s) // in flight; queued; again at once; later
		}

		for _, err := range <-done {
			require.NoError(t, err)
		}
		require.Len(t, o.arrivals, 10)
		for i := 3; i < len(o.arrivals); i++ {
			require.GreaterOrEqual(t, o.arrivals[i]-o.arrivals[i-3], 10*time.Second, "arrivals %v", o.arrivals)
		}
		require.Zero(t, s.Limits().Scopes[0].InFlight)
	})
}

func TestAnEmptyThrottlerAssumesFullWindowsAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		s := start(t, o, Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: 10 * time.Second}}})
		failThrottler(s)

		require.NoError(t, send(s, 1, messages.Request{Path: "/", LimitID: "calls"})[0])

		require.GreaterOrEqual(t, o.arrivals[0], 10*time.Second)
	})
}

func TestAPoolThatFailsLosesNoWaiterAndNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		s := start(t, o, Config{Pool: pool.Config{MaxConns: 2, MaxWaiters: 100, IdleTimeout: time.Minute}})

		done := make(chan []error)
		go func() { done <- send(s, 9, messages.Request{Path: "/"}) }()
		time.Sleep(1500 * time.Millisecond)
		door := s.enterPool(s.config.Request.Base.Origin, "")
		door.Tell(protocol.DescribePool{Owner: breaking{}})
		door.Leave()

		for _, err := range <-done {
			require.NoError(t, err)
		}
		require.Equal(t, 2, o.most, "connections at once")
		require.Len(t, o.arrivals, 9)
	})
}

func TestIdleConnectionsAreRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		s := start(t, o, Config{})
		send(s, 5, messages.Request{Path: "/"})
		require.Equal(t, 5, s.Pools()[0].Idle)

		time.Sleep(59 * time.Second)
		send(s, 1, messages.Request{Path: "/"}) // the last one used is used again
		time.Sleep(59 * time.Second)
		require.Equal(t, 1, s.Pools()[0].Idle)

		time.Sleep(61 * time.Second)
		require.Zero(t, s.Pools()[0].Idle)
	})
}

func TestARefusedDialHurtsNobodyWhileAnotherConnectionIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		var mu sync.Mutex
		dials := 0
		s := start(t, o, Config{
			Pool: pool.Config{MaxConns: 2, MaxWaiters: 100, IdleTimeout: time.Minute},
			Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
				mu.Lock()
				defer mu.Unlock()
				dials++
				if dials%2 == 0 {
					return nil, context.DeadlineExceeded
				}
				return o.dial(ctx, at)
			},
		})

		for _, err := range send(s, 20, messages.Request{Path: "/"}) {
			require.NoError(t, err)
		}

		require.Greater(t, dials, o.most)
		require.Len(t, o.arrivals, 20)
	})
}

func TestACallerWhoLeavesGivesEverythingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		s := start(t, o, Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 5, Per: 10 * time.Second}},
			Pool:   pool.Config{MaxConns: 2, MaxWaiters: 100, IdleTimeout: time.Minute},
		})
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*300*time.Millisecond)
				defer cancel()
				s.Do(ctx, &messages.Request{Path: "/", LimitID: "calls"}, time.Time{})
			})
		}
		all.Wait()
		time.Sleep(time.Second)

		limits := s.Limits()
		require.Zero(t, limits.Scopes[0].InFlight)
		require.Empty(t, limits.Queued)
		pool := s.Pools()[0]
		require.Zero(t, pool.Leased+pool.Waiting+pool.Dialling)
	})
}

func TestAContextMetTwiceStaysWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		s := start(t, o, Config{})
		ctx, cancel := context.WithCancel(context.Background())
		for range 3 {
			_, err := s.Do(ctx, &messages.Request{Path: "/"}, time.Time{})
			require.NoError(t, err)
		}
		time.AfterFunc(500*time.Millisecond, cancel)

		begin := time.Now()
		_, err := s.Do(ctx, &messages.Request{Path: "/"}, time.Time{})

		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 500*time.Millisecond, time.Since(begin))
		_, err = s.Do(context.Background(), &messages.Request{Path: "/"}, time.Time{})
		require.NoError(t, err, "the next request is another caller's")
	})
}

func TestRestartsPauseLongerAndLonger(t *testing.T) {
	require.Equal(t, 10*time.Millisecond, restartPause(2))
	require.Equal(t, 40*time.Millisecond, restartPause(4))
	require.Equal(t, time.Second, restartPause(1000))
}

// staleLink is found stale at its first use, as a connection cut right after
// the dial is.
type staleLink struct{ *link }

func (staleLink) Exchange(*messages.Call, time.Time) (*messages.Response, messages.Sent, error) {
	return nil, messages.SentNo, messages.ErrStale
}

func (staleLink) Reusable() bool { return false }

func TestAConnectionStaleFromTheStartIsGivenBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		dials := 0
		s := start(t, o, Config{
			Request: request.Plan{Retry: request.Retry{Max: 2, Base: time.Millisecond, Cap: time.Millisecond, Rate: 10}},
			Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
				dials++
				conn, err := o.dial(ctx, at)
				if dials <= 2 {
					return staleLink{conn.(*link)}, err
				}
				return conn, err
			},
		})
		require.NoError(t, send(s, 1, messages.Request{Path: "/"})[0])
		require.Equal(t, 3, dials)
		require.Zero(t, s.Pools()[0].Leased)
	})
}

func TestASlotLivesAgainThoughTheThrottlerIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &origin{answer: time.Second}, Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
		})
		for range 5 {
			unread := make(mailbox.Reply)
			time.AfterFunc(time.Second/2, func() { s.throttler.Tell(protocol.DescribeLimits{Owner: unread}) })
			time.AfterFunc(3*time.Second/2, func() { <-unread }) // until then the throttler settles nothing
			require.NoError(t, send(s, 1, messages.Request{Path: "/", LimitID: "calls"})[0])
		}
		require.Equal(t, 1, s.requests.Slots())
	})
}

// What died unused, while it was idle, costs no attempt.
func TestConnectionsThatDiedUnusedAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		var dials atomic.Int32
		s := start(t, o, Config{
			Request: request.Plan{Base: request.Base{Origin: messages.Origin{Scheme: "http", Addr: "api.test:80"}, Host: "api.test"}},
			Pool:    pool.Config{MaxConns: 10, MaxWaiters: 10, IdleTimeout: time.Minute},
			Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
				conn, err := o.dial(ctx, at)
				if dials.Add(1) <= 10 {
					return staleLink{conn.(*link)}, err
				}
				return conn, err
			},
		})
		require.NoError(t, s.Warm(t.Context(), "", 10))
		require.NoError(t, send(s, 1, messages.Request{Path: "/"})[0])
		require.EqualValues(t, 11, dials.Load())
		stats := s.Pools()[0]
		require.Equal(t, 1, stats.Idle+stats.Leased)
	})
}

func TestALifeMayEndAsItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &origin{}, Config{})
		for range 20 { // one slot or another lives again
			require.ErrorIs(t, send(s, 1, messages.Request{URL: "ftp://server.test"})[0], messages.ErrInvalidRequest)
		}
	})
}

// A crowd that waits has slots of its own, and takes none from those who go on.
func TestACrowdThatWaitsCostsOthersNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, urgent = 20_000, 8
		s := start(t, &origin{answer: time.Millisecond}, Config{
			Limits: []throttle.Limit{{ID: "slow", Quota: 1, Per: time.Hour}},
		})
		go send(s, crowd, messages.Request{Path: "/", LimitID: "slow"})
		synctest.Wait()
		for range 3 {
			for _, err := range send(s, urgent, messages.Request{Path: "/"}) {
				require.NoError(t, err)
			}
			require.InDelta(t, crowd+urgent, s.requests.Slots(), urgent+1)
		}
		s.Close()
		synctest.Wait() // all of them are answered
	})
}

// Slots beyond those that live again learn of the end in another way.
func TestClosingAnswersACrowdLargerThanTheSlotsThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &origin{answer: time.Hour}, Config{
			Pool: pool.Config{MaxConns: 1, MaxWaiters: 100, IdleTimeout: time.Minute}, Slots: 10,
		})
		time.AfterFunc(time.Minute, s.Close)
		for _, err := range send(s, 20, messages.Request{Path: "/"}) {
			require.ErrorIs(t, err, messages.ErrClosed)
		}
		require.ErrorIs(t, send(s, 1, messages.Request{Path: "/"})[0], messages.ErrClosed, "and whoever comes later")
	})
}

// lastLink is stale when it is aborted, and good before.
type lastLink struct{ *link }

func (l lastLink) Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	response, sent, err := l.link.Exchange(call, deadline)
	if err != nil {
		return nil, messages.SentNo, messages.ErrStale
	}
	return response, sent, nil
}

func TestAStaleConnectionIsNotReplacedWhenTheEngineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: time.Second}
		s := start(t, o, Config{
			Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
				conn, err := o.dial(ctx, at)
				return lastLink{conn.(*link)}, err
			},
			Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}},
		})
		for _, limit := range []string{messages.Unlimited, "calls"} {
			require.NoError(t, send(s, 1, messages.Request{Path: "/", LimitID: limit})[0])
		}
		time.AfterFunc(time.Second/2, s.Close)
		for _, limit := range []string{messages.Unlimited, "calls"} {
			require.ErrorIs(t, send(s, 1, messages.Request{Path: "/", LimitID: limit})[0], messages.ErrClosed)
		}
	})
}
