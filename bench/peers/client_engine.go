package peers

import (
	"context"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// engineClient sends one Request again and again, from all callers, as the
// engine allows: it spares it what fasthttp is spared by recycling requests.
type engineClient struct {
	engine         *engine.Engine
	request, order engine.Request
}

func newEngineClient(at site, callers int) (Client, error) {
	config := engineConfig(at)
	if bound := boundFor(callers); bound > 0 {
		config.Connections.Max = bound
	}
	eng, err := engine.New(config)
	if err != nil {
		return nil, err
	}
	return newClientOf(eng), nil
}

func newClientOf(eng *engine.Engine) *engineClient {
	return &engineClient{
		engine:  eng,
		request: engine.Request{Path: path, LimitID: route},
		order: engine.Request{
			Method: http.MethodPost, Path: orderPath, LimitID: route, Auth: true,
			Body: order, Header: http.Header{contentType: {isJSON}},
		},
	}
}

// engineConfig has a limit linked to a second one, both beyond reach: the price
// of being limited is in the figures, waiting is not.
func engineConfig(at site) engine.Config {
	config := engine.Config{
		BaseURL: at.origin,
		Auth:    scheme(),
		Limits: []throttle.Limit{
			{ID: route, Quota: beyondReach, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
			{ID: "all", Quota: beyondReach, Per: time.Second},
		},
	}
	if at.protocol != HTTP {
		config.Dial.TLS = at.tls()
	}
	if at.protocol == HTTP2 {
		config.Connections.HTTP2 = func(string) bool { return true }
	}
	return config
}

const (
	route       = "route"
	beyondReach = 1_000_000_000
)

func (*engineClient) Name() string { return Engine }

func (c *engineClient) Get(ctx context.Context) error {
	return c.do(ctx, &c.request)
}

func (c *engineClient) Post(ctx context.Context) error {
	return c.do(ctx, &c.order)
}

func (c *engineClient) do(ctx context.Context, request *engine.Request) error {
	resp, err := c.engine.Do(ctx, request)
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, resp.Body)
}

func (c *engineClient) Close() { c.engine.Close() }

// roundTripperClient is net/http's client with the engine beneath it.
type roundTripperClient struct {
	netHTTPClient
	engine *engine.Engine
}

func newRoundTripperClient(at site, _ int) (Client, error) {
	eng, err := engine.New(engineConfig(at))
	if err != nil {
		return nil, err
	}
	transport := eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.LimitID = route })
	return &roundTripperClient{
		netHTTPClient: newNetHTTPOver(at, transport),
		engine:        eng,
	}, nil
}

func (*roundTripperClient) Name() string { return RoundTripper }

func (c *roundTripperClient) Close() { c.engine.Close() }
