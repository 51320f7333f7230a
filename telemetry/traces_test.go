package telemetry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
)

// tracers is a TracerProvider whose spans are kept.
type tracers struct {
	*sdktrace.TracerProvider
	spans *tracetest.SpanRecorder
}

func newTracers(t testing.TB, sampler sdktrace.Sampler) *tracers {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sampler))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return &tracers{provider, spans}
}

// labels are the attributes of a span as those of a reading.
func labels(span sdktrace.ReadOnlySpan) string {
	set := attribute.NewSet(span.Attributes()...)
	return set.Encoded(attribute.DefaultEncoder())
}

func TestARequestIsOneClientSpanWithItsTimesAsAttributes(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	require.True(t, trace.SpanFromContext(ctx).SpanContext().IsSampled())
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, StatusCode: 200})
	d := answered("depth", 200, 2*time.Second)
	d.Timing = engine.Timing{
		Total: 2 * time.Second, Admitted: time.Millisecond, Queued: 500 * time.Millisecond, Leased: 250 * time.Millisecond,
		Signed: 2 * time.Millisecond, FirstByte: 125 * time.Millisecond, Body: 4 * time.Millisecond, Paused: time.Second,
	}
	hooks.End(ctx, d)

	ended := tr.spans.Ended()
	require.Len(t, ended, 1)
	require.Equal(t, "GET", ended[0].Name())
	require.Equal(t, trace.SpanKindClient, ended[0].SpanKind())
	require.Equal(t, "http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1,"+
		atVenue+",sluice.limit.id=depth,"+
		"sluice.timing.admitted=0.001,sluice.timing.body=0.004,sluice.timing.first_byte=0.125,sluice.timing.leased=0.25,"+
		"sluice.timing.paused=1,sluice.timing.queued=0.5,sluice.timing.signed=0.002", labels(ended[0]))
	require.Equal(t, sdktrace.Status{}, ended[0].Status())
	require.Empty(t, ended[0].Events())
}

func TestAFailureIsAnErrorByItsTypeAndNotByItsText(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	for _, d := range []engine.Ended{failed("depth", fmt.Errorf("/orders/777: %w", engine.ErrQueueFull)), answered("depth", 503, 1)} {
		hooks.End(hooks.Begin(t.Context(), d.Request), d)
	}
	ended := tr.spans.Ended()
	require.Equal(t, "error.type=queue_full,http.request.method=GET,sluice.error.stage=throttled,sluice.limit.id=depth,sluice.sent=no", labels(ended[0]))
	require.Contains(t, labels(ended[1]), "error.type=503,http.request.method=GET,http.response.status_code=503,")
	for _, span := range ended {
		require.Equal(t, sdktrace.Status{Code: codes.Error}, span.Status())
		require.Empty(t, span.Events())
	}
}

func TestAttemptsAreSpansOnceThereIsMoreThanOne(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	first := time.Now()
	hooks.Attempt(ctx, engine.Attempted{
		Request: get, Origin: venue, Number: 1, Again: true, Reused: true, StatusCode: 429, Sent: engine.SentYes,
		SentAt: first, Took: time.Second, Paused: 3 * time.Second,
	})
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 2, StatusCode: 200, Sent: engine.SentYes, SentAt: first.Add(5 * time.Second), Took: time.Second})
	d := answered("depth", 200, 6*time.Second)
	d.Attempts = 2
	hooks.End(ctx, d)

	ended := tr.spans.Ended()
	require.Len(t, ended, 3)
	whole := ended[2]
	require.Contains(t, labels(whole), "http.request.resend_count=1,")
	for i, span := range ended[:2] {
		require.Equal(t, "attempt", span.Name())
		require.Equal(t, trace.SpanKindInternal, span.SpanKind())
		require.Equal(t, whole.SpanContext().SpanID(), span.Parent().SpanID())
		require.Equal(t, first.Add(time.Duration(i)*5*time.Second).UnixNano(), span.StartTime().UnixNano())
		require.Equal(t, time.Second, span.EndTime().Sub(span.StartTime()))
	}
	require.Equal(t, "error.type=429,http.request.method=GET,http.response.status_code=429,"+
		atVenue+",sluice.connection.reused=true,sluice.paused=3,sluice.sent=yes", labels(ended[0]))
	require.Equal(t, codes.Error, ended[0].Status().Code)
	require.Contains(t, labels(ended[1]), "http.request.resend_count=1,")
	require.Equal(t, codes.Unset, ended[1].Status().Code)
}

func TestAnAttemptThatWasNeverSentIsASpanToo(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true, Took: time.Second, Err: engine.ErrClosed})
	ended := tr.spans.Ended()
	require.Len(t, ended, 1)
	require.Equal(t, time.Second, ended[0].EndTime().Sub(ended[0].StartTime()))
	require.WithinDuration(t, time.Now(), ended[0].EndTime(), time.Minute)
}

