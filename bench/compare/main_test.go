package compare

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/results"
)

// sideSwitch has the test binary be a side: its value is a URL to ask, after a burden, which
// is how many times 4 KB are hashed for each request.
const sideSwitch = "-side"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == sideSwitch {
		if err := serveSide(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func serveSide(burden, url string) error {
	times, err := strconv.Atoi(burden)
	if err != nil {
		return err
	}
	return Serve(context.Background(), os.Stdin, os.Stdout, func(ctx context.Context, requests int) (*results.Run, error) {
		all := &results.Operation{Response: results.NewHistogram()}
		for range requests {
			began := time.Now()
			if err := get(ctx, url, times); err != nil {
				return nil, err
			}
			all.Count++
			all.Response.Record(time.Since(began))
		}
		return &results.Run{Total: map[string]*results.Operation{"": all}, Whole: true}, nil
	})
}

var burnt [sha256.Size]byte

func get(ctx context.Context, url string, times int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	for range times {
		burnt = sha256.Sum256(make([]byte, 4096))
	}
	return answer.Body.Close()
}
