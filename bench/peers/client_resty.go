package peers

import (
	"context"

	"resty.dev/v3"
)

type restyClient struct {
	url, orderURL string
	client        *resty.Client
	idle          interface{ CloseIdleConnections() }
}

// newRestyClient returns resty over the transport that net/http has, and without retries,
// as it comes.
func newRestyClient(at site, callers int) (Client, error) {
	transport := newTransport(at, callers)
	return &restyClient{
		url: at.origin + path, orderURL: at.origin + orderPath, idle: transport,
		client: resty.New().SetTransport(transport),
	}, nil
}

func (*restyClient) Name() string { return Resty }

func (c *restyClient) Get(ctx context.Context) error {
	return checkResty(c.client.R().SetContext(ctx).Get(c.url))
}

func (c *restyClient) Post(ctx context.Context) error {
	return checkResty(c.client.R().SetContext(ctx).SetContentType(isJSON).
		SetHeader(signatureHeader, signature(order)).SetBody(order).Post(c.orderURL))
}

func checkResty(resp *resty.Response, err error) error {
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode(), resp.Bytes())
}

func (c *restyClient) Close() {
	_ = c.client.Close() // it always succeeds
	c.idle.CloseIdleConnections()
}
