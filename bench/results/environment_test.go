package results

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheEnvironmentOfThisProcessIsTold(t *testing.T) {
	e := ReadEnvironment()
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, e.Host)
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, e.System)
	require.NotEmpty(t, e.CPU)
	require.Equal(t, runtime.NumCPU(), e.CPUs)
	require.Equal(t, runtime.GOMAXPROCS(0), e.Procs)
	require.Equal(t, runtime.Version(), e.Go)
	require.GreaterOrEqual(t, e.Load, 0.0)
}

func TestTheModelTheLoadAndTheGovernorAreReadFromWhatLinuxTells(t *testing.T) {
	require.Equal(t, "A CPU @ 2 GHz", modelIn("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name : other\n"))
	require.Empty(t, modelIn("nothing"))
	require.InDelta(t, 1.25, loadIn("1.25 0.50 0.10 1/200 999\n"), 1e-9)
	require.Zero(t, loadIn(""))
	dir := t.TempDir()
	for name, text := range map[string]string{"cpu0": "powersave\n", "cpu1": "performance\n", "cpu2": "powersave\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.Equal(t, "powersave, performance", governors(filepath.Join(dir, "cpu*")))
	require.Empty(t, governors(filepath.Join(dir, "none*")))
	require.Empty(t, fileText(dir))
}

func TestTheCommitAndTheModulesAreThoseOfTheBuild(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Path: "github.com/sluice-engine/sluice/bench", Version: "v1.2.3"},
		Deps: []*debug.Module{
			{Path: "github.com/valyala/fasthttp", Version: "v1.78.0"},
			{Path: "github.com/sluice-engine/sluice", Version: "v0.0.0", Replace: &debug.Module{}},
			{Path: "example.com/other", Version: "v9.9.9"},
		},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}},
	}
	require.Equal(t, "0123456789ab modified", commitIn(info))
	require.Empty(t, commitIn(&debug.BuildInfo{}))
	require.Equal(t, map[string]string{
		"github.com/sluice-engine/sluice/bench": "v1.2.3", "github.com/valyala/fasthttp": "v1.78.0", "github.com/sluice-engine/sluice": "(devel)",
	}, modulesIn(info))
}
