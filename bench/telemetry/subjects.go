package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

// subject is one way to observe an engine.
type subject struct {
	name     string
	observed bool
	idle     bool // by hooks that do nothing: what the engine itself does to tell
	bare     bool // by hooks that call the SDK and do nothing else: what is left of the others is telemetry's
	metrics  bool
	traces   float64 // the share of requests that is sampled; 0 for no provider
	page     bool    // by the live page
	deaf     bool    // which is told of no request, and so shows no slow and no failed ones
	viewer   bool    // at which somebody looks
	bar      float64
}

// subjects are what is compared; all others with the first. Metrics are read by a manual reader,
// and spans go through the SDK's batches to an exporter that counts them.
var subjects = []subject{
	{name: "without observers"},
	{name: "off: no providers", observed: true, bar: 1.01},
	{name: "hooks that do nothing", idle: true},
	{name: "metrics", observed: true, metrics: true, bar: 1.05},
	{name: "traces, 1 % sampled", observed: true, traces: 0.01, bar: 1.06},
	{name: "traces, all sampled", observed: true, traces: 1, bar: 1.15},
	{name: "metrics and traces, 1 % sampled", observed: true, metrics: true, traces: 0.01},
	{name: "metrics and traces, all sampled", observed: true, metrics: true, traces: 1},
	{name: "the SDK alone: metrics", bare: true, metrics: true},
	{name: "the SDK alone: traces, 1 % sampled", bare: true, traces: 0.01},
	{name: "the SDK alone: traces, all sampled", bare: true, traces: 1},
}

// client is an engine of a subject.
type client struct {
	subject
	eng    *engine.Engine
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
	tracer *sdktrace.TracerProvider
	spans  counted
	before int // requests that the metrics had told of

	shown  *inspect.Page
	serves *http.Server // shown
	at     string       // its pictures
}

// open makes the engine; what it has made when it fails is for close.
func (c *client) open(to server) (err error) {
	config := engine.Config{BaseURL: to.origin, Limits: wide(), Dial: engine.Dial{TLS: to.tls}}
	if c.page {
		return c.openPage(config)
	}
	if !c.observed {
		switch {
		case c.idle:
			config.Observers = []engine.Observer{idle()}
		case c.bare:
			config.Observers = []engine.Observer{c.calling()}
		}
		c.eng, err = engine.New(config)
		return err
	}
	t, err := c.telemetry()
	if err != nil {
		return err
	}
	config.Observers = []engine.Observer{t.Observer()}
	if c.eng, err = engine.New(config); err != nil {
		return err
	}
	_, err = t.Watch(c.eng) // it ends with the provider
	return err
}

func (c *client) telemetry() (*telemetry.Telemetry, error) {
	c.provide()
	var config telemetry.Config
	if c.metrics {
		config.MeterProvider = c.meters
	}
	if c.traces > 0 {
		config.TracerProvider = c.tracer
	}
	return telemetry.New(config)
}

// provide makes the SDK's providers.
func (c *client) provide() {
	if c.metrics {
		c.reader = sdkmetric.NewManualReader()
		c.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(c.reader))
	}
	if c.traces > 0 {
		c.tracer = sdktrace.NewTracerProvider(
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.traces))),
			sdktrace.WithBatcher(&c.spans, sdktrace.WithMaxQueueSize(1<<16)),
		)
	}
}

// calling are hooks that have the SDK record what telemetry has it record of a plain request, and
// have made all of it before: two durations, or a span.
func (c *client) calling() engine.Observer {
	c.provide()
	if c.metrics {
		return recording(c.meters.Meter("bare"))
	}
	return spanning(c.tracer.Tracer("bare"))
}

// labels are as many attributes as a plain request has, which are all alike to the SDK.
func labels(n int) (attrs []attribute.KeyValue) {
	for i := range n {
		attrs = append(attrs, attribute.String(fmt.Sprintf("some.attribute.%d", i), "value"))
	}
	return attrs
}

