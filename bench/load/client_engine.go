package load

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// engineClient is an engine, as it is configured.
type engineClient struct {
	engine  *engine.Engine
	timeout time.Duration
	close   bool
	limit   string // that is charged where a step names none

	steps    stepCache[*engine.Request]
	inFlight atomic.Int64
	open     atomic.Int64 // connections, as they were last seen
	trace    atomic.Bool  // every request may have to connect

	mu       sync.Mutex
	refusals map[string]uint64 // answers that said too many, by limit, since Limits was called
}

func newEngine(config ClientConfig) (Client, error) {
	made := engineConfig(config)
	eng, err := engine.New(made)
	if err != nil {
		return nil, err
	}
	c := &engineClient{engine: eng, timeout: config.timeout(), close: config.NoKeepAlive, limit: made.DefaultLimitID, refusals: make(map[string]uint64)}
	c.trace.Store(config.NoKeepAlive)
	return c, nil
}

// engineConfig is what the user's configuration, or none, becomes with what was said beside it.
func engineConfig(config ClientConfig) engine.Config {
	var made engine.Config
	if config.Engine != nil {
		made = *config.Engine
	} else {
		made.Retry.Max = -1 // every failure is to be seen
		// A refusal pauses nothing: the schedule decides when requests leave, not the server.
		made.Feedback = func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} }
		made.Responses.Codings = []string{}
		made.Responses.MaxBody = mostBody
		made.Admission.MaxInFlight, made.Connections.MaxWaiters = 1_000_000, 1_000_000
		made.Connections.Max = config.connections()
	}
	if config.Connections > 0 {
		made.Connections.Max = config.Connections
	}
	if trust := config.tls(); trust != nil {
		if made.Dial.TLS != nil {
			mine := made.Dial.TLS.Clone()
			mine.InsecureSkipVerify = mine.InsecureSkipVerify || trust.InsecureSkipVerify
			if trust.RootCAs != nil {
				mine.RootCAs = trust.RootCAs
			}
			trust = mine
		}
		made.Dial.TLS = trust
	}
	if config.Proxy != nil {
		made.Dial.Proxy = http.ProxyURL(config.Proxy)
	}
	if config.HTTP2 {
		made.Connections.HTTP2 = func(string) bool { return true }
	}
	return made
}

// Close ends the engine.
func (c *engineClient) Close() { c.engine.Close() }

// Connections counts those of all pools, over HTTP/2 their streams.
func (c *engineClient) Connections() int {
	n := 0
	pools := c.engine.Stats().Pools
	for _, pool := range pools {
		n += pool.Idle + pool.Leased
	}
	c.open.Store(int64(n))
	c.trace.Store(c.close || len(pools) > 1)
	return n
}

// mostLimits is how many limits and instances are told of.
const mostLimits = 50

// Limits says how full the engine's limits are, with the refusals since it was last called.
func (c *engineClient) Limits() []results.LimitUse {
	c.mu.Lock()
	refusals := c.refusals
	c.refusals = make(map[string]uint64)
	c.mu.Unlock()
	var uses []results.LimitUse
	for _, l := range c.engine.Glance(mostLimits).Limits.Limits {
		use := results.LimitUse{ID: l.ID, Used: l.Used, Quota: l.Quota}
		for _, part := range []string{l.Account, l.Key, l.Egress} {
			if part != "" {
				use.ID += " " + part
			}
		}
		for _, queued := range l.Queued {
			use.Queued += queued.N
		}
		if !slices.ContainsFunc(uses, func(u results.LimitUse) bool { return u.ID == l.ID }) {
			use.Refusals = refusals[l.ID]
			delete(refusals, l.ID)
		}
		uses = append(uses, use)
	}
	return uses
}

// Do makes one request.
func (c *engineClient) Do(ctx context.Context, r *targets.Request, a *Answer) {
	req, err := c.steps.of(r, c.request)
	if err != nil {
		a.fail(err, kindRequest)
		return
	}
	// Only a request for which no connection is free may have to set one up, and be worth
	// the hooks that tell how long that takes.
	defer c.inFlight.Add(-1)
	var watch *stopwatch
	if c.inFlight.Add(1) > c.open.Load() || c.trace.Load() {
		watch = &stopwatch{}
		ctx = httptrace.WithClientTrace(ctx, watch.trace())
	}
	begun := time.Now()
	resp, err := c.engine.Do(ctx, req)
	a.End = time.Now()
	if err != nil {
		c.failed(err, begun, a)
	} else {
		c.answered(resp, r, a)
	}
	if watch != nil {
		c.connected(watch, a)
	}
	if resp != nil && !r.KeepBody {
		resp.Release()
	}
}

