package suites

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

func verdicts(v map[string]Verdict) Outcomes { return Outcomes{Verdicts: v} }

func TestOnlyVerdictsThatAreNotTheBaselinesDiffer(t *testing.T) {
	baseline := verdicts(map[string]Verdict{"Same": Pass, "Skipped": Skip, "Broken": Fail, "Better": Fail, "Worse": Pass, "Gone": Pass, "Stuck": Pass})
	run := verdicts(map[string]Verdict{"Same": Pass, "Skipped": Pass, "Broken": Fail, "Better": Pass, "Worse": Fail, "Stuck": Unended})
	var told []string
	for _, d := range Differ(baseline, run) {
		told = append(told, d.Test+" "+string(d.Got)+" "+string(d.Fate))
	}
	require.Equal(t, []string{"Better pass gained", "Gone  ", "Stuck did not end ", "Worse fail "}, told)
}

func TestADifferenceIsToldOnceByTheSubtestThatHasIt(t *testing.T) {
	baseline := verdicts(map[string]Verdict{"TestA": Pass, "TestA/x": Pass, "TestA/y": Pass, "TestA/port1": Pass, "TestAB": Pass})
	run := verdicts(map[string]Verdict{"TestA": Fail, "TestA/x": Fail, "TestA/y": Pass, "TestA/port2": Pass, "TestAB": Fail})
	var told []string
	for _, d := range Differ(baseline, run) {
		told = append(told, d.Test)
	}
	require.Equal(t, []string{"TestA/x", "TestAB"}, told)
}

func TestAReasonCoversItsTestSubtestsAndModeAlone(t *testing.T) {
	r := Reason{Suite: "s", Test: "TestA", Mode: carrier.Read}
	require.True(t, r.covers("s", "TestA", carrier.Read))
	require.True(t, r.covers("s", "TestA/x", carrier.Read))
	require.False(t, r.covers("s", "TestAB", carrier.Read))
	require.False(t, r.covers("s", "TestA", carrier.Streamed))
	require.False(t, r.covers("other", "TestA", carrier.Read))
	r.Mode = ""
	require.True(t, r.covers("s", "TestA", carrier.Streamed))
}

func TestAReasonIsStaleThatNoDifferenceNeeds(t *testing.T) {
	result := Result{
		Suite: Suite{Name: "s"}, Failed: []string{"TestD", "TestE/x"},
		Differences: []Difference{{Suite: "s", Test: "TestA", Mode: carrier.Read}},
	}
	reasons := []Reason{
		{Suite: "s", Test: "TestA"},
		{Suite: "s", Test: "TestA", Mode: carrier.Streamed},
		{Suite: "s", Test: "TestB"},     // it passes, or there is none of that name
		{Suite: "s", Test: "TestD"},     // it fails in the baseline
		{Suite: "s", Test: "TestE"},     // and so does a subtest of this
		{Suite: "other", Test: "TestA"}, // did not run
		{Suite: "s", Test: "TestF", Pace: true},
	}
	streamed, read := carrier.Streamed, carrier.Read
	require.Equal(t, []Reason{
		{Suite: "s", Test: "TestA", Mode: streamed}, // it differs read whole alone
		{Suite: "s", Test: "TestA", Mode: streamed},
		{Suite: "s", Test: "TestB", Mode: streamed},
		{Suite: "s", Test: "TestB", Mode: read},
	}, Stale(reasons, []Result{result}, Modes))
	require.Equal(t, []Reason{{Suite: "s", Test: "TestB", Mode: read}}, Stale(reasons, []Result{result}, []string{read}))
}

func TestTestsWithAReasonAreKnownByTheirRoot(t *testing.T) {
	cfg := Config{Reasons: []Reason{
		{Suite: "s", Test: "TestB/x/y"}, {Suite: "s", Test: "TestB"}, {Suite: "s", Test: "TestA", Mode: carrier.Read},
		{Suite: "s", Test: "TestGone"}, {Suite: "other", Test: "TestC"},
	}}
	known := verdicts(map[string]Verdict{"TestA": Pass, "TestB": Pass, "TestB/x": Pass, "TestC": Pass})
	require.Equal(t, []string{"TestA", "TestB"}, cfg.listed("s", carrier.Read, known))
	require.Equal(t, []string{"TestB"}, cfg.listed("s", carrier.Streamed, known))
	require.Equal(t, map[string]Verdict{"TestB": Pass, "TestB/x": Pass}, known.of("TestB").Verdicts)
}

