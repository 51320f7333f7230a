package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefusedDial = errors.New("connection refused")

// network hands out connections that do nothing, and counts them.
type network struct {
	max int

	mu            sync.Mutex
	dialling      int
	open, dialled int
	over          int           // how often more than max were open or being dialled
	takes         time.Duration // a dial
	failing       bool
	fails         func() bool // asked while failing; nil means every dial
}

func (n *network) dial(ctx context.Context, _ messages.Origin) (protocol.Connection, error) {
	n.count(1, 0)
	var err error
	select {
	case <-time.After(n.takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialling--
	if err != nil {
		return nil, err
	}
	if n.failing && (n.fails == nil || n.fails()) {
		return nil, errRefusedDial
	}
	n.open++
	n.dialled++
	return &silentConn{network: n}, nil
}

func (n *network) setFailing(failing bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing = failing
}

func (n *network) count(dialling, open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialling += dialling
	n.open += open
	if n.dialling+n.open > n.max {
		n.over++
	}
}

func (n *network) state() (open, dialled, over int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open, n.dialled, n.over
}

type silentConn struct {
	network *network
	closed  bool
}

func (*silentConn) Exchange(*messages.Call, time.Time) (*messages.Response, messages.Sent, error) {
	return nil, messages.SentNo, messages.ErrStale
}
func (*silentConn) Reusable() bool { return true }
func (*silentConn) Abort()         {}
func (c *silentConn) Close() error {
	if c.closed {
		panic("closed twice")
	}
	c.closed = true
	c.network.count(0, -1)
	return nil
}

// client holds what a request would: a ticket, then a lease.
type client struct {
	ticket  ticket.Ticket
	lease   *ticket.Lease
	refused error
	answers atomic.Int32 // read before the rest is
}

func (c *client) Tell(message any) {
	defer c.answers.Add(1)
	switch m := message.(type) {
	case ticket.LeaseGranted:
		c.lease = m.Lease
	case ticket.TicketRefused:
		c.refused = m.Refused
	}
}

type poolBench struct {
	*testing.T
	system *System
	door   protocol.Door
	origin messages.Origin
}

func newPoolBench(t *testing.T, n *network, config pool.Config) *poolBench {
	n.max = config.MaxConns
	if config.MaxWaiters == 0 {
		config.MaxWaiters = 1000
	}
	if config.IdleTimeout == 0 {
		config.IdleTimeout = time.Minute
	}
	if config.Backoff == 0 {
		config.Backoff, config.BackoffCap = time.Second, 8*time.Second
	}
	s, err := Start(Config{Dial: n.dial, Pool: config, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	b := &poolBench{T: t, system: s, origin: messages.Origin{Scheme: "http", Addr: "server.test:80"}}
	b.enter()
	return b
}

func (b *poolBench) enter() {
	var err error
	b.door, err = b.system.openPool(b.Context(), b.origin, "")
	require.NoError(b, err)
	synctest.Wait()
}

func (b *poolBench) end(n *network) {
	b.system.Close()
	require.NoError(b, b.system.Wait(context.Background()))
	open, _, over := n.state()
	require.Zero(b, open, "connections left open")
	require.Zero(b, over, "over the maximum")
}

func (b *poolBench) ask(deadline time.Duration) *client {
	c := new(client)
	c.ticket.Reopen()
	c.ticket.Owner, c.ticket.Pool = c, b.door
	if deadline > 0 {
		c.ticket.Deadline = time.Since(b.system.epoch) + deadline
	}
	b.door.Tell(ticket.AcquireLease{Ticket: &c.ticket})
	synctest.Wait()
	return c
}

func (b *poolBench) giveBack(c *client, reusable bool) {
	c.lease.Reusable, c.lease.UsedAt = reusable, time.Since(b.system.epoch)
	b.door.Tell(ticket.ReturnLease{Lease: c.lease})
	c.lease = nil
	synctest.Wait()
}

func (b *poolBench) leave(c *client) {
	if c.ticket.Cancel() {
		b.door.Tell(ticket.AbandonLease{Ticket: &c.ticket})
	}
}

func (b *poolBench) stats() protocol.PoolStats {
	reply := mailbox.NewReply()
	b.door.Tell(protocol.DescribePool{Owner: reply})
	return (<-reply).(protocol.PoolDescribed).Stats
}

// breaking is an asker whose answer makes the actor panic.
type breaking struct{}

func (breaking) Tell(any) { panic("cannot be told") }

// pass lets time pass, and everything that it brings about.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Whatever happens in whatever order: the maximum holds, every waiter is
// answered once or has left, nobody waits while a connection is idle, and in
// the end nothing is open.
func TestAHundredThousandRandomOperationsLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { churn(t, rand.New(rand.NewPCG(seed, 2)), 25_000) })
		})
	}
}