func TestARequestThatIsNotSampledTellsNothing(t *testing.T) {
	tr := newTracers(t, sdktrace.NeverSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	d := answered("depth", 200, time.Second)
	provider := testing.AllocsPerRun(1000, func() {
		tr.Tracer("alone").Start(t.Context(), "GET", trace.WithSpanKind(trace.SpanKindClient))
	})
	ours := testing.AllocsPerRun(1000, func() {
		ctx := hooks.Begin(t.Context(), get)
		hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true})
		hooks.End(ctx, d)
	})
	require.LessOrEqual(t, ours, provider, "beyond what the provider itself does to decide")
	require.Empty(t, tr.spans.Started())
}

// onlyNamed samples spans of one name.
type onlyNamed string

func (o onlyNamed) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	decision := sdktrace.Drop
	if p.Name == string(o) {
		decision = sdktrace.RecordAndSample
	}
	return sdktrace.SamplingResult{Decision: decision, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
}

func (o onlyNamed) Description() string { return string(o) }

func TestARequestWithinARequestLeavesTheOtherSpanAlone(t *testing.T) {
	tr := newTracers(t, onlyNamed("POST"))
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	outer := &engine.Request{Method: "POST"}
	ctx := hooks.Begin(t.Context(), outer)
	within := hooks.Begin(ctx, get) // a token that is fetched, say
	hooks.Attempt(within, engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true})
	hooks.End(within, answered("token", 500, time.Second))
	require.Empty(t, tr.spans.Ended())

	d := answered("order", 200, time.Second)
	d.Request = outer
	hooks.End(ctx, d)
	require.Len(t, tr.spans.Ended(), 1)
	require.Contains(t, labels(tr.spans.Ended()[0]), "sluice.limit.id=order")
}

// failingAt panics where a span of one name is to be sampled.
type failingAt string

func (f failingAt) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == string(f) {
		panic("mine")
	}
	return sdktrace.AlwaysSample().ShouldSample(p)
}

func (f failingAt) Description() string { return string(f) }

func TestAProviderThatFailsForARequestWithinARequestLeavesTheOtherSpanAlone(t *testing.T) {
	tr := newTracers(t, failingAt("GET"))
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	outer := &engine.Request{Method: "POST"}
	ctx := hooks.Begin(t.Context(), outer)
	require.Panics(t, func() { hooks.Begin(ctx, get) }) // which the engine contains, and goes on with the context that it had
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true})
	hooks.End(ctx, answered("token", 500, time.Second))
	require.Empty(t, tr.spans.Ended())

	d := answered("order", 200, time.Second)
	d.Request = outer
	hooks.End(ctx, d)
	require.Len(t, tr.spans.Ended(), 1)
	require.Contains(t, labels(tr.spans.Ended()[0]), "sluice.limit.id=order")
}

func TestTwoTelemetriesOfOneEngineDoNotMixTheirSpans(t *testing.T) {
	one, two := newTracers(t, sdktrace.AlwaysSample()), newTracers(t, sdktrace.AlwaysSample())
	a := newTelemetry(t, telemetry.Config{TracerProvider: one, Attributes: []attribute.KeyValue{attribute.String("to", "a")}}).Observer()
	b := newTelemetry(t, telemetry.Config{TracerProvider: two, Attributes: []attribute.KeyValue{attribute.String("to", "b")}}).Observer()
	ctx := b.Begin(a.Begin(t.Context(), get), get)
	a.End(ctx, answered("depth", 200, 1))
	b.End(ctx, answered("depth", 200, 1))
	require.Len(t, one.spans.Ended(), 1)
	require.Len(t, two.spans.Ended(), 1)
	require.Contains(t, labels(one.spans.Ended()[0]), "to=a")
	require.Contains(t, labels(two.spans.Ended()[0]), "to=b")
	require.Equal(t, one.spans.Ended()[0].SpanContext().SpanID(), two.spans.Ended()[0].Parent().SpanID())
}

func TestAMethodThatNobodyKnowsIsNoSpanName(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	for method, want := range map[string]string{"": "GET", "DELETE": "DELETE", "QUERY": "QUERY", "BREW": "HTTP", "get": "HTTP"} {
		req := &engine.Request{Method: method}
		d := answered("depth", 200, 1)
		d.Request = req
		hooks.End(hooks.Begin(t.Context(), req), d)
		all := tr.spans.Ended()
		require.Equal(t, want, all[len(all)-1].Name())
	}
}

