package telemetry

import (
	"hash/maphash"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/sluice-engine/sluice/engine"
)

// other stands for every value beyond a bound, as the semantic conventions have it.
const other = "_OTHER"

// elsewhere is the origin of all servers beyond the bound.
var elsewhere = engine.Origin{Addr: other}

// place is an origin as attributes tell it.
type place struct {
	origin engine.Origin // elsewhere, if it is beyond the bound
	attrs  []attribute.KeyValue
}

// places are the origins that are told apart: the first so many.
type places struct {
	known *table[server, *place]
	rest  *place
}

func newPlaces(most int) *places {
	return &places{
		known: newTable[server, *place](most),
		rest:  &place{elsewhere, []attribute.KeyValue{semconv.ServerAddress(other)}},
	}
}

// server is an origin as a key.
type server engine.Origin

// hint is part of hinted.
func (s server) hint() uint64 { return maphash.String(seed, s.Addr) }

// of returns the place of an origin; one without attributes for a request that got
// nowhere.
func (p *places) of(origin engine.Origin) *place {
	switch origin {
	case elsewhere:
		return p.rest
	case engine.Origin{}:
		return &place{}
	}
	if known, found := p.known.find(server(origin)); found {
		return known
	}
	if known, kept := p.known.add(server(origin), func() *place { return &place{origin, serverAttributes(origin)} }); kept {
		return known
	}
	return p.rest
}

// serverAttributes are server.address and server.port.
func serverAttributes(origin engine.Origin) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(origin.Addr)
	if err != nil {
		host = origin.Addr
	}
	attrs := []attribute.KeyValue{semconv.ServerAddress(host)}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, semconv.ServerPort(n))
	}
	return attrs
}