func churn(t *testing.T, random *rand.Rand, operations int) {
	failing := false
	n := &network{takes: 20 * time.Millisecond, fails: func() bool { return rand.IntN(2) == 0 }}
	b := newPoolBench(t, n, pool.Config{
		MaxConns: 1 + random.IntN(6), MaxWaiters: 12, MinIdle: random.IntN(2), Rotate: random.IntN(2) == 0,
		IdleTimeout: time.Second, MaxAge: 3 * time.Second,
		Backoff: 50 * time.Millisecond, BackoffCap: time.Second,
	})
	var waiting, holding []*client
	sort := func() {
		kept := waiting[:0]
		for _, c := range waiting {
			require.LessOrEqual(t, c.answers.Load(), int32(1))
			switch {
			case c.answers.Load() == 0:
				kept = append(kept, c)
			case c.lease != nil:
				holding = append(holding, c)
			}
		}
		waiting = kept
	}
	take := func(from *[]*client) *client {
		i := random.IntN(len(*from))
		c := (*from)[i]
		*from = append((*from)[:i], (*from)[i+1:]...)
		return c
	}
	for i := range operations {
		switch op := random.IntN(100); {
		case op < 40:
			waiting = append(waiting, b.ask(time.Duration(random.IntN(3))*100*time.Millisecond))
		case op < 75 && len(holding) > 0:
			b.giveBack(take(&holding), random.IntN(5) > 0)
		case op < 85 && len(waiting) > 0:
			b.leave(take(&waiting))
		case op < 87:
			failing = !failing
			n.setFailing(failing)
		case op < 88:
			b.door.Tell(protocol.WarmPool{N: random.IntN(8), Owner: mailbox.NewReply()})
		case op < 89 && random.IntN(20) == 0:
			b.door.Tell(protocol.DescribePool{Owner: breaking{}})
			pass(2 * time.Second)
		case op < 97:
			pass(time.Duration(random.IntN(30)) * time.Millisecond)
		case op < 98:
			pass(time.Duration(random.IntN(1500)) * time.Millisecond)
		}
		sort()
		if i%50 == 0 {
			s := b.stats()
			require.LessOrEqual(t, s.Idle+s.Leased+s.Dialling, n.max)
			require.Equal(t, len(holding), s.Leased)
			require.Equal(t, len(waiting), s.Waiting)
			require.False(t, s.Waiting > 0 && s.Idle > 0, "somebody waits beside an idle connection")
			open, _, _ := n.state()
			require.Equal(t, open, s.Idle+s.Leased, "a descriptor is lost")
		}
	}
	n.setFailing(false)
	for len(waiting) > 0 || len(holding) > 0 { // nobody is forgotten
		for len(holding) > 0 {
			b.giveBack(take(&holding), true)
		}
		pass(time.Second)
		sort()
	}
	b.end(n)
}

func TestWaitersAreServedFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{takes: time.Second}
		b := newPoolBench(t, n, pool.Config{MaxConns: 1})
		one, two, three := b.ask(0), b.ask(0), b.ask(0)
		require.Equal(t, 3, b.stats().Waiting)
		b.leave(two)
		require.Equal(t, 2, b.stats().Waiting)
		pass(time.Second)
		require.NotNil(t, one.lease)
		b.giveBack(one, true)
		require.NotNil(t, three.lease)
		require.Zero(t, two.answers.Load())
		b.giveBack(three, true)
		b.end(n)
	})
}

