package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
				if err := a.enter(context.Background(), messages.Normal); err != nil {
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
	require.Zero(t, a.waiting.Load())
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
				err := a.enter(context.Background(), p)
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
			go func() { done <- a.enter(ctx, messages.Normal) }()
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
		go func() { refused <- a.enter(context.Background(), messages.Normal) }()
		synctest.Wait()

		a.close()
		a.close()
		require.Equal(t, ErrClosed, <-refused)
		require.Equal(t, ErrClosed, a.enter(context.Background(), messages.Normal))
		select {
		case <-a.idle:
			t.Fatal("one is still inside")
		default:
		}
		a.leave()
		<-a.idle
	})
}
