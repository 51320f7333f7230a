package inspect_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
)

func TestThePageTellsAServersClockFromTheMachinesOwn(t *testing.T) {
	for _, remembers := range []bool{false, true} {
		for _, follows := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				config := engine.Config{BaseURL: "http://api.test"}
				if remembers {
					config.Memory = engine.MemoryFile(filepath.Join(t.TempDir(), "memory"))
				}
				if follows { // and what it reads is as exact as can be
					config.Time = engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
						now := time.Now()
						return engine.TimeReading{Server: now.Add(time.Second), Sent: now, Received: now}, nil
					})
				}
				eng := newEngine(t, config)
				_, ranges := eng.Clock().(auth.Ranger)
				require.Equal(t, follows, ranges)
				require.NoError(t, eng.AwaitTime(t.Context()))
				want := `"clock":{"source":"local","ahead":0,"bound":0}`
				if follows {
					want = `"clock":{"source":"server","ahead":1000000000,"bound":1}`
				}
				has(t, text(t, get(t, inspect.Handler(eng), http.MethodGet, "/?format=json")), want)
			})
		}
	}
}