func TestAGrantThatCrossesACancellationGoesToTheNextWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{takes: time.Second}
		b := newPoolBench(t, n, pool.Config{MaxConns: 1})
		gone, next := b.ask(0), b.ask(0)
		require.True(t, gone.ticket.Cancel()) // and the pool does not know yet
		pass(time.Second)
		require.Nil(t, gone.lease)
		require.NotNil(t, next.lease)
		b.giveBack(next, true)
		b.end(n)
	})
}

func TestADialThatEndsLateServesTheNextWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{takes: time.Second}
		b := newPoolBench(t, n, pool.Config{MaxConns: 1})
		first := b.ask(0)
		pass(500 * time.Millisecond)
		b.leave(first)
		second := b.ask(0)
		pass(500 * time.Millisecond)
		require.NotNil(t, second.lease)
		_, dialled, _ := n.state()
		require.Equal(t, 1, dialled)
		b.giveBack(second, true)
		b.end(n)
	})
}

func TestAConnectionIsNotLentToWhomItComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		b := newPoolBench(t, n, pool.Config{MaxConns: 1})
		holder := b.ask(0)
		late, patient := b.ask(time.Second), b.ask(0)
		pass(2 * time.Second)
		b.giveBack(holder, true)
		require.ErrorIs(t, late.refused, context.DeadlineExceeded)
		require.NotNil(t, patient.lease)
		b.giveBack(patient, true)
		b.end(n)
	})
}

func TestDialsToADeadOriginAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{failing: true}
		b := newPoolBench(t, n, pool.Config{MaxConns: 4, MinIdle: 1})
		pass(time.Minute)
		dials := b.stats().DialsFailed
		require.Greater(t, dials, int64(6))
		require.Less(t, dials, int64(20), "1, 2, 4, 8, 8… seconds, each drawn from its upper half")
		b.end(n)
	})
}

func TestWhoeverAsksInsideThePauseIsRefusedAtOnceWhateverTimeThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{failing: true}
		b := newPoolBench(t, n, pool.Config{MaxConns: 4})
		require.ErrorIs(t, b.ask(0).refused, errRefusedDial)
		for _, deadline := range []time.Duration{100 * time.Millisecond, time.Hour, 0} {
			hasty := b.ask(deadline)
			require.ErrorIs(t, hasty.refused, errRefusedDial)
			require.NotErrorIs(t, hasty.refused, context.DeadlineExceeded)
		}
		require.Equal(t, int64(1), b.stats().DialsFailed)

		n.setFailing(false)
		pass(time.Second)
		patient := b.ask(0)
		require.NotNil(t, patient.lease)
		b.giveBack(patient, true)
		b.end(n)
	})
}

func TestAFailedDialRefusesNobodyWhoCanStillBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		b := newPoolBench(t, n, pool.Config{MaxConns: 2})
		holder := b.ask(0)
		n.setFailing(true)
		waiter := b.ask(0)
		pass(100 * time.Millisecond)
		require.Zero(t, waiter.answers.Load())
		b.giveBack(holder, true)
		require.NotNil(t, waiter.lease)
		b.giveBack(waiter, true)
		b.end(n)
	})
}

func TestAConnectionIsRetiredForItsAgeWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		b := newPoolBench(t, n, pool.Config{MaxConns: 8, IdleTimeout: time.Hour, MaxAge: 10 * time.Minute})
		require.NoError(t, b.system.Warm(t.Context(), "http://server.test", 8))
		used := b.ask(0)
		pass(9*time.Minute - time.Second)
		require.Equal(t, 7, b.stats().Idle)
		open := map[int]bool{}
		for range 70 {
			pass(time.Second)
			o, _, _ := n.state()
			open[o] = true
		}
		require.Greater(t, len(open), 3, "they end one by one")
		require.Equal(t, 1, b.stats().Leased, "whoever uses one is not disturbed")
		b.giveBack(used, true)
		require.Equal(t, protocol.PoolStats{Origin: b.origin, Dialled: 8, Retired: 8}, b.stats())
		b.end(n)
	})
}

