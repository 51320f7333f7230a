package engine_test

// What docs/guide shows of limits, priorities, the clock, connections, testing and
// migration: each piece there stands here to the letter, compiled, and most of it run.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
	"github.com/sluice-engine/sluice/throttle/limitfile"
)

// ---- limits ----

var spotLimits = []throttle.Limit{
	{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute},
	{ID: "orders", Window: throttle.Fixed, Quota: 100, Per: 10 * time.Second, By: throttle.ByAccount},

	// What requests name: routes, which have no quota of their own.
	{ID: "depth", Linked: []throttle.Link{{ID: "weight", Tariff: throttle.Tariff{
		{Param: "limit", UpTo: 100, Weight: 5},
		{Param: "limit", UpTo: 500, Weight: 25},
		{Param: "limit", Weight: 250},
		{Weight: 5}, // nothing is said
	}}}},
	{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
}

const limitsAsData = `{"limits": [
	{"id": "weight", "window": "fixed", "quota": 6000, "per": "1m"},
	{"id": "orders", "window": "fixed", "quota": 100, "per": "10s", "by": ["account"]},
	{"id": "order",  "links": [{"id": "weight", "weight": 1}, {"id": "orders", "weight": 1}]}
]}`

func limitsFrom(text string) ([]throttle.Limit, error) {
	return limitfile.Read(strings.NewReader(text)) // or a file, or an answer of your own server
}

func ExampleEngine_Explain() {
	eng, err := engine.New(engine.Config{BaseURL: "https://api.example.com", Limits: spotLimits})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()

	x, err := eng.Explain(&engine.Request{Path: "/depth", Query: engine.Values{"limit": 500}, LimitID: "depth"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range x.Charges {
		fmt.Printf("%s: %d of %d\n", c.ID, c.Weight, c.Quota)
	}
	// Output: weight: 25 of 6000
}

// unmovedByBusy is for a server whose 503 speaks of one request and not of the client.
func unmovedByBusy(a feedback.Answer) feedback.Feedback {
	if a.Status == http.StatusServiceUnavailable {
		return feedback.Feedback{} // the request itself still waits for its Retry-After
	}
	return feedback.RetryAfter(a)
}

func TestABusyServerHoldsUpTheOneRequestThatItRefused(t *testing.T) {
	for name, c := range map[string]struct {
		reads feedback.Reader
		waits time.Duration // the other
	}{
		"by default": {waits: 5 * time.Second}, "unmoved": {reads: unmovedByBusy},
	} {
		synctest.Test(t, func(t *testing.T) {
			busy := true
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/one" && busy {
					busy = false
					w.Header().Set("Retry-After", "5")
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			})
			eng, err := engine.New(engine.Config{
				BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial}, DefaultLimitID: "all", Feedback: c.reads,
				Limits: []throttle.Limit{{ID: "all", Quota: 1000, Per: time.Second}}, Retry: engine.Retry{Statuses: []int{503}},
			})
			require.NoError(t, err, name)
			defer eng.Close()
			begun := time.Now()
			var one sync.WaitGroup
			one.Go(func() {
				response, err := eng.Do(t.Context(), &engine.Request{Path: "/one"})
				require.NoError(t, err, name)
				require.Equal(t, 200, response.StatusCode, name)
				require.GreaterOrEqual(t, time.Since(begun), 5*time.Second, name)
			})
			synctest.Wait()
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/other"})
			require.NoError(t, err, name)
			require.GreaterOrEqual(t, time.Since(begun), c.waits, name)
			require.Less(t, time.Since(begun), c.waits+time.Second, name)
			one.Wait()
		})
	}
}

