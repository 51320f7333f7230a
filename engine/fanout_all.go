package engine

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/sluice-engine/sluice/messages"
)

// Failure is one request of a run that failed.
type Failure struct {
	Index int64 // of the request in the input, from 0
	Key   any   // of Map, what the request was made for; otherwise nil
	Err   error // as Do or Fetch return it
}

// Error is part of error. It has no key: that may name an account.
func (f *Failure) Error() string {
	return fmt.Sprintf("request %d: %v", f.Index, messages.Discreet(f.Err))
}

// Unwrap returns the request's error.
func (f *Failure) Unwrap() error { return f.Err }

// Failures are all requests of a run that failed. errors.Is and errors.As find those of
// each, and OutcomeOf the one in most doubt.
type Failures struct {
	// Each is by index. Of All and FetchAll it has those as well that the run did not come to,
	// with the Run's error. Keys of Map that were not read any more are nowhere.
	Each     []*Failure
	NotBegun int64 // how many of Each the run did not come to
	Of       int64 // how many requests there were: all of a slice; of a Map, those that were begun
	Run      error // a *RunError if the run ended before its input did; otherwise nil
}

// Error is part of error: one line, with the first of them.
func (f *Failures) Error() string {
	text := fmt.Sprintf("sluice: %d of %d requests failed", len(f.Each), f.Of)
	if f.NotBegun > 0 {
		text += fmt.Sprintf(", %d of them not begun", f.NotBegun)
	}
	if len(f.Each) > 0 {
		text += ", first " + f.Each[0].Error()
	}
	if f.Run != nil {
		text += "; " + f.Run.Error()
	}
	return text
}

// Unwrap returns the failures, and the error of the run.
func (f *Failures) Unwrap() []error {
	all := make([]error, 0, len(f.Each)+1)
	for _, one := range f.Each {
		all = append(all, one)
	}
	if f.Run != nil {
		all = append(all, f.Run)
	}
	return all
}

// All sends requests, many at once, and returns their results in the order of the slice:
// as many as there are requests. Those that the run did not come to have the *RunError that
// ended it.
//
// The error is nil if none failed. Otherwise it is *Failures, with each by its index; a
// *RunError alone if none was begun; with FanOut.StopAtFirst the *Failure that stopped the
// run, or a *RunError if the run ended by itself, by ctx or FanOut.Within: also if it had read all
// requests by then. FanOut.InOrder makes no difference. As Stream, All returns when nothing is on its
// way any more. Request.Stream is ignored, for a stream would have ended by then: use Stream.
func (e *Engine) All(ctx context.Context, requests []*Request, how FanOut) ([]Result, error) {
	how.InOrder = false
	if how.Total == 0 {
		how.Total = int64(len(requests))
	}
	results := make([]Result, len(requests))
	r := e.newRun(ctx, slices.Values(requests), how, rules{ask: unstreamed})
	g := gathering{first: how.StopAtFirst}
	for _, result := range r.results {
		if result.Index < 0 {
			g.run = result.Err
			continue
		}
		results[result.Index] = result
		g.add(result.Index, nil, result.Err)
	}
	for i := range results {
		if results[i].Tries == 0 { // it was not begun
			results[i] = Result{Index: int64(i), Request: requests[i], Err: g.run}
		}
	}
	g.addRest(len(requests))
	g.conclude(r)
	return results, g.err()
}

func askedOfAll[T any](req *Request) *Request { return unstreamed(asked[T](req)) }

// gathering collects what failed.
type gathering struct {
	first    bool // one is enough
	of       int64
	notBegun int64
	failures []*Failure
	run      error
}

func (g *gathering) add(index int64, key any, err error) {
	g.of++
	if err == nil || g.first && len(g.failures) > 0 {
		return
	}
	g.failures = append(g.failures, &Failure{Index: index, Key: key, Err: err})
}

// addRest adds those of a slice that a run which ended early did not come to: it reads them in
// their order, and has a result for each that it has read.
func (g *gathering) addRest(all int) {
	if g.run == nil || g.first || g.of == 0 { // of none at all the run's error says as much
		return
	}
	g.notBegun = int64(all) - g.of
	for ; g.of < int64(all); g.of++ {
		g.failures = append(g.failures, &Failure{Index: g.of, Err: g.run})
	}
}

