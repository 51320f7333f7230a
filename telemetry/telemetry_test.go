package telemetry_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meters is a MeterProvider with a reader that the test reads by hand.
type meters struct {
	*sdkmetric.MeterProvider
	reader *sdkmetric.ManualReader
}

func newMeters(t testing.TB, options ...sdkmetric.Option) *meters {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(append(options, sdkmetric.WithReader(reader))...)
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return &meters{provider, reader}
}

// reading is one point of an instrument, told as a text of its attributes in the order of
// their names.
type reading struct {
	name, unit, about string
	attrs             attribute.Set
	value             float64 // of a histogram the sum
	count             uint64  // of a histogram
	bounds            []float64
}

func (r reading) labels() string { return r.attrs.Encoded(attribute.DefaultEncoder()) }

func (m *meters) read(t testing.TB) []reading {
	t.Helper()
	var collected metricdata.ResourceMetrics
	require.NoError(t, m.reader.Collect(context.Background(), &collected))
	var all []reading
	for _, scope := range collected.ScopeMetrics {
		require.Equal(t, telemetry.Scope, scope.Scope.Name)
		for _, one := range scope.Metrics {
			all = append(all, pointsOf(t, one)...)
		}
	}
	slices.SortFunc(all, func(a, b reading) int { return strings.Compare(a.name+a.labels(), b.name+b.labels()) })
	return all
}

func pointsOf(t testing.TB, one metricdata.Metrics) (all []reading) {
	t.Helper()
	as := func(attrs attribute.Set) reading {
		return reading{name: one.Name, unit: one.Unit, about: one.Description, attrs: attrs}
	}
	whole := func(points []metricdata.DataPoint[int64]) {
		for _, p := range points {
			r := as(p.Attributes)
			r.value = float64(p.Value)
			all = append(all, r)
		}
	}
	switch data := one.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			r := as(p.Attributes)
			r.value, r.count, r.bounds = p.Sum, p.Count, p.Bounds
			all = append(all, r)
		}
	case metricdata.Sum[int64]:
		whole(data.DataPoints)
	case metricdata.Gauge[int64]:
		whole(data.DataPoints)
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			r := as(p.Attributes)
			r.value = p.Value
			all = append(all, r)
		}
	default:
		require.Fail(t, "an instrument of another kind", "%s is a %T", one.Name, one.Data)
	}
	return all
}

// named returns the readings of one instrument.
func named(all []reading, name string) (found []reading) {
	for _, r := range all {
		if r.name == name {
			found = append(found, r)
		}
	}
	return found
}

// told is what an instrument has, as "labels=value" for each point.
func told(all []reading, name string) []string {
	var lines []string
	for _, r := range named(all, name) {
		value := r.value
		if r.bounds != nil {
			value = float64(r.count)
		}
		lines = append(lines, fmt.Sprintf("%s: %v", r.labels(), value))
	}
	return lines
}

func newTelemetry(t testing.TB, config telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(config)
	require.NoError(t, err)
	return tel
}

var (
	venue = engine.Origin{Scheme: "https", Addr: "api.venue.test:443"}
	get   = &engine.Request{Path: "/book"}
)

// answered is a request that has ended well.
func answered(limitID string, status int, total time.Duration) engine.Ended {
	return engine.Ended{
		Request: get, LimitID: limitID, Origin: venue, Attempts: 1, Timing: engine.Timing{Total: total},
		Response: &engine.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1},
	}
}

// failed is one that has not, before it got to a server.
func failed(limitID string, err error) engine.Ended {
	return engine.Ended{Request: get, LimitID: limitID, Err: &engine.Error{Stage: engine.Throttled, Err: err}}
}

// exchanged is an exchange that was answered.
func exchanged(status int, took time.Duration) engine.Attempted {
	return engine.Attempted{Request: get, Origin: venue, Number: 1, StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Took: took}
}

const atVenue = "server.address=api.venue.test,server.port=443"

