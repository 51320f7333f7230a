package results

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// ReadEnvironment describes this process and the machine under it. What the system does not
// tell stays zero, but for the processor's model, which is then its architecture.
func ReadEnvironment() Environment {
	host, _ := os.Hostname() // unknown is empty
	e := Environment{
		Host:     host,
		System:   runtime.GOOS + "/" + runtime.GOARCH,
		CPU:      runtime.GOARCH,
		CPUs:     runtime.NumCPU(),
		Procs:    runtime.GOMAXPROCS(0),
		Go:       runtime.Version(),
		Load:     loadIn(fileText("/proc/loadavg")),
		Governor: governors("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
	}
	if model := modelIn(fileText("/proc/cpuinfo")); model != "" {
		e.CPU = model
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		e.Commit, e.Modules = commitIn(info), modulesIn(info)
	}
	return e
}

// fileText is what a file of the kernel's says; empty on systems without it.
func fileText(name string) string {
	raw, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(raw)
}

func modelIn(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// loadIn reads the average of the last minute.
func loadIn(loadavg string) float64 {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

// governors names each frequency governor of the processors once.
func governors(pattern string) string {
	names, _ := filepath.Glob(pattern) // the pattern is right
	var all []string
	seen := map[string]bool{}
	for _, name := range names {
		if governor := strings.TrimSpace(fileText(name)); governor != "" && !seen[governor] {
			seen[governor] = true
			all = append(all, governor)
		}
	}
	return strings.Join(all, ", ")
}

func commitIn(info *debug.BuildInfo) string {
	commit, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " modified"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + modified
}

// measuring are the modules whose version can change what is measured.
var measuring = map[string]bool{
	"github.com/sluice-engine/sluice":         true,
	"github.com/asynkron/protoactor-go":       true,
	"github.com/valyala/fasthttp":             true,
	"github.com/HdrHistogram/hdrhistogram-go": true,
	"github.com/hashicorp/go-retryablehttp":   true,
	"github.com/failsafe-go/failsafe-go":      true,
	"github.com/imroc/req/v3":                 true,
	"resty.dev/v3":                            true,
	"golang.org/x/net":                        true,
	"github.com/klauspost/compress":           true,
	"github.com/sluice-engine/sluice/bench":   true,
}

func modulesIn(info *debug.BuildInfo) map[string]string {
	modules := map[string]string{}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if !measuring[m.Path] {
			continue
		}
		modules[m.Path] = m.Version
		if m.Replace != nil || m.Version == "" {
			modules[m.Path] = "(devel)"
		}
	}
	return modules
}
