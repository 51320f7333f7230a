package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// Scope is the name of the instrumentation scope of all that is told.
const Scope = "github.com/sluice-engine/sluice/telemetry"

// Config says where to, and how finely. Its zero value tells nothing to anybody, and costs
// nothing.
type Config struct {
	// MeterProvider receives the metrics; otel.GetMeterProvider() is the program's own. Nil
	// means no metrics.
	MeterProvider metric.MeterProvider
	// TracerProvider receives the spans; otel.GetTracerProvider() is the program's own.
	// Nil means no spans.
	TracerProvider trace.TracerProvider
	// Attributes go with every metric and every span: which engine it is, if a program has
	// several. Each engine then has a Telemetry of its own. Nil means none.
	Attributes []attribute.KeyValue
	// MaxOrigins is how many servers are told apart, by scheme, host and port, the first of
	// them; all others have the server.address "_OTHER". Zero means 32, and a negative
	// number that none is told apart.
	MaxOrigins int
	// MaxSeries is how many sets of attributes each instrument that is fed by requests may
	// have; the last of them has the attribute sluice.overflow=true, and counts what would be
	// one more: with 1 nothing is told apart. The SDK has a bound of its own, 2,000 unless it
	// is told another. Zero means 1,000. It must not be negative.
	MaxSeries int
}

// defaults of a Config.
const (
	defaultOrigins = 32
	defaultSeries  = 1000
)

// Telemetry tells OpenTelemetry of one engine. It is safe for concurrent use.
type Telemetry struct {
	places   *places
	common   []attribute.KeyValue
	meter    metric.Meter // nil without a MeterProvider
	measured *measured    // likewise
	traced   *traced      // nil without a TracerProvider
	watching atomic.Bool
}

// New makes the instruments and the tracer. The error says what is wrong with the Config,
// or why the provider would not make an instrument.
func New(config Config) (*Telemetry, error) {
	if config.MaxSeries < 0 {
		return nil, fmt.Errorf("telemetry: MaxSeries is %d: want 0, which is %d, or more", config.MaxSeries, defaultSeries)
	}
	for _, attr := range config.Attributes {
		if !attr.Valid() {
			return nil, errors.New("telemetry: Attributes: one has no name or no value")
		}
	}
	if err := errors.Join(holdsNil("MeterProvider", config.MeterProvider), holdsNil("TracerProvider", config.TracerProvider)); err != nil {
		return nil, err
	}
	if config.MaxOrigins == 0 {
		config.MaxOrigins = defaultOrigins
	}
	if config.MaxSeries == 0 {
		config.MaxSeries = defaultSeries
	}
	t := &Telemetry{places: newPlaces(max(0, config.MaxOrigins)), common: slices.Clone(config.Attributes)}
	if config.MeterProvider != nil {
		if t.meter = config.MeterProvider.Meter(Scope, metric.WithSchemaURL(semconv.SchemaURL)); t.meter == nil {
			return nil, errors.New("telemetry: the MeterProvider made no Meter")
		}
		var err error
		if t.measured, err = newMeasured(t, config.MaxSeries); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	if config.TracerProvider != nil {
		tracer := config.TracerProvider.Tracer(Scope, trace.WithSchemaURL(semconv.SchemaURL))
		if tracer == nil {
			return nil, errors.New("telemetry: the TracerProvider made no Tracer")
		}
		t.traced = newTraced(t, tracer)
	}
	return t, nil
}

// holdsNil is the mistake of a provider that is there, and nil.
func holdsNil(name string, provider any) error {
	if provider == nil || !messages.HoldsNil(provider) {
		return nil
	}
	return fmt.Errorf("telemetry: %s is a nil %T: leave it out for none", name, provider)
}

// Observer is what Config.Observers of the engine takes. It has only the hooks that the
// providers need: without any it is the zero Observer.
//
// The hooks of metrics allocate nothing once each set of attributes was met. Spans that are not
// sampled cost what the provider's decision costs.
func (t *Telemetry) Observer() engine.Observer {
	m, tr := t.measured, t.traced
	switch {
	case m == nil && tr == nil:
		return engine.Observer{}
	case tr == nil:
		return m.hooks()
	case m == nil:
		return tr.hooks()
	}
	return both(m, tr)
}

// with are the attributes of everything, and these.
func (t *Telemetry) with(attrs ...attribute.KeyValue) []attribute.KeyValue {
	return append(slices.Clone(t.common), attrs...)
}