func TestOnlyDifferencesWithoutAReasonAreCounted(t *testing.T) {
	result := Result{
		Suite: Suite{Name: "s", Version: "v1", Excluded: []Exclusion{{"TestNet", "it asks the internet"}}}, Tests: 4, Baseline: 3,
		Passed: map[string]int{carrier.Read: 2}, Carried: map[string]int{carrier.Read: 9}, Left: map[string]int{"DialTLS": 2},
		Differences: []Difference{
			{Suite: "s", Test: "TestA", Mode: carrier.Read, Want: Pass, Got: Fail, Fate: Unlisted, Output: "what it said\n", Repeated: 3, Differed: 3},
			{Suite: "s", Test: "TestB", Mode: carrier.Read, Want: Pass, Got: Fail, Fate: Listed, Reason: "because"},
			{Suite: "s", Test: "TestC", Mode: carrier.Read, Want: Pass, Fate: Unsteady, Repeated: 3, Differed: 1},
			{Suite: "s", Test: "TestD", Mode: carrier.Read, Want: Fail, Got: Pass, Fate: Gained},
		},
		Dropped: []Dropped{{"TestX", "is inside"}, {"TestY", "is inside"}},
	}
	var out strings.Builder
	unlisted, err := Report{Modes: []string{carrier.Read}}.Write(&out, []Result{result}, []Reason{{Suite: "s", Test: "TestOld"}})
	require.NoError(t, err)
	require.Equal(t, 1, unlisted)
	for _, want := range []string{
		"what it said", "TestB in : pass -> fail: because", "did not run, alone in 1 of 3", "stale     s TestOld", "it asks the internet",
		"dropped   s: 2 tests", "2 requests went through net/http: DialTLS", "1 differences without a reason",
	} {
		require.Contains(t, out.String(), want)
	}
}

func TestTestsThatNeedATransportAreCountedApart(t *testing.T) {
	result := newResult(Suite{Name: "s"})
	result.Needs = map[string]string{"TestB": "Dial", "TestC": "Proxy", "TestDropped": "Dial"}
	baseline := verdicts(map[string]Verdict{"TestA": Pass, "TestA/x": Pass, "TestB": Pass, "TestC": Pass, "TestD": Fail, "TestDropped": Skip, TheWhole: Pass})
	run := verdicts(map[string]Verdict{"TestA": Pass, "TestA/x": Pass, "TestB": Fail, "TestC": Pass, "TestD": Pass, TheWhole: Pass})
	result.tally(baseline, baseline, "")
	result.tally(baseline, run, carrier.Read)
	require.Equal(t, Tally{3, map[string]int{carrier.Read: 2}}, result.Roots)
	require.Equal(t, Tally{1, map[string]int{carrier.Read: 1}}, result.Plain)
	var out strings.Builder
	_, err := Report{Modes: []string{carrier.Read}, Verbose: true}.Write(&out, []Result{result}, nil)
	require.NoError(t, err)
	for _, want := range []string{
		"3 tests at the root pass in the baseline; read 2 (66.7 %)", "1 of them need no more than a RoundTripper; read 1 (100.0 %)",
		"2 Dial: TestB TestDropped",
	} {
		require.Contains(t, out.String(), want)
	}
}

func TestExcludedTestsAreSkippedByTheirWholeNames(t *testing.T) {
	s := Suite{Excluded: []Exclusion{{Test: "TestA"}, {Test: "TestB/a.b"}}}
	require.Equal(t, `^TestA$|^TestB$/^a\.b$`, s.skips(nil))
	require.Equal(t, `^TestC$|^TestA$|^TestB$/^a\.b$`, s.skips([]string{"TestC"}))
	require.Empty(t, Suite{}.skips(nil))
}

func TestEverySuiteIsPinnedAndEveryReasonHasOne(t *testing.T) {
	names := map[string]bool{}
	for _, s := range All {
		require.False(t, names[s.Name], s.Name)
		names[s.Name] = true
		require.NotEqual(t, s.Module == "", s.Std == "", s.Name)
		require.Equal(t, s.Module != "", s.Version != "", s.Name)
		for _, e := range s.Excluded {
			require.NotEmpty(t, e.Reason, e.Test)
		}
	}
	for _, r := range Reasons {
		require.True(t, names[r.Suite], r.Suite)
		require.NotEmpty(t, r.Why, r.Test)
	}
	_, err := Choose([]string{"slng"}, false)
	require.ErrorContains(t, err, `no suite "slng"`)
	subset, err := Choose(nil, true)
	require.NoError(t, err)
	require.NotEmpty(t, subset)
	require.Less(t, len(subset), len(All))
}

func TestAFolderIsUsedByOneRunAtATime(t *testing.T) {
	dir := t.TempDir()
	release, err := lock(dir)
	require.NoError(t, err)
	_, err = lock(dir)
	require.ErrorContains(t, err, "--dir")
	release()
	release, err = lock(dir)
	require.NoError(t, err)
	release()
}
