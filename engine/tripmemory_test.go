package engine_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// The engine sends a body that is in memory from a copy, and the answer lies in one piece
// of memory with what the engine was asked: they must not be kept together.
func TestAnAnswerThatIsKeptKeepsNoCopyOfTheBodyThatWasSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "taken")
	}))
	defer server.Close()
	transport := newEngine(t, engine.Config{}).RoundTripper()
	const size = 8 << 20
	body := make([]byte, size) // which the answer's Request has as well
	send := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader(body))
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		return resp
	}
	send().Body.Close()
	before := heapInUse()
	var kept []*http.Response
	for range 4 {
		kept = append(kept, send())
	}
	send().Body.Close() // with no body of its own left behind in a slot
	after := heapInUse()
	require.Less(t, after, before+2*size, "of four copies that were sent")
	for _, resp := range kept {
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "taken", string(text))
	}
	runtime.KeepAlive(body)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool holds goes with the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
