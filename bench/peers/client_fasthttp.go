package peers

import (
	"bytes"
	"context"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

type fastHTTPClient struct {
	url, orderURL string
	client        fasthttp.HostClient
}

// newFastHTTPClient returns fasthttp in its leanest form: a HostClient, which
// spares it the look-up of the host, and recycled requests and responses.
func newFastHTTPClient(at site, callers int) (Client, error) {
	u, err := url.Parse(at.origin)
	if err != nil {
		return nil, err
	}
	client := &fastHTTPClient{
		url: at.origin + path, orderURL: at.origin + orderPath,
		client: fasthttp.HostClient{
			Addr:                u.Host,
			MaxConns:            min(callers, connections),
			MaxIdleConnDuration: time.Hour, // the default of 10 s may pass between two slices
		},
	}
	if boundFor(callers) > 0 {
		client.client.MaxConnWaitTimeout = time.Minute // without it a caller that finds none fails
	}
	if at.protocol != HTTP {
		client.client.IsTLS, client.client.TLSConfig = true, at.tls()
	}
	return client, nil
}

func (*fastHTTPClient) Name() string { return FastHTTP }

// Get leaves ctx aside, because fasthttp has no use for one.
func (c *fastHTTPClient) Get(context.Context) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.SetRequestURI(c.url)
	return c.do(req)
}

// Post leaves ctx aside likewise.
func (c *fastHTTPClient) Post(context.Context) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.SetRequestURI(c.orderURL)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(isJSON)
	req.Header.Set(signatureHeader, signature(order))
	req.SetBodyRaw(order)
	return c.do(req)
}

func (c *fastHTTPClient) do(req *fasthttp.Request) error {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err := c.client.Do(req, resp); err != nil {
		return err
	}
	// The response's own bytes are overwritten once it is released.
	return checkAnswer(resp.StatusCode(), bytes.Clone(resp.Body()))
}

func (c *fastHTTPClient) Close() { c.client.CloseIdleConnections() }
