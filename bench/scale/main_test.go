package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const roleSwitch = "SLUICE_SCALE_TEST_ROLE"

// TestMain lets the test binary be the processes of a point, those that fail too.
func TestMain(m *testing.M) {
	switch role := os.Getenv(roleSwitch); role {
	case "":
	case "server":
		exit(Serve(os.Stdin, os.Stdout))
	case "worker":
		exit(Work(context.Background(), os.Stdin, os.Stdout))
	case "crash":
		panic("out of paper")
	case "crash in a slice":
		words := json.NewDecoder(os.Stdin)
		var heard json.RawMessage
		_ = words.Decode(&heard)
		fmt.Println("{}")
		_ = words.Decode(&heard)
		panic("out of ink")
	case "silent":
		time.Sleep(time.Hour)
	default:
		exit(fmt.Errorf("no role %q", role))
	}
	// fasthttp has no way to end these: they outlive client and server by their idle
	// time, or the process.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
