package throttle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// crowded is a ledger in which many wait, each told apart by its Owner.
func crowded(t require.TestingT, n int, draw func(i int) Permit) (*Ledger, []*Permit) {
	limits := []Limit{
		{ID: "all", Quota: 3, Per: sec},
		{ID: "keyed", Quota: 2, Per: sec, Keyed: true, Linked: []Link{{ID: "all"}}},
		{ID: "plain", Quota: 2, Per: sec, Linked: []Link{{ID: "all"}}},
	}
	l, err := New(limits, Options{})
	require.NoError(t, err)
	permits := make([]*Permit, n)
	for i := range permits {
		p := draw(i)
		p.Owner = i
		permits[i] = &p
		require.NoError(t, l.Acquire(0, &p))
	}
	for l.Next(0) != nil { // whoever goes first
	}
	return l, permits
}

// drainAll answers all that halts have taken out: it drops who is selected, and puts the
// others back.
func drainAll(t require.TestingT, l *Ledger, now time.Duration) (refused []int) {
	for p, h := l.NextDetached(); p != nil; p, h = l.NextDetached() {
		if selects(&h.Filter, p) {
			refused = append(refused, p.Owner.(int))
			continue
		}
		require.NoError(t, l.Requeue(now, p))
	}
	return refused
}

func selects(f *Filter, p *Permit) bool {
	return f.Selects(Subject{Parts: p.parts(), LimitID: p.Limit, Priority: p.Priority, Method: "GET", Path: "/" + p.Account})
}

// leaveInTurn settles what is granted, as time passes, and returns who left, in order.
func leaveInTurn(l *Ledger, now time.Duration) (order []int) {
	for steps := 0; l.Len() > 0 && steps < 100_000; steps++ {
		for p := l.Next(now); p != nil; p = l.Next(now) {
			order = append(order, p.Owner.(int))
			if p.State() == Granted {
				l.Settle(now, p, Outcome{})
			}
		}
		at, ok := l.Wake()
		if !ok {
			break
		}
		now = max(at, now+1)
	}
	return order
}

// A halt leaves the queue as if all that it selects had been cancelled one by one.
func TestAHaltIsAsManyCancellations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		var drawn []Permit
		for range rapid.IntRange(1, 60).Draw(t, "waiters") {
			drawn = append(drawn, Permit{
				Limit: any("limit", "keyed", "plain", "all"), Key: any("key", "k1", "k2"), Account: any("account", "", "a", "b"),
				Origin: any("origin", "", "o"), Priority: Priority(rapid.IntRange(-1, 2).Draw(t, "priority")),
				Deadline: time.Duration(rapid.IntRange(0, 3).Draw(t, "deadline")) * 20 * sec,
			})
		}
		copyOf := func(i int) Permit { return drawn[i] }
		f := Filter{
			LimitID: any("halted limit", "", "keyed", "plain"), Key: any("halted key", "", "k1"), Account: any("halted account", "", "a", DefaultAccount),
			PriorityBelow: Priority(rapid.IntRange(0, 2).Draw(t, "below")), PathPrefix: any("path", "", "/", "/a"),
		}
		halted, waiting := crowded(t, len(drawn), copyOf)
		cancelled, same := crowded(t, len(drawn), copyOf)
		queued := halted.Len()

		n := halted.Detach(0, &Halt{Filter: f})
		require.Equal(t, queued, n+halted.Len())
		require.Equal(t, n, halted.Detached())
		for _, p := range waiting {
			if p.state == Queued && selects(&f, p) {
				require.NotNil(t, p.lane.halt, "it is out of the queue at once")
			}
		}
		refused := drainAll(t, halted, 0)
		require.Zero(t, halted.Detached())
		var want []int
		for _, p := range same {
			if p.state == Queued && selects(&f, p) {
				want = append(want, p.Owner.(int))
				require.True(t, cancelled.Cancel(0, p))
			}
		}
		slices.Sort(refused)
		require.Equal(t, want, refused)
		require.Equal(t, cancelled.Len(), halted.Len())
		require.Equal(t, leaveInTurn(cancelled, 0), leaveInTurn(halted, 0))
	})
}