// probe finds out how a server counts: it spends a quota at once, and then asks again
// and again, once every tenth of the window, whether there is room.
func probe(ctx context.Context, ask func(context.Context) (refused bool, err error), quota int, per time.Duration) (time.Duration, error) {
	begun := time.Now()
	var left atomic.Int64
	var wrong atomic.Bool
	left.Store(int64(quota))
	var all sync.WaitGroup
	for range min(quota, 64) { // or the first would be over before the last is spent
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if refused, err := ask(ctx); err != nil || refused {
					wrong.Store(true)
				}
			}
		})
	}
	all.Wait()
	switch took := time.Since(begun); {
	case wrong.Load():
		return 0, errors.New("the quota was not free to begin with, or not all were answered")
	case took > per/10:
		return 0, fmt.Errorf("it took %v to spend the quota: too long to tell anything from", took)
	}
	for refused := 0; ; refused++ {
		switch no, err := ask(ctx); {
		case err != nil:
			return 0, err
		case !no && refused == 0:
			return 0, errors.New("more than the quota was not refused")
		case !no:
			return time.Since(begun), nil
		}
		select {
		case <-time.After(per / 10):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func TestTheProbeTellsTheWindowsApart(t *testing.T) {
	const quota, per = 100, 10 * time.Second
	for name, c := range map[string]struct {
		window   throttle.Window
		takes    time.Duration // an answer
		from, to time.Duration // when there is room again
		err      string
	}{
		"sliding":           {window: throttle.Sliding, takes: 50 * time.Millisecond, from: 10 * time.Second, to: 12 * time.Second},
		"from the first":    {window: throttle.FixedFromFirst, takes: 50 * time.Millisecond, from: 10 * time.Second, to: 12 * time.Second},
		"fixed":             {window: throttle.Fixed, takes: 50 * time.Millisecond, from: time.Second, to: 7 * time.Second}, // it began 6 s before the windows' edge
		"leaky":             {window: throttle.Leaky, takes: time.Millisecond, from: time.Second, to: 2 * time.Second},
		"one at all times":  {window: throttle.Concurrency, takes: 50 * time.Millisecond, err: "more than the quota was not refused"},
		"a server far away": {window: throttle.Sliding, takes: 3 * time.Second, err: "it took 6s to spend the quota: too long to tell anything from"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Now().Truncate(per).Add(per + 4*time.Second)))
				limit := throttle.Limit{ID: "calls", Window: c.window, Quota: quota, Per: per}
				if c.window == throttle.Concurrency {
					limit.Per = 0
				}
				ledger, err := throttle.New([]throttle.Limit{limit}, throttle.Options{})
				require.NoError(t, err)
				epoch := time.Now()
				ledger.SetClock(0, time.Duration(epoch.UnixNano()), time.Duration(epoch.UnixNano()))
				var mu sync.Mutex
				took, err := probe(t.Context(), func(context.Context) (bool, error) {
					time.Sleep(c.takes / 2)
					defer time.Sleep(c.takes / 2)
					mu.Lock()
					defer mu.Unlock()
					now := time.Since(epoch)
					p := &throttle.Permit{Limit: "calls"}
					if err := ledger.TryAcquire(now, p); err != nil {
						return true, nil
					}
					ledger.Settle(now, p, throttle.Outcome{Fate: throttle.Answered})
					return false, nil
				}, quota, per)
				if c.err != "" {
					require.EqualError(t, err, c.err)
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, took, c.from)
				require.LessOrEqual(t, took, c.to)
			})
		})
	}
}

// ---- priorities and deadlines ----

var sharedWithOrders = throttle.Limit{
	ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute,
	Reserve: []throttle.Reserve{
		{Priority: engine.Urgent, Weight: 60}, // for nothing but cancels
		{Priority: engine.High, Weight: 240},  // for orders, and for cancels too
	},
}

func backfill(ctx context.Context, eng *engine.Engine, symbol string) (*engine.Response, error) {
	return eng.Do(ctx, &engine.Request{
		Path: "/klines", Query: engine.Values{"symbol": symbol},
		LimitID: "weight", Priority: engine.Background,
		Timeout: -1, // the context alone bounds it: bulk work may take the day
	})
}

func quote(ctx context.Context, eng *engine.Engine, symbol string) (string, error) {
	response, err := eng.Do(ctx, &engine.Request{
		Path: "/price", Query: engine.Values{"symbol": symbol},
		LimitID: "weight", Timeout: 300 * time.Millisecond, // later it is of no use
	})
	var failure *engine.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded) && errors.As(err, &failure):
		return "", fmt.Errorf("no quote in time: %q has room at %v", failure.Limit, failure.RetryAt)
	case err != nil:
		return "", err
	}
	return response.Text(), nil
}

func TestTheGuidesQuoteIsGivenUpAtOnceWhileBulkWorkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := throttle.Limit{ID: "weight", Quota: 2, Per: time.Minute}
		eng := newServer(t, nil).newEngine(t, engine.Config{Limits: []throttle.Limit{limit}})
		for range 2 {
			_, err := quote(t.Context(), eng, "BTCUSDT")
			require.NoError(t, err)
		}
		begun := time.Now()
		_, err := quote(t.Context(), eng, "BTCUSDT")
		require.ErrorContains(t, err, `"weight" has room at`)
		require.Zero(t, time.Since(begun), "nobody waits for what will not be in time")
		_, err = backfill(t.Context(), eng, "BTCUSDT")
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(begun), 59*time.Second)
	})
}

func TestTheGuidesReservesAreATableThatStands(t *testing.T) {
	_, err := throttle.New([]throttle.Limit{sharedWithOrders}, throttle.Options{})
	require.NoError(t, err)
}

// ---- the clock ----

func stamped(url string) engine.Config {
	return engine.Config{
		BaseURL: url,
		Limits:  []throttle.Limit{{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute}},
		Time:    engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("weight"),
	}
}

func stamp(ctx context.Context, eng *engine.Engine) (int64, time.Duration, error) {
	if err := eng.AwaitTime(ctx); err != nil {
		return 0, 0, err // a *SkewError says that the server's clock is not to be believed
	}
	clock := eng.Clock()
	return clock.Now().UnixMilli(), clock.Bound(), nil
}

