package engine_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestTheGuideToErrorsShowsWhatIsCompiled(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "guide", "errors.md"))
	require.NoError(t, err)
	source, err := os.ReadFile("example_errors_test.go")
	require.NoError(t, err)
	shown := 0
	for i, part := range strings.Split(string(guide), "```") {
		if snippet, is := strings.CutPrefix(part, "go\n"); is && i%2 == 1 {
			shown++
			require.Contains(t, string(source), snippet)
		}
	}
	require.Equal(t, 4, shown)
}

func TestTheGuidesOrderIsAskedForIfItIsInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		status int  // of the first answer; 0 breaks the connection
		found  bool // the order was placed
		asked  int
		want   engine.Outcome
	}{
		"placed, and the answer was lost":     {0, true, 2, engine.Done},
		"not placed, and the answer was lost": {0, false, 2, engine.Rejected},
		"placed, behind a 502":                {502, true, 2, engine.Done},
		"rejected":                            {400, false, 0, engine.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Method == http.MethodPost && c.status == 0:
						panic(http.ErrAbortHandler)
					case r.Method == http.MethodPost:
						w.WriteHeader(c.status)
						return
					}
					if asked++; asked == 1 {
						w.WriteHeader(http.StatusServiceUnavailable) // it has other things to do
						return
					}
					if !c.found {
						w.WriteHeader(http.StatusNotFound)
					}
					w.Write([]byte(`{"orderId":7,"status":"NEW"}`))
				}).newEngine(t, engine.Config{Auth: auth.Basic{User: "u", Password: "p"}})
				require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "order", Quota: 100, Per: time.Second}}))
				placed, err := place(context.Background(), eng, "mine", engine.Values{"symbol": "BTCUSDT"})
				require.Equal(t, c.want, engine.OutcomeOf(err), "%v", err)
				require.Equal(t, c.asked, asked)
				if c.want == engine.Done {
					require.EqualValues(t, 7, placed.OrderID)
				}
			})
		})
	}
}
