package telemetry

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-engine/sluice/engine"
)

func TestSpansAreOpenFromTheBeginningOfTheirRequestToItsEndAndNoLonger(t *testing.T) {
	tel, err := New(Config{TracerProvider: sdktrace.NewTracerProvider()})
	require.NoError(t, err)
	hooks, open := tel.Observer(), &tel.traced.open
	req := new(engine.Request)
	first := hooks.Begin(t.Context(), req)
	second := hooks.Begin(first, req) // made for the first
	require.EqualValues(t, 2, open.Load())
	hooks.End(second, engine.Ended{Request: req})
	hooks.End(second, engine.Ended{Request: req}) // which nobody should do
	require.EqualValues(t, 1, open.Load())
	hooks.End(first, engine.Ended{Request: req})
	require.Zero(t, open.Load())

	tel, err = New(Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))})
	require.NoError(t, err)
	tel.Observer().Begin(t.Context(), req)
	require.Zero(t, tel.traced.open.Load(), "there is nothing to be told of it")

	failing := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()), sdkmetric.WithExemplarFilter(func(context.Context) bool { panic("filter") }))
	tel, err = New(Config{MeterProvider: failing, TracerProvider: sdktrace.NewTracerProvider()})
	require.NoError(t, err)
	hooks = tel.Observer()
	ctx := hooks.Begin(t.Context(), req)
	require.Panics(t, func() { hooks.End(ctx, engine.Ended{Request: req}) })
	require.Zero(t, tel.traced.open.Load(), "it has ended, whatever else failed")
}
