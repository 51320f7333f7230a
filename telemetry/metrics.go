package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-engine/sluice/engine"
)

// measured are the instruments that requests feed themselves. A record costs a hundred
// nanoseconds and thirty for each of its attributes, and so what is a state, or can be counted
// elsewhere, is in watched: a request that waits for nothing and is answered by its first
// attempt makes two records.
type measured struct {
	places *places
	common []attribute.KeyValue

	exchange       metric.Float64Histogram
	request        metric.Float64Histogram
	permitWait     metric.Float64Histogram
	connectionWait metric.Float64Histogram
	pause          metric.Float64Histogram
	repeats        metric.Int64Counter
	refusals       metric.Int64Counter
	shed           metric.Int64Counter

	exchanges *table[exchange, *series]
	requests  *table[request, *series]
	overflow  *series // of all that is beyond the tables
}

// series is a set of attributes as instruments take it: made once, for one that is made for
// each record costs five allocations.
type series struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

func newSeries(attrs []attribute.KeyValue) *series {
	option := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return &series{[]metric.RecordOption{option}, []metric.AddOption{option}}
}

// The buckets of durations, in seconds. Those of exchanges are the semantic conventions'.
var (
	exchangeBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	requestBuckets  = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	waitBuckets     = []float64{0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	pauseBuckets    = []float64{0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 86400}
)

// newMeasured makes instruments of at most so many sets of attributes, one of which is that of
// what is beyond the tables.
func newMeasured(t *Telemetry, most int) (*measured, error) {
	m := &measured{
		places: t.places, common: t.common,
		exchanges: newTable[exchange, *series](most - 1), requests: newTable[request, *series](most - 1),
		overflow: newSeries(t.with(overflowKey.Bool(true))),
	}
	var mistakes []error
	seconds := func(name, about string, buckets []float64) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(buckets...))
		mistakes = append(mistakes, unmade(name, h, err))
		return h
	}
	count := func(name, unit, about string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		mistakes = append(mistakes, unmade(name, c, err))
		return c
	}
	m.exchange = seconds("http.client.request.duration", "Duration of HTTP client requests.", exchangeBuckets)
	m.request = seconds("sluice.request.duration", "From the call to its answer, waits and all attempts included.", requestBuckets)
	m.permitWait = seconds("sluice.permit.wait.duration", "How long an attempt waited for its permit, if it did.", waitBuckets)
	m.connectionWait = seconds("sluice.connection.wait.duration", "How long an attempt that had its permit waited for a connection, if it did.", waitBuckets)
	m.pause = seconds("sluice.pause.duration", "For how long nothing was to be sent, as Config.Feedback understood an answer.", pauseBuckets)
	m.repeats = count("sluice.request.repeats", "{repeat}", "Exchanges that were meant to be followed by another attempt; the request may have ended before it began.")
	m.refusals = count("sluice.limit.refusals", "{refusal}", "Answers by which one of the server's limits refused a request.")
	m.shed = count("sluice.request.shed", "{request}", "Requests sent away because the engine, a queue or a pool was full.")
	return m, errors.Join(mistakes...)
}

// unmade says why there is no instrument, also where the provider does not: to feed one that is
// nil would be a panic of every request.
func unmade(name string, instrument any, err error) error {
	if err == nil && instrument == nil {
		return fmt.Errorf("the MeterProvider made no instrument %s, and does not say why", name)
	}
	return err
}

// hooks are those of metrics alone. What is told is wide, and goes on by its address: each call
// by value would copy it.
func (m *measured) hooks() engine.Observer {
	return engine.Observer{
		Wait:    func(ctx context.Context, w engine.Waited) { m.wait(ctx, &w) },
		Attempt: func(ctx context.Context, a engine.Attempted) { m.attempt(ctx, &a) },
		End:     func(ctx context.Context, d engine.Ended) { m.end(ctx, &d) },
	}
}

// wait is Observer.Wait. What had its permit and its connection at once did not wait.
func (m *measured) wait(ctx context.Context, w *engine.Waited) {
	refused := w.Err != nil && w.Stage != engine.Leasing // otherwise the permit was there
	if (w.Queued > 0 || refused) && m.permitWait.Enabled(ctx) {
		failure := ""
		if refused {
			failure = errorType(w.Err)
		}
		m.permitWait.Record(ctx, w.Queued.Seconds(), m.seriesOfRequest(requestOf(w.LimitID, failure, 0)).record...)
	}
	if w.Leased > 0 && m.connectionWait.Enabled(ctx) {
		m.connectionWait.Record(ctx, w.Leased.Seconds(), m.seriesOfRequest(requestOf(w.LimitID, errorType(w.Err), 0)).record...)
	}
}

// attempt is Observer.Attempt.
func (m *measured) attempt(ctx context.Context, a *engine.Attempted) {
	duration := m.exchange.Enabled(ctx)
	if !duration && !a.Again && !a.Refused && a.Paused == 0 {
		return
	}
	s := m.seriesOfExchange(exchangeOf(a))
	if duration {
		m.exchange.Record(ctx, a.Took.Seconds(), s.record...)
	}
	if a.Again && m.repeats.Enabled(ctx) {
		m.repeats.Add(ctx, 1, s.add...)
	}
	if a.Refused && m.refusals.Enabled(ctx) {
		m.refusals.Add(ctx, 1, s.add...)
	}
	if a.Paused > 0 && m.pause.Enabled(ctx) {
		m.pause.Record(ctx, a.Paused.Seconds(), s.record...)
	}
}

// end is Observer.End.
func (m *measured) end(ctx context.Context, d *engine.Ended) {
	duration := m.request.Enabled(ctx)
	if !duration && d.Err == nil {
		return
	}
	of := requestOfEnd(d)
	if duration {
		m.request.Record(ctx, d.Timing.Total.Seconds(), m.seriesOfRequest(of).record...)
	}
	if isShed(of.failure) && m.shed.Enabled(ctx) {
		m.shed.Add(ctx, 1, m.seriesOfRequest(of).add...)
	}
}

// seriesOfExchange is one look into a map, once the exchange was met.
func (m *measured) seriesOfExchange(e exchange) *series {
	if s, found := m.exchanges.find(e); found {
		return s
	}
	at := m.places.of(e.origin)
	e.origin = at.origin
	if s, found := m.exchanges.find(e); found { // of a server beyond the bound
		return s
	}
	if s, kept := m.exchanges.add(e, func() *series { return newSeries(e.appendTo(slices.Clone(m.common), at)) }); kept {
		return s
	}
	return m.overflow
}

// seriesOfRequest likewise.
func (m *measured) seriesOfRequest(r request) *series {
	if s, found := m.requests.find(r); found {
		return s
	}
	if s, kept := m.requests.add(r, func() *series { return newSeries(r.appendTo(slices.Clone(m.common))) }); kept {
		return s
	}
	return m.overflow
}
