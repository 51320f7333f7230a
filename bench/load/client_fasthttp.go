package load

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/proxy"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// fastHTTP is fasthttp: its HostClient's connections, its requests and its responses. It makes
// the exchange itself, from those parts, since HostClient.Do says neither when the first byte
// left nor what a connection took to set up. A plain request allocates nothing.
type fastHTTP struct {
	config ClientConfig
	hosts  sync.Map // host and scheme → *fastHost
	steps  stepCache[*fastStep]
	calls  sync.Pool // of *fastCall
	open   atomic.Int64

	mu    sync.Mutex
	conns map[*fastConn]struct{} // that are open, so that Interrupt can close them
}

// fastHost is an origin.
type fastHost struct{ client *fasthttp.HostClient }

// fastStep is what all requests of a step have in common: the bytes that are sent.
type fastStep struct {
	host  *fastHost
	head  bool // there is no body in the answer
	twice bool // it may be sent a second time
	wire  []byte
}

// fastCall is what an exchange needs, to be used again.
type fastCall struct {
	response fasthttp.Response
}

func newFastHTTP(config ClientConfig) Client {
	c := &fastHTTP{config: config, conns: make(map[*fastConn]struct{})}
	c.calls.New = func() any { return new(fastCall) }
	return c
}

func (c *fastHTTP) Limits() []results.LimitUse { return nil }
func (c *fastHTTP) Connections() int           { return int(c.open.Load()) }

// Close closes connections that are not in use.
func (c *fastHTTP) Close() {
	c.hosts.Range(func(_, host any) bool {
		host.(*fastHost).client.CloseIdleConnections()
		return true
	})
}

// Interrupt closes every connection: fasthttp knows of no context, and so requests end
// with their connections.
func (c *fastHTTP) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Conn.Close()
	}
}

var errInterrupted = errors.New("the run has ended")

// Do makes one request.
func (c *fastHTTP) Do(ctx context.Context, r *targets.Request, a *Answer) {
	step, err := c.steps.of(r, c.step)
	if err != nil {
		a.fail(err, kindRequest)
		return
	}
	call := c.calls.Get().(*fastCall)
	begun := time.Now()
	deadline := begun.Add(c.config.timeout())
	for {
		var again bool
		again, err = c.exchange(step, call, begun, deadline, a)
		if !again || !step.twice || ctx.Err() != nil {
			break
		}
		if begun = time.Now(); begun.After(deadline) {
			err = fasthttp.ErrTimeout
			break
		}
	}
	a.End = time.Now()
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, fasthttp.ErrTimeout) {
			err = errInterrupted
		}
		a.Status, a.Err, a.Kind = 0, err, KindOf(err)
	} else {
		a.Stages.Receive = 0 // head and body come at once
		a.Stages.Wait = a.End.Sub(a.Sent)
		call.tell(r, a)
	}
	call.response.Reset()
	c.calls.Put(call)
}

func (call *fastCall) tell(r *targets.Request, a *Answer) {
	a.Status, a.In = call.response.StatusCode(), int64(len(call.response.Body()))
	if !r.KeepBody {
		return
	}
	a.Body = append([]byte(nil), call.response.Body()...)
	a.Header = make(http.Header)
	for name, value := range call.response.Header.All() {
		a.Header.Add(string(name), string(value))
	}
}

