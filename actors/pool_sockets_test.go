package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/dial"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// As TestAHundredThousandRandomOperationsLoseNothing, but over TCP, in real
// time, by many callers at once, against a server and a network that fail in
// every way at random. SLUICE_SEED repeats the draws of a run, though not how
// its goroutines took turns.
func TestAHundredThousandOperationsOnRealSocketsLoseNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLUICE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SLUICE_SEED=%d", seed)
	openFile := func() { // whatever the runtime opens for itself, once
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	openFile()
	before := descriptors(t)

	server := startFickleServer(t, seed)
	s := newSocketStorm(t, seed, server.origin())
	s.rage(100_000, nil)
	s.requireCalm()
	s.rage(1<<40, func() { // and once more, closed in the midst of it
		time.Sleep(50 * time.Millisecond)
		s.system.Close()
	})
	require.NoError(t, s.system.Wait(context.Background()))
	server.close()

	s.requireAnsweredOnce()
	open, dialled, over := s.network.state()
	require.Zero(t, open, "connections left open")
	require.Zero(t, s.network.dialling, "dials left")
	require.Zero(t, over, "over the maximum")
	require.Greater(t, dialled, 1000, "connections hardly broke")
	require.Equal(t, before, descriptors(t), "descriptors left open")
}

// descriptors counts what this process has open, where the system tells.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// socketConn is counted by the network until it is closed.
type socketConn struct {
	*wire.Conn
	network *network
}

func (c socketConn) Close() error {
	defer c.network.count(0, -1)
	return c.Conn.Close()
}

// socketCaller is a client that can be waited for.
type socketCaller struct {
	client
	told chan struct{} // of each answer; one more than there may be fits
	left bool
}

func (c *socketCaller) Tell(message any) {
	c.client.Tell(message)
	c.told <- struct{}{}
}

// socketStorm drives one pool from many goroutines.
type socketStorm struct {
	*poolBench
	network *network
	dialer  dial.Dialer
	dice    dice
	left    atomic.Int64 // operations
	serial  atomic.Int64 // of requests

	mu      sync.Mutex
	callers []*socketCaller
}

func newSocketStorm(t *testing.T, seed uint64, origin messages.Origin) *socketStorm {
	s := &socketStorm{network: &network{max: 8}, dice: dice{seed: seed}}
	system, err := Start(Config{Dial: s.dial, Logger: slog.New(slog.DiscardHandler), Pool: pool.Config{
		MaxConns: s.network.max, MaxWaiters: 50, MinIdle: 1,
		IdleTimeout: 20 * time.Millisecond, MaxAge: 100 * time.Millisecond,
		Backoff: time.Millisecond, BackoffCap: 4 * time.Millisecond,
	}})
	require.NoError(t, err)
	s.poolBench = &poolBench{T: t, system: system, origin: origin}
	s.door, err = system.openPool(t.Context(), origin, "")
	require.NoError(t, err)
	return s
}

// dial takes long, is refused or fails now and then.
func (s *socketStorm) dial(ctx context.Context, origin messages.Origin) (protocol.Connection, error) {
	s.network.count(1, 0)
	random := s.dice.next()
	switch random.IntN(20) {
	case 0:
		origin.Addr = "127.0.0.1:1" // where nobody listens
	case 1, 2:
		time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
	}
	conn, err := s.dialer.Dial(ctx, origin)
	if err == nil && random.IntN(20) == 0 {
		conn.Close()
		err = errRefusedDial
	}
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	s.network.dialling--
	if err != nil {
		return nil, err
	}
	s.network.open++
	s.network.dialled++
	return socketConn{conn, s.network}, nil
}

// rage lets loose so many operations, or goes on until the system closes;
// meanwhile runs beside it.
func (s *socketStorm) rage(operations int64, meanwhile func()) {
	s.left.Store(operations)
	var all sync.WaitGroup
	for range 64 {
		random := s.dice.next()
		all.Go(func() {
			for s.left.Load() > 0 && !s.isClosing() {
				s.operate(random)
			}
		})
	}
	all.Go(func() {
		for s.left.Load() > 0 && !s.isClosing() {
			s.observe()
			time.Sleep(100 * time.Microsecond)
		}
	})
	if meanwhile != nil {
		meanwhile()
	}
	all.Wait()
}

func (s *socketStorm) isClosing() bool {
	select {
	case <-s.system.closing:
		return true
	default:
		return false
	}
}

