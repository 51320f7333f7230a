package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// fault is what the proxy does to every connection, as toxiproxy spells it.
type fault struct {
	name, toxic string
	timeout     time.Duration // of every request
	want        outcome
}

// outcome is what has to become of the requests under a fault.
type outcome int

const (
	anything outcome = iota // an answer or an error, by chance
	allAnswered
	noneAnswered
)

const (
	patient   = 10 * time.Second // longer than any fault that only delays
	impatient = 300 * time.Millisecond
)

func faults() []fault {
	return []fault{
		{"latency", `{"type":"latency","attributes":{"latency":30,"jitter":20}}`, patient, allAnswered},
		{"latency on the way out", `{"type":"latency","stream":"upstream","attributes":{"latency":30}}`, patient, allAnswered},
		{"latency beyond the deadline", `{"type":"latency","attributes":{"latency":2000}}`, impatient, noneAnswered},
		{"bandwidth", `{"type":"bandwidth","attributes":{"rate":40}}`, patient, allAnswered},
		{"bandwidth on the way out", `{"type":"bandwidth","stream":"upstream","attributes":{"rate":40}}`, patient, allAnswered},
		{"slices", `{"type":"slicer","attributes":{"average_size":200,"size_variation":100,"delay":50}}`, patient, allAnswered},
		{"slow close", `{"type":"slow_close","attributes":{"delay":100}}`, patient, allAnswered},
		{"cut within the first answer", `{"type":"limit_data","attributes":{"bytes":1500}}`, patient, noneAnswered},
		{"cut within a later answer", `{"type":"limit_data","attributes":{"bytes":10000}}`, patient, anything},
		{"cut within the request", `{"type":"limit_data","stream":"upstream","attributes":{"bytes":100}}`, patient, noneAnswered},
		{"cut within a later request", `{"type":"limit_data","stream":"upstream","attributes":{"bytes":3000}}`, patient, anything},
		{"reset at once", `{"type":"reset_peer","attributes":{"timeout":0}}`, patient, noneAnswered},
		{"reset now and then", `{"type":"reset_peer","toxicity":0.5,"attributes":{"timeout":5}}`, patient, anything},
		{"half open", `{"type":"timeout","attributes":{"timeout":0}}`, impatient, noneAnswered},
		{"half open on the way out", `{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`, impatient, noneAnswered},
		{"half of all half open", `{"type":"timeout","toxicity":0.5,"attributes":{"timeout":0}}`, impatient, anything},
		{"silence, then an end", `{"type":"timeout","attributes":{"timeout":50}}`, patient, noneAnswered},
	}
}

// upstream answers every request with a text of its own, and counts.
type upstream struct {
	*httptest.Server
	mu       sync.Mutex
	arrivals map[string]int // by the request's id
}

func startUpstream(t *testing.T, protocol string) *upstream {
	u := &upstream{arrivals: make(map[string]int)}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.arrivals[r.Header.Get("X-Id")]++
		u.mu.Unlock()
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, answerTo(r.Header.Get("X-Id")))
		}
	}))
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.EnableHTTP2 = protocol == "http2"
	if protocol == "http" {
		u.Start()
	} else {
		u.StartTLS()
	}
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

func answerTo(id string) string { return strings.Repeat(id+"\n", 400) }

// seen returns how often a request arrived.
func (u *upstream) seen(id string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrivals[id]
}

func startProxy(t *testing.T, at, to string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "between", at, to)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	return proxy
}

// bed is an engine that reaches its server through a proxy.
type bed struct {
	*upstream
	proxy  *toxiproxy.Proxy
	engine *engine.Engine
}

func newBed(t *testing.T, protocol string) *bed {
	t.Helper()
	u := startUpstream(t, protocol)
	proxy := startProxy(t, "127.0.0.1:0", u.Listener.Addr().String())
	config := engine.Config{BaseURL: "http://" + proxy.Listen, Dial: engine.Dial{Timeout: time.Second, Backoff: time.Millisecond, BackoffCap: 20 * time.Millisecond}}
	if protocol != "http" {
		config.BaseURL = "https://" + proxy.Listen
		config.Dial.TLS = &tls.Config{RootCAs: roots(u.Certificate())}
		config.Connections.HTTP2 = func(string) bool { return protocol == "http2" }
	}
	return &bed{u, proxy, startEngine(t, config)}
}

// answered makes requests at the same time, every second one a POST, and
// returns how many were answered. Whatever becomes of one is checked.
func (b *bed) answered(t *testing.T, run string, timeout time.Duration) int {
	t.Helper()
	const requests = 40
	var callers sync.WaitGroup
	var mu sync.Mutex
	answered, wrong := 0, []error(nil)
	for i := range requests {
		callers.Go(func() {
			asked := &engine.Request{Path: "/", Timeout: timeout, Header: http.Header{"X-Id": {fmt.Sprint(run, i)}}}
			if i%2 == 1 {
				asked.Method, asked.Body = http.MethodPost, strings.Repeat("b", 2000)
			}
			began := time.Now()
			resp, err := b.engine.Do(context.Background(), asked)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answered++
			}
			wrong = append(wrong, b.check(asked, resp, err), inTime(took, timeout))
		})
	}
	callers.Wait()
	require.NoError(t, errors.Join(wrong...))
	require.True(t, b.settles(), "something is still held: %+v", b.engine.Stats().Pools)
	return answered
}

func inTime(took, timeout time.Duration) error {
	if took > timeout+2*time.Second {
		return fmt.Errorf("a timeout of %v took %v", timeout, took)
	}
	return nil
}

