package scale

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/throttle"
)

func TestPointsAreReadWithTheirSuffixes(t *testing.T) {
	points, err := ParsePoints([]string{"8MB", "10k", "64KB", "1000", "1M", "1k"})
	require.NoError(t, err)
	require.Equal(t, []int{1000, 10_000, 64 << 10, 1_000_000, 8 << 20}, points, "in order, and each once")
	for _, wrong := range []string{"", "k", "-1", "0", "1.5k", "ten", "1TB", "2000m", "99999999999999999999", " 1"} {
		_, err := ParsePoints([]string{wrong})
		require.ErrorContains(t, err, "want a whole number", "%q", wrong)
	}
}

func TestCurvesAreFoundByName(t *testing.T) {
	all, err := CurvesNamed()
	require.NoError(t, err)
	require.Len(t, all, len(Curves()))
	some, err := CurvesNamed("new", "keys")
	require.NoError(t, err)
	require.Equal(t, "keys", some[0].Name, "in the order of all curves")
	require.Equal(t, "new", some[1].Name)
	_, err = CurvesNamed("nonsense")
	require.ErrorContains(t, err, `curve "nonsense" is unknown; there are ledger-keys, keys`)
}

func TestEveryCurveHasItsBarsWhereItHasPoints(t *testing.T) {
	seen := map[string]bool{}
	bars := 0
	for _, c := range Curves() {
		require.False(t, seen[c.Name], c.Name)
		seen[c.Name] = true
		require.NotEmpty(t, c.Points, c.Name)
		require.NotEmpty(t, c.Quick, c.Name)
		require.True(t, slices.IsSorted(c.Points), c.Name)
		require.LessOrEqual(t, slices.Max(c.Quick), slices.Max(c.Points), c.Name)
		for _, bar := range c.Bars {
			bars++
			require.True(t, bar.X == c.Base || slices.Contains(c.Points, bar.X), "%s: no point at the bar %v", c.Name, bar)
			require.NotEqual(t, bar.Most > 0, bar.Least > 0, "%s: %v is at most or at least", c.Name, bar)
			(&Point{X: bar.X}).figure(bar.Of) // panics for a figure that no point has
		}
	}
	require.Greater(t, bars, 20)
}

func TestOnlyABaseThatAllPointsShareHasAnXOfItsOwn(t *testing.T) {
	limits, keys := curveNamed(t, "limits"), curveNamed(t, "keys")
	require.Equal(t, 10, limits.job(AtBase, 1000, false).X)
	require.Equal(t, 1000, limits.job(AtPoint, 1000, false).X)
	require.Equal(t, 100, keys.job(AtBase, 100, false).X)
	connections := curveNamed(t, "connections")
	require.Equal(t, 64, connections.job(PeerBase, 1024, false).X)
	require.Equal(t, 1024, connections.job(Peer, 1024, false).X)
}

func TestNumbersAreWrittenToThreeDigits(t *testing.T) {
	for want, got := range map[string]string{
		"100,000": grouped(100_000), "999": grouped(999), "1,000,000": grouped(1_000_000),
		"64 KB": size(64 << 10), "8 MB": size(8 << 20), "131 B": size(131), "4.79 KB": size(4900),
		"1.23 µs": duration(1.234), "161 ns": duration(0.161), "1,013 s": duration(1013e6), "5.57 ms": duration(5570), "-970 µs": duration(-970), "0 µs": duration(0),
		"1.05": digits(1.049), "1": digits(1), "44.4": digits(44.41), "577": digits(577.2), "12,345": digits(12345),
	} {
		require.Equal(t, want, got)
	}
}

func TestAnAnswerIsJSONOfExactlyTheBytesAskedFor(t *testing.T) {
	require.True(t, json.Valid([]byte(smallest)))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(len(smallest), 100_000).Draw(t, "bytes")
		body := answer(n)
		require.Len(t, body, n)
		require.True(t, json.Valid(body))
	})
}

func TestAllKeysTogetherAreAllowedTheRateOfOne(t *testing.T) {
	for _, keys := range []int{1, 64, 100, 1000, 10_000, 100_000} {
		limit := keyedLimit(keysRate / float64(keys))
		require.InEpsilon(t, keysRate, float64(keys)*float64(limit.Quota)/limit.Per.Seconds(), 0.01, "%d keys", keys)
	}
}

// A table has as many limits as it is asked for, or the measurement would be about
// something else.
func TestATableHasAsManyLimitsAsAskedFor(t *testing.T) {
	for _, n := range []int{2, 10, 1000} {
		require.Len(t, table(n), n)
	}
}

// Whoever is granted was waiting, and waits again: the ledger's queue never shrinks.
func TestKeysInTheLedgerWaitAllTheTime(t *testing.T) {
	w, err := waitingPermits(50)
	require.NoError(t, err)
	for range 10 {
		began := w.now
		require.NoError(t, w.grant(500))
		require.Equal(t, 50, w.ledger.Len())
		require.InDelta(t, 10, (w.now - began).Seconds(), 1, "500 grants of 50 keys, each once a second")
	}
}

// Callers that begin one after the other, and of whom each asks again at once, leave
// at the rate that is allowed from the beginning: nothing is saved up that would be
// used while the rate is measured, and nothing is lost.
func TestKeysLeaveAtTheRateThatIsAllowedFromTheBeginning(t *testing.T) {
	const keys, rate, lead, span = 200, 100, 2250 * time.Millisecond, 10 * time.Second
	ledger, err := throttle.New([]throttle.Limit{keyedLimit(rate / float64(keys)), {ID: "all", Quota: beyondReach, Per: time.Second}}, throttle.Options{})
	require.NoError(t, err)
	var now time.Duration
	left := 0
	granted := func(p *throttle.Permit) {
		if now > lead && now <= lead+span {
			left++
		}
		ledger.Settle(now, p, throttle.Outcome{})
		require.NoError(t, ledger.Acquire(now, p))
		require.Equal(t, throttle.Queued, p.State(), "its key has to wait")
	}
	next := func() {
		for p := ledger.Next(now); p != nil; p = ledger.Next(now) {
			granted(p)
		}
	}
	passTo := func(end time.Duration) {
		for at, ok := ledger.Wake(); ok && at <= end; at, ok = ledger.Wake() {
			now = max(now, at)
			next()
		}
		now = end
	}
	for i := range keys {
		passTo(time.Duration(i) * time.Second / rate)
		p := &throttle.Permit{Limit: "keyed", Key: strconv.Itoa(i)}
		require.NoError(t, ledger.Acquire(now, p))
		if p.State() == throttle.Granted {
			granted(p)
		}
		next()
	}
	passTo(lead + span)
	require.InEpsilon(t, rate*span.Seconds(), left, 0.01)
}
