//lint:file-ignore SA1019 the tests of others still set what is deprecated

// Package carrier has the requests of every http.Transport in a test binary make
// their journey through an engine of equal configuration. Package suites copies
// it into the module whose tests it runs, and lays the hook that it needs over
// net/http; without that hook, or the environment variable ModeVariable, importing
// it does nothing.
package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Variables of the environment that the harness speaks to a test binary by.
const (
	ModeVariable  = "SLUICE_SUITES_MODE"  // Streamed or Read; empty means that nothing is carried
	LogVariable   = "SLUICE_SUITES_LOG"   // the file that gets a line for every request
	CloseVariable = "SLUICE_SUITES_CLOSE" // not empty: an engine ends with its idle connections
	RetryVariable = "SLUICE_SUITES_RETRY" // not empty: an engine repeats attempts
)

// The modes: how an answer's body is read.
const (
	Streamed = "streamed"
	Read     = "read"
)

// Carried is the line of the log for a request that an engine carried. Any other
// line says why a request was left to net/http.
const Carried = "carried"

// hooked is what the altered net/http adds to *http.Transport. Pass is net/http's
// own RoundTrip, and http2 whether it would offer HTTP/2.
type hooked interface {
	CarryBy(
		trip func(t *http.Transport, req *http.Request, http2 bool, pass func() (*http.Response, error)) (*http.Response, error),
		closeIdle func(t *http.Transport),
		cancel func(req *http.Request),
	)
}

func init() {
	mode := os.Getenv(ModeVariable)
	if mode == "" {
		return
	}
	hook, ok := http.DefaultTransport.(hooked)
	if !ok {
		panic("suites: net/http has no hook: was the binary built without the overlay?")
	}
	c := &carrier{streamed: mode == Streamed, ends: os.Getenv(CloseVariable) != "", repeats: os.Getenv(RetryVariable) != ""}
	if name := os.Getenv(LogVariable); name != "" {
		log, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			panic(fmt.Sprintf("suites: %v", err))
		}
		c.log = log
	}
	hook.CarryBy(c.trip, c.closeIdle, c.cancel)
}

// carrier keeps an engine for every transport.
type carrier struct {
	streamed bool
	ends     bool
	repeats  bool
	log      *os.File // may be nil

	mu      sync.Mutex
	engines map[weak.Pointer[http.Transport]]*carriage
	running map[*http.Request]context.CancelCauseFunc // until the answer's body is closed
}

// carriage is the engine of one transport.
type carriage struct {
	engine *engine.Engine
	trip   http.RoundTripper
	idle   interface{ CloseIdleConnections() }
	made   settings
}

// settings are those of a transport that an engine is made with. A transport that
// is changed after its first request gets another engine.
type settings struct {
	proxy, dial, dialContext uintptr
	tls                      *tls.Config
	http2, noCompression     bool
	maxConns, maxIdle        int
	idleTimeout, handshake   time.Duration
	headerTimeout            time.Duration
	maxHeader                int64
	connect, getConnect      uintptr // the header of CONNECT: a map, and a func
}

func settingsOf(t *http.Transport, http2 bool) settings {
	code := func(f any) uintptr { return reflect.ValueOf(f).Pointer() }
	return settings{
		proxy: code(t.Proxy), dial: code(t.Dial), dialContext: code(t.DialContext),
		tls: t.TLSClientConfig, http2: http2, noCompression: t.DisableCompression, maxConns: t.MaxConnsPerHost,
		idleTimeout: t.IdleConnTimeout, handshake: t.TLSHandshakeTimeout, maxHeader: t.MaxResponseHeaderBytes,
		maxIdle: t.MaxIdleConns, headerTimeout: t.ResponseHeaderTimeout, connect: code(t.ProxyConnectHeader), getConnect: code(t.GetProxyConnectHeader),
	}
}

