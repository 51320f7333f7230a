package peers

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheModelIsReadFromTheProcessorsDescription(t *testing.T) {
	require.Equal(t, "Fast 9000", modelIn("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Fast 9000\nflags\t: a b\n"))
	require.Equal(t, runtime.GOARCH, modelIn("Processor: something else\n"))
}

func TestOnlyTheComparedModulesAreListedWithTheirVersions(t *testing.T) {
	modules := modulesIn(&debug.BuildInfo{
		Deps: []*debug.Module{
			{Path: "github.com/valyala/fasthttp", Version: "v1.78.0"},
			{Path: "github.com/spf13/cobra", Version: "v1.10.2"},
			{Path: sluiceModule, Version: "v0.0.0", Replace: &debug.Module{Path: "../"}},
		},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"},
			{Key: "vcs.modified", Value: "true"},
		},
	})
	require.Equal(t, []string{
		"github.com/valyala/fasthttp v1.78.0",
		sluiceModule + " (devel) 0123456789ab modified",
	}, modules)
}
