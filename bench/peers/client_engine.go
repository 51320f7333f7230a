package peers

import (
	"context"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

type engineClient struct{ engine *engine.Engine }

// newEngineClient returns an engine with a limit linked to a second one, both
// beyond reach: the price of being limited is in the figures, waiting is not.
func newEngineClient(origin string, _ int) (Client, error) {
	eng, err := engine.New(engine.Config{
		BaseURL: origin,
		Limits: []throttle.Limit{
			{ID: "route", Quota: beyondReach, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
			{ID: "all", Quota: beyondReach, Per: time.Second},
		},
	})
	if err != nil {
		return nil, err
	}
	return &engineClient{eng}, nil
}

const beyondReach = 1_000_000_000

func (*engineClient) Name() string { return Engine }

func (c *engineClient) Get(ctx context.Context) error {
	resp, err := c.engine.Do(ctx, &engine.Request{Path: path, LimitID: "route"})
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, resp.Body)
}

func (c *engineClient) Close() { c.engine.Close() }
