package load

import (
	"context"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client may make do with the connections that it has when it gets no more: then requests
// wait for them, and the server is not to blame.
func TestARunThatIsShortOfDescriptorsIsInvalid(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, false, false, func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) })
		client := open(t, ClientConfig{Client: name, Timeout: time.Second})
		closedOnce, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 1}, Plan: planOf(server.URL), Client: client})
		require.NoError(t, err)
		require.Empty(t, closedOnce.End.Invalid)
		used, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		var limit syscall.Rlimit
		require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
		low := limit
		low.Cur = uint64(len(used)) + 6
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
		run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 20, Requests: 60}, Plan: planOf(server.URL), Client: client, Timeout: time.Second})
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
		require.NoError(t, err)
		require.Contains(t, strings.Join(run.End.Invalid, "; "), "ulimit -n", "%v", run.Total[""].Errors)
	})
}
