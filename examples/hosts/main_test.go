package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crawl runs the example in fake time, against vendors that are reached in memory.
func crawl(ctx context.Context, out io.Writer) (map[string]*vendor, error) {
	all, listeners := vendors(), map[string]*memnet.Listener{}
	for host, v := range all {
		listeners[host+":80"] = memnet.Listen()
		server := &http.Server{Handler: v}
		go server.Serve(listeners[host+":80"])
		defer server.Close()
	}
	err := run(ctx, engine.Dial{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return listeners[address].DialContext(ctx, network, address)
	}}, out)
	return all, err
}

func TestEveryPageIsReadOnceWithinTheLimitOfItsHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		began := time.Now()
		all, err := crawl(t.Context(), &out)
		require.NoError(t, err)
		require.Contains(t, out.String(), "0 requests failed; rows by host: map[alpha.test:6100 beta.test:3000 gamma.test:1000]\n")
		require.Equal(t, 60+30+10+3+1+1, strings.Count(out.String(), "\n"), "each once, links beyond these hosts never")
		require.NotContains(t, out.String(), "elsewhere")
		require.Less(t, time.Since(began), 6*time.Second, "all at once")
		require.Zero(t, all["alpha.test"].refused)
		require.Zero(t, all["gamma.test"].refused)
	})
}

func TestAHostThatRefusesIsLeftAloneAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		all, err := crawl(t.Context(), &out)
		require.NoError(t, err)
		beta := all["beta.test"]
		require.Positive(t, beta.refused)
		require.LessOrEqual(t, beta.refused, 2, "what was on the other connection in that moment")
		begin := beta.until.Add(-badMoment)
		for _, came := range beta.came {
			require.False(t, came.After(begin) && came.Before(beta.until), "it had said for how long")
		}
		for _, host := range []string{"alpha.test", "gamma.test"} {
			meanwhile := 0
			for _, came := range all[host].came {
				if came.After(begin) && came.Before(beta.until) {
					meanwhile++
				}
			}
			require.Positive(t, meanwhile, host)
		}
		require.Contains(t, out.String(), "at try 2\n", "what was refused is not lost")
	})
}

func TestACrawlThatIsCancelledEndsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := crawl(ctx, io.Discard)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), 1500*time.Millisecond)
	})
}
