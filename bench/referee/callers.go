package referee

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// caller is one that calls again and again.
type caller struct {
	world *world
	rng   *rand.Rand
}

// calling is a caller's life.
func (w *world) calling(n uint64) {
	k := &caller{w, rand.New(rand.NewPCG(w.seed, n+1000))}
	for !w.over() {
		c, req := k.draw()
		for k.do(c, req) && !w.over() {
			c = k.again(c, req)
		}
	}
}

func (w *world) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// draw makes a call up.
func (k *caller) draw() (*call, *engine.Request) {
	w, s := k.world, k.world.scene
	c := &call{route: k.route(), key: k.rng.IntN(keyCount), once: s.once.draws(k.rng)}
	c.first = c
	req := &engine.Request{Key: strconv.Itoa(c.key), LimitID: c.route.limitID(), Redirects: 2}
	if c.once {
		req.Method = http.MethodPost
		if k.rng.IntN(2) == 0 && !s.signed.draws(k.rng) {
			req.Body = []byte(`{"what":"an order"}`)
		}
	}
	req.Auth = req.Body == nil && s.signed.draws(k.rng)
	req.Stream = s.streams.draws(k.rng)
	if s.ranked {
		req.Priority = []engine.Priority{engine.Background, engine.Normal, engine.Account, engine.High, engine.Urgent}[k.rng.IntN(5)]
	}
	if s.hurried.draws(k.rng) {
		req.Timeout = between(k.rng, time.Millisecond, 400*time.Millisecond)
	}
	k.address(c, req)
	w.enter(c, req)
	return c, req
}

func (k *caller) route() *route {
	w, s := k.world, k.world.scene
	switch {
	case s.free.draws(k.rng):
		return w.routes[5]
	case s.apart.draws(k.rng):
		return w.routes[4]
	case s.keyed.draws(k.rng):
		return w.routes[3]
	case s.heavy.draws(k.rng):
		return w.routes[2]
	}
	return w.routes[1]
}

// address says which host is asked.
func (k *caller) address(c *call, req *engine.Request) {
	w := k.world
	if len(w.names) > 1 && w.scene.away.draws(k.rng) {
		req.URL = "http://" + w.names[1+k.rng.IntN(len(w.names)-1)]
	}
}

// enter gives a call its number, and writes it into the request.
func (w *world) enter(c *call, req *engine.Request) {
	w.mu.Lock()
	c.id = len(w.calls)
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	flags := "-"
	if req.Stream {
		flags = "s"
	}
	path := fmt.Sprintf("/%s/%d/%d/%s", c.route.id, c.id, c.key, flags)
	if req.URL == "" {
		req.Path = path
		return
	}
	host, _, _ := strings.Cut(req.URL[len("http://"):], "/")
	req.URL = "http://" + host + path
}

// again is another call for the same thing.
func (k *caller) again(c *call, req *engine.Request) *call {
	next := &call{route: c.route, key: c.key, once: c.once, first: c.first}
	k.world.enter(next, req)
	return next
}

// do carries one call out, and reports whether it is to be repeated.
func (k *caller) do(c *call, req *engine.Request) (again bool) {
	w := k.world
	timeout := req.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	c.began = w.now()
	c.bound = c.began + timeout
	ctx := context.Background()
	if w.scene.cancels.draws(k.rng) {
		patience := k.patience()
		c.bound = min(c.bound, c.began+patience)
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		if patience == 0 {
			cancel()
		} else {
			defer time.AfterFunc(patience, cancel).Stop()
		}
	}
	resp, err := w.eng.Do(ctx, req)
	k.note(c, resp, err)
	if resp != nil && resp.Stream != nil {
		k.read(resp.Stream)
	}
	if errors.Is(err, engine.ErrClosed) {
		time.Sleep(5 * time.Millisecond)
		return false
	}
	if errors.Is(err, throttle.ErrSpent) {
		w.spent()
	}
	return k.reconsider(c, err)
}

// patience is when a caller cancels: often early, for then it still waits.
func (k *caller) patience() time.Duration {
	switch k.rng.IntN(10) {
	case 0:
		return 0
	case 1, 2, 3:
		return between(k.rng, 1, 10*time.Millisecond)
	}
	return between(k.rng, time.Millisecond, 600*time.Millisecond)
}

// note writes down what the engine said.
func (k *caller) note(c *call, resp *engine.Response, err error) {
	w := k.world
	w.mu.Lock()
	defer w.mu.Unlock()
	c.returned, c.returnedAt, c.err = true, w.now(), err
	if err != nil {
		c.outcome = engine.OutcomeOf(err)
		if failure, ok := errors.AsType[*engine.Error](err); ok {
			c.sent, c.attempts = failure.Sent, failure.Attempts
		} else {
			w.blame("failed with an error of another type", "%v: %T", c, err)
		}
		return
	}
	c.sent, c.attempts, c.told = resp.Sent, resp.Attempts, resp.StatusCode
	c.outcome = engine.OutcomeOf(resp.Err())
	if want := `{"id":` + strconv.Itoa(c.id) + ","; resp.StatusCode == 200 && resp.Stream == nil && !strings.HasPrefix(string(resp.Body), want) {
		w.blame("gave somebody else's answer", "%v: %q", c, resp.Body)
	}
}

// process is a post-processor that counts.
func (w *world) process(_ context.Context, req *engine.Request, _ *engine.Response) error {
	_, path, _ := strings.Cut(req.URL, ".test")
	parts := strings.Split(path, "/")
	if len(parts) < 5 {
		return nil
	}
	id, _ := strconv.Atoi(parts[2])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[id].processed++
	return nil
}

