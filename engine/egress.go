package engine

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/internal/wire/dial"
	"github.com/sluice-engine/sluice/throttle"
)

// Egress is a way out beside that of Dial: another local address, another proxy. It has
// everything of Dial that says from where and through what, and takes none of it from
// there; what else Dial says, times, pauses and TLS, is true of all. Its zero value
// opens connections directly, from wherever the system likes.
type Egress struct {
	// LocalAddr is the IP address connections come from; empty leaves it to the
	// system. Beside a DialContext it is a mistake.
	LocalAddr string
	// DialContext opens the transport's connection, as Dial.DialContext does. Nil means
	// a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy returns the proxy for an origin, as Dial.Proxy does. Nil means no proxy.
	Proxy func(*http.Request) (*url.URL, error)
	// ProxyConnectHeader and GetProxyConnectHeader are what is sent with each CONNECT, as
	// in Dial. Nil means nothing else.
	ProxyConnectHeader    http.Header
	GetProxyConnectHeader func(ctx context.Context, proxy *url.URL, target string) (http.Header, error)
}

// WarmEgress is Warm by one of Config.Egress, whose connections are its own; the empty
// name is the default one. A name that is not there is ErrUnknownEgress.
func (e *Engine) WarmEgress(ctx context.Context, egress, rawURL string, n int) error {
	if err := e.misused(ctx, &Request{}); err != nil {
		return err
	}
	if n < 0 {
		return fmt.Errorf("%w: %d connections are a negative number", ErrInvalidRequest, n)
	}
	return e.system.WarmEgress(ctx, egress, rawURL, n)
}

// readEgress looks at the other ways out.
func (p *plan) readEgress() {
	for _, name := range slices.Sorted(maps.Keys(p.Egress)) {
		field, way := fmt.Sprintf("Egress[%q]", name), p.Egress[name]
		if name == "" {
			p.complain("%s has no name: the default egress is Dial", field)
		}
		if name == throttle.DefaultEgress {
			p.complain("%s: the name is that of the default egress where one of its scopes is meant", field)
		}
		p.complainOf(field+".ProxyConnectHeader", dial.CheckConnectHeader(way.ProxyConnectHeader))
		if way.LocalAddr == "" {
			continue
		}
		if way.DialContext != nil {
			p.complain("%s has a LocalAddr and a DialContext, which would not heed it", field)
		}
		_, err := dial.ParseLocalAddr(way.LocalAddr)
		p.complainOf(field+".LocalAddr", err)
	}
}

// dialers returns what dials by each egress, by name.
func (p *plan) dialers() map[string]*dial.Dialer {
	if len(p.Egress) == 0 {
		return nil
	}
	all := make(map[string]*dial.Dialer, len(p.Egress))
	for name, way := range p.Egress {
		var from net.Addr
		if way.LocalAddr != "" {
			from, _ = dial.ParseLocalAddr(way.LocalAddr) // which readEgress has found to be one
		}
		all[name] = p.dialerBy(way, from)
	}
	return all
}

// ways are what pools dial by, and what closes and what unlingers all of them. Where connections are
// bounded over all origins, one that lingers is in nobody's way: it is closed before another is opened.
func ways(standard *dial.Dialer, named map[string]*dial.Dialer, bounded bool) (by map[string]pool.Dial, disconnect, unlinger func()) {
	by, all := make(map[string]pool.Dial, len(named)), []*dial.Dialer{standard}
	for name, dialer := range named {
		by[name] = dialer.DialAny
		all = append(all, dialer)
	}
	if bounded {
		yield := func(ctx context.Context) {
			for _, dialer := range all {
				dialer.YieldLingering(ctx)
			}
		}
		for _, dialer := range all {
			dialer.Yield = yield
		}
	}
	each := func(do func(*dial.Dialer)) func() {
		return func() {
			for _, dialer := range all {
				do(dialer)
			}
		}
	}
	return by, each((*dial.Dialer).Close), each((*dial.Dialer).CloseLingering)
}
