package suites

import "time"

// All are the suites. Fast are only those whose every difference has its reason.
var All = []Suite{
	{Name: "sling", Fast: true, Module: "github.com/dghubble/sling", Version: "v1.4.2"},
	{Name: "retryablehttp", Module: "github.com/hashicorp/go-retryablehttp", Version: "v0.7.8"},
	{Name: "hedgedhttp", Module: "github.com/cristalhq/hedgedhttp", Version: "v0.9.2", Excluded: []Exclusion{
		{"ExampleClient", "it asks a host in the internet"},
		{"ExampleMultiTransport", "it asks a host in the internet"},
		{"ExampleRoundTripper", "it asks a host in the internet"},
		{"Example_configNext", "it asks a host in the internet"},
		{"Example_instrumented", "it asks a host in the internet"},
		{"Example_ratelimited", "it asks a host in the internet"},
	}},
	{Name: "requests", Module: "github.com/carlmjohnson/requests", Version: "v0.23.5", Fast: true},
	{Name: "httputil", Std: "net/http/httputil", Patience: 5 * time.Minute},
	{Name: "oauth2", Module: "golang.org/x/oauth2", Version: "v0.38.0"},
	{Name: "twirp", Module: "github.com/twitchtv/twirp", Version: "v8.1.3+incompatible", Packages: []string{
		".", "./hooks/...", "./internal/twirptest/...",
	}, Require: []string{
		"github.com/pkg/errors@v0.9.1", "github.com/stretchr/testify@v1.12.1", "google.golang.org/protobuf@v1.36.6",
	}},
	{Name: "elastic", Fast: true, Module: "github.com/elastic/elastic-transport-go/v8", Version: "v8.11.0"},
	{Name: "gorequest", Fast: true, Module: "github.com/parnurzeal/gorequest", Version: "v0.3.0", Require: []string{
		"github.com/elazarl/goproxy@v1.7.2", "github.com/moul/http2curl@v1.0.0", "github.com/pkg/errors@v0.9.1",
		"golang.org/x/net@v0.62.0",
	}},
	{Name: "resty2", Module: "github.com/go-resty/resty/v2", Version: "v2.17.2"},
	{Name: "resty3", Module: "resty.dev/v3", Version: "v3.0.0-rc.4"},
	{Name: "failsafe", Fast: true, Module: "github.com/failsafe-go/failsafe-go", Version: "v0.9.8", Packages: []string{"./failsafehttp/...", "./test/issues/..."}},
	{Name: "minio", Module: "github.com/minio/minio-go/v7", Version: "v7.4.1", Excluded: []Exclusion{
		{"TestRetryTimer/checkDelay", "it makes no request, and fails where a millisecond's sleep takes longer"},
		{"TestRetryContinuous/checkDelay", "it makes no request, and fails where a millisecond's sleep takes longer"},
	}},
	{Name: "httpbin", Fast: true, Module: "github.com/mccutchen/go-httpbin/v2", Version: "v2.26.0"},
	{Name: "r3labs-sse", Module: "github.com/r3labs/sse/v2", Version: "v2.10.0"},
	{Name: "go-sse", Module: "github.com/tmaxmax/go-sse", Version: "v0.12.0"},
	{Name: "go-github", Module: "github.com/google/go-github/v75", Version: "v75.0.0", Packages: []string{"./github/..."}},
	{Name: "connect", Module: "connectrpc.com/connect", Version: "v1.21.1", Packages: []string{".", "./internal/..."}},
	{Name: "prometheus", Module: "github.com/prometheus/client_golang", Version: "v1.25.0", Packages: []string{
		"./api/...", "./prometheus/promhttp/...", "./prometheus/push/...",
	}},
	{Name: "nethttp", Std: "net/http", Patience: 5 * time.Minute, Repeats: true},
}