func TestAnExchangeIsToldAsTheConventionsHaveIt(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	hooks.Attempt(t.Context(), exchanged(200, 30*time.Millisecond))
	hooks.Attempt(t.Context(), exchanged(200, 50*time.Millisecond))
	hooks.Attempt(t.Context(), exchanged(429, time.Second))
	two := exchanged(200, time.Second)
	two.ProtoMajor, two.ProtoMinor = 2, 0
	hooks.Attempt(t.Context(), two)
	hooks.Attempt(t.Context(), engine.Attempted{Request: &engine.Request{Method: "POST"}, Origin: venue, Number: 1, Err: engine.ErrTruncated})

	all := m.read(t)
	conventional := httpconv.ClientRequestDuration{}
	require.Equal(t, []string{
		"error.type=429,http.request.method=GET,http.response.status_code=429,network.protocol.version=1.1," + atVenue + ": 1",
		"error.type=truncated,http.request.method=POST," + atVenue + ": 1",
		"http.request.method=GET,http.response.status_code=200,network.protocol.version=1.1," + atVenue + ": 2",
		"http.request.method=GET,http.response.status_code=200,network.protocol.version=2," + atVenue + ": 1",
	}, told(all, conventional.Name()))
	one := named(all, conventional.Name())[2]
	require.Equal(t, conventional.Unit(), one.unit)
	require.Equal(t, conventional.Description(), one.about)
	require.InDelta(t, 0.08, one.value, 1e-9)
	require.Equal(t, []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}, one.bounds)
}

func TestARequestIsToldFromItsCallToItsAnswerByItsLimit(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	hooks.End(t.Context(), answered("depth", 200, 2*time.Second))
	hooks.End(t.Context(), answered("depth", 302, time.Second))
	hooks.End(t.Context(), answered("", 503, time.Second))
	hooks.End(t.Context(), failed("order", context.Canceled))
	all := m.read(t)
	require.Equal(t, []string{
		"error.type=503: 1", "error.type=canceled,sluice.limit.id=order: 1", "sluice.limit.id=depth: 2",
	}, told(all, "sluice.request.duration"))
	require.Equal(t, 3.0, named(all, "sluice.request.duration")[2].value)
}

func TestWaitsAreToldByLimitIfThereWereAny(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "depth"})
	require.Empty(t, m.read(t))
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "depth", Queued: time.Second, Leased: 2 * time.Second})
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "depth", Leased: 2 * time.Second})
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "order", Err: context.DeadlineExceeded, Stage: engine.Throttled})
	refused := engine.Waited{Request: get, LimitID: "trade", Err: io.ErrUnexpectedEOF, Stage: engine.Leasing}
	hooks.Wait(t.Context(), refused) // by the dial, and at once
	refused.Queued, refused.Leased = time.Second, time.Second
	hooks.Wait(t.Context(), refused)

	all := m.read(t)
	require.Equal(t, []string{
		"error.type=timeout,sluice.limit.id=order: 1", "sluice.limit.id=depth: 1", "sluice.limit.id=trade: 1",
	}, told(all, "sluice.permit.wait.duration"))
	require.Equal(t, []string{"error.type=_OTHER,sluice.limit.id=trade: 1", "sluice.limit.id=depth: 2"}, told(all, "sluice.connection.wait.duration"))
	require.Equal(t, 4.0, named(all, "sluice.connection.wait.duration")[1].value)
}

func TestRepetitionsRefusalsAndPausesAreToldByWhatCausedThem(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	hooks.Attempt(t.Context(), engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true, Err: engine.ErrTruncated})
	hooks.Attempt(t.Context(), engine.Attempted{Request: get, Origin: venue, Number: 2, Again: true, StatusCode: 429, Refused: true, Paused: 7 * time.Second})
	hooks.Attempt(t.Context(), engine.Attempted{Request: get, Origin: venue, Number: 3, StatusCode: 429, Refused: true}) // does not say for how long
	hooks.Attempt(t.Context(), exchanged(200, time.Millisecond))

	all := m.read(t)
	cutOff, refused := "error.type=truncated,http.request.method=GET,"+atVenue, "error.type=429,http.request.method=GET,http.response.status_code=429,"+atVenue
	require.Equal(t, []string{refused + ": 1", cutOff + ": 1"}, told(all, "sluice.request.repeats"))
	require.Equal(t, []string{refused + ": 2"}, told(all, "sluice.limit.refusals"))
	require.Equal(t, []string{refused + ": 1"}, told(all, "sluice.pause.duration"))
	require.Equal(t, 7.0, named(all, "sluice.pause.duration")[0].value)
	require.Len(t, named(all, "http.client.request.duration"), 3)
}