// read reads a stream to its end, or not.
func (k *caller) read(stream io.ReadCloser) {
	defer stream.Close()
	var waste [64]byte
	for patience := k.rng.IntN(8); patience != 0; patience-- {
		if _, err := stream.Read(waste[:]); err != nil {
			return
		}
	}
}

// reconsider waits a moment after a failure, and reports whether the caller tries
// again: what has not happened, often, and what is in doubt, if that is his way.
func (k *caller) reconsider(c *call, err error) bool {
	if err == nil && c.outcome == engine.Done {
		return false
	}
	time.Sleep(k.pauseAfter(err))
	if c.outcome == engine.Unknown {
		return k.world.scene.repeats.draws(k.rng)
	}
	return (c.outcome == engine.NotSent || c.outcome == engine.Refused) && k.rng.IntN(2) == 0
}

// pauseAfter is how long a caller waits after a failure: a moment, and if he is
// told from when on it makes sense, often until then.
func (k *caller) pauseAfter(err error) time.Duration {
	moment := between(k.rng, time.Millisecond, 30*time.Millisecond)
	if failure, ok := errors.AsType[*engine.Error](err); ok && k.rng.IntN(10) > 0 {
		return max(moment, min(failure.RetryAfter(), 10*time.Second))
	}
	return moment
}

// mostSpent is how many calls of a world may hear that a budget is spent.
const mostSpent = 500

// spent ends a world whose budgets are spent.
func (w *world) spent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spents++
	w.stopped = w.stopped || w.spents > mostSpent
}

// replacing replaces the main limit again and again. The server lowers what it
// counts only after the engine was told, and raises it before.
func (w *world) replacing() {
	rng := rand.New(rand.NewPCG(w.seed, 77))
	for !w.over() {
		time.Sleep(between(rng, 300*time.Millisecond, 4*time.Second))
		c := w.rules[mainRule]
		r := c.now()
		raised := rng.IntN(3) == 0
		switch rng.IntN(3) {
		case 0:
			offset := r.offset
			r = drawRule(rng, r.id, timed[rng.IntN(len(timed))], max(10, r.quota*int64(time.Second)/int64(r.per)))
			r.scope, raised = c.now().scope, false
			if r.kind == fixed && rng.IntN(2) == 0 && r.per > offset {
				r.offset = offset
			}
		case 1:
			raised = true
			fallthrough
		default:
			r.quota, r.burst = scaled(r, raised, rng)
		}
		w.replace(r, raised)
	}
}

// scaled is a quota and a burst that are greater or smaller.
func scaled(r rule, raised bool, rng *rand.Rand) (quota, burst int64) {
	part := 2 + rng.Int64N(7)
	quota, burst = max(10, r.quota*part/10), max(10, r.burst*part/10)
	if raised {
		quota, burst = min(2000, r.quota*10/part+1), min(3000, r.burst*10/part+1)
	}
	if r.burst == 0 { // only counters have one
		burst = 0
	}
	return quota, burst
}

func (w *world) replace(r rule, raised bool) {
	c := w.rules[mainRule]
	if raised {
		w.inForce(c, r)
		time.Sleep(time.Duration(w.seed%3) * 20 * time.Millisecond)
		w.told()
		return
	}
	// The engine is told of what is not in force yet.
	told := w.tableWith(r)
	if err := w.eng.ReplaceLimits(told); err != nil {
		w.mu.Lock()
		w.blame("did not take a table", "%v: %v", r, err)
		w.mu.Unlock()
		return
	}
	w.inForce(c, r)
}

func (w *world) inForce(c *counted, r rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	c.becomes(r, now, w.clock.read(now))
}

func (w *world) told() {
	w.mu.Lock()
	table := w.table()
	w.mu.Unlock()
	if err := w.eng.ReplaceLimits(table); err != nil {
		w.mu.Lock()
		w.blame("did not take a table", "%v", err)
		w.mu.Unlock()
	}
}

func (w *world) tableWith(r rule) []throttle.Limit {
	w.mu.Lock()
	defer w.mu.Unlock()
	table := w.table()
	table[mainRule] = w.limit(r)
	return table
}

// pausing pauses and resumes scopes by hand.
func (w *world) pausing() {
	rng := rand.New(rand.NewPCG(w.seed, 99))
	for !w.over() {
		time.Sleep(between(rng, time.Second, 6*time.Second))
		name := []string{wholeOrigin, "main", "apart", w.rules[secondRule].now().scope}[rng.IntN(4)]
		w.pause(rng, name)
	}
}

func (w *world) pause(rng *rand.Rand, name string) {
	h := w.hosts[w.names[rng.IntN(len(w.names))]]
	scope := throttle.Scope{Origin: "http://" + h.name, Name: name}
	span := between(rng, 100*time.Millisecond, 3*time.Second)
	err := w.eng.Pause(scope, span)
	now := w.now()
	w.mu.Lock()
	w.pauses.add(pause{h, name, now, now + span, "by hand"})
	w.mu.Unlock()
	if rng.IntN(2) == 0 {
		time.Sleep(between(rng, 0, span))
		w.mu.Lock()
		w.pauses.resume(h, name, w.now())
		w.mu.Unlock()
		err = errors.Join(err, w.eng.Resume(scope))
	}
	if err != nil {
		w.mu.Lock()
		w.blame("did not pause", "%v: %v", scope, err)
		w.mu.Unlock()
	}
}
