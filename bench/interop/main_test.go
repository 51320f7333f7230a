package interop

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // the proxy's toxics log to the global logger
	// A link of the proxy may stay behind when both its ends are closed.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
	)
}

func startHTTPBin(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(httpbin.New(
		httpbin.WithMaxDuration(2*time.Second), httpbin.WithHostname("interop"),
		httpbin.WithEnv(map[string]string{"A": "b"}),
	))
	t.Cleanup(server.Close)
	return server.URL
}

func startEngine(t *testing.T, config engine.Config) *engine.Engine {
	t.Helper()
	if config.Feedback == nil { // some servers here answer 429 because they are asked to
		config.Feedback = func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} }
	}
	eng, err := engine.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return eng
}

// bareClient is net/http's client; it follows no redirects, as the engine.
func bareClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: stay}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
