package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

// ledger is a server's own count of what it was asked and has answered.
type ledger struct {
	mu       sync.Mutex
	answered map[string]int // by method and status
	began    int
}

func (l *ledger) begin() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began++
	return l.began
}

func (l *ledger) note(method string, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[fmt.Sprint(method, " ", status)]++
}

func (l *ledger) counts() (map[string]int, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.answered), l.began
}

// answer does what the path says, and notes it before it does.
func (l *ledger) answer(w http.ResponseWriter, r *http.Request) {
	n := l.begin()
	switch what := strings.TrimPrefix(r.URL.Path, "/"); what {
	case "cut":
		panic(http.ErrAbortHandler)
	case "slow":
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
			l.note(r.Method, 200)
		}
	case "flaky":
		if n%3 != 0 {
			l.note(r.Method, 503)
			w.WriteHeader(503)
			return
		}
		l.note(r.Method, 200)
	case "moved":
		l.note(r.Method, 303)
		w.Header().Set("Location", "/ok")
		w.WriteHeader(303)
	case "missing":
		l.note(r.Method, 404)
		w.WriteHeader(404)
	case "limited":
		l.note(r.Method, 429)
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(429)
	default:
		l.note(r.Method, 200)
		io.WriteString(w, "{}")
	}
}

func inBoth(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, config engine.Config)) {
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2], func(t *testing.T) {
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = true
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			config := engine.Config{BaseURL: server.URL}
			config.Dial.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
			if h2 {
				config.Connections.HTTP2 = func(string) bool { return true }
			}
			test(t, config)
		})
	}
}

func TestExchangesAreToldAsTheServerHasCountedThem(t *testing.T) {
	var l *ledger
	inBoth(t, func(w http.ResponseWriter, r *http.Request) { l.answer(w, r) }, func(t *testing.T, config engine.Config) {
		l = &ledger{answered: map[string]int{}}
		m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr})
		config.Observers = []engine.Observer{tel.Observer()}
		config.Retry = engine.Retry{Statuses: []int{503}, Max: 5, Base: time.Millisecond, Cap: 2 * time.Millisecond}
		config.Throttle = throttle.Options{LeastPause: time.Millisecond, MaxPause: 5 * time.Millisecond}
		eng, err := engine.New(config)
		require.NoError(t, err)
		stop, err := tel.Watch(eng)
		require.NoError(t, err)
		paths := []string{"/ok", "/flaky", "/moved", "/missing", "/slow", "/ok"}
		methods := []string{"GET", "POST", "PUT"}
		request := func(i int) *engine.Request {
			return &engine.Request{Method: methods[i%len(methods)], Path: paths[i%len(paths)], Redirects: 2, Body: map[bool]any{true: "x"}[i%3 > 0]}
		}
		ended := 0
		for i := range 60 {
			_, _ = eng.Do(t.Context(), request(i/2))
			ended++
		}
		var all []*engine.Pending
		for i := range 120 {
			req := request(i)
			req.Method, req.Body = "GET", nil
			req.Stream = i%4 == 0
			all = append(all, eng.Submit(t.Context(), req))
			ended++
		}
		for _, p := range all {
			if response, err := p.Result(); err == nil && response.Stream != nil {
				io.Copy(io.Discard, response.Stream)
				response.Stream.Close()
			}
		}
		input := func(yield func(*engine.Request) bool) {
			for i := range 100 {
				if !yield(request(i)) {
					return
				}
			}
		}
		for range eng.Stream(t.Context(), input, engine.FanOut{Window: 10}) {
			ended++
		}
		var together sync.WaitGroup
		for range 20 {
			together.Go(func() { _, _ = eng.Do(t.Context(), &engine.Request{Path: "/slow", Coalesce: true}) })
		}
		together.Wait()
		answered, _ := l.counts()

		got, total := map[string]int{}, 0
		read := m.read(t)
		for _, r := range named(read, "http.client.request.duration") {
			method, _ := r.attrs.Value("http.request.method")
			status, _ := r.attrs.Value("http.response.status_code")
			got[fmt.Sprint(method.AsString(), " ", status.AsInt64())] += int(r.count)
			total += int(r.count)
			version, _ := r.attrs.Value("network.protocol.version")
			require.Equal(t, map[bool]string{true: "2", false: "1.1"}[config.Connections.HTTP2 != nil], version.AsString())
		}
		require.Equal(t, answered, got)
		require.Equal(t, float64(total), named(read, "sluice.request.attempts")[0].value)
		require.Zero(t, named(read, "sluice.request.active")[0].value)
		stats := eng.Stats()
		flights := 20 - int(stats.Coalesced.Joined)
		var requests, outcomes int
		for _, r := range named(read, "sluice.request.duration") {
			requests += int(r.count)
		}
		for _, r := range named(read, "sluice.request.ended") {
			outcomes += int(r.value)
		}
		require.Equal(t, ended+flights, requests)
		require.Equal(t, ended+flights, outcomes)
		require.Len(t, tr.spans.Started(), len(tr.spans.Ended()))
		require.NoError(t, stop())
		require.NoError(t, eng.Close())
	})
}