// exchange sends the step over a connection and reads the answer. again says that the
// connection had been used before and was found closed before a byte of the answer: then what is
// idempotent is tried with another, as HostClient.Do has it. That repeats other requests as well,
// and an order may be there twice then.
func (c *fastHTTP) exchange(step *fastStep, call *fastCall, begun, deadline time.Time, a *Answer) (again bool, err error) {
	host := step.host.client
	lease, err := host.AcquireConn(deadline.Sub(begun), c.config.NoKeepAlive)
	if err != nil {
		return false, err
	}
	conn := lease.Conn().(*fastConn)
	before := a.Sent
	a.Sent = time.Now()
	fresh := conn.setUp(a.Sent.Sub(begun), a)
	if err := conn.keepUntil(deadline, c.config.timeout()); err != nil {
		host.CloseConn(lease)
		a.Sent = before
		return !fresh, err
	}
	n, err := conn.Write(step.wire)
	if err != nil {
		host.CloseConn(lease)
		if n == 0 { // such as after its time was up, in the queue for a connection
			a.Sent = before
		}
		return !fresh, timeoutOr(err)
	}
	a.sending()
	reader := host.AcquireReader(conn)
	call.response.SkipBody = step.head
	_, err = reader.Peek(1)
	silent := err != nil
	if !silent {
		err = call.response.ReadLimitBody(reader, mostBody)
	}
	host.ReleaseReader(reader)
	if err != nil {
		host.CloseConn(lease)
		if err == io.EOF {
			err = fasthttp.ErrConnectionClosed
		}
		return silent && !fresh && !errors.Is(err, fasthttp.ErrTimeout), timeoutOr(err)
	}
	if c.config.NoKeepAlive || call.response.ConnectionClose() {
		host.CloseConn(lease)
	} else {
		host.ReleaseConn(lease)
	}
	return false, nil
}

func timeoutOr(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fasthttp.ErrTimeout
	}
	return err
}

// step lays out the bytes of a request.
func (c *fastHTTP) step(r *targets.Request) (*fastStep, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	var req fasthttp.Request
	req.Header.SetMethod(r.Method)
	req.Header.SetHost(u.Host)
	req.Header.SetRequestURI(u.RequestURI()) // as it stands: fasthttp's own URI takes ".." and "//" out of it
	req.Header.SetNoDefaultContentType(true)
	for name, values := range r.Header {
		for i, value := range values {
			if i == 0 {
				req.Header.Set(name, value)
			} else {
				req.Header.Add(name, value)
			}
		}
	}
	if basic := basicOf(u); basic != "" && r.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", basic)
	}
	if len(req.Header.UserAgent()) == 0 {
		req.Header.SetUserAgent("fasthttp")
	}
	if c.config.NoKeepAlive {
		req.SetConnectionClose()
	}
	req.SetBodyRaw(r.Body)
	var wire strings.Builder
	w := bufio.NewWriter(&wire)
	if err := errors.Join(req.Write(w), w.Flush()); err != nil {
		return nil, err
	}
	twice := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodPut
	return &fastStep{host: c.host(u), head: r.Method == http.MethodHead, twice: twice, wire: []byte(wire.String())}, nil
}

// host returns the client of an origin.
func (c *fastHTTP) host(u *url.URL) *fastHost {
	key := u.Scheme + "://" + u.Host
	if host, ok := c.hosts.Load(key); ok {
		return host.(*fastHost)
	}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
	}
	address := cmp.Or(portOf(u, port), u.Host)
	d := &fastDialer{client: c, secure: u.Scheme == "https", name: u.Hostname()}
	host, _ := c.hosts.LoadOrStore(key, &fastHost{&fasthttp.HostClient{
		Addr:                address,
		MaxConns:            c.config.connections(),
		MaxConnWaitTimeout:  c.config.timeout(),
		MaxIdleConnDuration: idleTime,
		Dial:                d.dial,
	}})
	return host.(*fastHost)
}

// mostBody bounds an answer of a client that has it in memory as a whole.
const mostBody = 256 << 20

// idleTime is how long a connection may be idle.
const idleTime = time.Minute

// fastDialer sets up connections, TLS included, and notes what that took.
type fastDialer struct {
	client *fastHTTP
	secure bool
	name   string
}

