package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"

	"github.com/sluice-engine/sluice/internal/wire"
)

// handshake has a sealed socket's TLS begin, and tells the context's trace of
// it. Unless it succeeds, the connection is closed.
func handshake(ctx context.Context, s *wire.Socket) error {
	done := false
	defer func() {
		if !done { // not only after an error: a hook may panic
			s.Close()
		}
	}()
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := s.Sealed().HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(s.Sealed().ConnectionState(), err)
	}
	done = err == nil
	return err
}

// config returns the same configuration for every connection to a host: what
// is resumed must have been begun under the same rules.
func (d *Dialer) config(addr string, offer []string) *tls.Config {
	key := offer[0] + " " + addr
	if known, ok := d.configs.Load(key); ok {
		return known.(*tls.Config)
	}
	return d.keepConfig(key, addr, cloned(d.TLS), offer)
}

// proxyConfig is config for an https proxy.
func (d *Dialer) proxyConfig(addr string) *tls.Config {
	key := "proxy " + addr
	if known, ok := d.configs.Load(key); ok {
		return known.(*tls.Config)
	}
	config := cloned(d.ProxyTLS)
	if d.ProxyTLS == nil {
		config = cloned(d.TLS)
		// What the origins are called and what they gave is none of the proxy's.
		config.ServerName, config.ClientSessionCache = "", nil
	}
	return d.keepConfig(key, addr, config, http1)
}

func cloned(config *tls.Config) *tls.Config {
	if config == nil {
		return &tls.Config{}
	}
	return config.Clone()
}

// keepConfig fills in what a configuration leaves open.
func (d *Dialer) keepConfig(key, addr string, config *tls.Config, offer []string) *tls.Config {
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = offer
	host, _, _ := net.SplitHostPort(addr) // begin has split an origin's, and a proxy's was joined
	config.ServerName = cmp.Or(config.ServerName, host)
	config.ClientSessionCache = cmp.Or(config.ClientSessionCache, tls.NewLRUClientSessionCache(1)) // one host's newest session
	// Another dial may have been faster: its sessions are the ones that are resumed.
	known, _ := d.configs.LoadOrStore(key, config)
	return known.(*tls.Config)
}