func TestACoalescingRequestThatIsRefusedIsToldOf(t *testing.T) {
	m := newMeters(t)
	tel := newTelemetry(t, telemetry.Config{MeterProvider: m})
	eng := newServer(t, func(http.ResponseWriter, *http.Request) {}).newEngine(t, engine.Config{Observers: []engine.Observer{tel.Observer()}})
	_, err := eng.Halt(engine.Filter{})
	require.NoError(t, err)
	for _, coalesce := range []bool{false, true} {
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Coalesce: coalesce})
		require.ErrorIs(t, err, engine.ErrHalted)
		_, err = eng.Submit(t.Context(), &engine.Request{Path: "/", Coalesce: coalesce}).Result()
		require.ErrorIs(t, err, engine.ErrHalted)
	}
	require.EqualValues(t, 4, eng.Stats().Totals.NotSent)
	require.Equal(t, []string{"error.type=halted: 4"}, told(m.read(t), "sluice.request.duration"))
}

func TestWhatIsInFlightIsToldAsTheServerHasIt(t *testing.T) {
	var inside atomic.Int64
	release := make(chan struct{})
	inBoth(t, func(w http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		defer inside.Add(-1)
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, func(t *testing.T, config engine.Config) {
		m := newMeters(t)
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m})
		config.Observers = []engine.Observer{tel.Observer()}
		config.Limits = []throttle.Limit{{ID: "orders", Quota: 3, Per: time.Hour}}
		eng, err := engine.New(config)
		require.NoError(t, err)
		stop, err := tel.Watch(eng)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var all []*engine.Pending
		for i := range 10 { // of those with a limit three leave
			req := &engine.Request{Path: []string{"/held", "/stream"}[i%2], LimitID: engine.Unlimited, Stream: i%2 == 1}
			if i < 5 {
				req.LimitID = "orders"
			}
			all = append(all, eng.Submit(ctx, req))
		}
		require.Eventually(t, func() bool { return inside.Load() == 8 }, 5*time.Second, time.Millisecond)
		value := func(name string) (sum float64) {
			for _, r := range named(m.read(t), name) {
				sum += r.value
			}
			return sum
		}
		require.EqualValues(t, 10, value("sluice.request.active"))
		require.EqualValues(t, 2, value("sluice.limit.queued"))
		require.EqualValues(t, 2, value("sluice.request.queued"))
		active := named(m.read(t), "http.client.open_connections")
		require.EqualValues(t, 8, active[0].value, active[0].labels())
		cancel()
		for _, p := range all {
			if response, err := p.Result(); err == nil {
				_ = response.Stream.Close()
			}
		}
		require.Eventually(t, func() bool { return inside.Load() == 0 && value("sluice.request.active") == 0 }, 5*time.Second, time.Millisecond)
		require.Zero(t, value("sluice.limit.queued"))
		require.EqualValues(t, 10, value("sluice.request.ended"))
		var exchanged, cancelled int
		for _, r := range named(m.read(t), "http.client.request.duration") {
			exchanged += int(r.count)
			if cause, _ := r.attrs.Value("error.type"); cause.AsString() == "canceled" {
				cancelled += int(r.count)
			}
		}
		require.Equal(t, 8, exchanged)
		require.GreaterOrEqual(t, cancelled, 4)
		require.NoError(t, stop())
		require.NoError(t, eng.Close())
	})
}
