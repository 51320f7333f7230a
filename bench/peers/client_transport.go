package peers

import (
	"net/http"

	"github.com/failsafe-go/failsafe-go/failsafehttp"
)

// newTransport returns net/http's transport as it comes, but for an idle pool with room
// for every caller, with the default of two per host it would dial all the time, and for
// a bound of connections where there are more callers than that.
func newTransport(at site, callers int) *http.Transport {
	transport := &http.Transport{
		MaxIdleConnsPerHost: min(callers, connections), MaxConnsPerHost: boundFor(callers),
		ForceAttemptHTTP2: at.protocol == HTTP2,
	}
	if at.protocol != HTTP {
		transport.TLSClientConfig = at.tls()
	}
	return transport
}

// failsafeClient is net/http's client over failsafe-go's round tripper, with its policy of
// retries as it comes: what it costs to have one that is not needed is in the figures.
type failsafeClient struct {
	netHTTPClient
	transport *http.Transport
}

func newFailsafeClient(at site, callers int) (Client, error) {
	transport := newTransport(at, callers)
	retries := failsafehttp.NewRetryPolicyBuilder().ReturnLastFailure().Build()
	return &failsafeClient{
		netHTTPClient: newNetHTTPOver(at, failsafehttp.NewRoundTripper(transport, retries)),
		transport:     transport,
	}, nil
}

func (*failsafeClient) Name() string { return Failsafe }

func (c *failsafeClient) Close() { c.transport.CloseIdleConnections() }
