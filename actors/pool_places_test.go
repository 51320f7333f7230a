package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// newPoolBenches is newPoolBench for several origins of one system.
func newPoolBenches(t *testing.T, n *network, origins int, maxIdle int, config pool.Config) []*poolBench {
	n.max = config.MaxTotal
	if n.max == 0 {
		n.max = 1 << 20
	}
	if config.MaxConns == 0 {
		config.MaxConns = 64
	}
	config.MaxWaiters, config.Backoff, config.BackoffCap = 1000, time.Second, 8*time.Second
	if config.IdleTimeout == 0 {
		config.IdleTimeout = time.Hour
	}
	s, err := Start(Config{Dial: n.dial, Pool: config, MaxIdleTotal: maxIdle, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	var all []*poolBench
	for i := range origins {
		b := &poolBench{T: t, system: s, origin: messages.Origin{Scheme: "http", Addr: fmt.Sprintf("host%d.test:80", i)}}
		b.enter()
		all = append(all, b)
	}
	return all
}

// use has a client end its exchange.
func (b *poolBench) use(c *client) {
	c.lease.Uses++
	b.giveBack(c, true)
}

func idleOver(all []*poolBench) (n int) {
	for _, b := range all {
		n += b.stats().Idle
	}
	return n
}

func TestUnusedConnectionsAreBoundedOverAllOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 300, 100, pool.Config{})
		for i, b := range all {
			b.use(b.ask(0))
			open, _, _ := n.state()
			require.LessOrEqual(t, open, 100, "after %d", i)
			pass(time.Millisecond)
		}
		require.Equal(t, 100, idleOver(all))
		require.Equal(t, 100, idleOver(all[200:]), "those unused for longest were closed")
		all[0].end(n)
	})
}

func TestConnectionsThatAreReturnedTogetherAreBoundedASecondLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 10, 20, pool.Config{})
		for range 2 { // anew, and used before
			var clients []*client
			for _, b := range all {
				for range 5 {
					clients = append(clients, b.ask(0))
				}
			}
			for i, c := range clients {
				c.lease.Uses++
				all[i/5].use(c)
			}
			pass(time.Second)
			require.Equal(t, 20, idleOver(all))
		}
		all[0].end(n)
	})
}

func TestWhatIsLentIsNotCountedAsUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 2, 10, pool.Config{})
		for range 10 {
			all[0].ask(0)
		}
		var busy []*client
		for range 40 {
			busy = append(busy, all[1].ask(0))
		}
		for range 10 {
			all[1].use(busy[0])
			busy = append(busy[1:], all[1].ask(0))
			pass(time.Second)
		}
		_, dialled, _ := n.state()
		require.Equal(t, 50, dialled)
		all[0].system.Close()
	})
}

func TestUnusedConnectionsThatAreToBeKeptAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 30, 10, pool.Config{MinIdle: 1})
		pass(time.Minute)
		require.Equal(t, 30, idleOver(all))
		_, dialled, _ := n.state()
		require.Equal(t, 30, dialled, "none was closed to be opened again")
		all[0].end(n)
	})
}

func TestAWaiterHasTheUnusedConnectionOfAnotherOriginClosed(t *testing.T) {
	for _, minIdle := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{takes: 10 * time.Millisecond}
			all := newPoolBenches(t, n, 2, 0, pool.Config{MaxTotal: 3, MinIdle: minIdle})
			pass(time.Second)
			if minIdle == 0 {
				require.NoError(t, all[0].system.Warm(t.Context(), "http://host0.test", 3))
				require.ErrorContains(t, all[0].system.Warm(t.Context(), "http://host1.test", 1), "all 3 connections of Connections.MaxTotal")
			}
			for range 3 {
				holder := all[1].ask(0)
				pass(time.Second)
				require.NotNil(t, holder.lease)
				all[1].use(holder)
			}
			one, two, three := all[1].ask(0), all[1].ask(0), all[1].ask(0)
			pass(time.Second)
			for _, c := range []*client{one, two, three} {
				require.NotNil(t, c.lease)
			}
			_, before, _ := n.state()
			pass(time.Minute)
			_, after, _ := n.state()
			require.Equal(t, before, after, "nothing is opened and closed in vain")
			all[1].use(one)
			all[1].use(two)
			all[1].use(three)
			all[0].end(n)
		})
	}
}