func TestASpanHasAMethodThatNobodyKnowsAsItWasSentAndAMetricHasNot(t *testing.T) {
	for method, want := range map[string]string{
		"BREW": "BREW", "get": "get", "M-SEARCH": "M-SEARCH", strings.Repeat("A", 65): strings.Repeat("A", 64),
		"": "", "QUERY": "", "sk3cr3t": "", "GET\r\nX: y": "", "/orders/abc": "", "ÄNDERE": "",
	} {
		m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
		hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr}).Observer()
		d := answered("depth", 200, 1)
		d.Request = &engine.Request{Method: method}
		ctx := hooks.Begin(t.Context(), d.Request)
		hooks.Attempt(ctx, engine.Attempted{Request: d.Request, Origin: venue, Number: 1, Again: true, StatusCode: 503})
		hooks.Attempt(ctx, engine.Attempted{Request: d.Request, Method: "GET", Origin: venue, Number: 2, StatusCode: 200}) // it was redirected
		hooks.End(ctx, d)
		original := func(set attribute.Set) string {
			value, _ := set.Value("http.request.method_original")
			return value.AsString()
		}
		ended := tr.spans.Ended()
		for i, want := range []string{want, "", want} {
			require.Equal(t, want, original(attribute.NewSet(ended[i].Attributes()...)), "%q in span %d", method, i)
		}
		for _, r := range m.read(t) {
			require.NotContains(t, r.labels(), "method_original")
		}
	}
}

func TestTheContextOfASpanEndsWithTheCallers(t *testing.T) {
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: newTracers(t, sdktrace.AlwaysSample())}).Observer()
	type own struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), own{}, "kept"))
	under := hooks.Begin(ctx, get)
	require.Equal(t, "kept", under.Value(own{}))
	require.Equal(t, ctx.Done(), under.Done())
	cancel()
	require.ErrorIs(t, under.Err(), context.Canceled)
}

func TestAProviderThatDoesNothingIsServedWithoutARecord(t *testing.T) {
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: noop.NewTracerProvider()}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	require.False(t, trace.SpanFromContext(ctx).IsRecording())
	hooks.End(ctx, answered("depth", 200, 1))
}

// A metric's example is the trace that was going on when it was recorded.
func TestMetricsPointToTheTraceTheyWereMadeIn(t *testing.T) {
	m, tr := newMeters(t), newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	hooks.Wait(ctx, engine.Waited{Request: get, LimitID: "depth", Queued: 1})
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, StatusCode: 200})
	hooks.End(ctx, answered("depth", 200, time.Second))
	require.Len(t, tr.spans.Ended(), 1)
	id := tr.spans.Ended()[0].SpanContext().SpanID()
	found := 0
	var collected metricdata.ResourceMetrics
	require.NoError(t, m.reader.Collect(t.Context(), &collected))
	for _, one := range collected.ScopeMetrics[0].Metrics {
		for _, point := range one.Data.(metricdata.Histogram[float64]).DataPoints {
			for _, exemplar := range point.Exemplars {
				require.Equal(t, id[:], exemplar.SpanID, one.Name)
				found++
			}
		}
	}
	require.Equal(t, 3, found)
}

func TestASpanEndsThoughTheRecordOfItsMetricPanics(t *testing.T) {
	m := newMeters(t, sdkmetric.WithExemplarFilter(func(context.Context) bool { panic("of the program's own") }))
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, TracerProvider: tr}).Observer()
	ctx := hooks.Begin(t.Context(), get)
	again := exchanged(503, time.Second)
	again.Again = true
	require.Panics(t, func() { hooks.Attempt(ctx, again) })
	require.Panics(t, func() { hooks.End(ctx, answered("depth", 200, time.Second)) })
	ended := tr.spans.Ended()
	require.Len(t, ended, 2)
	require.Equal(t, "attempt", ended[0].Name())
	require.Contains(t, labels(ended[1]), "sluice.limit.id=depth")
}

func TestSpansThatEndAtOnceHaveEachTheirOwnAttributes(t *testing.T) {
	tr := newTracers(t, sdktrace.AlwaysSample())
	hooks := newTelemetry(t, telemetry.Config{TracerProvider: tr}).Observer()
	const callers, each = 8, 50
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() {
			for range each {
				ended := answered(fmt.Sprint("limit ", i), 200+i, time.Millisecond)
				ended.Timing.FirstByte = time.Duration(i+1) * time.Second
				hooks.End(hooks.Begin(t.Context(), get), ended)
			}
		})
	}
	calling.Wait()
	spans := tr.spans.Ended()
	require.Len(t, spans, callers*each)
	seen := map[string]int{}
	for _, span := range spans {
		seen[labels(span)]++
	}
	for i := range callers {
		want := fmt.Sprintf("http.request.method=GET,http.response.status_code=%d,network.protocol.version=1.1,%s,sluice.limit.id=limit %d,sluice.timing.first_byte=%d", 200+i, atVenue, i, i+1)
		require.Equal(t, each, seen[want], "%v", seen)
	}
}
