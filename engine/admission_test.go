package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestCreditsAreNeverExceeded(t *testing.T) {
	const limit, callers, rounds = 3, 16, 500
	a := newAdmission(limit, callers)
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range rounds {
				if err := a.enter(context.Background(), &applicant{priority: messages.Normal}); err != nil {
					t.Error(err)
					return
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inside.Add(-1)
				a.leave()
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(limit))
	inFlight, waiting := a.credits()
	require.Zero(t, inFlight+waiting)
	require.Zero(t, a.state.Load())
}

func TestTheMostUrgentApplicantIsNextAndTheLeastUrgentIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, 3)
		require.NoError(t, a.take())
		var mu sync.Mutex
		var order []messages.Priority
		var all sync.WaitGroup
		apply := func(p messages.Priority, want error) {
			all.Go(func() {
				err := a.enter(context.Background(), &applicant{priority: p})
				require.Equal(t, want, err)
				if err == nil {
					mu.Lock()
					order = append(order, p)
					mu.Unlock()
					a.leave()
				}
			})
			synctest.Wait()
		}
		apply(1, nil)
		apply(3, nil)
		apply(0, ErrOverloaded) // shed for the next
		apply(2, nil)
		apply(0, ErrOverloaded) // no room, and nobody less urgent
		a.leave()
		all.Wait()
		require.Equal(t, []messages.Priority{3, 2, 1}, order)
	})
}

func TestAnApplicantWhoLeavesHoldsNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, 10)
		for i := range 200 { // the credit and the deadline race at the same instant
			require.NoError(t, a.take())
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			done := make(chan error, 1)
			go func() { done <- a.enter(ctx, &applicant{priority: messages.Normal}) }()
			time.Sleep(time.Second - time.Duration(i%2))
			a.leave()
			if <-done == nil {
				a.leave()
			}
			cancel()
			inFlight, waiting := a.credits()
			require.Zero(t, inFlight+waiting)
		}
	})
}

func TestClosingRefusesApplicantsAndTellsWhenTheLastLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, 10)
		require.NoError(t, a.take())
		refused := make(chan error, 1)
		go func() { refused <- a.enter(context.Background(), &applicant{priority: messages.Normal}) }()
		synctest.Wait()

		a.close()
		a.close()
		require.Equal(t, ErrClosed, <-refused)
		require.Equal(t, ErrClosed, a.enter(context.Background(), &applicant{priority: messages.Normal}))
		select {
		case <-a.idle:
			t.Fatal("one is still inside")
		default:
		}
		a.leave()
		<-a.idle
	})
}

// office is admission as one would do it by hand: a list, searched through.
type office struct {
	limit, patient int
	inside         int
	queue          []*visitor // in the order in which they came
}

type visitor struct {
	priority messages.Priority
	answer   string // "" while in the queue
	asked    *applicant
}

func (o *office) come(v *visitor) {
	o.queue = append(o.queue, v)
	o.serve()
	if len(o.queue) > o.patient {
		// The least urgent goes, and of several the one that came last.
		last := o.queue[0]
		for _, w := range o.queue {
			if w.priority <= last.priority {
				last = w
			}
		}
		o.answered(last, "sent away")
	}
}

func (o *office) serve() {
	for o.inside < o.limit && len(o.queue) > 0 {
		first := o.queue[0]
		for _, w := range o.queue {
			if w.priority > first.priority {
				first = w
			}
		}
		o.inside++
		o.answered(first, "let in")
	}
}

func (o *office) answered(v *visitor, answer string) {
	v.answer = answer
	o.queue = slices.DeleteFunc(o.queue, func(w *visitor) bool { return w == v })
}

func (o *office) leave() {
	o.inside--
	o.serve()
}

