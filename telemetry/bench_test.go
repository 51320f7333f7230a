package telemetry_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
)

// BenchmarkHooks is what the hooks of one plain request cost, the engine apart.
func BenchmarkHooks(b *testing.B) {
	for name, config := range map[string]telemetry.Config{
		"metrics":             {MeterProvider: newMeters(b)},
		"traces, not sampled": {TracerProvider: newTracers(b, sdktrace.NeverSample())},
		"traces, sampled":     {TracerProvider: sdktrace.NewTracerProvider()},
	} {
		b.Run(name, func(b *testing.B) {
			hooks := newTelemetry(b, config).Observer()
			ctx, ended := b.Context(), answered("depth", 200, time.Millisecond)
			answer := exchanged(200, time.Millisecond)
			ended.Timing.FirstByte = time.Millisecond
			b.ReportAllocs()
			for b.Loop() {
				ctx := ctx
				if hooks.Begin != nil {
					ctx = hooks.Begin(ctx, get)
				}
				if hooks.Wait != nil {
					hooks.Wait(ctx, engine.Waited{Request: get, LimitID: "depth"})
				}
				hooks.Attempt(ctx, answer)
				hooks.End(ctx, ended)
			}
		})
	}
}

// BenchmarkPropagate is what it costs to name the trace in a request's header.
func BenchmarkPropagate(b *testing.B) {
	propagate, err := newTelemetry(b, telemetry.Config{}).Propagate(propagation.TraceContext{}, "https://venue.test")
	require.NoError(b, err)
	ctx, _ := newTracers(b, sdktrace.AlwaysSample()).Tracer("caller's").Start(b.Context(), "trade")
	for name, url := range map[string]string{"home": "https://venue.test/api/v3/order", "elsewhere": "https://other.test/api/v3/order"} {
		b.Run(name, func(b *testing.B) {
			req := &engine.Request{URL: url, Header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, propagate.PreProcess(ctx, req))
			}
		})
	}
}
