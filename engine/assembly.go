package engine

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/dial"
	"github.com/sluice-engine/sluice/messages"
)

// A plan without mistakes is handed to the actors here, part by part.

const (
	retryShare = 0.2 // repetitions per first attempt, over all requests
	retryRate  = 10  // and per second besides

	// unusedPool is how long an origin's pool outlives its last connection.
	unusedPool = time.Minute
	// sampleSpacing keeps the first looks at the server's clock apart: requests
	// need one, and precision can wait for the others.
	sampleSpacing = 250 * time.Millisecond
)

// system is what the actors of an engine are started with.
func (p *plan) system(e *Engine) actors.Config {
	dialer := p.dialer()
	var egress map[string]pool.Dial
	egress, e.ending.disconnect, e.ending.unlinger = ways(dialer, p.dialers(), p.Connections.MaxTotal > 0)
	parts := actors.Config{
		Request: p.request(), Observers: e.observers, Halts: &e.halts,
		Ledger: p.ledger, Limits: p.Limits, Throttle: p.Throttle,
		Dial: dialer.DialAny, Egress: egress, Pool: p.pool(), MaxIdleTotal: p.Connections.MaxIdleTotal,
		CreditReturned: e.admission.leave,
		PermitReturned: e.permits.held.leave, TracePermits: p.TracePermits,
		Logger: e.scribe.Logger(),
	}
	if p.Time != nil {
		parts.Sample = e.sampler(p.Time)
		parts.Clock = clock.Config{Spacing: sampleSpacing, Interval: p.Clock.Every}
		parts.Trust = p.Clock.Trust
	}
	return parts
}

func (p *plan) request() request.Plan {
	egress := make(map[string]bool, len(p.Egress))
	for name := range p.Egress {
		egress[name] = true
	}
	return request.Plan{
		Base: p.base, Homes: p.homes, Fields: p.fields, StrangerFields: p.strangerFields, Feedback: p.Feedback, Costs: p.Costs,
		Auth: p.standard, Accounts: p.accounts, PreProcessors: p.PreProcessors, PostProcessors: p.PostProcessors, Jar: p.Cookies,
		Codings: p.codings, MaxHeader: p.Responses.MaxHeader, MaxBody: p.Responses.MaxBody, TraceStreams: p.Connections.TraceStreams,
		DialValues: p.dialSeesValues(), Egress: egress,
		Retry: request.Retry{
			Max: p.Retry.Max, Base: p.Retry.Base, Cap: p.Retry.Cap, Share: retryShare, Rate: retryRate,
			PerAttempt: p.Retry.PerAttempt, Statuses: p.Retry.Statuses,
		},
	}
}

// dialSeesValues reports whether anything of the caller's looks at a dial's context.
func (p *plan) dialSeesValues() bool {
	for _, way := range p.Egress {
		if way.DialContext != nil {
			return true
		}
	}
	return p.Dial.DialContext != nil || p.Dial.TLS != nil && p.Dial.TLS.GetClientCertificate != nil
}

func (p *plan) pool() pool.Config {
	c := p.Connections
	return pool.Config{
		MaxConns: c.Max, MaxWaiters: c.MaxWaiters, MinIdle: c.MinIdle, MaxTotal: c.MaxTotal, Limit: c.LimitID, Rotate: c.Rotate,
		IdleTimeout: c.IdleTimeout, MaxAge: c.MaxAge, Passivate: unusedPool,
		Backoff: p.Dial.Backoff, BackoffCap: p.Dial.BackoffCap,
	}
}

// dialer opens the connections of the default egress.
func (p *plan) dialer() *dial.Dialer {
	d := p.Dial
	return p.dialerBy(Egress{
		DialContext: d.DialContext, Proxy: d.Proxy, ProxyConnectHeader: d.ProxyConnectHeader, GetProxyConnectHeader: d.GetProxyConnectHeader,
	}, p.localAddr)
}

// dialerBy opens connections by an egress. Each has a dialer of its own, and so shares
// no connection of HTTP/2 with another, nor a session of TLS, unless the caller's cache
// has it.
func (p *plan) dialerBy(way Egress, from net.Addr) *dial.Dialer {
	dialer := &dial.Dialer{
		DialContext: way.DialContext, LocalAddr: from, Timeout: p.Dial.Timeout,
		TLS: p.Dial.TLS, ProxyTLS: p.Dial.ProxyTLS,
		ProxyConnectHeader: way.ProxyConnectHeader, GetProxyConnectHeader: way.GetProxyConnectHeader, UserAgent: p.userAgent(),
		Limits: wire.Limits{Header: p.Responses.MaxHeader, Body: p.Responses.MaxBody},
	}
	if choose := way.Proxy; choose != nil {
		dialer.Proxy = func(origin messages.Origin) (*url.URL, error) { return choose(rootOf(origin)) }
	}
	if lenient := p.Responses.Lenient; lenient != nil {
		dialer.Lenient = func(origin messages.Origin) bool { return lenient(origin.Addr) }
	}
	if offer := p.Connections.HTTP2; offer != nil {
		dialer.MaxAge = p.Connections.MaxAge
		dialer.HTTP2 = func(origin messages.Origin) bool { return offer(origin.Addr) }
	}
	return dialer
}

// userAgent is what requests say unless they have a User-Agent of their own.
func (p *plan) userAgent() string {
	for _, field := range p.fields {
		if strings.EqualFold(field.Name, "User-Agent") {
			return field.Value
		}
	}
	return ""
}

// rootOf is the request that stands for an origin when a proxy is chosen.
func rootOf(origin messages.Origin) *http.Request {
	u := &url.URL{Scheme: origin.Scheme, Host: origin.Addr, Path: "/"}
	return &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: make(http.Header)}
}
