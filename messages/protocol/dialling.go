package protocol

import "context"

// DialEnd says what became of a connection that was to be opened.
type DialEnd uint8

const (
	DialUnclear DialEnd = iota // it failed, and the server may have seen it
	DialOpened                 // there is one
	DialUnsent                 // nothing has left this machine
)

// DialGate waits for leave to open a connection. Whoever dials calls it before the first
// socket is opened, and then ended once, unless there was an error. It may take its time,
// which is not the dial's own: it ends with its context alone.
type DialGate func(context.Context) (ended func(DialEnd), err error)

type dialGateKey struct{}

// WithDialGate returns a context whose dial passes a gate.
func WithDialGate(ctx context.Context, gate DialGate) context.Context {
	return context.WithValue(ctx, dialGateKey{}, gate)
}

// DialGateOf returns the gate that a dial with this context passes; nil is none.
func DialGateOf(ctx context.Context) DialGate {
	gate, _ := ctx.Value(dialGateKey{}).(DialGate)
	return gate
}
