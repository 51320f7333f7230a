package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// handshake has a sealed socket's TLS begin, and tells the context's trace of
// it. Closing the connection, if it fails, is for who made it.
func handshake(ctx context.Context, s *wire.Socket) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := s.Sealed().HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(s.Sealed().ConnectionState(), err)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("TLS handshake timeout: %w", err) // or nobody learns what the time went to
	}
	return err
}

// config returns the configuration for connections to an origin.
func (d *Dialer) config(addr string, offer []string) *tls.Config {
	return d.fill(cloned(d.TLS), addr, offer, offer[0])
}

// proxyConfig is config for an https proxy.
func (d *Dialer) proxyConfig(addr string) *tls.Config {
	config := cloned(d.ProxyTLS)
	if d.ProxyTLS == nil {
		config = cloned(d.TLS)
		// What the origins are called and what they gave is none of the proxy's.
		config.ServerName, config.ClientSessionCache = "", nil
	}
	return d.fill(config, addr, http1, "proxy")
}

func cloned(config *tls.Config) *tls.Config {
	if config == nil {
		return &tls.Config{}
	}
	return config.Clone()
}

// fill fills in what a configuration leaves open. One with a list of protocols that
// is empty, and not nil, does not have http/1.1 named where nothing else is offered:
// there are servers that know ALPN, and not that name.
func (d *Dialer) fill(config *tls.Config, addr string, offer []string, purpose string) *tls.Config {
	refusing(config)
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if unnamed := config.NextProtos != nil && len(config.NextProtos) == 0; !unnamed || len(offer) > 1 {
		config.NextProtos = offer
	}
	host, _, _ := net.SplitHostPort(addr) // begin has split an origin's, and a proxy's was joined
	config.ServerName = cmp.Or(config.ServerName, host)
	switch {
	case config.ClientSessionCache != nil:
		config.ClientSessionCache = callersCache{config.ClientSessionCache}
	case resumesBlindly(config): // for the caller alone to allow
	default:
		d.remember.Do(func() { d.sessions = tls.NewLRUClientSessionCache(mostSessions) })
		config.ClientSessionCache = ownCache{d.sessions, purpose + " " + addr + " "}
	}
	return config
}

// resumesBlindly reports whether a session that is resumed passes over what the caller
// would be asked in a handshake: crypto/tls keeps the client's certificate with which it
// began, and what was found of the server's. One of TLS 1.3 may be resumed without an
// end, for each connection brings a new ticket. VerifyConnection is asked for those as
// well, and what is no function does not change.
func resumesBlindly(config *tls.Config) bool {
	return config.GetClientCertificate != nil || config.VerifyPeerCertificate != nil
}

// mostSessions is how many hosts' newest sessions are kept: each may have some ten
// kilobytes of certificates.
const mostSessions = 64

// ownCache keeps apart what was begun under different rules: a session is resumed
// only where it came from.
type ownCache struct {
	tls.ClientSessionCache
	prefix string
}

// Get is part of tls.ClientSessionCache.
func (c ownCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.ClientSessionCache.Get(c.prefix + key)
}

// Put is part of tls.ClientSessionCache.
func (c ownCache) Put(key string, state *tls.ClientSessionState) {
	c.ClientSessionCache.Put(c.prefix+key, state)
}

// callersCache is somebody else's code. Sessions come while an answer is read, in
// HTTP/2 on a goroutine of net/http's.
type callersCache struct{ tls.ClientSessionCache }

// Put is part of tls.ClientSessionCache. What cannot be kept is not resumed.
func (c callersCache) Put(key string, state *tls.ClientSessionState) {
	_ = wire.Apart(messages.Exchanging, func() { c.ClientSessionCache.Put(key, state) })
}
