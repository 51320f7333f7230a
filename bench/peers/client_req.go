package peers

import (
	"context"

	"github.com/imroc/req/v3"
)

type reqClient struct {
	url, orderURL string
	client        *req.Client
}

// newReqClient returns imroc/req with a transport of its own kind, set as net/http's is. It
// guesses no character sets.
func newReqClient(at site, callers int) (Client, error) {
	client := req.NewClient().DisableAutoDecode()
	transport := client.GetTransport()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = min(callers, connections), boundFor(callers)
	if at.protocol != HTTP {
		client.SetTLSClientConfig(at.tls())
	}
	if at.protocol == HTTP2 {
		client.EnableForceHTTP2()
	} else {
		client.EnableForceHTTP1()
	}
	return &reqClient{at.origin + path, at.origin + orderPath, client}, nil
}

func (*reqClient) Name() string { return Req }

func (c *reqClient) Get(ctx context.Context) error {
	return checkReq(c.client.R().SetContext(ctx).Get(c.url))
}

func (c *reqClient) Post(ctx context.Context) error {
	return checkReq(c.client.R().SetContext(ctx).SetContentType(isJSON).
		SetHeader(signatureHeader, signature(order)).SetBodyBytes(order).Post(c.orderURL))
}

func checkReq(resp *req.Response, err error) error {
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, resp.Bytes())
}

func (c *reqClient) Close() { c.client.GetTransport().CloseIdleConnections() }
