package peers

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

const serverSwitch = "SLUICE_PEERS_TEST_SERVER"

// TestMain lets the test binary be the server process of its own comparison.
func TestMain(m *testing.M) {
	if os.Getenv(serverSwitch) != "" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// fasthttp has no way to end these two: they outlive the client by its idle
	// time, or the process.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}
