package referee

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

var (
	seed     = flag.Uint64("seed", 1, "of all draws; SLUICE_SEED if it is set")
	arrivals = flag.Int("arrivals", 200_000, "in all scenarios together")
	only     = flag.String("scenario", "", "one alone")
)

func TestTheEngineKeepsItsPromises(t *testing.T) {
	if text := os.Getenv("SLUICE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		*seed = n
	}
	report := Play(t, Config{Seed: *seed, Arrivals: *arrivals, Scenario: *only, Out: os.Stdout})
	require.Zero(t, report.Violations)
}

// named returns the scenario of a name.
func named(t *testing.T, name string) *scenario {
	for i := range scenarios {
		if scenarios[i].name == name {
			return &scenarios[i]
		}
	}
	t.Fatalf("no scenario %q", name)
	return nil
}

// A gate that cannot fail is none: an engine that believes in twice the quota is
// caught with every kind of window.
func TestAnEngineThatBelievesInTwiceTheQuotaIsCaught(t *testing.T) {
	for k := range kinds {
		w := playWorld(t, named(t, "demand"), k, 7, 1000, func(w *world) { w.cheat = 2 })
		require.Contains(t, w.whats(), "over the limit main", k)
		var out strings.Builder
		require.Positive(t, w.report(&out).Violations)
		require.Contains(t, out.String(), "written at")
	}
}

func TestAnEngineThatIsDeafToRefusalsIsCaught(t *testing.T) {
	w := playWorld(t, named(t, "refused"), sliding, 7, 1000, func(w *world) { w.deaf = true })
	require.Contains(t, w.whats(), "sent during a pause")
}

func TestAnEngineThatLeavesQuotaUnusedIsCaught(t *testing.T) {
	lazy := *named(t, "demand")
	lazy.callers = 2
	w := playWorld(t, &lazy, fixed, 7, 1000, nil)
	require.Contains(t, w.whats(), "left quota unused")
}

// A world that ends within its warm-up, or soon after, has no windows to judge by.
func TestAnEngineIsNotAccusedOfWhatAShortWorldLeavesUnused(t *testing.T) {
	for _, target := range []int{400, 600, 1000} {
		var out strings.Builder
		report := playScenario(t, named(t, "demand"), 1, target, &out)
		require.Zero(t, report.Violations, "%d arrivals: %s", target, out.String())
		require.Contains(t, out.String(), "fixed too short to judge use of the quota")
	}
	var out strings.Builder
	playScenario(t, named(t, "demand"), 1, 3000, &out)
	require.Regexp(t, `, fixed \d+\.\d+ %`, out.String())
	require.NotContains(t, out.String(), "too short")
}

func TestWhatIsLeftOpenIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(named(t, "streams"), sliding, 7, 1000)
		eng, err := engine.New(w.config())
		require.NoError(t, err)
		w.eng = eng
		go w.run()
		k := &caller{w, w.rng}
		c, req := k.draw()
		req.Stream, req.Timeout = true, -1
		resp, err := eng.Do(t.Context(), req)
		require.NoError(t, err)
		k.note(c, resp, err)
		w.close()
		require.Contains(t, w.whats(), "left something in use")
		_ = resp.Stream.Close()
	})
}

// Each definition, held against what it must and must not allow.
func TestTheDefinitionsAreThoseOfTheBooks(t *testing.T) {
	const s = time.Second
	at := func(seconds ...float64) (all []*arrival) {
		for _, n := range seconds {
			a := time.Duration(n * float64(s))
			all = append(all, &arrival{at: a, landed: a, since: a, ended: a + s/2, weight: 1})
		}
		return all
	}
	for _, c := range []struct {
		rule
		fine, over []float64
	}{
		{rule{kind: sliding, quota: 2, per: s}, []float64{0, 0.9, 1, 1.9}, []float64{0, 0.9, 0.999}},
		{rule{kind: fixed, quota: 2, per: s}, []float64{0.8, 0.9, 1, 1.1, 2}, []float64{1, 1.5, 1.9}},
		{rule{kind: fixed, quota: 2, per: s, offset: s / 2}, []float64{1, 1.4, 1.5, 2.4}, []float64{0.5, 1, 1.4}},
		{rule{kind: fromFirst, quota: 2, per: s}, []float64{0.8, 1.7, 1.8, 2.7}, []float64{0.8, 1, 1.7}},
		{rule{kind: leaky, quota: 1, per: s, burst: 2}, []float64{0, 0, 1, 2, 5, 5}, []float64{0, 0, 0.9}},
		{rule{kind: ticking, quota: 1, per: s, burst: 2, tick: s}, []float64{0.9, 0.9, 1, 2}, []float64{0, 0, 0.9}},
		{rule{kind: concurrent, quota: 2}, []float64{0, 0, 0.5, 0.5}, []float64{0, 0, 0.4}},
		{rule{kind: lifetime, quota: 2}, []float64{0, 9}, []float64{0, 9, 99}},
	} {
		r := counted{versions: []*version{{rule: c.rule}}}
		require.Empty(t, r.offences(at(c.fine...)), c.rule)
		require.Equal(t, []int{2}, r.offences(at(c.over...)), c.rule)
	}
}

func TestALimitIsLoweredForWhatIsGrantedLater(t *testing.T) {
	const s = time.Second
	r := counted{versions: []*version{{rule: rule{kind: sliding, quota: 2, per: s}}}}
	r.becomes(rule{kind: sliding, quota: 1, per: s}, 10*s, 10*s)
	sent := func(since, at time.Duration) *arrival {
		return &arrival{at: at, landed: at, since: since, weight: 1}
	}
	require.Empty(t, r.offences([]*arrival{sent(9*s, 9*s), sent(9*s, 10*s-1)}))
	require.Empty(t, r.offences([]*arrival{sent(9*s, 9*s+s/2), sent(10*s, 10*s+1)}), "it may be on its way")
	require.Equal(t, []int{1}, r.offences([]*arrival{sent(9*s, 9*s+s/2), sent(10*s+1, 10*s+2)}))
}
