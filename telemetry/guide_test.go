package telemetry_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

const guide = "../docs/guide/opentelemetry.md"

// row is what the guide says of an instrument.
type row struct {
	unit  string
	attrs []string // sorted
}

// rowsOf reads the tables of instruments in the guide.
func rowsOf(t *testing.T) map[string]row {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	rows := map[string]row{}
	for _, line := range regexp.MustCompile("(?m)^\\| `([a-z._]+)` \\| ([^|]+) \\|([^|]*)\\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		var attrs []string
		for _, attr := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line[3], -1) {
			attrs = append(attrs, attr[1])
		}
		slices.Sort(attrs)
		require.NotContains(t, rows, line[1])
		rows[line[1]] = row{line[2], attrs}
	}
	return rows
}

func TestTheGuideHasEveryInstrumentAsItIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, ok).newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "depth", Quota: 10, Per: time.Hour}}, DefaultLimitID: "depth",
			Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
				return engine.TimeReading{Server: time.Now(), Sent: time.Now(), Received: time.Now()}, nil
			}),
		})
		hooks := watch(t, eng, telemetry.Config{MeterProvider: m}).Observer()
		require.NoError(t, eng.AwaitTime(t.Context()))
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/book"})
		require.NoError(t, err)
		everythingHappens(t.Context(), hooks)

		collected := map[string]row{}
		for _, r := range m.read(t) {
			attrs := collected[r.name].attrs
			for _, attr := range r.attrs.ToSlice() {
				attrs = append(attrs, string(attr.Key))
			}
			slices.Sort(attrs)
			collected[r.name] = row{r.unit, slices.Compact(attrs)}
			require.NotEmpty(t, strings.TrimSpace(r.about), r.name)
		}
		require.Equal(t, rowsOf(t), collected)
	})
}

// everythingHappens to requests that can, so that each attribute is met.
func everythingHappens(ctx context.Context, hooks engine.Observer) {
	for _, err := range []error{nil, engine.ErrQueueFull} {
		hooks.Wait(ctx, engine.Waited{Request: get, LimitID: "depth", Queued: 1, Leased: 1, Err: err})
	}
	hooks.Attempt(ctx, engine.Attempted{Request: get, Origin: venue, Number: 1, StatusCode: 429, ProtoMajor: 1, ProtoMinor: 1, Again: true, Refused: true, Paused: 1})
	hooks.End(ctx, answered("depth", 200, 1))
	hooks.End(ctx, failed("depth", engine.ErrOverloaded))
}

// An alert on the first event can fire only if there is a series before it, at 0.
func TestWhatTheGuideRaisesAnAlertForBeginsAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, err := os.ReadFile(guide)
		require.NoError(t, err)
		m := newMeters(t)
		watch(t, newServer(t, ok).newEngine(t, engine.Config{}), telemetry.Config{MeterProvider: m})
		atZero := map[string]bool{}
		for _, r := range m.read(t) {
			series := strings.ReplaceAll(r.name, ".", "_") + "_total"
			for _, attr := range r.attrs.ToSlice() {
				series += "{" + strings.ReplaceAll(string(attr.Key), ".", "_") + `="` + attr.Value.String() + `"}`
			}
			atZero[series] = r.value == 0
		}
		alerts := regexp.MustCompile("`increase\\((.+)\\[").FindAllStringSubmatch(string(text), -1)
		require.Len(t, alerts, 3)
		for _, alert := range alerts {
			require.True(t, atZero[alert[1]], "%s in %v", alert[1], atZero)
		}
	})
}

// The guide names the words that errors are told by.
func TestTheGuideNamesOnlyErrorsThatThereAre(t *testing.T) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	words, err := os.ReadFile("words.go")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(text), "one word for the cause:\n")
	require.True(t, found)
	list, _, found = strings.Cut(list, " and a few more")
	require.True(t, found)
	named := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(list, -1)
	require.Greater(t, len(named), 10)
	for _, word := range named {
		require.Contains(t, string(words), `"`+word[1]+`"`)
	}
}

func TestTheGuideShowsWhatIsCompiled(t *testing.T) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	compiled, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	shown := 0
	for i, part := range strings.Split(string(text), "```") {
		if snippet, is := strings.CutPrefix(part, "go\n"); is && i%2 == 1 {
			shown++
			require.Contains(t, string(compiled), snippet)
		}
	}
	require.Equal(t, 3, shown)
}
