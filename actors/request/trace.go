package request

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// trace calls the hooks of net/http/httptrace that are about the pool; the
// connection calls those about the exchange. All methods may be called on the
// zero value.
type trace struct{ hooks *httptrace.ClientTrace }

func traceOf(ctx context.Context) trace { return trace{httptrace.ContextClientTrace(ctx)} }

// waits says that a connection is wanted.
func (t trace) waits(origin messages.Origin) {
	if t.hooks != nil && t.hooks.GetConn != nil {
		t.hooks.GetConn(origin.Addr)
	}
}

// leased says which connection it became.
func (t trace) leased(lease *ticket.Lease, now func() time.Duration) {
	if t.hooks == nil || t.hooks.GotConn == nil {
		return
	}
	info := httptrace.GotConnInfo{Reused: lease.Uses > 0, WasIdle: !lease.Fresh()}
	if c, ok := lease.Conn.(interface{ Shared() bool }); ok && c.Shared() {
		info.Reused = true
	}
	if info.WasIdle {
		info.IdleTime = now() - lease.UsedAt
	}
	if c, ok := lease.Conn.(interface{ NetConn() net.Conn }); ok {
		info.Conn = c.NetConn()
	}
	t.hooks.GotConn(info)
}

var errNotKept = errors.New("connection is not kept")

// returned says whether the connection can be used again.
func (t trace) returned(kept bool) {
	switch {
	case t.hooks == nil || t.hooks.PutIdleConn == nil:
	case kept:
		t.hooks.PutIdleConn(nil)
	default:
		t.hooks.PutIdleConn(errNotKept)
	}
}