// Whoever is taken out may leave by himself, expire, or be there when limits are replaced.
func TestWhoeverAHaltTookOutMayLeaveByHimself(t *testing.T) {
	l, permits := crowded(t, 20, func(i int) Permit {
		return Permit{Limit: "plain", Deadline: time.Duration(10+i%3) * sec}
	})
	queued := l.Len()
	h := &Halt{Filter: Filter{LimitID: "plain"}}
	require.Equal(t, queued, l.Detach(0, h))
	last := permits[len(permits)-1]
	require.True(t, l.Cancel(0, last))
	require.Equal(t, Idle, last.State())
	require.ErrorIs(t, l.Expire(0, permits[len(permits)-2]), ErrDeadline)
	require.Equal(t, queued-2, l.Detached())
	require.NoError(t, l.Replace(0, []Limit{{ID: "all", Quota: 1, Per: sec}, {ID: "plain", Quota: 1, Per: sec}}))
	require.Equal(t, queued-2, l.Detached(), "they stay out")
	require.Nil(t, l.Next(0))
	late := &Permit{Limit: "plain", Deadline: 90 * sec, Owner: 99}
	require.NoError(t, l.Acquire(0, late))
	refused := drainAll(t, l, 0)
	require.Len(t, refused, queued-2)
	require.True(t, slices.IsSorted(refused), "in the order of the queue")
	require.Contains(t, leaveInTurn(l, 0), 99)
	require.Empty(t, l.queue.lanes)
}

// What a halted head held is there for others at once.
func TestAHaltGivesBackWhatHeadsHeld(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "w", Quota: 10, Per: sec})
	require.NoError(t, l.Acquire(0, &Permit{Limit: "w", Weight: 5}))
	heavy, light := &Permit{Limit: "w", Weight: 10, Priority: 1}, &Permit{Limit: "w", Weight: 1}
	require.NoError(t, l.Acquire(0, heavy))
	require.NoError(t, l.Acquire(0, light))
	require.Nil(t, l.Next(0), "the heavy one keeps the room")
	l.Detach(0, &Halt{Filter: Filter{PriorityBelow: 2, LimitID: "w", Method: "POST"}})
	require.Nil(t, l.Next(0))
	p, _ := l.NextDetached()
	require.Same(t, heavy, p, "the most urgent lane first")
	p, _ = l.NextDetached()
	require.NoError(t, l.Requeue(0, p))
	require.Equal(t, Granted, light.State())
}

func TestSeveralHaltsStandAndAreLiftedOneByOne(t *testing.T) {
	var h Halts
	require.False(t, h.Any())
	require.NoError(t, h.Refuse(Subject{}))
	first, second := h.Add(Filter{LimitID: "a"}, time.Time{}), h.Add(Filter{}, time.Time{})
	require.ErrorIs(t, h.Refuse(Subject{LimitID: "a"}), ErrHalted)
	require.EqualValues(t, 1, first.Refused())
	require.Error(t, h.Refuse(Subject{LimitID: "b"}))
	require.EqualValues(t, 1, second.Refused())
	require.True(t, h.Lift(second.ID))
	require.False(t, h.Lift(second.ID))
	require.NoError(t, h.Refuse(Subject{LimitID: "b"}))
	require.True(t, h.Lift(first.ID))
	require.False(t, h.Any())
	require.False(t, (*Halts)(nil).Any())
	require.Nil(t, (*Halts)(nil).Of(Subject{}))
}

func TestAFilterThatNamesMethodOrPathSelectsNoPermitWithoutARequest(t *testing.T) {
	without := Subject{LimitID: "a"}
	for f, selected := range map[Filter]bool{{}: true, {LimitID: "a"}: true, {Method: "GET"}: false, {PathPrefix: "/"}: false} {
		require.Equal(t, selected, f.Selects(without), f)
	}
	require.Equal(t, "everything", Filter{}.String())
	require.Equal(t, `the default account, key "k", priority below 400, method "POST", path "/x"`,
		Filter{Account: DefaultAccount, Key: "k", PriorityBelow: Urgent, Method: "POST", PathPrefix: "/x"}.String())
	require.False(t, strings.Contains((&HaltError{Filter: Filter{Account: "x9"}}).Error(), "x9"))
}

// The bar is a millisecond for 100,000 permits, however many lanes they are in.
func BenchmarkDetach(b *testing.B) {
	for _, lanes := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("100000 in %d lanes", lanes), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				l, err := New([]Limit{{ID: "k", Quota: 1, Per: time.Hour, Keyed: true}}, Options{MaxQueued: 1_000_000})
				require.NoError(b, err)
				permits := make([]Permit, 100_000)
				for i := range permits {
					permits[i] = Permit{Limit: "k", Key: fmt.Sprint(i % lanes), Deadline: time.Hour}
					_ = l.Acquire(0, &permits[i])
				}
				for l.Next(0) != nil {
				}
				b.StartTimer()
				l.Detach(0, &Halt{Filter: Filter{PriorityBelow: Urgent}})
				if l.Len() != 0 || l.Next(0) != nil {
					b.Fatal("somebody is left")
				}
			}
		})
	}
}
