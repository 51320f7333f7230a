package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

// What docs/guide/opentelemetry.md shows stands here; TestTheGuideShowsWhatIsCompiled holds the two together.

// observed makes an engine that the program's own providers are told of, until stop is called.
func observed(baseURL string) (eng *engine.Engine, stop func() error, err error) {
	t, err := telemetry.New(telemetry.Config{
		MeterProvider:  otel.GetMeterProvider(),
		TracerProvider: otel.GetTracerProvider(),
	})
	if err != nil {
		return nil, nil, err
	}
	config := engine.Config{
		BaseURL:   baseURL,
		Observers: []engine.Observer{t.Observer()},
	}
	propagate, err := t.Propagate(propagation.TraceContext{}, baseURL)
	if err != nil {
		return nil, nil, err
	}
	config.PreProcessors = append(config.PreProcessors, propagate)
	eng, err = engine.New(config)
	if err != nil {
		return nil, nil, err
	}
	stop, err = t.Watch(eng) // stop ends it, and is called before eng.Close
	return eng, stop, err
}

func ExampleNew() {
	venue := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer venue.Close()
	eng, stop, err := observed(venue.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	defer stop()
	response, err := eng.Do(context.Background(), &engine.Request{Path: "/price"})
	fmt.Println(response.StatusCode, err)
	// Output: 200 <nil>
}

func ExampleTelemetry_Watch() {
	reader := sdkmetric.NewManualReader()
	t, err := telemetry.New(telemetry.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	if err != nil {
		fmt.Println(err)
		return
	}
	eng, err := engine.New(engine.Config{Limits: []throttle.Limit{{ID: "weight", Quota: 1200, Per: time.Minute}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	stop, err := t.Watch(eng)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
		return
	}
	for _, one := range collected.ScopeMetrics[0].Metrics {
		if quota, is := one.Data.(metricdata.Gauge[int64]); is && one.Name == "sluice.limit.quota" {
			limit, _ := quota.DataPoints[0].Attributes.Value("sluice.limit.id")
			fmt.Println(one.Name, limit.AsString(), quota.DataPoints[0].Value)
		}
	}
	// Output: sluice.limit.quota weight 1200
}

func ExampleTelemetry_Propagate() {
	venue := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.Header.Get("Traceparent")))
	}))
	defer venue.Close()
	tracers := sdktrace.NewTracerProvider()
	defer tracers.Shutdown(context.Background())
	t, err := telemetry.New(telemetry.Config{TracerProvider: tracers})
	if err != nil {
		fmt.Println(err)
		return
	}
	propagate, err := t.Propagate(propagation.TraceContext{}, venue.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	eng, err := engine.New(engine.Config{
		BaseURL: venue.URL, Observers: []engine.Observer{t.Observer()}, PreProcessors: []engine.PreProcessor{propagate},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	response, err := eng.Do(context.Background(), &engine.Request{})
	fmt.Println(response.Text(), "characters of a traceparent,", err)
	// Output: 55 characters of a traceparent, <nil>
}
