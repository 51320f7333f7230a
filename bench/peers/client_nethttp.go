package peers

import (
	"context"
	"io"
	"net/http"
)

type netHTTPClient struct {
	url    string
	client http.Client
}

// newNetHTTPClient returns net/http as it comes, but for an idle pool with room
// for every caller: with the default of two per host it would dial all the time.
func newNetHTTPClient(at site, callers int) (Client, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: callers, ForceAttemptHTTP2: at.protocol == HTTP2}
	if at.protocol != HTTP {
		transport.TLSClientConfig = at.tls()
	}
	return &netHTTPClient{
		url:    at.origin + path,
		client: http.Client{Transport: transport},
	}, nil
}

func (*netHTTPClient) Name() string { return NetHTTP }

func (c *netHTTPClient) Get(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, body)
}

func (c *netHTTPClient) Close() { c.client.CloseIdleConnections() }
