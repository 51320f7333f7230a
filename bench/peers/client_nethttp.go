package peers

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

type netHTTPClient struct {
	url, orderURL string
	client        http.Client
}

func newNetHTTPClient(at site, callers int) (Client, error) {
	client := newNetHTTPOver(at, newTransport(at, callers))
	return &client, nil
}

func newNetHTTPOver(at site, transport http.RoundTripper) netHTTPClient {
	return netHTTPClient{url: at.origin + path, orderURL: at.origin + orderPath, client: http.Client{Transport: transport}}
}

func (*netHTTPClient) Name() string { return NetHTTP }

func (c *netHTTPClient) Get(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	return checkResponse(c.client.Do(req))
}

func (c *netHTTPClient) Post(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.orderURL, bytes.NewReader(order))
	if err != nil {
		return err
	}
	req.Header.Set(contentType, isJSON)
	req.Header.Set(signatureHeader, signature(order))
	return checkResponse(c.client.Do(req))
}

// checkResponse reads what a client of net/http's kind returns.
func checkResponse(resp *http.Response, err error) error {
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