func TestWhoGetsWhichCreditIsAsOneWouldDoItByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &office{limit: rapid.IntRange(1, 3).Draw(t, "limit"), patient: rapid.IntRange(1, 6).Draw(t, "patient")}
		a := newAdmission(o.limit, o.patient)
		var all []*visitor
		picked := func(answer string) *visitor {
			var some []*visitor
			for _, v := range all {
				if v.answer == answer {
					some = append(some, v)
				}
			}
			if len(some) == 0 {
				return nil
			}
			return rapid.SampledFrom(some).Draw(t, "who")
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"come", "come", "leave", "give up"}).Draw(t, "step") {
			case "come":
				v := &visitor{priority: messages.Priority(rapid.IntRange(-1, 2).Draw(t, "priority"))}
				all = append(all, v)
				o.come(v)
				v.asked = &applicant{priority: v.priority, verdict: make(chan error, 1)}
				if err := a.take(); err != ErrOverloaded {
					v.asked.verdict <- err
				} else {
					a.join(v.asked)
				}
			case "leave":
				if v := picked("let in"); v != nil {
					v.answer = "gone"
					o.leave()
					a.leave()
				}
			case "give up":
				if v := picked(""); v != nil {
					o.answered(v, "gave up")
					v.asked.verdict <- nil // nobody else may answer any more
					a.withdraw(v.asked)
				}
			}
			for i, v := range all {
				wantAnswer(t, i, v)
			}
			inFlight, waiting := a.credits()
			require.Equal(t, o.inside, inFlight)
			require.Equal(t, len(o.queue), waiting)
		}
	})
}

// wantAnswer asserts that the applicant has heard what the visitor has.
func wantAnswer(t *rapid.T, i int, v *visitor) {
	if v.asked == nil || v.answer == "gone" || v.answer == "gave up" {
		return
	}
	heard := ""
	if len(v.asked.verdict) > 0 {
		heard = "let in"
		err := <-v.asked.verdict
		v.asked.verdict <- err
		if err != nil {
			heard = "sent away"
		}
	}
	require.Equal(t, v.answer, heard, "visitor %d", i)
}

func TestANewcomerNeverOvertakesWhoeverWaits(t *testing.T) {
	for range 200 {
		a := newAdmission(1, 100)
		require.NoError(t, a.take())
		var served []messages.Priority // written and read by whoever has the credit
		var all sync.WaitGroup
		all.Go(func() {
			require.NoError(t, a.enter(context.Background(), &applicant{priority: messages.Urgent}))
			served = append(served, messages.Urgent)
			a.leave()
		})
		for _, waiting := a.credits(); waiting == 0; _, waiting = a.credits() {
		}
		for range 4 {
			all.Go(func() {
				require.NoError(t, a.enter(context.Background(), &applicant{priority: messages.Background}))
				served = append(served, messages.Background)
				a.leave()
			})
		}
		a.leave()
		all.Wait()
		require.Equal(t, messages.Urgent, served[0])
	}
}

func TestACreditOnItsWayBackIsNotForNewcomers(t *testing.T) {
	a := newAdmission(1, 10)
	require.NoError(t, a.take())
	first := &applicant{verdict: make(chan error, 1)}
	a.join(first)
	a.state.Add(-1) // as leave begins
	require.Equal(t, ErrOverloaded, a.take())
	a.join(&applicant{priority: messages.Background, verdict: make(chan error, 1)})
	require.NoError(t, <-first.verdict)
}

func TestCreditsSurviveAStampede(t *testing.T) {
	const limit = 3
	a := newAdmission(limit, 20)
	var inside atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for range 2_000 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(50))*time.Microsecond)
				if a.enter(ctx, &applicant{priority: messages.Priority(random.IntN(3))}) == nil {
					if inside.Add(1) > limit {
						t.Error("too many credits")
					}
					inside.Add(-1)
					a.leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.Zero(t, a.state.Load())
	a.close()
	<-a.idle
}

// The price of one more in a long queue is about that in a short one, in the
// order that is worst for a list: each newcomer more urgent than all before.
func TestALongQueueIsNotDearer(t *testing.T) {
	price := func(n int) time.Duration {
		start := time.Now()
		a := newAdmission(1, n)
		require.NoError(t, a.take())
		for i := range n {
			a.join(&applicant{priority: messages.Priority(i), verdict: make(chan error, 1)})
		}
		for range n + 1 {
			a.leave()
		}
		return time.Since(start) / time.Duration(n)
	}
	short, long := price(2_000), price(100_000)
	for range 10 { // a machine that is busy with something else makes either dear
		if long < 25*short+time.Microsecond {
			return
		}
		short, long = min(short, price(2_000)), min(long, price(100_000))
	}
	require.Less(t, long, 25*short+time.Microsecond, "it would be 50 times if each newcomer passed all the others")
}

func BenchmarkACreditWithoutAShortage(b *testing.B) {
	a := newAdmission(100, 100)
	for b.Loop() {
		if a.take() == nil {
			a.leave()
		}
	}
}