func (c *engineClient) request(r *targets.Request) (*engine.Request, error) {
	req := &engine.Request{
		Method: r.Method, URL: r.URL, Header: r.Header, LimitID: r.Step.Limit, Account: r.Account, Key: r.Key,
		Priority: engine.Priority(r.Step.Priority), Auth: r.Step.Sign, Timeout: c.timeout, Close: c.close,
	}
	if len(r.Body) > 0 {
		req.Body = r.Body
	}
	return req, nil
}

// answered fills in where the time went. Of several attempts, what they and the pauses
// between them took is service, and the rest, which is the engine's own, comes before.
func (c *engineClient) answered(resp *engine.Response, r *targets.Request, a *Answer) {
	a.Status, a.In = resp.StatusCode, int64(len(resp.Body))
	t := resp.Timing
	a.Sent = resp.SentAt
	if resp.Attempts > 1 {
		a.Repeats = resp.Attempts - 1
		a.Sent = a.End.Add(-(t.FirstByte + t.Body + t.Paused))
	}
	a.Stages = results.Stages{Queue: t.Admitted + t.Queued, Lease: t.Leased, Wait: t.FirstByte, Receive: t.Body}
	if r.KeepBody {
		a.Body, a.Header = resp.Body, resp.Header.HTTP()
	}
	if a.Status == http.StatusTooManyRequests || a.Status == http.StatusTeapot {
		c.mu.Lock()
		c.refusals[cmp.Or(r.Step.Limit, c.limit)]++
		c.mu.Unlock()
	}
}

func (c *engineClient) failed(err error, begun time.Time, a *Answer) {
	a.Err, a.Kind = err, engineKind(err)
	var e *engine.Error
	if errors.As(err, &e) && e.Sent != messages.SentNo {
		a.Repeats = max(e.Attempts-1, 0)
		a.Sent = begun.Add(e.Waited) // about when: an error does not tell more
		a.Stages.Wait = a.End.Sub(a.Sent)
	}
}

// connected says what a new connection took, which is part of the wait for one.
func (c *engineClient) connected(w *stopwatch, a *Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	a.refused = w.refused
	if !w.fresh {
		return
	}
	c.open.Add(1) // until it is counted
	w.tellSetUp(a)
}

// engineKind tells what the engine's limits refused from other failures.
func engineKind(err error) string {
	var full *engine.PoolFullError
	switch {
	case errors.As(err, &full), errors.Is(err, engine.ErrTooManyWaiters), errors.Is(err, engine.ErrOverloaded):
		return kindPool
	case errors.Is(err, engine.ErrQueueFull), errors.Is(err, engine.ErrSpent), errors.Is(err, engine.ErrHalted),
		errors.Is(err, engine.ErrWeight), errors.Is(err, engine.ErrNoRoom):
		return kindLimit
	case errors.Is(err, engine.ErrNoLimit), errors.Is(err, engine.ErrUnknownLimit), errors.Is(err, engine.ErrInvalidRequest),
		errors.Is(err, engine.ErrNoKey), errors.Is(err, engine.ErrUnknownKey), errors.Is(err, engine.ErrLongName), errors.Is(err, engine.ErrUnknownAccount):
		return kindRequest
	}
	var e *engine.Error
	if errors.As(err, &e) && (e.Limit != "" || e.Stage == messages.Throttled) && e.Sent == messages.SentNo && KindOf(err) == kindTimeout {
		return kindLimit // its time was up in the queue of a limit, or a pause is longer
	}
	if errors.Is(err, messages.ErrPeerClosed) || errors.Is(err, messages.ErrTruncated) {
		if kind := KindOf(err); kind == kindReset {
			return kind
		}
		return kindClosed
	}
	return KindOf(err)
}
