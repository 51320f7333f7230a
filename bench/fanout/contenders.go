package fanout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// The contenders, in the order of the first half of a round.
const (
	Stream  = "Stream"
	Do      = "Do"
	NetHTTP = "net/http"
)

var names = []string{Stream, Do, NetHTTP}

// contender makes so many requests, and returns nil only if every answer is as it should
// be.
type contender struct {
	name string
	run  func(n int) error
	end  func()
}

var errWrongAnswer = errors.New("not the answer that the server sends")

func checkAnswer(status, length int) error {
	if status != http.StatusOK || length != len(answer) {
		return fmt.Errorf("%w: status %d, body of %d bytes", errWrongAnswer, status, length)
	}
	return nil
}

// newEngine has a limit linked to a second one, both beyond reach: the price of being
// limited is in the figures, waiting is not.
func newEngine(origin string, connections int) (*engine.Engine, error) {
	const beyondReach = 1_000_000_000
	return engine.New(engine.Config{
		BaseURL: origin, DefaultLimitID: "route",
		Connections: engine.Connections{Max: connections},
		Limits: []throttle.Limit{
			{ID: "route", Quota: beyondReach, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
			{ID: "all", Quota: beyondReach, Per: time.Second},
		},
	})
}

// requests yields one request n times, as an input makes it out of what it reads.
func requests(n int) iter.Seq[*engine.Request] {
	return func(yield func(*engine.Request) bool) {
		request := &engine.Request{Path: "/price"}
		for range n {
			if !yield(request) {
				return
			}
		}
	}
}

// stream runs n requests through Engine.Stream.
func stream(ctx context.Context, eng *engine.Engine, n int, how engine.FanOut, seen func(done int)) error {
	done := 0
	for _, result := range eng.Stream(ctx, requests(n), how) {
		if result.Err != nil {
			return result.Err
		}
		if err := checkAnswer(result.Response.StatusCode, len(result.Response.Body)); err != nil {
			return err
		}
		if done++; seen != nil {
			seen(done)
		}
	}
	if done != n {
		return fmt.Errorf("%d results of %d requests", done, n)
	}
	return nil
}

func newStream(ctx context.Context, origin string, c Config) (contender, error) {
	eng, err := newEngine(origin, c.Connections)
	if err != nil {
		return contender{}, err
	}
	return contender{Stream, func(n int) error {
		return stream(ctx, eng, n, engine.FanOut{Window: c.Window}, nil)
	}, func() { eng.Close() }}, nil
}

// doing is a gauge.Getter.
type doing struct {
	eng     *engine.Engine
	request engine.Request
}

func (d *doing) Get(ctx context.Context) error {
	response, err := d.eng.Do(ctx, &d.request)
	if err != nil {
		return err
	}
	return checkAnswer(response.StatusCode, len(response.Body))
}

func newDo(ctx context.Context, origin string, c Config) (contender, error) {
	eng, err := newEngine(origin, c.Connections)
	if err != nil {
		return contender{}, err
	}
	callers := gauge.NewCallers(ctx, c.Connections)
	client := &doing{eng: eng, request: engine.Request{Path: "/price"}}
	return contender{Do, func(n int) error { return callers.Run(client, n) }, func() {
		callers.Stop()
		eng.Close()
	}}, nil
}

// newPool is the pool that one writes by hand: goroutines, a channel of work, and net/http
// with room for the connections of all.
func newPool(ctx context.Context, origin string, c Config) (contender, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: c.Connections, MaxConnsPerHost: c.Connections}
	client := &http.Client{Transport: transport}
	get := func(url string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		return checkAnswer(response.StatusCode, len(body))
	}
	return contender{NetHTTP, func(n int) error {
		work := make(chan string)
		var all sync.WaitGroup
		var failed atomic.Pointer[error]
		for range c.Connections {
			all.Go(func() {
				for url := range work {
					if err := get(url); err != nil {
						failed.Store(&err)
					}
				}
			})
		}
		for range n {
			if failed.Load() != nil {
				break
			}
			work <- origin + "/price"
		}
		close(work)
		all.Wait()
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	}, transport.CloseIdleConnections}, nil
}
