package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

const dialTimeout = 10 * time.Second // in the place of Dial.Timeout

// swamp is a network in which some hosts answer no dial, and some are slow to.
type swamp struct {
	network
	slow time.Duration // a dial of a slow host takes
}

func (s *swamp) dial(ctx context.Context, origin messages.Origin) (protocol.Connection, error) {
	takes := 10 * time.Millisecond
	switch {
	case strings.HasPrefix(origin.Addr, "hole"):
		takes = time.Hour
	case strings.HasPrefix(origin.Addr, "slow"):
		takes = s.slow
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	s.count(1, 0)
	var err error
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		time.Sleep(time.Millisecond) // as closing a socket might
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialling--
	if err != nil {
		return nil, err
	}
	s.open++
	s.dialled++
	return &silentConn{network: &s.network}, nil
}

// newSwampBenches is a bench for each of the hosts, of one system with so many places.
func newSwampBenches(t *testing.T, s *swamp, places int, hosts ...string) []*poolBench {
	s.max = places
	system, err := Start(Config{Dial: s.dial, Logger: slog.New(slog.DiscardHandler), Pool: pool.Config{
		MaxConns: 64, MaxTotal: places, MaxWaiters: 1000, Backoff: time.Second, BackoffCap: 8 * time.Second, IdleTimeout: time.Hour,
	}})
	require.NoError(t, err)
	var all []*poolBench
	for _, host := range hosts {
		b := &poolBench{T: t, system: system, origin: messages.Origin{Scheme: "http", Addr: host + ".test:80"}}
		b.enter()
		all = append(all, b)
	}
	return all
}

// crowd has so many ask at once.
func (b *poolBench) crowd(n int) (all []*client) {
	for range n {
		all = append(all, b.ask(0))
	}
	return all
}

func TestAnOriginThatSwallowsDialsTakesNoPlaceFromOneThatAnswers(t *testing.T) {
	for _, places := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(swamp)
				all := newSwampBenches(t, s, places, "hole", "good")
				all[0].crowd(2 * places)
				pass(100 * time.Millisecond)
				asked := all[1].crowd(max(1, places/2))
				pass(450 * time.Millisecond)
				for i, c := range asked {
					require.NotNil(t, c.lease, "half a second after the first dial in vain, %d", i)
				}
				for _, c := range asked {
					all[1].use(c)
				}
				all[0].end(&s.network)
			})
		})
	}
}

// There is no half of the places that one of them does not fill, then.
func TestManyOriginsThatSwallowDialsLeaveHalfOfThePlacesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(swamp)
		all := newSwampBenches(t, s, 4, "hole1", "hole2", "hole3", "hole4", "hole5", "hole6", "good1", "good2")
		for _, b := range all[:6] {
			b.crowd(3)
		}
		pass(time.Second)
		for range 30 {
			for _, b := range all[6:] {
				asked := time.Now()
				c := b.ask(0)
				for c.answers.Load() == 0 {
					pass(10 * time.Millisecond)
					require.Less(t, time.Since(asked), 1200*time.Millisecond, "no dial in doubt was pressed for it")
				}
				pass(20 * time.Millisecond)
				b.use(c)
			}
		}
		all[0].end(&s.network)
	})
}

// Nothing makes room for nobody: what is merely slow is waited for.
func TestADialInDoubtKeepsItsPlaceAsLongAsNobodyElseNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &swamp{slow: 3 * time.Second}
		all := newSwampBenches(t, s, 2, "slow", "good")
		asked := all[0].crowd(5)
		pass(3100 * time.Millisecond)
		require.NotNil(t, asked[0].lease)
		require.NotNil(t, asked[1].lease)
		_, dialled, _ := s.state()
		require.Equal(t, 2, dialled, "its own crowd is no reason to begin anew")
		all[0].system.Close()
	})
}

// Where it was asked first or not, and of one place as well.
func TestAnOriginThatIsMerelySlowIsReachedBesideABusyOne(t *testing.T) {
	for _, places := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &swamp{slow: 1800 * time.Millisecond}
				all := newSwampBenches(t, s, places, "slow", "good")
				slow := all[0].ask(0)
				var busy []*client
				for begun := time.Now(); slow.answers.Load() == 0; pass(10 * time.Millisecond) {
					require.Less(t, time.Since(begun), 15*time.Second)
					for len(busy) < places+1 {
						busy = append(busy, all[1].ask(0))
					}
					var still []*client
					for _, c := range busy {
						if c.answers.Load() > 0 && c.lease != nil {
							all[1].use(c)
						} else {
							still = append(still, c)
						}
					}
					busy = still
				}
				require.NotNil(t, slow.lease)
				require.Positive(t, s.dialled)
				all[0].system.Close()
			})
		})
	}
}

// Nobody waits for ever for an origin whose dials make room again and again.
func TestWhoeverWaitsForDialsThatMakeRoomIsToldInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(swamp)
		all := newSwampBenches(t, s, 1, "hole", "good")
		lost := all[0].ask(0)
		for begun := time.Now(); lost.answers.Load() == 0; {
			require.Less(t, time.Since(begun), 2*time.Minute)
			c := all[1].ask(0)
			for c.answers.Load() == 0 {
				pass(10 * time.Millisecond)
			}
			pass(100 * time.Millisecond)
			all[1].use(c)
		}
		require.ErrorContains(t, lost.refused, "none of 8 dials succeeded before another origin had need of its place")
		all[0].end(&s.network)
	})
}

// Whatever is asked where: the bound holds with the sockets of dials that are being
// aborted, everyone is answered, and no healthy origin waits for dials in doubt.
func TestRandomOriginsOfWhichSomeSwallowDialsLoseNoPlace(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { wade(t, rand.New(rand.NewPCG(seed, 8))) })
		})
	}
}

func wade(t *testing.T, random *rand.Rand) {
	s := &swamp{slow: time.Duration(random.IntN(2500)) * time.Millisecond}
	places := 1 + random.IntN(7)
	hosts := []string{"hole1", "hole2", "hole3", "slow1", "slow2", "good1", "good2", "good3"}
	all := newSwampBenches(t, s, places, hosts...)
	waiting := make([][]*client, len(all))
	give := func() (left int) {
		for i, b := range all {
			var still []*client
			for _, c := range waiting[i] {
				switch {
				case c.answers.Load() == 0:
					still = append(still, c)
				case c.lease != nil:
					c.lease.Uses++
					b.giveBack(c, random.IntN(8) > 0)
				}
			}
			waiting[i] = still
			left += len(still)
		}
		return left
	}
	for range 1500 {
		i := random.IntN(len(all))
		switch op := random.IntN(100); {
		case op < 40 && len(waiting[i]) < 10:
			waiting[i] = append(waiting[i], all[i].ask(0))
		case op < 50 && len(waiting[i]) > 0:
			all[i].leave(waiting[i][0])
			waiting[i] = waiting[i][1:]
		case op < 97:
			pass(time.Duration(random.IntN(60)) * time.Millisecond)
		default:
			pass(time.Duration(random.IntN(3000)) * time.Millisecond)
		}
		give()
	}
	for begun := time.Now(); give() > 0; pass(50 * time.Millisecond) {
		require.Less(t, time.Since(begun), 10*time.Minute, "somebody is forgotten")
	}
	all[0].end(&s.network)
}
