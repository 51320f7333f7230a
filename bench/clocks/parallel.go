package clocks

import (
	"context"
	"runtime"
	"sync"
)

// inParallel calls do for 0 to n-1 on all processors, and stops early when ctx
// ends.
func inParallel(ctx context.Context, n int, do func(int)) error {
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