func TestWhoeverWaitsForAPlaceIsServedOrToldWhichBoundItWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 3, 0, pool.Config{MaxTotal: 2})
		holder, other := all[0].ask(0), all[0].ask(0)
		late, patient := all[1].ask(time.Second), all[2].ask(0)
		pass(time.Second)
		all[1].door.Tell(ticket.ExpireLease{Ticket: &late.ticket})
		synctest.Wait()
		require.ErrorIs(t, late.refused, context.DeadlineExceeded)
		var full *messages.PoolFullError
		require.ErrorAs(t, late.refused, &full)
		require.Equal(t, "Connections.MaxTotal", full.Cap)
		require.Equal(t, 2, full.Most)
		require.Zero(t, patient.answers.Load())

		all[0].use(holder)
		require.NotNil(t, patient.lease, "at once: it would be unused otherwise")
		all[0].giveBack(other, false)
		again := all[1].ask(0)
		require.NotNil(t, again.lease)
		all[1].use(again)
		all[2].use(patient)
		all[0].end(n)
	})
}

// A crowd at one origin must not keep others from theirs for as long as it lasts,
// and what is shared must not be opened and closed all the time.
func TestACrowdAtOneOriginSharesThePlacesWithOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := newPoolBenches(t, n, 2, 0, pool.Config{MaxTotal: 10})
		var waiting, holding [2][]*client
		for range 200 {
			for i, b := range all {
				for len(waiting[i]) < 20 {
					waiting[i] = append(waiting[i], b.ask(0))
				}
				var still []*client
				for _, c := range waiting[i] {
					if c.lease != nil {
						holding[i] = append(holding[i], c)
					} else {
						still = append(still, c)
					}
				}
				waiting[i] = still
				for _, c := range holding[i] {
					b.use(c)
				}
				holding[i] = nil
			}
			pass(time.Millisecond)
		}
		for _, b := range all {
			require.InDelta(t, 5, b.stats().Leased, 1)
		}
		_, dialled, _ := n.state()
		require.Less(t, dialled, 25)
		for i, b := range all {
			for _, c := range waiting[i] {
				b.leave(c)
			}
		}
		all[0].system.Close()
	})
}

// Whatever happens at several origins: the bound holds, and nobody is forgotten.
func TestRandomOperationsAtSeveralOriginsLoseNoPlace(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { churnPlaces(t, rand.New(rand.NewPCG(seed, 3))) })
		})
	}
}

func churnPlaces(t *testing.T, random *rand.Rand) {
	n := &network{takes: 5 * time.Millisecond, fails: func() bool { return rand.IntN(4) == 0 }} // asked by dials, beside the test
	all := newPoolBenches(t, n, 5, 2, pool.Config{
		MaxConns: 4, MaxTotal: 1 + random.IntN(6), MinIdle: random.IntN(2), IdleTimeout: time.Second, MaxAge: 3 * time.Second,
	})
	waiting, holding := make([][]*client, len(all)), make([][]*client, len(all))
	sort := func(i int) {
		var still []*client
		for _, c := range waiting[i] {
			switch {
			case c.answers.Load() == 0:
				still = append(still, c)
			case c.lease != nil:
				holding[i] = append(holding[i], c)
			}
		}
		waiting[i] = still
	}
	for range 4000 {
		i := random.IntN(len(all))
		b := all[i]
		switch op := random.IntN(100); {
		case op < 40:
			waiting[i] = append(waiting[i], b.ask(time.Duration(random.IntN(2))*50*time.Millisecond))
		case op < 75 && len(holding[i]) > 0:
			c := holding[i][0]
			holding[i] = holding[i][1:]
			c.lease.Uses++
			b.giveBack(c, random.IntN(5) > 0)
		case op < 85 && len(waiting[i]) > 0:
			b.leave(waiting[i][0])
			waiting[i] = waiting[i][1:]
		case op < 86:
			n.setFailing(random.IntN(2) == 0)
		case op < 98:
			pass(time.Duration(random.IntN(20)) * time.Millisecond)
		default:
			pass(time.Duration(random.IntN(1500)) * time.Millisecond)
		}
		for i := range all {
			sort(i)
		}
	}
	n.setFailing(false)
	left := func() (n int) {
		for i := range all {
			sort(i)
			n += len(waiting[i]) + len(holding[i])
		}
		return n
	}
	for begun := time.Now(); left() > 0; {
		require.Less(t, time.Since(begun), time.Hour, "somebody is forgotten")
		for i, b := range all {
			for _, c := range holding[i] {
				b.giveBack(c, true)
			}
			holding[i] = nil
		}
		pass(time.Second)
	}
	pass(5 * time.Second)
	if open, _, _ := n.state(); open > 2 {
		require.LessOrEqual(t, idleOver(all), max(2, len(all)), "MinIdle apart")
	}
	all[0].end(n)
}
