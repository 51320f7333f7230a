package request

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// newSlots returns a carrier whose slots are actors, and no more.
func newSlots() *Carrier {
	silent := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
	return NewCarrier(Needs{Spawner: actor.NewActorSystem(silent).Root})
}

// begin has a slot that is about to live.
func (c *Carrier) begin(t require.TestingT) *slot {
	r := c.slot(true)
	require.NoError(t, r.spawn())
	return r
}

// made is how many slots there ever were.
func (c *Carrier) made() int { return int(c.nextID.Load()) }

func TestNoSlotIsMadeWhileOneRests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCarrier(Needs{})
		var living []*slot
		peak := 0
		for range 200 {
			switch step := rapid.IntRange(0, 20).Draw(t, "step"); {
			case step == 0: // as the collector makes it forget
				c.slots.shares = sync.Pool{}
			case step <= 10:
				living = append(living, c.slot(true))
				peak = max(peak, len(living))
			case len(living) > 0:
				i := rapid.IntRange(0, len(living)-1).Draw(t, "who")
				require.True(t, c.slots.put(living[i], lifeSum{}))
				living = append(living[:i], living[i+1:]...)
			}
			require.Equal(t, peak, c.made())
			require.Equal(t, peak, c.Slots())
		}
	})
}

func TestAsManySlotsAreKeptAsThereAreLivesAtOnce(t *testing.T) {
	const burst = 40_000
	c := NewCarrier(Needs{})
	living := make([]*slot, burst)
	for range 3 {
		for i := range living {
			living[i] = c.slot(true)
		}
		require.Zero(t, int(testing.AllocsPerRun(100, func() { // no slot is cut off while the others live
			r := c.slots.take(true)
			if r != nil {
				c.slots.put(r, lifeSum{})
			}
		})))
		for _, r := range living {
			require.True(t, c.slots.put(r, lifeSum{}))
		}
	}
	require.Equal(t, burst, c.made())
}

func TestWhatABurstOfRequestsLeavesBehindGoesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst, busy = 10_000, 100
		c := newSlots()
		defer c.End()
		var all [burst]*slot
		for i := range all {
			all[i] = c.begin(t)
		}
		held := all[0] // by a request that takes very long
		for _, r := range all[1:] {
			require.True(t, c.slots.put(r, lifeSum{}))
		}
		require.Equal(t, burst, c.Slots())

		live := func(d time.Duration) { // as many as are busy at once go on
			for range int(d / time.Second) {
				var living [busy]*slot
				for i := range living {
					living[i] = c.begin(t)
				}
				time.Sleep(time.Second)
				for _, r := range living {
					c.slots.put(r, lifeSum{})
				}
			}
		}
		live(restTime - 10*time.Second)
		require.Equal(t, burst, c.Slots(), "for another burst that follows soon")
		live(restTime + 20*time.Second)
		// A few more than were busy have been needed, if they were taken from one shard and
		// laid into another, as goroutines change processors; the race detector, which
		// has pools forget at random, makes that hundreds.
		require.Less(t, c.Slots(), burst/5, "what nobody needed for a minute has gone")
		require.GreaterOrEqual(t, c.Slots(), busy)
		require.Equal(t, burst, c.made(), "and what was needed has stayed")
		require.True(t, c.slots.put(held, lifeSum{}))

		time.Sleep(3 * restTime)
		require.Equal(t, fewSlots, c.Slots())
		require.Nil(t, c.slots.tidy, "no alarm rings for those that are kept")
		require.Less(t, cap(c.slots.all), 1000, "the list is no longer than it need be")
		time.Sleep(time.Hour)
		require.Equal(t, fewSlots, c.Slots())
	})
}

// Whoever has a slot is in nobody's way: the race detector tells of two that have one.
func TestASlotIsHadByOneAtATime(t *testing.T) {
	c := newSlots()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 300 {
				var living [20]*slot
				for i := range living {
					living[i] = c.begin(t)
					living[i].lives++
				}
				for _, r := range living {
					r.lives++
					if !c.slots.put(r, lifeSum{}) {
						r.end()
					}
				}
			}
		})
	}
	all.Go(func() {
		for range 50 {
			for i := range c.slots.shards {
				c.slots.shards[i].observe()
				runtime.Gosched()
				for _, r := range c.slots.shards[i].cut(50) {
					r.lives++
					r.end()
				}
			}
			c.slots.leave(openDoor{})
		}
	})
	all.Wait()
	resting := 0
	for i := range c.slots.shards {
		resting += len(c.slots.shards[i].resting)
	}
	require.Equal(t, c.Slots(), resting, "none is lost, and none is there twice")
	late := c.begin(t)
	c.Close()
	c.End()
	require.False(t, c.slots.put(late, lifeSum{}), "after the end nobody rests")
	require.False(t, c.slots.put(c.begin(t), lifeSum{}))
}

func TestAShardCutsOffThoseAloneThatHaveRestedAllTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s shard
		var living []*slot
		rested := map[*slot]bool{} // since they were observed
		for range rapid.IntRange(0, 30).Draw(t, "slots") {
			s.push(new(slot), lifeSum{})
		}
		for range 100 {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				s.observe()
				clear(rested)
				for _, r := range s.resting {
					rested[r] = true
				}
			case 1:
				most := rapid.IntRange(0, 5).Draw(t, "most")
				left := len(rested)
				cut := s.cut(most)
				require.Len(t, cut, min(most, left))
				for _, r := range cut {
					require.True(t, rested[r], "it was needed meanwhile")
					delete(rested, r)
				}
			case 2, 3:
				if r := s.pop(true); r != nil {
					delete(rested, r)
					living = append(living, r)
				}
			default:
				if last := len(living) - 1; last >= 0 {
					require.True(t, s.push(living[last], lifeSum{}))
					living = living[:last]
				}
			}
			require.Equal(t, len(s.resting) > 0, s.some.Load())
		}
	})
}

// openDoor is the door of a pool that nobody is in.
type openDoor struct{ protocol.Door }

// countingDoor counts who is inside.
type countingDoor struct {
	openDoor
	inside *int
}

func (d countingDoor) Enter() bool { *d.inside++; return true }
func (d countingDoor) Leave()      { *d.inside-- }

func TestEverySlotThatRestsLeavesAPoolThatWouldLikeToEnd(t *testing.T) {
	c := NewCarrier(Needs{})
	var inside, elsewhere int
	here, there := countingDoor{inside: &inside}, countingDoor{inside: &elsewhere}
	all := make([]*slot, 3*leftAtOnce+7)
	for i := range all {
		all[i] = c.slot(true)
		all[i].pool = protocol.Door(here)
		if i%3 == 0 {
			all[i].pool = protocol.Door(there)
		}
		all[i].pool.Enter()
	}
	for _, r := range all[1:] {
		c.slots.put(r, lifeSum{})
	}
	there0 := elsewhere
	c.LeavePool(here)
	require.Zero(t, inside)
	require.Equal(t, there0, elsewhere)
	c.LeavePool(there)
	require.Equal(t, 1, elsewhere, "a request on its journey stays")
}