// trip carries one request, or says why it is left to net/http.
func (c *carrier) trip(t *http.Transport, req *http.Request, http2 bool, pass func() (*http.Response, error)) (*http.Response, error) {
	if why := leftBecause(t, req); why != "" {
		c.note(why)
		return pass()
	}
	c.note(Carried)
	carriage, err := c.carriageOf(t, http2)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	sent := c.cancellable(req)
	sent.Close = req.Close || t.DisableKeepAlives
	response, err := carriage.trip.RoundTrip(sent)
	if err != nil {
		c.over(req, nil)
		return nil, err
	}
	response.Request = req
	if _, switched := response.Body.(io.Writer); response.Body == http.NoBody {
		c.over(req, nil)
	} else if !switched {
		response.Body = &lastOf{response.Body, func() { c.over(req, nil) }}
	}
	return response, nil
}

// cancellable is the request with a context that Transport.CancelRequest ends too.
func (c *carrier) cancellable(req *http.Request) *http.Request {
	ctx, cancel := context.WithCancelCause(req.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[*http.Request]context.CancelCauseFunc{}
	}
	c.running[req] = cancel
	return req.WithContext(ctx)
}

// errCanceled is net/http's word for it.
var errCanceled = errors.New("net/http: request canceled")

// cancel is what Transport.CancelRequest does.
func (c *carrier) cancel(req *http.Request) { c.over(req, errCanceled) }

// over ends a request's context, if that is still running.
func (c *carrier) over(req *http.Request, why error) {
	c.mu.Lock()
	cancel := c.running[req]
	delete(c.running, req)
	c.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
}

// lastOf is a body that tells when it is closed.
type lastOf struct {
	io.ReadCloser
	closed func()
}

// Close is part of io.Closer.
func (l *lastOf) Close() error {
	err := l.ReadCloser.Close()
	l.closed()
	return err
}

// leftBecause is empty for a request that an engine can carry as its transport
// says. The others test what only an http.Transport has.
func leftBecause(t *http.Transport, req *http.Request) string {
	https := req.URL != nil && req.URL.Scheme == "https"
	switch {
	case https && (t.DialTLSContext != nil || t.DialTLS != nil):
		return "DialTLS: TLS is the engine's own"
	case !https && t.Protocols != nil && t.Protocols.UnencryptedHTTP2() && !t.Protocols.HTTP1():
		return "Protocols: HTTP/2 without TLS is not spoken"
	case https && t.Protocols != nil && !t.Protocols.HTTP1():
		return "Protocols: HTTP/1.1 is always offered"
	}
	return ""
}

func (c *carrier) note(line string) {
	if c.log != nil {
		_, _ = c.log.WriteString(line + "\n") // told in the harness by its absence
	}
}

// carriageOf makes the engine when the transport is first used. It ends when the
// transport is garbage.
func (c *carrier) carriageOf(t *http.Transport, http2 bool) (*carriage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, now := weak.Make(t), settingsOf(t, http2)
	known := c.engines[key]
	if known != nil && known.made == now {
		return known, nil
	}
	cfg := configOf(t, http2)
	if c.repeats {
		cfg.Retry = engine.Retry{}
	}
	if c.streamed { // of an answer that is read whole it would bound the body as well
		cfg.Retry.PerAttempt = t.ResponseHeaderTimeout
	}
	eng, err := engine.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("suites: %w", err)
	}
	trip := eng.RoundTripper(func(req *http.Request, asked *engine.Request) {
		asked.Stream = c.streamed
		if http2 && req.URL.Scheme == "https" && req.Header["User-Agent"] == nil {
			nameHTTP2(asked)
		}
	})
	made := &carriage{engine: eng, trip: trip, idle: trip.(interface{ CloseIdleConnections() }), made: now}
	if c.engines == nil {
		c.engines = map[weak.Pointer[http.Transport]]*carriage{}
	}
	c.engines[key] = made
	if !inBubble() { // a cleanup runs outside of every bubble
		runtime.AddCleanup(t, func(eng *engine.Engine) { go c.forget(key, eng) }, eng)
	}
	return made, nil
}