func TestWhatIsShedIsCountedByWhoShedIt(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	for _, err := range []error{engine.ErrOverloaded, engine.ErrQueueFull, engine.ErrQueueFull, engine.ErrTooManyWaiters, engine.ErrHalted, context.Canceled} {
		hooks.End(t.Context(), failed("depth", fmt.Errorf("as it happened: %w", err)))
	}
	require.Equal(t, []string{
		"error.type=overloaded,sluice.limit.id=depth: 1",
		"error.type=queue_full,sluice.limit.id=depth: 2",
		"error.type=too_many_waiters,sluice.limit.id=depth: 1",
	}, told(m.read(t), "sluice.request.shed"))
}

func TestWhatCallersMakeUpIsNoAttribute(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	for i := range 50 {
		d := failed("", engine.ErrUnknownLimit)
		d.Request = &engine.Request{Method: fmt.Sprintf("VERB%d", i), LimitID: fmt.Sprintf("nowhere-%d", i)}
		hooks.End(t.Context(), d)
		hooks.Wait(t.Context(), engine.Waited{Request: d.Request, LimitID: d.LimitID, Err: engine.ErrUnknownLimit, Stage: engine.Throttled})
		hooks.Attempt(t.Context(), engine.Attempted{Request: d.Request, Number: 1})
	}
	all := m.read(t)
	require.Equal(t, []string{"error.type=unknown_limit: 50"}, told(all, "sluice.request.duration"))
	require.Equal(t, []string{"error.type=unknown_limit: 50"}, told(all, "sluice.permit.wait.duration"))
	require.Equal(t, []string{"http.request.method=_OTHER: 50"}, told(all, "http.client.request.duration"))
}

func TestServersBeyondTheBoundAreOne(t *testing.T) {
	for _, c := range []struct {
		most  int
		apart []string
	}{{2, []string{"_OTHER", "host-0", "host-1"}}, {-1, []string{"_OTHER"}}} {
		m := newMeters(t)
		hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxOrigins: c.most}).Observer()
		for i := range 20 {
			a := exchanged(200, time.Second)
			a.Origin.Addr = fmt.Sprintf("host-%d:443", i/2)
			hooks.Attempt(t.Context(), a)
		}
		var apart []string
		var total uint64
		for _, r := range named(m.read(t), "http.client.request.duration") {
			address, _ := r.attrs.Value("server.address")
			apart = append(apart, address.AsString())
			total += r.count
		}
		require.Equal(t, c.apart, apart)
		require.EqualValues(t, 20, total)
	}
}

func TestNoSeriesIsLostAndNoneIsBeyondTheBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 8).Draw(rt, "most")
		m := newMeters(t)
		hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxSeries: most, MaxOrigins: 2}).Observer()
		requests, exchanges := newSeen(most-1), newSeen(most-1)
		for range rapid.IntRange(0, 60).Draw(rt, "requests") {
			limit := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "limit")
			status := rapid.SampledFrom([]int{200, 404, 500}).Draw(rt, "status")
			a := exchanged(status, time.Second)
			a.Origin.Addr = rapid.SampledFrom([]string{"one:1", "two:2", "three:3", "four:4"}).Draw(rt, "server")
			hooks.Attempt(t.Context(), a)
			hooks.End(t.Context(), answered(limit, status, time.Second))
			exchanges.see(fmt.Sprint(exchanges.server(a.Origin.Addr), status))
			requests.see(fmt.Sprint(limit, max(status, 399)))
		}
		all := m.read(t)
		for _, name := range []string{"sluice.request.duration", "http.client.request.duration"} {
			require.LessOrEqual(rt, len(named(all, name)), most, name)
		}
		got := map[string]uint64{}
		for _, r := range named(all, "sluice.request.duration") {
			failure, _ := r.attrs.Value("error.type")
			limit, _ := r.attrs.Value("sluice.limit.id")
			got[r.keyOr(limit.AsString()+cmp.Or(failure.AsString(), "399"))] += r.count
		}
		require.Equal(rt, requests.counted, got)
		clear(got)
		for _, r := range named(all, "http.client.request.duration") {
			address, _ := r.attrs.Value("server.address")
			status, _ := r.attrs.Value("http.response.status_code")
			got[r.keyOr(fmt.Sprint(address.AsString(), status.AsInt64()))] += r.count
		}
		require.Equal(rt, exchanges.counted, got)
	})
}