// check returns what is wrong with an outcome: one of answer and typed error,
// the answer the request's own, and nothing that is not idempotent sent twice.
func (b *bed) check(asked *engine.Request, resp *engine.Response, err error) error {
	id := asked.Header.Get("X-Id")
	seen, most := b.seen(id), 3 // two repetitions
	if asked.Method == http.MethodPost {
		most = 1
	}
	if seen > most {
		return fmt.Errorf("%s %s arrived %d times", asked.Method, id, seen)
	}
	if err == nil {
		if resp.StatusCode != http.StatusOK || resp.Text() != answerTo(id) {
			return fmt.Errorf("%s: status %d with %d bytes, not its own", id, resp.StatusCode, len(resp.Body))
		}
		return nil
	}
	var typed *engine.Error
	switch {
	case resp != nil:
		return fmt.Errorf("%s: an answer and an error: %w", id, err)
	case !errors.As(err, &typed):
		return fmt.Errorf("%s: an error without a type: %w", id, err)
	case typed.Sent == engine.SentNo && seen > 0:
		return fmt.Errorf("%s: not sent, and yet it arrived %d times: %w", id, seen, err)
	}
	return nil
}

// settles waits until nothing is held, for a while.
func (b *bed) settles() bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if b.quiet() {
			return true
		}
	}
	return false
}

// asksAfresh makes one request, which is answered over a connection of its own:
// nothing the fault has touched is used again.
func (b *bed) asksAfresh(t *testing.T) {
	t.Helper()
	var last httptrace.GotConnInfo
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { last = info },
	})
	asked := &engine.Request{Path: "/", Timeout: patient, Header: http.Header{"X-Id": {"next"}}}
	resp, err := b.engine.Do(ctx, asked)
	if err != nil { // in the pause after the last dial that failed, which is told
		require.NoError(t, engine.Wait(t.Context(), err))
		resp, err = b.engine.Do(ctx, asked)
	}
	require.NoError(t, err)
	require.NoError(t, b.check(asked, resp, err))
	require.False(t, last.Reused)
	require.True(t, b.settles())
}

// recovers reports whether all requests are answered, before long. Those that
// meet a connection the fault has left behind may still fail.
func (b *bed) recovers(t *testing.T) bool {
	t.Helper()
	for try := range 20 {
		if b.answered(t, fmt.Sprint("after", try), time.Second) == 40 {
			return true
		}
	}
	return false
}

// quiet reports whether nothing is held for any request.
func (b *bed) quiet() bool {
	stats := b.engine.Stats()
	for _, pool := range stats.Pools {
		if pool.Leased+pool.Waiting > 0 {
			return false
		}
	}
	return stats.InFlight+stats.Waiting == 0
}

func TestEveryRequestGetsOneTypedAnswerUnderEveryFault(t *testing.T) {
	for _, protocol := range []string{"http", "https", "http2"} {
		for _, f := range faults() {
			t.Run(protocol+" "+f.name, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, protocol)
				_, err := b.proxy.Toxics.AddToxicJson(strings.NewReader(f.toxic))
				require.NoError(t, err)
				switch answered := b.answered(t, "faulty", f.timeout); f.want {
				case allAnswered:
					require.Equal(t, 40, answered)
				case noneAnswered:
					require.Zero(t, answered)
				}
			})
		}
	}
}

// The fault begins while connections are open, and ends again.
func TestAnEngineRecoversWhenAFaultEnds(t *testing.T) {
	for _, protocol := range []string{"http", "https", "http2"} {
		for _, f := range faults() {
			if f.want == allAnswered {
				continue // there is nothing to recover from
			}
			t.Run(protocol+" "+f.name, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, protocol)
				require.Equal(t, 40, b.answered(t, "before", patient))
				_, err := b.proxy.Toxics.AddToxicJson(strings.NewReader(f.toxic))
				require.NoError(t, err)
				b.answered(t, "during", f.timeout)
				b.proxy.Stop() // toxiproxy may wait for ever when it removes a toxic in use
				startProxy(t, b.proxy.Listen, b.Listener.Addr().String())
				if protocol != "http2" { // whose broken connection may be noticed late
					b.asksAfresh(t)
				}
				require.True(t, b.recovers(t))
			})
		}
	}
}

func TestAProxyThatGoesAwayAndComesBackIsFoundAgain(t *testing.T) {
	b := newBed(t, "http")
	require.Equal(t, 40, b.answered(t, "before", patient))
	b.proxy.Stop()
	require.Zero(t, b.answered(t, "gone", impatient))
	require.NoError(t, b.proxy.Start())
	require.True(t, b.recovers(t))
}

// Closing must not wait for a server that has gone silent.
func TestAnEngineClosesAmongHalfOpenConnections(t *testing.T) {
	b := newBed(t, "http")
	_, err := b.proxy.Toxics.AddToxicJson(strings.NewReader(`{"type":"timeout","attributes":{"timeout":0}}`))
	require.NoError(t, err)
	errs := make(chan error, 40)
	for range cap(errs) {
		go func() {
			_, err := b.engine.Do(context.Background(), &engine.Request{Path: "/"})
			errs <- err
		}()
	}
	require.Eventually(t, func() bool { return b.engine.Stats().InFlight == cap(errs) }, 5*time.Second, time.Millisecond)
	began := time.Now()
	require.NoError(t, b.engine.Close())
	require.Less(t, time.Since(began), 2*time.Second)
	for range cap(errs) {
		require.ErrorIs(t, <-errs, engine.ErrClosed)
	}
}

func roots(certificate *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return pool
}
