package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/sluice-engine/sluice/engine"
)

// measured are the instruments that requests feed themselves. Each record costs about a
// third of a microsecond, and so what is a state, or can be counted elsewhere, is in
// watched: a request that is answered at once, by its first attempt, makes three records.
type measured struct {
	places *places
	common []attribute.KeyValue

	request        metric.Float64Histogram
	attempts       metric.Float64Histogram
	permitWait     metric.Float64Histogram
	connectionWait metric.Float64Histogram
	pause          metric.Float64Histogram
	repeats        metric.Int64Counter
	shed           metric.Int64Counter

	outcomes  *table[outcome, series] // of requests
	exchanges *table[outcome, series] // of attempts
	waits     *table[waiting, series] // for permits and connections, and of what was shed
	overflow  series                  // of all that is beyond the tables
}

// series is a set of attributes as instruments take it: made once, for one that is made for
// each record costs five allocations.
type series struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

func newSeries(attrs []attribute.KeyValue) series {
	option := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return series{[]metric.RecordOption{option}, []metric.AddOption{option}}
}

// waiting is what the series of waits are told apart by.
type waiting struct{ limit, failure string }

// The buckets of durations, in seconds. Those of requests are the semantic conventions'.
var (
	requestBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	attemptBuckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	waitBuckets    = []float64{0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	pauseBuckets   = []float64{0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 86400}
)

func newMeasured(t *Telemetry, most int) (*measured, error) {
	m := &measured{
		places: t.places, common: t.common,
		outcomes: newTable[outcome, series](most), exchanges: newTable[outcome, series](most), waits: newTable[waiting, series](most),
		overflow: newSeries(append([]attribute.KeyValue{attribute.Bool("otel.metric.overflow", true)}, t.common...)),
	}
	var mistakes []error
	seconds := func(name, about string, buckets []float64) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(buckets...))
		mistakes = append(mistakes, err)
		return h
	}
	count := func(name, unit, about string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		mistakes = append(mistakes, err)
		return c
	}
	m.request = seconds("http.client.request.duration", "Duration of HTTP client requests.", requestBuckets)
	m.attempts = seconds("sluice.attempt.duration", "From the first byte of an exchange out to the last byte in.", attemptBuckets)
	m.permitWait = seconds("sluice.permit.wait.duration", "How long an attempt waited for its permit.", waitBuckets)
	m.connectionWait = seconds("sluice.connection.wait.duration", "How long an attempt that had its permit waited for a connection, if it waited.", waitBuckets)
	m.pause = seconds("sluice.pause.duration", "For how long an answer paused the limits of its scope.", pauseBuckets)
	m.repeats = count("sluice.request.repeats", "{repeat}", "Attempts after the first.")
	m.shed = count("sluice.request.shed", "{request}", "Requests sent away because the engine, a queue or a pool was full.")
	return m, errors.Join(mistakes...)
}

// wait is Observer.Wait.
func (m *measured) wait(ctx context.Context, w engine.Waited) {
	permits, connections := m.permitWait.Enabled(ctx), w.Leased > 0 && m.connectionWait.Enabled(ctx)
	if !permits && !connections {
		return
	}
	s := m.seriesOfWait(w.LimitID, errorType(w.Err))
	if permits {
		m.permitWait.Record(ctx, w.Queued.Seconds(), s.record...)
	}
	if connections {
		m.connectionWait.Record(ctx, w.Leased.Seconds(), s.record...)
	}
}

// attempt is Observer.Attempt.
func (m *measured) attempt(ctx context.Context, a engine.Attempted) {
	if !a.Again && a.Paused == 0 && !m.attempts.Enabled(ctx) {
		return
	}
	s := m.seriesOf(m.exchanges, outcomeOfAttempt(&a))
	if m.attempts.Enabled(ctx) {
		m.attempts.Record(ctx, a.Took.Seconds(), s.record...)
	}
	if a.Again && m.repeats.Enabled(ctx) {
		m.repeats.Add(ctx, 1, s.add...)
	}
	if a.Paused > 0 && m.pause.Enabled(ctx) {
		m.pause.Record(ctx, a.Paused.Seconds(), s.record...)
	}
}

// end is Observer.End.
func (m *measured) end(ctx context.Context, d engine.Ended) {
	m.record(ctx, &d, outcomeOf(&d))
}

// record is end, of a request whose outcome is known already.
func (m *measured) record(ctx context.Context, d *engine.Ended, o outcome) {
	if m.request.Enabled(ctx) {
		m.request.Record(ctx, d.Timing.Total.Seconds(), m.seriesOf(m.outcomes, o).record...)
	}
	if isShed(o.failure) && m.shed.Enabled(ctx) {
		m.shed.Add(ctx, 1, m.seriesOfWait(o.limit, o.failure).add...)
	}
}

// seriesOf returns the series of an outcome: one look into a map, once it was met.
func (m *measured) seriesOf(t *table[outcome, series], o outcome) series {
	if s, found := t.find(o); found {
		return s
	}
	place := m.places.of(o.origin)
	o.origin = place.origin
	if s, kept := t.find(o); kept {
		return s
	}
	if s, kept := t.add(o, func() series { return newSeries(o.attributes(place, m.common)) }); kept {
		return s
	}
	return m.overflow
}

// seriesOfWait returns the series of a wait.
func (m *measured) seriesOfWait(limitID, failure string) series {
	w := waiting{limitOf(limitID, failure), failure}
	if s, found := m.waits.find(w); found {
		return s
	}
	if s, kept := m.waits.add(w, func() series { return newSeries(w.attributes(m.common)) }); kept {
		return s
	}
	return m.overflow
}

func (w waiting) attributes(common []attribute.KeyValue) []attribute.KeyValue {
	attrs := append([]attribute.KeyValue{}, common...)
	if w.limit != "" {
		attrs = append(attrs, limitIDKey.String(w.limit))
	}
	if w.failure != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(w.failure))
	}
	return attrs
}
