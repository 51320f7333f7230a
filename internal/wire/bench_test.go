//go:build unix

package wire

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/messages"
)

const benchBody = `{"symbol":"BTCUSDT","bidPrice":"43001.10","bidQty":"1.5","askPrice":"43001.20","askQty":"2"}`

func benchServer(t testing.TB) messages.Origin {
	t.Helper()
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.Response.Header.Set("X-Mbx-Used-Weight-1m", "17")
		ctx.Response.Header.Set("X-Request-Id", "5b2c9c44-6d3f-4a5e-8e21-0e3a2c6d9a10")
		ctx.SetBodyString(benchBody)
	}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Shutdown(); <-done })
	return messages.Origin{Scheme: "http", Addr: listener.Addr().String()}
}

func benchCall(o messages.Origin) *messages.Call {
	return &messages.Call{
		Method: "GET", Origin: o, Host: o.Addr, Path: "/api/v3/ticker/bookTicker", Query: "symbol=BTCUSDT",
		Fields: []messages.Field{{Name: "User-Agent", Value: "bench"}, {Name: "X-Mbx-Apikey", Value: "0123456789abcdef"}},
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measureCPU(b *testing.B, op func()) {
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		op()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// The CPU time is that of both sides; the server is the same for all.
func BenchmarkExchange(b *testing.B) {
	b.Run("wire", func(b *testing.B) { benchWire(b, time.Time{}) })
	b.Run("wire with deadline", func(b *testing.B) { benchWire(b, time.Now().Add(time.Hour)) })
	b.Run("fasthttp", func(b *testing.B) { benchFasthttp(b, 0) })
	b.Run("fasthttp with deadline", func(b *testing.B) { benchFasthttp(b, time.Hour) })
}

func benchWire(b *testing.B, deadline time.Time) {
	o := benchServer(b)
	c := dial(b, nil, o)
	call := benchCall(o)
	measureCPU(b, func() {
		if resp, _, err := c.Exchange(call, deadline); err != nil || len(resp.Body) != len(benchBody) {
			b.Fatal(err)
		}
	})
}

func benchFasthttp(b *testing.B, timeout time.Duration) {
	o := benchServer(b)
	client := &fasthttp.HostClient{Addr: o.Addr, ReadTimeout: timeout, WriteTimeout: timeout}
	defer client.CloseIdleConnections()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.SetRequestURI("http://" + o.Addr + "/api/v3/ticker/bookTicker?symbol=BTCUSDT")
	req.Header.SetUserAgent("bench")
	req.Header.Set("X-Mbx-Apikey", "0123456789abcdef")
	measureCPU(b, func() {
		if err := client.Do(req, resp); err != nil || len(resp.Body()) != len(benchBody) {
			b.Fatal(err)
		}
	})
}
