package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAWholeJourneyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []int{503, 200, 200}
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(125 * time.Millisecond)
			w.WriteHeader(answers[0])
			answers = answers[1:]
		})
		m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr})
		eng := s.newEngine(t, engine.Config{
			Limits:    []throttle.Limit{{ID: "depth", Quota: 2, Per: 10 * time.Second}},
			Retry:     engine.Retry{Statuses: []int{503}},
			Observers: []engine.Observer{tel.Observer()},
		})
		for range 2 { // the first is repeated, the second has to wait for a permit
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/book", LimitID: "depth"})
			require.NoError(t, err)
		}

		all := m.read(t)
		const at = "network.protocol.version=1.1,server.address=venue.test,server.port=80"
		require.Equal(t, []string{
			"error.type=503,http.request.method=GET,http.response.status_code=503," + at + ": 1",
			"http.request.method=GET,http.response.status_code=200," + at + ": 2",
		}, told(all, "http.client.request.duration"))
		require.InDelta(t, 0.125, named(all, "http.client.request.duration")[0].value, 1e-6)
		require.Equal(t, []string{"sluice.limit.id=depth: 2"}, told(all, "sluice.request.duration"))
		require.Equal(t, []string{"sluice.limit.id=depth: 1"}, told(all, "sluice.permit.wait.duration"))
		require.Len(t, told(all, "sluice.request.repeats"), 1)

		ended := tr.spans.Ended() // two attempts, and the request of each kind
		require.Len(t, ended, 4)
		require.Equal(t, []string{"attempt", "attempt", "GET", "GET"}, []string{ended[0].Name(), ended[1].Name(), ended[2].Name(), ended[3].Name()})
		require.Contains(t, labels(ended[2]), "http.request.resend_count=1,")
		require.Contains(t, labels(ended[2]), "sluice.timing.first_byte=0.25,")
		waited := named(all, "sluice.permit.wait.duration")[0].value
		require.Greater(t, waited, 9.0)
		require.Contains(t, labels(ended[3]), fmt.Sprintf("sluice.timing.queued=%v", waited))
	})
}

// An answer that came, and was not what its caller could have.
func TestAFailedRequestHasTheStatusOfItsAnswerInItsSpanAsInTheMetric(t *testing.T) {
	unwanted := engine.PostProcessorFunc(func(_ context.Context, req *engine.Request, _ *engine.Response) error {
		if req.Path == "/unwanted" {
			return errors.New("not this one")
		}
		return nil
	})
	for path, want := range map[string]string{
		"/cut":      "error.type=truncated,http.request.method=GET,http.response.status_code=206,network.protocol.version=1.1,",
		"/html":     "error.type=content_type,http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,",
		"/unwanted": "error.type=_OTHER,http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,",
		"/nothing":  "error.type=truncated,http.request.method=GET,server.address",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/api/cut":
					w.Header().Set("Content-Length", "100")
					w.WriteHeader(http.StatusPartialContent)
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				case "/api/nothing":
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "hello")
			})
			tr := newTracers(t, sdktrace.AlwaysSample())
			eng := s.newEngine(t, engine.Config{
				Retry: engine.Retry{Max: -1}, PostProcessors: []engine.PostProcessor{unwanted},
				Observers: []engine.Observer{newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()},
			})
			_, err := eng.Do(t.Context(), &engine.Request{Path: path, Accept: map[string]string{"/html": "application/json"}[path]})
			require.Error(t, err)
			require.Len(t, tr.spans.Ended(), 1)
			require.Contains(t, labels(tr.spans.Ended()[0]), want, path)
		})
	}
}

// It is known when the exchange ends, and the request may be given up in the pause.
func TestARepetitionThatIsOnlyMeantCountsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }).newEngine(t, engine.Config{
			Retry:     engine.Retry{Statuses: []int{503}, Base: time.Minute, Cap: time.Minute},
			Observers: []engine.Observer{newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		gone.Go(func() { _, _ = eng.Do(ctx, &engine.Request{Path: "/book"}) })
		synctest.Wait() // in the pause
		cancel()
		gone.Wait()
		all := m.read(t)
		require.EqualValues(t, 1, named(all, "sluice.request.repeats")[0].value)
		require.EqualValues(t, 1, named(all, "http.client.request.duration")[0].count)
		require.Equal(t, "Exchanges that were meant to be followed by another attempt; the request may have ended before it began.", named(all, "sluice.request.repeats")[0].about)
	})
}

func TestASpanHasTheAnswerOfTheLastAttemptAndOfNoneBefore(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	again := exchanged(503, time.Second)
	again.Again = true
	hooks.Attempt(ctx, again)
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 2, Err: engine.ErrTruncated})
	hooks.End(ctx, failed("depth", engine.ErrTruncated))
	require.NotContains(t, labels(tr.spans.Ended()[2]), "status_code")
}

func TestProcessorsAuthenticatorsAndServersAreInTheSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := map[string]http.Header{}
		tr := newTracers(t, sdktrace.AlwaysSample())
		tel := newTelemetry(t, telemetry.Config{TracerProvider: tr})
		propagate, err := tel.Propagate(propagation.TraceContext{}, "http://venue.test")
		require.NoError(t, err)
		var seen trace.SpanContext
		eng := newServer(t, noting(arrived)).newEngine(t, engine.Config{
			Observers: []engine.Observer{tel.Observer()},
			PreProcessors: []engine.PreProcessor{propagate, engine.PreProcessorFunc(func(ctx context.Context, _ *engine.Request) error {
				seen = trace.SpanContextFromContext(ctx)
				return nil
			})},
		})
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/book"})
		require.NoError(t, err)
		span := tr.spans.Ended()[0].SpanContext()
		require.Equal(t, span.SpanID(), seen.SpanID())
		require.Contains(t, arrived["venue.test"].Get("Traceparent"), span.SpanID().String())
	})
}

func TestWhatIsShedByARealEngineIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr})
		eng := newServer(t, hold).newEngine(t, engine.Config{
			Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}, Observers: []engine.Observer{tel.Observer()},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		gone.Go(func() { _, _ = eng.Do(ctx, &engine.Request{Path: "/slow"}) })
		synctest.Wait()
		_, err := eng.Do(ctx, &engine.Request{Path: "/book"})
		require.ErrorIs(t, err, engine.ErrOverloaded)
		require.Equal(t, []string{"error.type=overloaded: 1"}, told(m.read(t), "sluice.request.shed"))
		cancel()
		gone.Wait()
		require.Equal(t, []string{"error.type=canceled: 1", "error.type=overloaded: 1"}, told(m.read(t), "sluice.request.duration"))
		require.Len(t, tr.spans.Started(), len(tr.spans.Ended()), "each span is ended")
	})
}

// Whatever a request carries that is nobody's business, and whatever becomes of it.
func TestNothingPrivateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private := []string{"hushpath", "hushquery", "hushheader", "hushbody", "hushkey", "hushaccount", "hushsecret", "hushanswer", "hushegress"}
		answers := map[string]func(w http.ResponseWriter){
			"well":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hushanswer") },
			"badly":  func(w http.ResponseWriter) { w.Header().Set("X", "hushanswer"); w.WriteHeader(503) },
			"cutoff": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		}
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { answers[r.Header.Get("X-How")](w) })
		m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr})
		signer := auth.HMACQuery{Key: "hushkey", Secret: "hushsecret"}
		eng := s.newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "orders", Quota: 3, Per: time.Hour, By: throttle.ByAccount | throttle.ByKey}},
			Accounts: map[string]auth.Authenticator{"hushaccount": signer}, Retry: engine.Retry{Statuses: []int{503}},
			Observers: []engine.Observer{tel.Observer()},
		})
		stop, err := tel.Watch(eng)
		require.NoError(t, err)
		for _, how := range []string{"well", "badly", "cutoff", "well"} { // at last the limit is full
			_, _ = eng.Do(t.Context(), &engine.Request{
				Method: "PUT", Path: "/hushpath", Query: engine.Values{"q": "hushquery"}, Body: "hushbody", Auth: true, Account: "hushaccount",
				LimitID: "orders", Key: "hushkey", Timeout: time.Minute, Header: http.Header{"X-How": {how}, "X-Hush": {"hushheader"}},
			})
		}
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/hushpath", LimitID: "hushkey"})
		require.ErrorIs(t, err, engine.ErrUnknownLimit)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/hushpath", LimitID: "hushkey", Account: "hushnobody"})
		require.ErrorIs(t, err, engine.ErrUnknownAccount)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = eng.Do(gone, &engine.Request{Path: "/hushpath", LimitID: "hushkey"})
		require.ErrorIs(t, err, context.Canceled)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/hushpath", LimitID: "orders", Key: "k", Account: "hushaccount", Egress: "hushegress"})
		require.ErrorIs(t, err, engine.ErrUnknownEgress)

		var all strings.Builder
		for _, r := range m.read(t) {
			fmt.Fprintln(&all, r.name, r.labels())
		}
		for _, span := range tr.spans.Ended() {
			fmt.Fprintln(&all, span.Name(), labels(span), span.Status(), span.Events())
		}
		require.NoError(t, stop())
		require.Contains(t, all.String(), "error.type=timeout")
		require.Contains(t, all.String(), "error.type=503")
		require.Contains(t, all.String(), "sluice.limit.id=orders")
		for _, text := range private {
			require.NotContains(t, all.String(), text)
		}
	})
}

func TestRequestsByManyAreToldOnceEach(t *testing.T) {
	m := newMeters(t)
	tel := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxSeries: 4, MaxOrigins: 2})
	hooks := tel.Observer()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				a := exchanged(200+n%7, time.Millisecond)
				a.Origin.Addr = fmt.Sprintf("host-%d:443", (n+i)%5)
				hooks.Attempt(t.Context(), a)
			}
		})
	}
	all.Wait()
	var total uint64
	durations := named(m.read(t), "http.client.request.duration")
	for _, r := range durations {
		total += r.count
	}
	require.EqualValues(t, 8*200, total)
	require.Len(t, durations, 4, "three that are told apart, and the rest")
}

// Each instrument of a kind is fed from one table: what is beyond it in one must not take
// along what is within it in another.
func TestAnInstrumentThatOverflowsKeepsWhatComesLater(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxSeries: 2}).Observer()
	within, beyond := exchanged(200, 1), exchanged(503, 1)
	hooks.Attempt(t.Context(), within)
	within.Again, beyond.Again = true, true
	hooks.Attempt(t.Context(), beyond)
	hooks.Attempt(t.Context(), within)
	require.Equal(t, []string{
		"http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1," + atVenue + ": 1", "sluice.overflow=true: 1",
	}, told(m.read(t), "sluice.request.repeats"))
}