// conclude looks at what has ended a run that the first failure was to stop. If none has, those that
// failed are not to blame: they were cancelled with it.
func (g *gathering) conclude(r *run) {
	if !g.first || len(g.failures) == 0 {
		return
	}
	why := r.endOfItself()
	if why == nil {
		return
	}
	g.failures = nil
	if g.run == nil {
		g.run = &RunError{Pulled: g.of, Err: why, all: true}
	}
}

// err is what All and those like it return.
func (g *gathering) err() error {
	switch {
	case len(g.failures) == 0:
		return g.run
	case g.first:
		return g.failures[0]
	}
	slices.SortFunc(g.failures, func(a, b *Failure) int { return int(a.Index - b.Index) })
	return &Failures{Each: g.failures, NotBegun: g.notBegun, Of: g.of, Run: g.run}
}

// FetchAll sends requests, many at once, and decodes each answer into a T, by the rules of
// Fetch: any other status than 2xx is a *StatusError, whatever FanOut.FailStatuses says, and
// what cannot be decoded is a failure too. The slice has a T for every request, in their
// order; of those that failed, and of those that the run did not come to, it is the zero value.
//
// The error is that of All, with the errors of Fetch in it: Failures.Each has them all.
// Request.Stream is ignored for every T.
func FetchAll[T any](ctx context.Context, eng *Engine, requests []*Request, how FanOut) ([]T, error) {
	if how.Total == 0 {
		how.Total = int64(len(requests))
	}
	how.InOrder = false
	got := make([]T, len(requests))
	r := eng.newRun(ctx, slices.Values(requests), how, fetching[T](nil))
	g := fetchEach(r, func(index int64, value T) { got[index] = value }, nil)
	g.addRest(len(requests))
	return got, g.err()
}

// fetching has a run fetch a T for every request. begins, if there is one, is told its context.
func fetching[T any](begins func(context.Context)) rules {
	return rules{ask: askedOfAll[T], refuse: unwanted, raw: true, begins: begins}
}

// fetchEach calls take with every answer, on its own goroutine. key, if there is one, tells
// what a request was made for.
func fetchEach[T any](r *run, take func(int64, T), key func(int64) any) *gathering {
	g := &gathering{first: r.how.StopAtFirst}
	for req, result := range r.results {
		if result.Index < 0 {
			g.run = result.Err
			continue
		}
		value, err := fetched[T](r.eng, req, result.Response, result.Err)
		var of any
		if err == nil {
			take(result.Index, value)
		} else {
			r.tally.undecoded(result)
			if g.first {
				r.stop() // it may have been found out just now
			}
			if key != nil {
				of = key(result.Index)
			}
		}
		g.add(result.Index, of, err)
	}
	g.conclude(r)
	return g
}

// Map asks for something for each of many keys, and returns what there is by key: request
// makes the request of a key, and its answer is decoded into a T by the rules of FetchAll.
// Keys may be many, and slow to come: they are read as Stream reads its input, on a
// goroutine of its own, and so is request called. A key that comes again is asked for once.
//
// The error is that of FetchAll; Failure.Key is the key, a K. What failed is not in the
// map, nor is a key that was not read any more because the run ended: then Failures.Run is set.
// A panic in keys or in request comes to the caller.
func Map[K comparable, T any](
	ctx context.Context, eng *Engine, keys iter.Seq[K], request func(K) *Request, how FanOut,
) (map[K]T, error) {
	var input iter.Seq[*Request]
	var ring keyring[K]
	var run context.Context
	if keys != nil && request != nil {
		input = func(yield func(*Request) bool) {
			for key := range keys {
				if !ring.add(key) {
					if run.Err() != nil { // which yield would say, were it asked
						return
					}
				} else if !yield(request(key)) {
					return
				}
			}
		}
	}
	how.InOrder = false
	got := map[K]T{}
	r := eng.newRun(ctx, input, how, fetching[T](func(ctx context.Context) { run = ctx }))
	g := fetchEach(r, func(index int64, value T) { got[ring.at(index)] = value }, func(index int64) any { return ring.at(index) })
	return got, g.err()
}

// keyring has the keys of a Map by the index of their requests. The goroutine that reads the
// keys adds, the caller's asks.
type keyring[K comparable] struct {
	mu    sync.Mutex
	known map[K]struct{} // guarded by mu
	order []K            // guarded by mu
}

// add reports whether the key is a new one.
func (k *keyring[K]) add(key K) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.known[key]; known {
		return false
	}
	if k.known == nil {
		k.known = map[K]struct{}{}
	}
	k.known[key] = struct{}{}
	k.order = append(k.order, key)
	return true
}

func (k *keyring[K]) at(index int64) K {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.order[index]
}
