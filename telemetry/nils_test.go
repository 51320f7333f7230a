package telemetry

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sluice-engine/sluice/engine"
)

func TestAProviderThatIsANilPointerIsAMistake(t *testing.T) {
	var meters *sdkmetric.MeterProvider
	_, err := New(Config{MeterProvider: meters})
	require.ErrorContains(t, err, "MeterProvider is a nil *metric.MeterProvider")
	var tracers *sdktrace.TracerProvider
	_, err = New(Config{TracerProvider: tracers})
	require.ErrorContains(t, err, "TracerProvider is a nil *trace.TracerProvider")
}

// moodyMeters panics at its first registration, and registers nothing at its second.
type moodyMeters struct{ noop.MeterProvider }

type moodyMeter struct {
	noop.Meter
	registered *int
}

func (moodyMeters) Meter(string, ...metric.MeterOption) metric.Meter {
	return moodyMeter{registered: new(int)}
}

func (m moodyMeter) RegisterCallback(f metric.Callback, all ...metric.Observable) (metric.Registration, error) {
	switch *m.registered++; *m.registered {
	case 1:
		panic("a provider of one's own")
	case 2:
		return nil, nil
	}
	return m.Meter.RegisterCallback(f, all...)
}

func TestAnEngineIsWatchedThoughTheProviderFailedBefore(t *testing.T) {
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	telemetry, err := New(Config{MeterProvider: moodyMeters{}})
	require.NoError(t, err)
	require.Panics(t, func() { _, _ = telemetry.Watch(eng) })
	_, err = telemetry.Watch(eng)
	require.ErrorContains(t, err, "registered nothing")
	stop, err := telemetry.Watch(eng)
	require.NoError(t, err)
	require.NoError(t, stop())
}