func recording(meter metric.Meter) engine.Observer {
	exchange, _ := meter.Float64Histogram("http.client.request.duration")
	request, _ := meter.Float64Histogram("sluice.request.duration")
	five := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(labels(5)...))}
	one := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(labels(1)...))}
	return engine.Observer{
		Attempt: func(ctx context.Context, a engine.Attempted) { exchange.Record(ctx, a.Took.Seconds(), five...) },
		End:     func(ctx context.Context, d engine.Ended) { request.Record(ctx, d.Timing.Total.Seconds(), one...) },
	}
}

func spanning(tracer trace.Tracer) engine.Observer {
	start, attrs := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}, labels(7)
	return engine.Observer{
		Begin: func(ctx context.Context, _ *engine.Request) context.Context {
			ctx, _ = tracer.Start(ctx, "GET", start...)
			return ctx
		},
		End: func(ctx context.Context, _ engine.Ended) {
			if span := trace.SpanFromContext(ctx); span.IsRecording() {
				span.SetAttributes(attrs...)
				span.End()
			}
		},
	}
}

// wide are limits that hold nobody up.
func wide() []throttle.Limit {
	const plenty = 1 << 30
	return []throttle.Limit{
		{ID: "weight", Quota: plenty, Per: time.Second},
		{ID: "price", Quota: plenty, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 2}}},
	}
}

// Get is part of gauge.Getter.
func (c *client) Get(ctx context.Context) error {
	response, err := c.eng.Do(ctx, &engine.Request{Path: "/price", LimitID: "price"})
	if err != nil {
		return err
	}
	return response.Err()
}

func (c *client) close() error {
	err := c.closePage()
	if c.tracer != nil {
		err = errors.Join(err, c.tracer.Shutdown(context.Background()))
	}
	if c.meters != nil {
		err = errors.Join(err, c.meters.Shutdown(context.Background()))
	}
	if c.eng != nil {
		err = errors.Join(err, c.eng.Close())
	}
	return err
}

func idle() engine.Observer {
	return engine.Observer{
		Begin:   func(ctx context.Context, _ *engine.Request) context.Context { return ctx },
		Wait:    func(context.Context, engine.Waited) {},
		Attempt: func(context.Context, engine.Attempted) {},
		End:     func(context.Context, engine.Ended) {},
	}
}

// told reports whether a slice of so many requests was told of as it should be.
func (c *client) told(ctx context.Context, requests int) error {
	if c.metrics {
		all, err := c.collect(ctx)
		if err != nil {
			return err
		}
		if n := all - c.before; n != requests {
			return fmt.Errorf("%d requests were made, and metrics tell of %d", requests, n)
		}
		c.before = all
	}
	if c.traces == 0 {
		return nil
	}
	if err := c.tracer.ForceFlush(ctx); err != nil {
		return err
	}
	exported, want := float64(c.spans.n.Swap(0)), c.traces*float64(requests)
	if spread := 6 * math.Sqrt(want*(1-c.traces)); math.Abs(exported-want) > spread+1 {
		return fmt.Errorf("of %d requests %.0f spans were exported: want about %.0f", requests, exported, want)
	}
	return nil
}

// collect returns how many requests the metrics tell of.
func (c *client) collect(ctx context.Context) (requests int, err error) {
	var collected metricdata.ResourceMetrics
	if err := c.reader.Collect(ctx, &collected); err != nil {
		return 0, err
	}
	for _, scope := range collected.ScopeMetrics {
		for _, one := range scope.Metrics {
			if durations, is := one.Data.(metricdata.Histogram[float64]); is && one.Name == "http.client.request.duration" {
				for _, point := range durations.DataPoints {
					requests += int(point.Count)
				}
			}
		}
	}
	return requests, nil
}

// counted is an exporter that counts spans and forgets them.
type counted struct{ n atomic.Int64 }

// ExportSpans is part of sdktrace.SpanExporter.
func (c *counted) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.n.Add(int64(len(spans)))
	return nil
}

// Shutdown is part of sdktrace.SpanExporter.
func (c *counted) Shutdown(context.Context) error { return nil }
