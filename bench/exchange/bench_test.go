package exchange

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkArrival is one request without a network, with the default limits
// raised out of the way.
func BenchmarkArrival(b *testing.B) {
	limits := DefaultLimits()
	for i := range limits {
		limits[i].Quota = 1 << 40
	}
	ex, err := New(Config{Limits: limits})
	require.NoError(b, err)
	for _, target := range []string{"/api/v3/ping", "/api/v3/depth?symbol=BTCUSDT&limit=5000"} {
		b.Run(target, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ex.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
			}
		})
	}
}
