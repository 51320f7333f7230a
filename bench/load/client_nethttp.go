package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// netHTTP is net/http's Transport: no redirect is followed, nothing is decompressed, no cookie
// kept. An answer is the server's own.
type netHTTP struct {
	transport *http.Transport
	steps     stepCache[*http.Request]
	buffers   sync.Pool // of *[]byte
	open      atomic.Int64
	close     bool
}

const readBuffer = 16 << 10

func newNetHTTP(config ClientConfig) Client {
	c := &netHTTP{close: config.NoKeepAlive}
	c.buffers.New = func() any { b := make([]byte, readBuffer); return &b }
	dialer := &net.Dialer{Timeout: config.timeout()}
	t := &http.Transport{
		TLSClientConfig:     config.tls(),
		MaxConnsPerHost:     config.connections(),
		MaxIdleConnsPerHost: config.connections(),
		IdleConnTimeout:     time.Minute,
		DisableKeepAlives:   config.NoKeepAlive,
		DisableCompression:  true,
		ForceAttemptHTTP2:   config.HTTP2,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return counted(conn, &c.open), nil
		},
	}
	if !config.HTTP2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	if config.Proxy != nil {
		t.Proxy = http.ProxyURL(config.Proxy)
	}
	c.transport = t
	return c
}

func (c *netHTTP) Limits() []results.LimitUse { return nil }
func (c *netHTTP) Connections() int           { return int(c.open.Load()) }
func (c *netHTTP) Close()                     { c.transport.CloseIdleConnections() }

// Do makes one request.
func (c *netHTTP) Do(ctx context.Context, r *targets.Request, a *Answer) {
	sheet, err := c.steps.of(r, newHTTPRequest)
	if err != nil {
		a.fail(err, kindRequest)
		return
	}
	watch := &stopwatch{begun: time.Now()}
	req := sheet.WithContext(httptrace.WithClientTrace(ctx, watch.trace()))
	if len(r.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	}
	resp, err := c.transport.RoundTrip(req)
	if err == nil {
		a.Status = resp.StatusCode
		err = c.read(resp, r.KeepBody, a)
	}
	a.End = time.Now()
	watch.tell(a)
	if err != nil {
		a.Status, a.Err, a.Kind = 0, err, KindOf(err)
	}
}

