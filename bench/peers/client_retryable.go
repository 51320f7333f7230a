package peers

import (
	"context"
	"net/http"

	"github.com/hashicorp/go-retryablehttp"
)

type retryableClient struct {
	url, orderURL string
	client        *retryablehttp.Client
}

// newRetryableClient returns go-retryablehttp over the transport that net/http has. It repeats
// nothing, hands on what it is answered, and writes no log.
func newRetryableClient(at site, callers int) (Client, error) {
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{Transport: newTransport(at, callers)}
	client.RetryMax = 0
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	client.Logger = nil
	return &retryableClient{at.origin + path, at.origin + orderPath, client}, nil
}

func (*retryableClient) Name() string { return Retryable }

func (c *retryableClient) Get(ctx context.Context) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	return checkResponse(c.client.Do(req))
}

func (c *retryableClient) Post(ctx context.Context) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.orderURL, order)
	if err != nil {
		return err
	}
	req.Header.Set(contentType, isJSON)
	req.Header.Set(signatureHeader, signature(order))
	return checkResponse(c.client.Do(req))
}

func (c *retryableClient) Close() { c.client.HTTPClient.CloseIdleConnections() }
