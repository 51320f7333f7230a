package wire

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp's server and client, against which the benchmarks measure, leave
// goroutines that end by themselves some seconds later. No test uses them.
func TestMain(m *testing.M) {
	const fasthttp = "github.com/valyala/fasthttp."
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction(fasthttp+"(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction(fasthttp+"updateServerDate.func1"),
		goleak.IgnoreAnyFunction(fasthttp+"(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction(fasthttp+"(*TCPDialer).tcpAddrsClean"),
	)
}