// nameHTTP2 has a request name itself as net/http does in HTTP/2, which is what an
// origin speaks in these tests that is offered it.
func nameHTTP2(asked *engine.Request) {
	asked.Header = asked.Header.Clone()
	if asked.Header == nil {
		asked.Header = http.Header{}
	}
	if _, none := asked.Header["User-Agent"]; !none {
		asked.Header["User-Agent"] = []string{"Go-http-client/2.0"}
	}
}

func (c *carrier) forget(key weak.Pointer[http.Transport], eng *engine.Engine) {
	c.mu.Lock()
	if known := c.engines[key]; known != nil && known.engine == eng {
		delete(c.engines, key)
	}
	c.mu.Unlock()
	_ = eng.Close() // what it was used for is over
}

// closeIdle closes the connections nobody uses. Where no goroutine may stay
// behind, an engine that is not in use ends as well: an http.Transport without
// connections has none either.
func (c *carrier) closeIdle(t *http.Transport) {
	key := weak.Make(t)
	c.mu.Lock()
	known := c.engines[key]
	c.mu.Unlock()
	if known == nil {
		return
	}
	known.idle.CloseIdleConnections()
	if (c.ends || inBubble()) && known.engine.Stats().InFlight == 0 {
		c.forget(key, known.engine)
	}
}

// inBubble reports whether the caller is in a bubble of testing/synctest, whose
// clock begins in the year 2000.
func inBubble() bool { return time.Now().Year() < 2020 }

// configOf is the transport's configuration in the engine's words. Without limits
// the engine refuses nothing, and its bounds on connections and bodies are out of
// every test's reach. Retry.Max repeats an idempotent request whatever connection
// broke, where net/http does on a used one alone: clients that repeat by themselves
// count their attempts, so there is no repetition but of what a resting connection
// was found dead for.
func configOf(t *http.Transport, http2 bool) engine.Config {
	cfg := engine.Config{
		Feedback: func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} }, // 429 is a test's own business
		Header:   http.Header{"User-Agent": {"Go-http-client/1.1"}},
		Connections: engine.Connections{
			Max: unbounded, MaxIdleTotal: t.MaxIdleConns, IdleTimeout: t.IdleConnTimeout,
			HTTP2: func(string) bool { return http2 },
		},
		Retry: engine.Retry{Max: -1},
		Dial: engine.Dial{
			Timeout: t.TLSHandshakeTimeout, DialContext: dialOf(t), Proxy: t.Proxy, TLS: tlsOf(t, http2),
			ProxyConnectHeader: t.ProxyConnectHeader, GetProxyConnectHeader: t.GetProxyConnectHeader,
			Backoff: 1, BackoffCap: 1, // net/http dials again at once
		},
		Responses: engine.Responses{
			MaxHeader: int(t.MaxResponseHeaderBytes), MaxBody: mostRead, Codings: []string{"gzip"},
			Lenient: func(string) bool { return true }, // what net/http reads in spite of its faults
		},
	}
	if t.MaxIdleConns == 0 {
		cfg.Connections.MaxIdleTotal = -1
	}
	if t.MaxConnsPerHost > 0 {
		cfg.Connections.Max = t.MaxConnsPerHost
	}
	if t.MaxResponseHeaderBytes == 0 {
		cfg.Responses.MaxHeader = 10 << 20 // as net/http
	}
	if t.DisableCompression {
		cfg.Responses.Codings = []string{}
	}
	return cfg
}

// mostRead bounds an answer that is read whole: more than any test's that ends, and
// soon reached by one that does not.
const mostRead = 64 << 20

// unbounded stands for no bound on connections: some tests leave thousands of bodies
// unclosed, which net/http lets them.
const unbounded = 100_000

// tlsOf is the transport's configuration. Without HTTP/2, net/http names no protocol.
func tlsOf(t *http.Transport, http2 bool) *tls.Config {
	config := t.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if !http2 {
		config.NextProtos = []string{}
	}
	return config
}

func dialOf(t *http.Transport) func(context.Context, string, string) (net.Conn, error) {
	switch {
	case t.DialContext != nil:
		return t.DialContext
	case t.Dial != nil:
		dial := t.Dial
		return func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }
	}
	return nil
}
