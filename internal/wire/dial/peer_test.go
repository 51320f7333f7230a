package dial

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is taken from wiretest, under the names it has here.
var (
	never                   = wiretest.Never
	get, post, uploading    = wiretest.Get, wiretest.Post, wiretest.Uploading
	listen                  = wiretest.Listen
	answering, answeringTLS = wiretest.Answering, wiretest.AnsweringTLS
	mirrorH2                = wiretest.MirrorH2
	exchange, requireStale  = wiretest.Exchange, wiretest.RequireStale
)

const ok = wiretest.OK

// to has a call say that it is for o, as a proxy is told.
func to(o messages.Origin, call *messages.Call) *messages.Call {
	call.Host = o.Addr
	return call
}

type joiner = wiretest.Joiner

var errBroken = errors.New("the wire broke")

// listenTLS also returns a Dialer that trusts the server.
func listenTLS(t testing.TB, serve func(*tls.Conn, *joiner)) (*Dialer, messages.Origin) {
	t.Helper()
	config, o := wiretest.ListenTLS(t, serve)
	return &Dialer{TLS: config}, o
}

// echo also returns a Dialer that trusts the server.
func echo(t testing.TB, sealed bool) (*Dialer, messages.Origin) {
	t.Helper()
	config, o := wiretest.Echo(t, sealed)
	return &Dialer{TLS: config}, o
}

// listenH2 also returns a Dialer that trusts the server and offers it HTTP/2.
func listenH2(t testing.TB, streams int, handler http.HandlerFunc) (*Dialer, messages.Origin) {
	t.Helper()
	_, config, o, _ := wiretest.ListenH2(t, streams, handler)
	return &Dialer{TLS: config, HTTP2: func(asked messages.Origin) bool { return asked == o }}, o
}

func dial(t testing.TB, d *Dialer, o messages.Origin) *wire.Conn {
	t.Helper()
	c, err := d.Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func dialAny(t testing.TB, d *Dialer, o messages.Origin) protocol.Connection {
	t.Helper()
	c, err := d.DialAny(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
