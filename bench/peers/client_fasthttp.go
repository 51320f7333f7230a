package peers

import (
	"bytes"
	"context"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

type fastHTTPClient struct {
	url    string
	client fasthttp.HostClient
}

// newFastHTTPClient returns fasthttp in its leanest form: a HostClient, which
// spares it the look-up of the host, and recycled requests and responses.
func newFastHTTPClient(at site, callers int) (Client, error) {
	u, err := url.Parse(at.origin)
	if err != nil {
		return nil, err
	}
	client := &fastHTTPClient{
		url: at.origin + path,
		client: fasthttp.HostClient{
			Addr:                u.Host,
			MaxConns:            callers,
			MaxIdleConnDuration: time.Hour, // the default of 10 s may pass between two slices
		},
	}
	if at.protocol != HTTP {
		client.client.IsTLS, client.client.TLSConfig = true, at.tls()
	}
	return client, nil
}

func (*fastHTTPClient) Name() string { return FastHTTP }

// Get leaves ctx aside, because fasthttp has no use for one.
func (c *fastHTTPClient) Get(context.Context) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)

	req.SetRequestURI(c.url)
	if err := c.client.Do(req, resp); err != nil {
		return err
	}
	// The response's own bytes are overwritten once it is released.
	return checkAnswer(resp.StatusCode(), bytes.Clone(resp.Body()))
}

func (c *fastHTTPClient) Close() { c.client.CloseIdleConnections() }
