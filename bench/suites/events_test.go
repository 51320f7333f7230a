package suites

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) Outcomes {
	t.Helper()
	out, err := ReadEvents(strings.NewReader(text))
	require.NoError(t, err)
	return out
}

const twoTests = `{"Action":"start"}
{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"a.go:1: odd\n"}
{"Action":"run","Test":"TestA/sub"}
{"Action":"fail","Test":"TestA/sub"}
{"Action":"fail","Test":"TestA"}
{"Action":"run","Test":"TestB"}
{"Action":"skip","Test":"TestB"}
{"Action":"output","Output":"FAIL\n"}
{"Action":"fail"}
`

func TestVerdictsAndOutputAreReadByTest(t *testing.T) {
	out := read(t, twoTests)
	require.Equal(t, map[string]Verdict{"TestA": Fail, "TestA/sub": Fail, "TestB": Skip}, out.Verdicts)
	require.Equal(t, "a.go:1: odd\n", out.Output["TestA"])
	require.Equal(t, "FAIL\n", out.Rest)
	require.True(t, out.Ended)
	require.False(t, out.Passed)
}

func TestATestWhoseBinaryDiedDidNotEnd(t *testing.T) {
	out := read(t, `{"Action":"run","Test":"TestA"}
panic: it is no event
`)
	require.Equal(t, map[string]Verdict{"TestA": Unended}, out.Verdicts)
	require.Contains(t, out.Rest, "panic: it is no event")
	require.False(t, out.Ended)
}

func TestABinaryThatFailsWithoutAFailedTestHasAVerdictOfItsOwn(t *testing.T) {
	leaking := read(t, `{"Action":"run","Test":"TestA"}
{"Action":"pass","Test":"TestA"}
{"Action":"output","Output":"found unexpected goroutines\n"}
{"Action":"fail"}
`)
	leaking.judgeWhole()
	require.Equal(t, Fail, leaking.Verdicts[TheWhole])
	require.Contains(t, leaking.Output[TheWhole], "goroutines")

	failing := read(t, twoTests)
	failing.judgeWhole()
	require.NotContains(t, failing.Verdicts, TheWhole, "a test says it already")
}

func TestWhatHadNotBegunIsMissingAndIsAdded(t *testing.T) {
	known := Outcomes{Verdicts: map[string]Verdict{"TestA": Pass, "TestA/x": Pass, "TestB": Pass, "TestB/x": Pass, TheWhole: Pass}}
	run := Outcomes{Verdicts: map[string]Verdict{"TestA": Unended}, Output: map[string]string{}}
	require.Equal(t, []string{"TestB"}, run.missing(known))

	more := Outcomes{Verdicts: map[string]Verdict{"TestA": Pass, "TestB": Fail, "TestB/x": Fail}}
	require.Equal(t, 1, run.add(more))
	require.Equal(t, map[string]Verdict{"TestA": Unended, "TestB": Fail, "TestB/x": Fail}, run.Verdicts)
	require.Zero(t, run.add(more), "so that running again ends")
}

func TestThoseThatRanBesideATestWithoutEndAreJudgedAlone(t *testing.T) {
	run := Outcomes{Verdicts: map[string]Verdict{
		"TestA": Unended, "TestA/sub": Unended, "TestA/done": Pass, "TestB": Unended, "TestC": Pass, "TestC/sub": Unended,
	}, Output: map[string]string{}}
	require.Equal(t, []string{"TestA", "TestB"}, run.besides())
	run.forget("TestA")
	run.add(Outcomes{Verdicts: map[string]Verdict{"TestA": Pass, "TestA/sub": Pass, "TestC/sub": Pass}})
	require.Equal(t, map[string]Verdict{"TestA": Pass, "TestA/sub": Pass, "TestB": Unended, "TestC": Pass, "TestC/sub": Unended}, run.Verdicts)
	require.Empty(t, run.besides(), "who is left is to blame")
}
