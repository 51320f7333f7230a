package load

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/targets"
)

// costOf is what the harness takes for a request beside its client: processor time of this
// process and allocations.
func costOf(t testing.TB, cfg Config, requests uint64) (cpu time.Duration, allocations float64) {
	t.Helper()
	cfg.Closed.Requests = requests
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begun, err := gauge.CPUTime()
	require.NoError(t, err)
	run, err := Run(context.Background(), cfg)
	require.NoError(t, err)
	ended, err := gauge.CPUTime()
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.EqualValues(t, requests, run.Total[""].Count)
	require.Zero(t, run.Total[""].Failed(), "%v", run.Total[""].Errors)
	return (ended - begun) / time.Duration(requests), float64(after.Mallocs-before.Mallocs) / float64(requests)
}

// instant is a client that answers at once.
func instant() Client {
	return ClientFunc(func(_ context.Context, _ *targets.Request, a *Answer) { a.Status = 200 })
}

func TestTheHarnessCostsNoMoreThanAMicrosecondARequestAndNoAllocation(t *testing.T) {
	pressure.Try(t, 5, func() error { // the least is the harness's own: the rest is what else this machine does
		cpu, allocations := costOf(t, Config{Closed: &Closed{Callers: 2}, Plan: planOf("http://a/"), Client: instant()}, 300_000)
		require.Less(t, allocations, 0.05)
		t.Log(cpu)
		return within(cpu, time.Microsecond-1, 10*time.Microsecond)
	})
}

func TestAPlainRequestByFastHTTPAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("the race detector has pools forget at random")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	client := open(t, ClientConfig{Client: FastHTTP, Connections: 4})
	cfg := Config{Closed: &Closed{Callers: 4}, Plan: planOf("http://" + listener.Addr().String() + "/"), Client: client}
	costOf(t, cfg, 1000)              // connections are set up
	pressure.Try(t, 5, func() error { // what is long under way has the runtime allocate now and then
		if _, allocations := costOf(t, cfg, 20_000); allocations >= 0.1 {
			return pressure.Gross(fmt.Errorf("%.3f allocations a request", allocations))
		}
		return nil
	})
}

// answerAll answers each read, which is a request, and allocates nothing for it.
func answerAll(conn net.Conn) {
	defer conn.Close()
	in, out := make([]byte, 4096), []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	for {
		if _, err := conn.Read(in); err != nil {
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func BenchmarkHarness(b *testing.B) {
	b.ReportAllocs()
	_, err := Run(context.Background(), Config{
		Closed: &Closed{Callers: 1, Requests: uint64(b.N)}, Plan: planOf("http://a/"), Client: instant(),
	})
	require.NoError(b, err)
}
