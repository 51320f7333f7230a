//go:build unix

package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestThousandsOfOriginsOneAfterAnotherLeaveLittleBehind(t *testing.T) {
	d, o := echo(t, true)
	kept := &keeping{}
	d.TLS.ClientSessionCache = kept
	exchange(t, dial(t, d, o), get("/"))
	require.NotNil(t, kept.state)

	d = &Dialer{
		HTTP2:       func(o messages.Origin) bool { return true },
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("not today") },
	}
	before := heap()
	for i := range 10_000 {
		o := messages.Origin{Scheme: "https", Addr: fmt.Sprintf("host-%d.example.com:443", i)}
		state := *kept.state // each has its own
		d.config(o.Addr, http1).ClientSessionCache.Put("key", &state)
		_, err := d.DialAny(t.Context(), o)
		require.ErrorContains(t, err, "not today")
	}
	require.Less(t, heap()-before, int64(1<<20))
	require.Empty(t, d.shared)
	runtime.KeepAlive(d)
}

func TestHTTP2OriginsAreForgottenWithTheirLastConnection(t *testing.T) {
	d, o := listenH2(t, 5, mirrorH2)
	one, err := d.DialAny(t.Context(), o)
	require.NoError(t, err)
	two, err := d.DialAny(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, d.shared, 1)
	require.NoError(t, one.Close())
	require.Len(t, d.shared, 1)
	require.NoError(t, two.Close())
	require.Empty(t, d.shared)
	exchange(t, dialAny(t, d, o), get("/"))
}

// keeping is a cache of the caller's.
type keeping struct {
	state *tls.ClientSessionState
	harm  func()
}

func (k *keeping) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (k *keeping) Put(_ string, state *tls.ClientSessionState) {
	k.state = state
	if k.harm != nil {
		k.harm()
	}
}

func TestASessionIsResumedOnlyWhereItCameFrom(t *testing.T) {
	d := new(Dialer)
	state := new(tls.ClientSessionState)
	d.config("h:443", http1).ClientSessionCache.Put("h", state)
	found, ok := d.config("h:443", http1).ClientSessionCache.Get("h")
	require.True(t, ok)
	require.Same(t, state, found)
	for _, other := range []*tls.Config{d.config("h:8443", http1), d.config("h:443", http2or1), d.proxyConfig("h:443")} {
		_, ok = other.ClientSessionCache.Get("h")
		require.False(t, ok)
	}
}

func TestACacheOfTheCallersThatDoesNotReturnLosesASession(t *testing.T) {
	for does, harm := range harms {
		d, o := echo(t, true)
		d.TLS.ClientSessionCache = &keeping{harm: harm}
		require.Equal(t, "abc", exchange(t, dial(t, d, o), post("abc")).Text(), does)

		d, o = listenH2(t, 5, mirrorH2)
		d.TLS = d.TLS.Clone()
		d.TLS.ClientSessionCache = &keeping{harm: harm}
		require.Equal(t, "abc", exchange(t, dialAny(t, d, o), post("abc")).Text(), does)
	}
}

func TestConnectionsOfOneDialerShareTheirDecoders(t *testing.T) {
	d := new(Dialer)
	require.Same(t, d.limits(messages.Origin{}).Decoders, d.limits(messages.Origin{}).Decoders)
	own := new(wire.Decoders)
	d = &Dialer{Limits: wire.Limits{Decoders: own}}
	require.Same(t, own, d.limits(messages.Origin{}).Decoders)
}
