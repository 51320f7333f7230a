package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Environment is what a figure means nothing without.
type Environment struct {
	Command    string    `json:"command"` // as typed, the program's directory apart
	CPU        string    `json:"cpu"`     // the processor's model, or its architecture if the system does not tell
	Cores      int       `json:"cores"`
	GOMAXPROCS int       `json:"gomaxprocs"`
	System     string    `json:"system"`
	Go         string    `json:"go"`
	Modules    []string  `json:"modules"` // the modules compared, each "path version"
	Date       time.Time `json:"date"`
}

// ReadEnvironment describes this process and the machine under it.
func ReadEnvironment() Environment {
	return Environment{
		Command:    strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " "),
		CPU:        cpuModel(),
		Cores:      runtime.NumCPU(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Go:         runtime.Version(),
		Modules:    comparedModules(),
		Date:       time.Now(),
	}
}

// String returns the environment as lines of a table's head.
func (e Environment) String() string {
	return fmt.Sprintf("command  %s\nmachine  %s, %d cores, GOMAXPROCS %d, %s\nversion  %s, %s\ndate     %s\n",
		e.Command, e.CPU, e.Cores, e.GOMAXPROCS, e.System,
		e.Go, strings.Join(e.Modules, ", "), e.Date.Format(time.RFC3339))
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo") // Linux only
	if err != nil {
		return runtime.GOARCH
	}
	return modelIn(string(info))
}

func modelIn(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

const sluiceModule = "github.com/sluice-engine/sluice"

var compared = map[string]bool{
	sluiceModule:                            true,
	"github.com/valyala/fasthttp":           true,
	"github.com/asynkron/protoactor-go":     true,
	"github.com/hashicorp/go-retryablehttp": true,
	"github.com/failsafe-go/failsafe-go":    true,
	"github.com/imroc/req/v3":               true,
	"resty.dev/v3":                          true,
}

func comparedModules() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return []string{"versions unknown"}
	}
	return modulesIn(info)
}

func modulesIn(info *debug.BuildInfo) []string {
	var modules []string
	for _, m := range info.Deps {
		if !compared[m.Path] {
			continue
		}
		version := m.Version
		if m.Replace != nil || version == "" {
			version = "(devel)"
		}
		if m.Path == sluiceModule {
			version += revision(info)
		}
		modules = append(modules, m.Path+" "+version)
	}
	return modules
}

// revision returns the commit the program was built from, if it was recorded.
func revision(info *debug.BuildInfo) string {
	text := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text += " " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			text += " modified"
		}
	}
	return text
}
