package request

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestADueHeapGivesTheEarliestWhateverComesAndGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h dueHeap
		in := map[*Parked]time.Duration{} // the oracle
		var all []*Parked
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch n := rapid.IntRange(0, 3).Draw(t, "what"); {
			case n < 2 || len(all) == 0:
				p := new(Parked)
				at := time.Duration(rapid.IntRange(1, 20).Draw(t, "at"))
				h.push(p, at)
				in[p], all = at, append(all, p)
			case n == 2:
				p := rapid.SampledFrom(all).Draw(t, "who")
				h.remove(p)
				delete(in, p)
			default:
				if len(h) > 0 {
					p := h[0].of
					h.remove(p)
					delete(in, p)
				}
			}
			require.Len(t, h, len(in))
			earliest := time.Duration(0)
			for _, at := range in {
				if earliest == 0 || at < earliest {
					earliest = at
				}
			}
			if len(h) > 0 {
				require.Equal(t, earliest, h[0].at)
			}
			for i, d := range h {
				require.Equal(t, int32(i)+1, d.of.seat)
				require.Equal(t, in[d.of], d.at)
			}
			for _, p := range all {
				if _, there := in[p]; !there {
					require.Zero(t, p.seat)
				}
			}
		}
	})
}

func TestAnAgendaTellsEachWhenItIsDueAndNobodyWhoWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agenda{begun: time.Now()}
		late := func(p *Parked) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.news&newsLate != 0
		}
		all := make([]*Parked, 1000)
		for i := range all {
			all[i] = new(Parked)
			a.put(all[i], time.Duration(1+(i*37)%1000)*time.Second)
		}
		a.take(all[500])
		a.put(all[501], 2000*time.Second)
		time.Sleep(500*time.Second + time.Millisecond)
		synctest.Wait()
		for i, p := range all {
			require.Equal(t, (i*37)%1000 < 500 && i != 500 && i != 501, late(p), i)
		}
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		require.False(t, late(all[500]))
		require.False(t, late(all[501]))
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		require.True(t, late(all[501]))
		a.end()
	})
}

// tasks are what the goroutines of a lender are lent for.
type tasks struct{ of sync.Map }

func (t *tasks) lender() *lender {
	return &lender{most: runtime.GOMAXPROCS(0), step: func(p *Parked, g *worker) {
		run, _ := t.of.Load(p)
		run.(func(*worker))(g)
	}}
}

func (t *tasks) add(run func(*worker)) *Parked {
	p := new(Parked)
	t.of.Store(p, run)
	return p
}

func TestTheGoroutineThatWasIdleLastIsLentFirstAndThoseThatNobodyNeedsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tasks
		l := all.lender()
		var mu sync.Mutex
		var who []*worker
		hold := make(chan struct{})
		note := func(g *worker) {
			mu.Lock()
			who = append(who, g)
			mu.Unlock()
			<-hold
		}
		for range 3 {
			l.lend(all.add(note))
		}
		synctest.Wait()
		require.Len(t, who, 3)
		close(hold)
		synctest.Wait()
		require.Len(t, l.idle, 3)
		last := l.idle[2]
		l.lend(all.add(note))
		synctest.Wait()
		require.Same(t, last, who[3])
		time.Sleep(idleTime + time.Second) // the first look: two have been idle since before
		l.lend(all.add(note))
		synctest.Wait()
		time.Sleep(idleTime)
		synctest.Wait()
		l.mu.Lock()
		require.LessOrEqual(t, len(l.idle), 1)
		l.mu.Unlock()
		l.end()
	})
}

func TestALineIsGoneAlongThoughEachWhoGoesAlongItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tasks
		l := all.lender()
		var done atomic.Int64
		hold := make(chan struct{})
		for range 100 {
			l.queue(all.add(func(g *worker) {
				g.stay() // it takes longer
				<-hold
				done.Add(1)
			}))
		}
		synctest.Wait()
		l.mu.Lock()
		require.Equal(t, len(l.line), l.head)
		l.mu.Unlock()
		close(hold)
		synctest.Wait()
		require.EqualValues(t, 100, done.Load())
		require.Zero(t, l.walkers)
		l.end()
	})
}

func TestAGroupLetsGoOfItsContextWithItsLastMember(t *testing.T) {
	var c crowd
	c.prepare(nil)
	ctx := t.Context()
	all := make([]*Parked, 100)
	for i := range all {
		all[i] = new(Parked)
		c.join(all[i], ctx)
	}
	require.Equal(t, 100, c.count())
	require.ElementsMatch(t, all, c.list())
	for _, p := range slices.Backward(all) {
		p.group.leave(p)
	}
	require.Zero(t, c.count())
	for i := range c.parts {
		require.Empty(t, c.parts[i].groups)
	}
	c.await() // nobody is left
}