func TestTheGuidesStampIsTheServersTime(t *testing.T) {
	const ahead = 90 * time.Second
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		fmt.Fprintf(w, `{"serverTime":%d}`, now.UnixMilli())
	}))
	defer api.Close()
	eng := newEngine(t, stamped(api.URL))
	ms, bound, err := stamp(t.Context(), eng)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(ahead), time.UnixMilli(ms), 2*time.Second)
	require.Positive(t, bound)
}

// ---- connections ----

func ExampleEngine_Warm() {
	api := exampleServer()
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:     api.URL,
		Connections: engine.Connections{Max: 32, MinIdle: 4, MaxAge: 5 * time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()

	if err := eng.Warm(context.Background(), "", 8); err != nil { // before the market opens
		fmt.Println(err)
		return
	}
	fmt.Println(eng.Stats().Pools[0])
	// Output: 0 leased, 8 idle
}

func download(ctx context.Context, eng *engine.Engine, path string, to io.Writer) (int64, error) {
	response, err := eng.Do(ctx, &engine.Request{Path: path, Stream: true})
	if err != nil {
		return 0, err
	}
	defer response.Stream.Close() // until then it holds a connection
	return io.Copy(to, response.Stream)
}

func TestTheGuidesDownloadHoldsNothingAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 100_000))
		}).newEngine(t, engine.Config{})
		n, err := download(t.Context(), eng, "/archive", io.Discard)
		require.NoError(t, err)
		require.EqualValues(t, 100_000, n)
		wantNothingHeld(t, eng)
	})
}

// ---- testing ----

// inMemory serves handler over pipes, and returns what dials it.
func inMemory(t *testing.T, handler http.Handler) func(context.Context, string, string) (net.Conn, error) {
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	api := &http.Server{Handler: handler}
	go api.Serve(listener)
	t.Cleanup(func() { api.Close() })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case listener.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func TestAServerOfHTTPSOnAPipeSendsNoTickets(t *testing.T) {
	known := httptest.NewTLSServer(nil) // which has a certificate
	known.Close()
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		api := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
		go api.Serve(tls.NewListener(listener, &tls.Config{Certificates: known.TLS.Certificates, SessionTicketsDisabled: true}))
		defer api.Close()
		dial := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			listener.conns <- theirs
			return ours, nil
		}
		trust := known.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		eng, err := engine.New(engine.Config{
			BaseURL: "https://example.com", Dial: engine.Dial{DialContext: dial, TLS: &tls.Config{RootCAs: trust}},
		})
		require.NoError(t, err)
		defer eng.Close()
		resp, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		require.Equal(t, "hello", resp.Text())
	})
}

func TestSixtyRequestsAMinuteTakeTenMinutesForSixHundred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // ten minutes pass in no time
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		eng, err := engine.New(engine.Config{
			BaseURL:        "http://api.test",
			Limits:         []throttle.Limit{{ID: "calls", Quota: 60, Per: time.Minute}},
			DefaultLimitID: "calls",
			Dial:           engine.Dial{DialContext: dial},
		})
		require.NoError(t, err)
		defer eng.Close()

		begun := time.Now()
		for range 600 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		}
		require.InDelta(t, 9*time.Minute, time.Since(begun), float64(time.Second))
	})
}

func rehearsed(ctx context.Context, eng *engine.Engine, req *engine.Request) error {
	rehearsal, err := eng.DryRun(ctx, req)
	if err != nil {
		return err
	}
	fmt.Println(rehearsal) // names, and no value of a parameter or header
	return nil
}

func TestTheGuidesRehearsalSendsNothing(t *testing.T) {
	eng, err := engine.New(engine.Config{BaseURL: "http://127.0.0.1:1", Limits: spotLimits}) // where nobody is
	require.NoError(t, err)
	defer eng.Close()
	require.NoError(t, rehearsed(t.Context(), eng, &engine.Request{Path: "/depth", LimitID: "depth"}))
}

// ---- migrating ----

func sdkClient(eng *engine.Engine) *http.Client {
	return &http.Client{Transport: eng.RoundTripper(func(r *http.Request, asked *engine.Request) {
		switch {
		case r.Method == http.MethodDelete:
			asked.LimitID, asked.Priority = "order", engine.Urgent
		case strings.HasPrefix(r.URL.Path, "/depth"):
			asked.LimitID = "depth"
		default:
			asked.LimitID = "weight"
		}
	})}
}

func TestTheGuidesClientIsChargedByItsRoutes(t *testing.T) {
	api := exampleServer()
	defer api.Close()
	eng := newEngine(t, engine.Config{BaseURL: api.URL, Limits: spotLimits, Feedback: feedback.RetryAfter})
	response, err := sdkClient(eng).Get(api.URL + "/depth?limit=5000")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, 250, used(eng, "weight"))
}

func TestLimitsAsDataAreTheLimitsOfTheGuide(t *testing.T) {
	limits, err := limitsFrom(limitsAsData)
	require.NoError(t, err)
	require.Len(t, limits, 3)
	require.Equal(t, spotLimits[:2], limits[:2])
}
