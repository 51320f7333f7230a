package main

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// dead is a URL where nobody listens.
func dead(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String() + "/"
}

func TestVerbsSayWhyADeadServerAnswersNothing(t *testing.T) {
	for code, args := range map[int][]string{
		exitFound: {"capacity", "--callers", "1,2,3,4,5", "--step", "100ms", "--warmup", "0s", "--pause", "0s"},
		exitUsage: {"ab", "--a", "", "--b", "--client nethttp", "--pairs", "10", "--requests", "1500"},
	} {
		got, _, stderr := sluice(t, append(args, dead(t), "--quiet")...)
		require.Equal(t, code, got, "%v: %s", args, stderr)
		require.Contains(t, stderr, "connection refused", args)
	}
}

func TestTheVersionIsOfTheModuleAndOfGo(t *testing.T) {
	code, out, _ := sluice(t, "--version")
	require.Zero(t, code)
	require.Contains(t, out, runtime.Version())
}

func TestWhatIsTooMuchIsNamedAndWhereItMayBelong(t *testing.T) {
	code, _, stderr := sluice(t, "doctor", "--json", "doctor.json")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "doctor.json is too much: sluice doctor takes flags alone; a value of --json is written behind a =, as in --json=doctor.json")
	_, _, stderr = sluice(t, "limits", "more")
	require.Contains(t, stderr, "more is too much: sluice limits takes flags alone\n")
}
