package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"github.com/sluice-engine/sluice/engine"
)

// Propagate returns what puts the trace into the header of requests, such as the traceparent of
// propagation.TraceContext{}, for Config.PreProcessors. The parent that it names is the span of
// the request, or without a TracerProvider that of the caller's context. All attempts of a
// request name the same.
//
// It does so for requests to the given origins alone, as Config.Header goes to those of
// Config.BaseURL and Config.Origins alone: what a trace says is one's own, and a
// propagation.Baggage may say anything; a venue of somebody else's has no use for either. Name the
// same, as whole URLs: t.Propagate(propagator, config.BaseURL). At least one must be
// named.
//
// The header is there before the request is signed, so that a scheme that signs headers signs
// it too. Where it stands among the pre-processors makes no difference, unless
// another changes the URL. A line of the same name that the request has already
// is replaced.
func (t *Telemetry) Propagate(propagator propagation.TextMapPropagator, origins ...string) (engine.PreProcessor, error) {
	if propagator == nil {
		return nil, errors.New("telemetry: Propagate: the propagator is nil: propagation.TraceContext{} is one")
	}
	if len(origins) == 0 {
		return nil, errors.New("telemetry: Propagate: name the origins that may learn of traces, such as Config.BaseURL")
	}
	var homes []engine.Origin
	for i, origin := range origins {
		home, err := originOf(origin)
		if err != nil {
			return nil, fmt.Errorf("telemetry: Propagate: origin %d is not an absolute http or https URL", i+1) // whose text may have a password
		}
		homes = append(homes, home)
	}
	return engine.PreProcessorFunc(func(ctx context.Context, req *engine.Request) error {
		if origin, err := originOf(req.URL); err == nil && slices.Contains(homes, origin) {
			propagator.Inject(ctx, propagation.HeaderCarrier(req.Header)) // a copy, and never nil
		}
		return nil
	}), nil
}

// originOf returns what a URL leads to, in the engine's spelling.
func originOf(raw string) (engine.Origin, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return engine.Origin{}, errors.New("no absolute URL")
	}
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return engine.Origin{}, errors.New("no URL of HTTP")
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	return engine.Origin{Scheme: u.Scheme, Addr: net.JoinHostPort(strings.ToLower(u.Hostname()), port)}, nil
}