// observe looks at what must hold at every moment.
func (s *socketStorm) observe() {
	for _, p := range s.system.Pools() {
		assert.LessOrEqual(s, p.Idle+p.Leased+p.Dialling, s.network.max)
		assert.False(s, p.Waiting > 0 && p.Idle > 0, "somebody waits beside an idle connection")
	}
}

func (s *socketStorm) operate(random *rand.Rand) {
	s.left.Add(-1)
	switch n := random.IntN(1000); {
	case n < 2:
		s.system.CloseIdle()
	case n < 4:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(2000))*time.Microsecond)
		_ = s.system.Warm(ctx, s.origin.String(), random.IntN(s.network.max+2)) // it may fail, and must return
		cancel()
	default:
		s.call(random)
	}
}

// call is a request's way through the pool: it waits, perhaps leaves, uses what
// it is lent, and gives it back.
func (s *socketStorm) call(random *rand.Rand) {
	c := &socketCaller{told: make(chan struct{}, 2)}
	s.mu.Lock()
	s.callers = append(s.callers, c)
	s.mu.Unlock()
	c.ticket.Reopen()
	c.ticket.Owner, c.ticket.Pool = c, s.door
	if random.IntN(4) == 0 {
		c.ticket.Deadline = time.Since(s.system.epoch) + time.Duration(random.IntN(5000))*time.Microsecond
	}
	s.door.Tell(ticket.AcquireLease{Ticket: &c.ticket})
	if !s.await(c, random) {
		s.left.Add(-1) // a cancellation
		return
	}
	if c.lease == nil {
		assert.Error(s, c.refused)
		time.Sleep(time.Millisecond) // or most operations would be refusals
		return
	}
	s.left.Add(-1) // a return, or a failure
	s.use(c.lease, random)
	s.door.Tell(ticket.ReturnLease{Lease: c.lease})
}

// await reports false if the caller left before it was answered.
func (s *socketStorm) await(c *socketCaller, random *rand.Rand) bool {
	patience := 20 * time.Second
	if random.IntN(8) == 0 {
		patience = time.Duration(random.IntN(500)) * time.Microsecond
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.told:
		return true
	case <-s.system.closing:
	case <-timer.C:
		assert.Less(s, patience, 20*time.Second, "a waiter is forgotten")
	}
	if c.left = c.ticket.Cancel(); c.left {
		if random.IntN(4) == 0 {
			time.Sleep(50 * time.Microsecond) // for a grant to cross it
		}
		s.door.Tell(ticket.AbandonLease{Ticket: &c.ticket})
		return false
	}
	<-c.told
	return true
}

func (s *socketStorm) use(l *ticket.Lease, random *rand.Rand) {
	path := fmt.Sprintf("/%d", s.serial.Add(1))
	var aborts sync.WaitGroup
	if random.IntN(200) == 0 {
		pause := time.Duration(random.IntN(100)) * time.Microsecond
		aborts.Go(func() { time.Sleep(pause); l.Abort() })
	}
	resp, _, err := l.Conn.Exchange(&messages.Call{Method: "GET", Host: "h", Path: path}, time.Now().Add(20*time.Millisecond))
	aborts.Wait()
	if err == nil {
		assert.Equal(s, path, resp.Text(), "an answer to something else")
	}
	l.Reusable, l.UsedAt = l.Conn.Reusable() && random.IntN(30) > 0, time.Since(s.system.epoch)
}

// requireCalm holds once every caller is done: nothing is leased or waited for,
// and everything that is open is known to be idle.
func (s *socketStorm) requireCalm() {
	var p protocol.PoolStats
	require.Eventually(s, func() bool {
		p = s.stats()
		open, _, _ := s.network.state()
		return p.Dialling == 0 && p.Leased == 0 && p.Waiting == 0 && p.Idle == open && open >= 1
	}, 10*time.Second, time.Millisecond)
	s.Logf("%+v", p)
}

func (s *socketStorm) requireAnsweredOnce() {
	granted, refused, left := 0, 0, 0
	for _, c := range s.callers {
		want := int32(1)
		switch {
		case c.left:
			want = 0
			left++
		case c.lease != nil:
			granted++
		default:
			refused++
		}
		require.Equal(s, want, c.answers.Load())
	}
	s.Logf("granted %d, refused %d, left %d", granted, refused, left)
	require.Greater(s, granted, 10_000)
	require.Positive(s, refused*left, "every fate is met")
}
