// Package parallel spreads independent simulations over the processors.
package parallel

import (
	"context"
	"runtime"
	"sync"
)

// For calls do for 0 to n-1 on all processors, in no particular order, and
// returns when all calls have. When ctx ends it begins no more of them, and
// returns the context's cause.
func For(ctx context.Context, n int, do func(i int)) error {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	defer workers.Wait()
	defer close(next)
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