func TestIdleConnectionsAreLentLastInFirstOutOrByTurns(t *testing.T) {
	for rotate, want := range map[bool]int{false: 2, true: 4} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{}
			b := newPoolBench(t, n, pool.Config{MaxConns: 4, Rotate: rotate, IdleTimeout: time.Minute})
			require.NoError(t, b.system.Warm(t.Context(), "http://server.test", 4))
			for range 20 {
				pass(5 * time.Second)
				one, two := b.ask(0), b.ask(0)
				b.giveBack(one, true)
				b.giveBack(two, true)
			}
			require.Equal(t, want, b.stats().Idle, "rotate: %v", rotate)
			b.end(n)
		})
	}
}

func TestMinIdleConnectionsAreKeptWhateverIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		b := newPoolBench(t, n, pool.Config{MaxConns: 4, MinIdle: 2, IdleTimeout: time.Minute, Passivate: time.Minute})
		require.Equal(t, 2, b.stats().Idle)
		one, two := b.ask(0), b.ask(0)
		require.Equal(t, 2, b.stats().Idle)
		three := b.ask(0)
		require.Equal(t, 1, b.stats().Idle, "the maximum goes before")
		for _, c := range []*client{one, two, three} {
			b.giveBack(c, false)
		}
		require.Equal(t, 2, b.stats().Idle)
		pass(10 * time.Minute)
		require.Equal(t, 2, b.stats().Idle, "fresh ones, after every IdleTimeout")
		b.end(n)
	})
}

func TestWarmReturnsWhenTheConnectionsAreOpenOrCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{takes: time.Second}
		b := newPoolBench(t, n, pool.Config{MaxConns: 3})
		begun := time.Now()
		require.NoError(t, b.system.Warm(t.Context(), "http://server.test", 2))
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, 2, b.stats().Idle)
		require.NoError(t, b.system.Warm(t.Context(), "http://server.test", 9), "as many as may be")
		require.Equal(t, 3, b.stats().Idle)

		n.setFailing(true)
		n.max = 4 // two origins
		require.ErrorIs(t, b.system.Warm(t.Context(), "http://other.test", 1), errRefusedDial)
		require.Error(t, b.system.Warm(t.Context(), "", 1), "there is no base URL")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, b.system.Warm(ctx, "http://other.test", 1), errRefusedDial, "at once: it was dialled just now")
		pass(2 * time.Second)
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, b.system.Warm(ctx, "http://other.test", 1), context.DeadlineExceeded, "a dial takes longer")
		b.end(n)
	})
}

func TestADialThatOutlastsItsPoolLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		s := start(t, o, Config{Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
			time.Sleep(10 * time.Second) // whatever its context says
			return o.dial(ctx, at)
		}})
		warmed := make(chan error, 1)
		go func() { warmed <- s.Warm(t.Context(), "http://server.test", 1) }()
		pass(time.Second)
		s.Close()
		require.NoError(t, s.Wait(context.Background()))
		require.Equal(t, 6*time.Second, time.Since(o.start), "a closed pool waits for five")
		require.Error(t, <-warmed)

		pass(10 * time.Second)
		require.Equal(t, 1, o.most)
		require.Zero(t, o.open)
	})
}

func TestAnUnusedPoolEndsOnlyWhenNobodyRefersToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		b := newPoolBench(t, n, pool.Config{MaxConns: 2, IdleTimeout: time.Second, Passivate: time.Minute})
		b.giveBack(b.ask(0), true)
		pass(10 * time.Minute)
		late := b.ask(0)
		require.NotNil(t, late.lease, "it was held by the hand on its door")
		b.giveBack(late, true)

		old := b.door
		old.Leave()
		pass(3 * time.Minute)
		require.Empty(t, b.system.Pools())
		require.False(t, old.Enter())

		b.enter()
		require.NotSame(t, old, b.door)
		again := b.ask(0)
		require.NotNil(t, again.lease)
		b.giveBack(again, true)
		b.end(n)
	})
}
