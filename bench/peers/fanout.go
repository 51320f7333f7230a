package peers

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/sluice-engine/sluice/engine"
)

// fanOut makes n requests in whatever way a client has for many: the engine's own, or else the
// pool that one writes by hand, with a goroutine for each connection.
func fanOut(ctx context.Context, client Client, n int) error {
	if own, is := client.(interface {
		FanOut(ctx context.Context, n int) error
	}); is {
		return own.FanOut(ctx, n)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan struct{})
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			for range work {
				if err := client.Get(ctx); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for given := 0; given < n && ctx.Err() == nil; {
		select {
		case work <- struct{}{}:
			given++
		case <-ctx.Done():
		}
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

// FanOut makes n requests through Engine.Stream.
func (c *engineClient) FanOut(ctx context.Context, n int) error {
	var input iter.Seq[*engine.Request] = func(yield func(*engine.Request) bool) {
		for range n {
			if !yield(&c.request) {
				return
			}
		}
	}
	done := 0
	for _, result := range c.engine.Stream(ctx, input, engine.FanOut{}) {
		if result.Err != nil {
			return result.Err
		}
		if err := checkAnswer(result.Response.StatusCode, result.Response.Body); err != nil {
			return err
		}
		done++
	}
	if done != n {
		return fmt.Errorf("%d results of %d requests", done, n)
	}
	return nil
}