func TestNoInstrumentHasMoreSeriesThanItMay(t *testing.T) {
	for most, want := range map[int]int{1: 1, 2: 2, 10: 10, 0: 1000} { // 0 is the default
		m := newMeters(t)
		hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxSeries: most}).Observer()
		const many = 1200
		for i := range many {
			a := exchanged(1000+i, 1)
			a.Again, a.Refused, a.Paused = true, true, 1
			hooks.Attempt(t.Context(), a)
			id := fmt.Sprint("limit ", i)
			hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: id, Queued: 1, Leased: 1, Err: engine.ErrOverloaded})
			hooks.End(t.Context(), failed(id, engine.ErrOverloaded))
		}
		series, sums := map[string]int{}, map[string]float64{}
		for _, r := range m.read(t) {
			series[r.name]++
			sums[r.name] += cmp.Or(float64(r.count), r.value)
		}
		require.Len(t, series, 8)
		for name := range series {
			require.Equal(t, want, series[name], "%s of at most %d", name, most)
			require.EqualValues(t, many, sums[name], "%s: none is lost", name)
		}
	}
}

// keyOr is the key, or "rest" for what is beyond the bound.
func (r reading) keyOr(key string) string {
	if beyond, is := r.attrs.Value("sluice.overflow"); is && beyond.AsBool() {
		return "rest"
	}
	return key
}

// seen is the oracle: the first so many keys, and the first two servers, are told apart.
type seen struct {
	most    int
	keys    map[string]bool
	servers []string
	counted map[string]uint64
}

func newSeen(most int) *seen {
	return &seen{most: most, keys: map[string]bool{}, counted: map[string]uint64{}}
}

func (s *seen) server(addr string) string {
	host, _, _ := strings.Cut(addr, ":")
	if !slices.Contains(s.servers, host) && len(s.servers) < 2 {
		s.servers = append(s.servers, host)
	}
	if slices.Contains(s.servers, host) {
		return host
	}
	return "_OTHER"
}

func (s *seen) see(key string) {
	if len(s.keys) < s.most {
		s.keys[key] = true
	}
	if !s.keys[key] {
		key = "rest"
	}
	s.counted[key]++
}

func TestMetricsOfARequestAllocateNothing(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	ctx := t.Context()
	ended, shed := answered("depth", 200, time.Millisecond), failed("depth", engine.ErrOverloaded)
	refused := engine.Attempted{Request: get, Origin: venue, Number: 1, StatusCode: 429, Again: true, Refused: true, Paused: time.Second}
	journey := func() {
		hooks.Wait(ctx, engine.Waited{Request: get, LimitID: "depth", Queued: time.Millisecond, Leased: time.Millisecond})
		hooks.Attempt(ctx, refused)
		hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 2, StatusCode: 200, Took: time.Millisecond})
		hooks.End(ctx, ended)
		hooks.End(ctx, shed)
	}
	require.Zero(t, testing.AllocsPerRun(1000, journey))
	for _, name := range []string{"http.client.request.duration", "sluice.request.duration", "sluice.request.repeats", "sluice.limit.refusals", "sluice.pause.duration", "sluice.permit.wait.duration", "sluice.connection.wait.duration", "sluice.request.shed"} {
		require.NotEmpty(t, named(m.read(t), name), name)
	}
}

func TestWhatIsBeyondABoundAllocatesNothingEither(t *testing.T) {
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: newMeters(t), MaxSeries: 2, MaxOrigins: 1}).Observer()
	ctx := t.Context()
	var all []engine.Attempted
	for i := range 10 {
		a := exchanged(200+i, time.Millisecond)
		a.Origin.Addr = fmt.Sprintf("host-%d:443", i)
		all = append(all, a)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, a := range all {
			hooks.Attempt(ctx, a)
		}
	}))
}

func TestADroppedInstrumentIsNotFed(t *testing.T) {
	drop := sdkmetric.NewView(sdkmetric.Instrument{Name: "sluice.*"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}})
	m := newMeters(t, sdkmetric.WithView(drop))
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m}).Observer()
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "depth"})
	hooks.Attempt(t.Context(), engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true, Paused: 1})
	hooks.End(t.Context(), failed("depth", engine.ErrOverloaded))
	all := m.read(t)
	require.NotEmpty(t, all)
	for _, r := range all {
		require.Equal(t, "http.client.request.duration", r.name)
	}
}

// asked is a provider whose instruments are never enabled, and say so when they are fed.
type asked struct {
	noop.MeterProvider
	fed *int
}

func (a asked) Meter(string, ...metric.MeterOption) metric.Meter { return askedMeter{fed: a.fed} }

type askedMeter struct {
	noop.Meter
	fed *int
}

func (m askedMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return askedHistogram{fed: m.fed}, nil
}