func (c *netHTTP) read(resp *http.Response, keep bool, a *Answer) error {
	defer resp.Body.Close()
	if keep {
		body, err := io.ReadAll(resp.Body)
		a.Header, a.Body, a.In = resp.Header, body, int64(len(body))
		return err
	}
	buffer := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buffer)
	for {
		n, err := resp.Body.Read(*buffer)
		a.In += int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sending counts that the whole request was given to a connection.
func (a *Answer) sending() {
	if a.sent {
		a.Repeats++
	}
	a.sent = true
}

func (a *Answer) fail(err error, kind string) {
	a.Err, a.Kind, a.End = err, kind, time.Now()
}

// newHTTPRequest makes what all requests of a step have in common: without a context and a
// reader of the body.
func newHTTPRequest(r *targets.Request) (*http.Request, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: r.Method, URL: u, Host: u.Host, Header: r.Header, ContentLength: int64(len(r.Body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if basic := basicOf(u); basic != "" && req.Header.Get("Authorization") == "" {
		req.Header = req.Header.Clone()
		req.Header.Set("Authorization", basic)
	}
	return req, nil
}

// basicOf is the Authorization that a URL with a user asks for; empty without one.
func basicOf(u *url.URL) string {
	if u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
}

// stopwatch notes when what happened to a request, by the hooks of net/http/httptrace. One
// belongs to one request, since hooks of a dial may be called after the request has ended.
type stopwatch struct {
	mu                             sync.Mutex
	begun, got, wrote, done, first time.Time
	dnsFrom, dialFrom, tlsFrom     time.Time
	dnsTook, dialTook, tlsTook     time.Duration
	sendings                       int
	refused                        bool // by this machine: a connection that was wanted
	fresh, over                    bool
}

func (w *stopwatch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			w.note(func(now time.Time) { w.got, w.fresh = now, !info.Reused })
		},
		DNSStart: func(httptrace.DNSStartInfo) { w.note(func(now time.Time) { w.dnsFrom = now }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.note(func(now time.Time) { w.dnsTook = now.Sub(w.dnsFrom) }) },
		ConnectStart: func(_, _ string) {
			w.note(func(now time.Time) {
				if w.dialFrom.IsZero() { // addresses may be tried at the same time
					w.dialFrom = now
				}
			})
		},
		ConnectDone: func(_, _ string, err error) {
			w.note(func(now time.Time) {
				if err == nil {
					w.dialTook = now.Sub(w.dialFrom)
				}
				w.refused = w.refused || fromThisMachine(err)
			})
		},
		TLSHandshakeStart:    func() { w.note(func(now time.Time) { w.tlsFrom = now }) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { w.note(func(now time.Time) { w.tlsTook = now.Sub(w.tlsFrom) }) },
		WroteHeaders:         func() { w.note(func(now time.Time) { w.wrote, w.sendings = now, w.sendings+1 }) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { w.note(func(now time.Time) { w.done = now }) },
		GotFirstResponseByte: func() { w.note(func(now time.Time) { w.first = now }) },
	}
}

// note notes something, unless the request has ended already.
func (w *stopwatch) note(what func(now time.Time)) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		what(now)
	}
}

// tell fills in an answer whose End is known.
func (w *stopwatch) tell(a *Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	a.Sent, a.Repeats, a.refused = w.wrote, max(w.sendings-1, 0), w.refused
	s := &a.Stages
	until := w.got
	if until.IsZero() {
		until = a.End
	}
	s.Lease = until.Sub(w.begun)
	if w.fresh {
		w.tellSetUp(a)
	}
	if w.wrote.IsZero() {
		return
	}
	sent := w.wrote
	if w.done.After(sent) {
		s.Send, sent = w.done.Sub(sent), w.done
	}
	if w.first.IsZero() {
		s.Wait = a.End.Sub(sent)
		return
	}
	s.Wait, s.Receive = max(w.first.Sub(sent), 0), a.End.Sub(w.first)
}

// tellSetUp fills in what a new connection took, which so far is part of the wait for one. A
// client may give it the one that was dialled for another request: then it is the wait.
func (w *stopwatch) tellSetUp(a *Answer) {
	connect := w.dnsTook + w.dialTook
	a.Connected = connect + w.tlsTook
	if connect == 0 {
		connect, a.Connected = a.Stages.Lease, a.Stages.Lease
	}
	a.Stages.Connect, a.Stages.TLS = connect, w.tlsTook
	a.Stages.Lease = max(a.Stages.Lease-a.Connected, 0)
}

// counted counts a connection until it is closed.
func counted(conn net.Conn, open *atomic.Int64) net.Conn {
	open.Add(1)
	return &countedConn{Conn: conn, open: open}
}

type countedConn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// stepCache keeps what a client makes of a step for all its requests: only of steps without
// templates, whose requests are all the same.
type stepCache[T any] struct {
	made sync.Map // *targets.Step → T
	n    atomic.Int64
}

// mostCached bounds it: a generator may make a step for each arrival.
const mostCached = 10_000

func (c *stepCache[T]) of(r *targets.Request, make func(*targets.Request) (T, error)) (T, error) {
	if made, ok := c.made.Load(r.Step); ok {
		return made.(T), nil
	}
	made, err := make(r)
	if err == nil && r.Step != nil && plain(r.Step) && c.n.Load() < mostCached {
		c.n.Add(1)
		c.made.Store(r.Step, made)
	}
	return made, err
}

// plain says that nothing in a step is filled in.
func plain(step *targets.Step) bool {
	if step.Literal {
		return true
	}
	if strings.Contains(step.URL, "{{") || bytes.Contains(step.Body, []byte("{{")) ||
		strings.Contains(step.Account, "{{") || strings.Contains(step.Key, "{{") {
		return false
	}
	for _, values := range step.Header {
		for _, value := range values {
			if strings.Contains(value, "{{") {
				return false
			}
		}
	}
	return true
}