func (d *fastDialer) dial(address string) (net.Conn, error) {
	timeout := d.client.config.timeout()
	begun := time.Now()
	conn, err := d.connect(address, timeout)
	if err != nil {
		return nil, err
	}
	connected := time.Now()
	if d.secure {
		trust := d.client.config.tls()
		if trust == nil {
			trust = &tls.Config{}
		}
		trust.ServerName, trust.NextProtos = d.name, []string{"http/1.1"}
		secure := tls.Client(conn, trust)
		conn.SetDeadline(begun.Add(timeout))
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return nil, err
		}
		conn.SetDeadline(time.Time{})
		conn = secure
	}
	made := &fastConn{Conn: conn, client: d.client, connect: connected.Sub(begun), tls: time.Since(connected)}
	if !d.secure {
		made.tls = 0
	}
	d.client.add(made)
	return made, nil
}

// connect opens the connection, through the proxy if there is one.
func (d *fastDialer) connect(address string, timeout time.Duration) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout}
	at := d.client.config.Proxy
	switch {
	case at == nil:
		return dialer.Dial("tcp", address)
	case strings.HasPrefix(at.Scheme, "socks"):
		through, err := proxy.FromURL(at, dialer)
		if err != nil {
			return nil, err
		}
		return through.Dial("tcp", address)
	default:
		return tunnel(at, dialer, address)
	}
}

// tunnel asks a proxy of HTTP for a way through it.
func tunnel(at *url.URL, dialer *net.Dialer, address string) (net.Conn, error) {
	conn, err := dialProxy(at, dialer)
	if err != nil {
		return nil, err
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if basic := basicOf(at); basic != "" {
		ask.Header.Set("Proxy-Authorization", basic)
	}
	conn.SetDeadline(time.Now().Add(dialer.Timeout))
	err = ask.Write(conn)
	var said *http.Response
	if err == nil {
		said, err = http.ReadResponse(bufio.NewReader(conn), ask)
	}
	if err == nil && said.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy makes no tunnel: it says %s", said.Status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

func dialProxy(at *url.URL, dialer *net.Dialer) (net.Conn, error) {
	if at.Scheme == "https" {
		return tls.DialWithDialer(dialer, "tcp", cmp.Or(portOf(at, "443"), at.Host), &tls.Config{ServerName: at.Hostname()})
	}
	return dialer.Dial("tcp", cmp.Or(portOf(at, "80"), at.Host))
}

// portOf is a URL's host with a port where it has none; empty where it has.
func portOf(u *url.URL, port string) string {
	if u.Port() != "" {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// fastConn is a connection, and what it took to set up.
type fastConn struct {
	net.Conn
	client       *fastHTTP
	connect, tls time.Duration
	used         bool      // whoever holds the connection
	until        time.Time // its deadline
	closed       atomic.Bool
}

// setUp tells an answer what its connection took, if it is the first to use it.
func (c *fastConn) setUp(waited time.Duration, a *Answer) (fresh bool) {
	if c.used {
		a.Stages.Lease = waited
		return false
	}
	c.used = true
	a.Connected = c.connect + c.tls
	a.Stages.Connect, a.Stages.TLS = c.connect, c.tls
	a.Stages.Lease = max(waited-a.Connected, 0)
	return true
}

// keepUntil sets the deadline of a request, unless the one that the connection has from an
// earlier request will do: it is a 32nd of the timeout later than it need be, which is as exact as
// the watchdog is with other clients, so that two timers are not set for each request.
func (c *fastConn) keepUntil(deadline time.Time, timeout time.Duration) error {
	if !c.until.Before(deadline) {
		return nil
	}
	c.until = deadline.Add(timeout / 32)
	return c.SetDeadline(c.until)
}

func (c *fastHTTP) add(conn *fastConn) {
	c.open.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = struct{}{}
}

// Close closes the connection, and forgets it.
func (c *fastConn) Close() error {
	if !c.closed.Swap(true) {
		c.client.open.Add(-1)
		c.client.mu.Lock()
		delete(c.client.conns, c)
		c.client.mu.Unlock()
	}
	return c.Conn.Close()
}
