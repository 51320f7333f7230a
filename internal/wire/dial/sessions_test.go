//go:build unix

package dial

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

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

// resumptions dials five times, and returns how many of the connections were of a
// session that was there already.
func resumptions(t *testing.T, d *Dialer, o messages.Origin) (resumed int) {
	t.Helper()
	for range 5 {
		c := dial(t, d, o)
		exchange(t, c, get("/")) // the tickets have been read
		if c.NetConn().(*tls.Conn).ConnectionState().DidResume {
			resumed++
		}
		require.NoError(t, c.Close())
	}
	return resumed
}

// A session that is resumed has the identities with which it began, and crypto/tls asks
// neither of these for it.
func TestNoSessionIsResumedUnaskedWhereTheCallerIsAskedForIdentities(t *testing.T) {
	hooks := map[string]func(*tls.Config){
		"GetClientCertificate": func(config *tls.Config) {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		},
		"VerifyPeerCertificate": func(config *tls.Config) {
			config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
		},
	}
	for name, hook := range hooks {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			d, o := echo(t, true)
			d.TLS.MaxVersion = version
			hook(d.TLS)
			require.Zero(t, resumptions(t, d, o), name)

			d = &Dialer{TLS: d.TLS.Clone()}
			d.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			require.Equal(t, 4, resumptions(t, d, o), "%s, with a cache of the caller's", name)
		}
	}
}

// identity is a certificate of a client's, that is known by its number.
func identity(t *testing.T, number int64) *tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour)} // an expired one is not resumed
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestARotatedClientCertificateIsShownByTheNextConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	o := messages.Origin{Scheme: "https", Addr: server.Listener.Addr().String()}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.MaxVersion = version
		number := int64(7)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return identity(t, number), nil }
		d := &Dialer{TLS: config}
		for ; number < 10; number++ {
			c := dial(t, d, o)
			require.Equal(t, strconv.FormatInt(number, 10), exchange(t, c, get("/")).Text())
			require.NoError(t, c.Close())
		}
	}
}

// What is asked for every connection, or is always the same, is nothing that a session
// could have forgotten.
func TestASessionIsResumedWhereNobodyIsAskedOrEachTime(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		d, o := echo(t, true)
		d.TLS.MaxVersion = version
		verified := 0
		d.TLS.VerifyConnection = func(tls.ConnectionState) error { verified++; return nil }
		require.Equal(t, 4, resumptions(t, d, o))
		require.Equal(t, 5, verified)
	}
}

func TestAProxysSessionsFollowItsOwnConfiguration(t *testing.T) {
	asked := &tls.Config{VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}
	d := &Dialer{TLS: asked}
	require.Nil(t, d.config("h:443", http1).ClientSessionCache)
	require.Nil(t, d.proxyConfig("p:443").ClientSessionCache)

	d.ProxyTLS = new(tls.Config)
	require.Nil(t, d.config("h:443", http1).ClientSessionCache)
	require.NotNil(t, d.proxyConfig("p:443").ClientSessionCache)

	d = &Dialer{TLS: new(tls.Config), ProxyTLS: asked}
	require.NotNil(t, d.config("h:443", http1).ClientSessionCache)
	require.Nil(t, d.proxyConfig("p:443").ClientSessionCache)
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
