package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
// is replaced, whatever the case it is written in.
func (t *Telemetry) Propagate(propagator propagation.TextMapPropagator, origins ...string) (engine.PreProcessor, error) {
	if propagator == nil {
		return nil, errors.New("telemetry: Propagate: the propagator is nil: propagation.TraceContext{} is one")
	}
	if len(origins) == 0 {
		return nil, errors.New("telemetry: Propagate: name the origins that may learn of traces, such as Config.BaseURL")
	}
	var to homes
	for i, origin := range origins {
		home, err := engine.ParseOrigin(origin)
		if err != nil {
			return nil, fmt.Errorf("telemetry: Propagate: origin %d is not an absolute http or https URL", i+1) // whose text may have a password
		}
		to.add(home)
	}
	return engine.PreProcessorFunc(func(ctx context.Context, req *engine.Request) error {
		if to.have(req.URL) {
			propagator.Inject(ctx, header{propagation.HeaderCarrier(req.Header)}) // a copy, and never nil
		}
		return nil
	}), nil
}

// homes are the origins that learn of traces.
type homes struct {
	origins []engine.Origin
	spelt   []string // what their URLs begin with, as they are mostly written: up to the path
}

func (h *homes) add(origin engine.Origin) {
	h.origins, h.spelt = append(h.origins, origin), append(h.spelt, origin.String())
	host, _, _ := net.SplitHostPort(origin.Addr)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	short := origin.Scheme + "://" + host
	if same, err := engine.ParseOrigin(short); err == nil && same == origin { // its port is that of a URL that names none
		h.spelt = append(h.spelt, short)
	}
}

// have reports whether a URL leads to one of them. One that is written as they mostly are need
// not be taken apart.
func (h *homes) have(url string) bool {
	for _, home := range h.spelt {
		if rest, begins := strings.CutPrefix(url, home); begins && (rest == "" || strings.ContainsRune("/?#", rune(rest[0]))) {
			return true
		}
	}
	origin, err := engine.ParseOrigin(url)
	return err == nil && slices.Contains(h.origins, origin)
}

// header is the header of a request, which knows how the names are spelt in one that the usual
// propagators set.
type header struct{ propagation.HeaderCarrier }

// Set is part of propagation.TextMapCarrier. The header may be a map literal, with names in any
// case: whatever is spelt otherwise would be a second line.
func (h header) Set(name, value string) {
	name = asSent(name)
	for have := range h.HeaderCarrier {
		if strings.EqualFold(have, name) {
			delete(h.HeaderCarrier, have)
		}
	}
	h.HeaderCarrier[name] = []string{value}
}

// asSent is a name as http.Header has it.
func asSent(name string) string {
	switch name {
	case "traceparent":
		return "Traceparent"
	case "tracestate":
		return "Tracestate"
	case "baggage":
		return "Baggage"
	}
	return http.CanonicalHeaderKey(name)
}
