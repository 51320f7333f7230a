// Opentelemetry asks the simulated exchange for prices under a tight limit, and prints what
// OpenTelemetry was told: the metrics, read by hand, and the spans of the slowest requests.
// A program of your own has an exporter in the place of both readers.
//
//	go run ./examples/opentelemetry
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	ex, err := exchange.New(exchange.Config{Limits: []exchange.Limit{{Kind: exchange.Weight, Quota: 20, Per: time.Second}}})
	if err != nil {
		return err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ex.Close()

	reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { err = errors.Join(err, meters.Shutdown(ctx), tracers.Shutdown(ctx)) }()
	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters, TracerProvider: tracers})
	if err != nil {
		return err
	}
	eng, err := engine.New(engine.Config{
		BaseURL:        url,
		Limits:         []throttle.Limit{{ID: "weight", Quota: 20, Per: time.Second, Weight: 2}},
		DefaultLimitID: "weight",
		Observers:      []engine.Observer{tel.Observer()},
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	stop, err := tel.Watch(eng)
	if err != nil {
		return err
	}
	defer stop()

	if err := prices(ctx, eng, 15); err != nil { // 30 weight, of which 20 may leave in a second
		return err
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &collected); err != nil {
		return err
	}
	printMetrics(out, &collected)
	printSlowest(out, spans.GetSpans(), 3)
	return nil
}

// prices asks for a price so many times at once.
func prices(ctx context.Context, eng *engine.Engine, n int) error {
	failures := make([]error, n)
	var asking sync.WaitGroup
	for i := range n {
		asking.Go(func() {
			_, failures[i] = engine.Fetch[any](ctx, eng, &engine.Request{
				Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"},
			})
		})
	}
	asking.Wait()
	return errors.Join(failures...)
}

// printMetrics prints one line for each point.
func printMetrics(out io.Writer, collected *metricdata.ResourceMetrics) {
	for _, one := range collected.ScopeMetrics[0].Metrics {
		line := func(attrs attribute.Set, value any) {
			fmt.Fprintf(out, "%-34s %v %s {%s}\n", one.Name, value, one.Unit, attrs.Encoded(attribute.DefaultEncoder()))
		}
		switch data := one.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				line(p.Attributes, fmt.Sprintf("%d times, %.4f on average,", p.Count, p.Sum/float64(p.Count)))
			}
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				line(p.Attributes, p.Value)
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				line(p.Attributes, p.Value)
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				line(p.Attributes, p.Value)
			}
		}
	}
}

// printSlowest prints where the time of the slowest requests went.
func printSlowest(out io.Writer, spans tracetest.SpanStubs, n int) {
	took := func(s tracetest.SpanStub) time.Duration { return s.EndTime.Sub(s.StartTime) }
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return cmp.Compare(took(b), took(a)) })
	fmt.Fprintf(out, "\n%d spans, the slowest of them:\n", len(spans))
	for _, s := range spans[:min(n, len(spans))] {
		set := attribute.NewSet(s.Attributes...)
		queued, _ := set.Value("sluice.timing.queued")
		server, _ := set.Value("sluice.timing.first_byte")
		fmt.Fprintf(out, "%s took %v: %.4f s for its permit, %.4f s at the server\n", s.Name, took(s).Round(time.Millisecond), queued.AsFloat64(), server.AsFloat64())
	}
}
