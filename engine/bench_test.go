package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// tape is a connection that has the answer to every request ready, so that
// what remains to be measured is the engine.
type tape struct {
	net.Conn
	answer []byte
	unread []byte
}

func (c *tape) Write(p []byte) (int, error) {
	c.unread = c.answer
	return len(p), nil
}

func (c *tape) Read(p []byte) (int, error) {
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// Pending says that nothing lies between two answers.
func (c *tape) Pending() (n int, closed bool) { return len(c.unread), false }

func (*tape) SetDeadline(time.Time) error      { return nil }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }
func (*tape) Close() error                     { return nil }

func tapeDial(context.Context, string, string) (net.Conn, error) {
	const answer = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 45\r\n\r\n" + `{"symbol":"BTCUSDT","price":"60000.00000000"}`
	return &tape{answer: []byte(answer)}, nil
}

// tapeLimits hold nothing back.
var tapeLimits = []throttle.Limit{
	{ID: "route", Quota: 1e9, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
	{ID: "all", Quota: 1e9, Per: time.Second},
}

func newTapeEngine(t testing.TB, observers ...engine.Observer) *engine.Engine {
	eng, err := engine.New(engine.Config{
		BaseURL: "http://server.test", Dial: engine.Dial{DialContext: tapeDial},
		Limits: tapeLimits, Observers: observers,
	})
	require.NoError(t, err)
	t.Cleanup(func() { eng.Close() })
	return eng
}

// BenchmarkDo is the journey without a network: everything but the syscalls.
func BenchmarkDo(b *testing.B) {
	eng := newTapeEngine(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req := &engine.Request{Path: "/price", LimitID: "route"}
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": ctx} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := eng.Do(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDoObserved is the same with hooks that do nothing: what it costs to call them.
func BenchmarkDoObserved(b *testing.B) {
	begin := func(ctx context.Context, _ *engine.Request) context.Context { return ctx }
	wait := func(context.Context, engine.Waited) {}
	attempt := func(context.Context, engine.Attempted) {}
	end := func(context.Context, engine.Ended) {}
	for _, observed := range []struct {
		by    string
		hooks engine.Observer
	}{
		{"nobody", engine.Observer{}},
		{"the end alone", engine.Observer{End: end}},
		{"all hooks", engine.Observer{Begin: begin, Wait: wait, Attempt: attempt, End: end}},
	} {
		b.Run(observed.by, func(b *testing.B) {
			eng := newTapeEngine(b, observed.hooks)
			req := &engine.Request{Path: "/price", LimitID: "route"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := eng.Do(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSubmit is BenchmarkDo by way of Submit.
func BenchmarkSubmit(b *testing.B) {
	eng := newTapeEngine(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req := &engine.Request{Path: "/price", LimitID: "route"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eng.Submit(ctx, req).Result(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip compares an http.Client over the engine with one over
// net/http's own transport, both over loopback.
func BenchmarkRoundTrip(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"symbol":"BTCUSDT","price":"60000.00000000"}`)
	}))
	defer server.Close()
	eng, err := engine.New(engine.Config{})
	require.NoError(b, err)
	defer eng.Close()
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	for _, transport := range []struct {
		name string
		http.RoundTripper
	}{{"engine", eng.RoundTripper()}, {"nethttp", own}} {
		b.Run(transport.name, func(b *testing.B) {
			client := &http.Client{Transport: transport}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(server.URL)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkAcquireAndDone is a permit without a request, on one goroutine.
func BenchmarkAcquireAndDone(b *testing.B) {
	eng := newTapeEngine(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": ctx} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				permit, err := eng.Acquire(ctx, engine.Charge{LimitID: "route"})
				if err != nil {
					b.Fatal(err)
				}
				permit.Done(engine.Done)
			}
		})
	}
}
