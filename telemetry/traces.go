package telemetry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-engine/sluice/engine"
)

// traced makes a span of every request that the provider samples. What it waited for
// stands in the span's attributes: an event for each stage would cost as much again as the
// span.
type traced struct {
	tracer trace.Tracer
	places *places
	common []attribute.KeyValue
	start  []trace.SpanStartOption // of every request; read only
	open   atomic.Int64            // spans of requests that have begun and not ended; as long as there are none, no hook need look for its own
}

func newTraced(t *Telemetry, tracer trace.Tracer) *traced {
	// A sampler knows the method by the span's name. An attribute would be copied for each
	// request, and that is more than the hooks of one that is not sampled cost otherwise.
	start := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	return &traced{tracer: tracer, places: t.places, common: t.common, start: start}
}

// spanName is the semantic conventions' for a request without a template of its path.
func spanName(method string) string {
	if method == other {
		return "HTTP"
	}
	return method
}

// sampled is the context of a request with a span that is recorded. It is the context itself,
// so that the hooks find the span of their own request, whatever other spans
// processors and other observers begin between.
type sampled struct {
	context.Context
	of   *traced
	own  *engine.Request // as the hooks are told of it: what its processors ask for has its context, too
	span trace.Span
	last answer                 // of the last attempt; the hooks of one request come one after another
	over atomic.Bool            // it has ended, and is not open any more
	told [12]attribute.KeyValue // backs the attributes of the end, most of the time: one allocation with all else, and the span's to keep
}

// key asks a context for the *sampled of one traced; nil for a request without.
type key struct{ of *traced }

// Value is part of context.Context.
func (s *sampled) Value(k any) any {
	if asked, is := k.(key); is && asked.of == s.of {
		return s
	}
	return s.Context.Value(k)
}

// openOf is spanOf for a request that has not ended, of which most have no span: to find that
// out from a context is to ask all that it was derived from.
func (tr *traced) openOf(ctx context.Context, req *engine.Request) *sampled {
	if tr.open.Load() == 0 {
		return nil
	}
	if s := tr.spanOf(ctx); s != nil && s.own == req {
		return s
	}
	return nil
}

// spanOf returns the span of the innermost request that is recorded, and nil if there is none. That
// need not be the one that the context is of: the provider may have dropped that, or failed.
func (tr *traced) spanOf(ctx context.Context) *sampled {
	s, _ := ctx.Value(key{tr}).(*sampled)
	return s
}

// hooks are those of traces alone.
func (tr *traced) hooks() engine.Observer {
	return engine.Observer{
		Begin:   tr.begin,
		Attempt: func(ctx context.Context, a engine.Attempted) { tr.attempt(ctx, &a) },
		End:     func(ctx context.Context, d engine.Ended) { tr.end(ctx, &d) },
	}
}

// begin is Observer.Begin.
func (tr *traced) begin(ctx context.Context, req *engine.Request) context.Context {
	method := knownMethod(req.Method)
	ctx, span := tr.tracer.Start(ctx, spanName(method), tr.start...)
	if span.IsRecording() {
		tr.open.Add(1)
		return &sampled{Context: ctx, of: tr, own: req, span: span}
	}
	if tr.spanOf(ctx) != nil { // of a request that this one is made for, and which may be sent by the same value
		return context.WithValue(ctx, key{tr}, (*sampled)(nil))
	}
	return ctx
}

// attempt is Observer.Attempt: only where there is more than one is each a span of its own,
// below that of the request. It is no client's, or every repeated request would be
// counted twice by what makes metrics of spans.
func (tr *traced) attempt(ctx context.Context, a *engine.Attempted) {
	s := tr.openOf(ctx, a.Request)
	if s == nil {
		return
	}
	s.last = answerOf(a)
	if !a.Again && a.Number <= 1 {
		return
	}
	from, to := a.SentAt, a.SentAt.Add(a.Took)
	if from.IsZero() { // it did not come so far as to be sent
		to = time.Now()
		from = to.Add(-a.Took)
	}
	e := exchangeOf(a)
	attrs := e.appendTo(slices.Clone(tr.common), tr.places.of(e.origin))
	attrs = appendOriginal(attrs, cmp.Or(a.Method, a.Request.Method))
	attrs = append(attrs, sentKey.String(a.Sent.String()), reusedKey.Bool(a.Reused))
	if a.Number > 1 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(a.Number-1))
	}
	if a.Paused > 0 {
		attrs = append(attrs, attribute.Float64("sluice.paused", a.Paused.Seconds()))
	}
	_, span := tr.tracer.Start(ctx, "attempt", trace.WithTimestamp(from), trace.WithAttributes(attrs...))
	if isError(e.failure, e.status) {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(to))
}

// end is Observer.End. The error's text is not told: it has the path.
func (tr *traced) end(ctx context.Context, d *engine.Ended) {
	s := tr.openOf(ctx, d.Request)
	if s == nil || s.over.Swap(true) {
		return
	}
	tr.open.Add(-1)
	e := exchangeOfEnd(d, s.last)
	attrs := e.appendTo(append(s.told[:0], tr.common...), tr.places.of(e.origin))
	attrs = appendOriginal(attrs, d.Request.Method)
	attrs = requestOf(d.LimitID, e.failure, e.status).appendLimit(attrs)
	if d.Attempts > 1 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(d.Attempts-1))
	}
	if failure, is := errors.AsType[*engine.Error](d.Err); is {
		attrs = append(attrs, stageKey.String(failure.Stage.String()), sentKey.String(failure.Sent.String()))
	}
	s.span.SetAttributes(appendTiming(attrs, &d.Timing)...)
	if isError(e.failure, e.status) {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// appendTiming appends in seconds what the request was at for any time at all.
func appendTiming(attrs []attribute.KeyValue, timing *engine.Timing) []attribute.KeyValue {
	for _, at := range [...]struct {
		name attribute.Key
		took time.Duration
	}{
		{"sluice.timing.admitted", timing.Admitted},
		{"sluice.timing.queued", timing.Queued},
		{"sluice.timing.leased", timing.Leased},
		{"sluice.timing.signed", timing.Signed},
		{"sluice.timing.first_byte", timing.FirstByte},
		{"sluice.timing.body", timing.Body},
		{"sluice.timing.paused", timing.Paused},
	} {
		if at.took > 0 {
			attrs = append(attrs, at.name.Float64(at.took.Seconds()))
		}
	}
	return attrs
}

// both are the hooks of metrics and traces. A record is made before the span ends, so that
// it is the metric's example; the span ends whatever becomes of the record, for a provider's views and
// filters may be code that panics.
func both(m *measured, tr *traced) engine.Observer {
	return engine.Observer{
		Begin: tr.begin,
		Wait:  m.hooks().Wait,
		Attempt: func(ctx context.Context, a engine.Attempted) {
			defer tr.attempt(ctx, &a)
			m.attempt(ctx, &a)
		},
		End: func(ctx context.Context, d engine.Ended) {
			defer tr.end(ctx, &d)
			m.end(ctx, &d)
		},
	}
}