type askedHistogram struct {
	noop.Float64Histogram
	fed *int
}

func (askedHistogram) Enabled(context.Context) bool { return false }
func (h askedHistogram) Record(context.Context, float64, ...metric.RecordOption) {
	*h.fed++
}

func TestAnInstrumentThatIsNotEnabledIsLeftAlone(t *testing.T) {
	fed := 0
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: asked{fed: &fed}}).Observer()
	hooks.Wait(t.Context(), engine.Waited{Request: get, LimitID: "depth", Leased: 1})
	hooks.Attempt(t.Context(), engine.Attempted{Request: get, Origin: venue, Number: 1, Again: true, Paused: 1})
	hooks.End(t.Context(), answered("depth", 200, 1))
	require.Zero(t, fed)
}

func TestAnEmptyConfigTellsNobodyAnything(t *testing.T) {
	tel := newTelemetry(t, telemetry.Config{})
	hooks := tel.Observer()
	require.Nil(t, hooks.Begin)
	require.Nil(t, hooks.Wait)
	require.Nil(t, hooks.Attempt)
	require.Nil(t, hooks.End)
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	stop, err := tel.Watch(eng)
	require.NoError(t, err)
	require.NoError(t, stop())
	require.NoError(t, stop())
}

// refusing is a provider that makes no instruments.
type refusing struct{ noop.MeterProvider }

var errRefused = errors.New("no more instruments")

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

type refusingMeter struct{ noop.Meter }

func (refusingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errRefused
}

func TestMistakesOfAConfigAreErrors(t *testing.T) {
	_, err := telemetry.New(telemetry.Config{MaxSeries: -1})
	require.ErrorContains(t, err, "MaxSeries is -1")
	_, err = telemetry.New(telemetry.Config{Attributes: []attribute.KeyValue{{}}})
	require.ErrorContains(t, err, "Attributes")
	_, err = telemetry.New(telemetry.Config{MeterProvider: refusing{}})
	require.ErrorIs(t, err, errRefused)
}

// silent is a provider that makes nothing of a kind, and says nothing of it.
type silent struct {
	noop.MeterProvider
	meter metric.Meter
}

func (s silent) Meter(string, ...metric.MeterOption) metric.Meter { return s.meter }

type withoutCounters struct{ noop.Meter }

func (withoutCounters) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, nil
}

type withoutHistograms struct{ noop.Meter }

func (withoutHistograms) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, nil
}

type withoutGauges struct{ noop.Meter }

func (withoutGauges) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return nil, nil
}

func (withoutGauges) Int64ObservableUpDownCounter(string, ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	return nil, nil
}

type withoutTracer struct{ tracenoop.TracerProvider }

func (withoutTracer) Tracer(string, ...trace.TracerOption) trace.Tracer { return nil }

func TestAProviderThatMakesNothingIsRefusedByTheNameOfWhatIsMissing(t *testing.T) {
	for missing, meter := range map[string]metric.Meter{
		"no Meter": nil, "no instrument sluice.limit.refusals": withoutCounters{}, "no instrument http.client.request.duration": withoutHistograms{},
	} {
		_, err := telemetry.New(telemetry.Config{MeterProvider: silent{meter: meter}})
		require.ErrorContains(t, err, missing)
	}
	_, err := telemetry.New(telemetry.Config{TracerProvider: withoutTracer{}})
	require.ErrorContains(t, err, "no Tracer")

	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	tel := newTelemetry(t, telemetry.Config{MeterProvider: silent{meter: withoutGauges{}}})
	for range 2 { // it is free for another try
		_, err = tel.Watch(eng)
		require.ErrorContains(t, err, "no instrument sluice.limit.utilization")
		require.ErrorContains(t, err, "no instrument sluice.request.active")
	}
}

func TestOwnAttributesGoWithEverything(t *testing.T) {
	m := newMeters(t)
	hooks := newTelemetry(t, telemetry.Config{MeterProvider: m, MaxSeries: 2, Attributes: []attribute.KeyValue{attribute.String("bot", "maker")}}).Observer()
	for _, limit := range []string{"a", "b"} { // the second is beyond the bound
		hooks.Attempt(t.Context(), exchanged(200, 1))
		hooks.End(t.Context(), answered(limit, 200, 1))
	}
	all := m.read(t)
	require.Len(t, all, 3)
	for _, r := range all {
		bot, _ := r.attrs.Value("bot")
		require.Equal(t, "maker", bot.AsString(), r.name)
	}
}
