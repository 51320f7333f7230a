package doctor

import (
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// Level is how a check ended.
type Level string

// The levels. Unknown is for what this system does not tell: it is no praise.
const (
	OK      Level = "ok"
	Warn    Level = "warn"
	Fail    Level = "fail"
	Unknown Level = "unknown"
)

// Finding is what one check found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	// Advice is what to do about it; empty where all is well.
	Advice string `json:"advice,omitempty"`
}

// Config says how to examine. The zero value is a whole examination, in about a minute.
type Config struct {
	// Quick takes some ten seconds, up to twenty on a busy machine, and its figures are rougher.
	Quick bool
	// Begun, if not nil, is called when a check begins, and Each when it has ended.
	Begun func(check string)
	Each  func(Finding)

	system fs.FS   // nil means that of this machine
	checks []check // nil means all
}

// Report is what was found.
type Report struct {
	Environment results.Environment `json:"environment"`
	Date        time.Time           `json:"date"`
	Quick       bool                `json:"quick,omitempty"`
	Findings    []Finding           `json:"findings"`
	Stall       *Stall              `json:"stall,omitempty"`
	Timers      []Timer             `json:"timers,omitempty"`
	// Dispatch is the highest rate with a client that does nothing; HTTP the highest that is
	// answered in time by a server on this very machine.
	Dispatch *Rate `json:"dispatch,omitempty"`
	HTTP     *Rate `json:"http,omitempty"`
	// Interrupted says that not all checks were made.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Failed is how many checks failed.
func (r *Report) Failed() int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == Fail {
			n++
		}
	}
	return n
}

// examination is one that goes on.
type examination struct {
	Config
	ctx     context.Context
	machine machine
	report  *Report
}

// check is one step. What it measured goes into the report.
type check struct {
	name string
	look func(*examination) Finding
}

// checks are in this order: what the system says costs nothing and may explain the rest.
func checks() []check {
	return []check{
		{"program", func(e *examination) Finding { return judgeProgram(e.report.Environment) }},
		{"processors", func(e *examination) Finding { return judgeProcessors(e.machine) }},
		{"load", func(e *examination) Finding { return judgeLoad(e.machine) }},
		{"governor", func(e *examination) Finding { return judgeGovernor(e.machine) }},
		{"files", func(e *examination) Finding { return judgeFiles(e.machine) }},
		{"ports", func(e *examination) Finding { return judgePorts(e.machine) }},
		{"somaxconn", func(e *examination) Finding { return judgeBacklog(e.machine) }},
		{"timers", (*examination).timers},
		{"stall", (*examination).stall},
		{"dispatch", (*examination).dispatch},
		{"http", (*examination).http},
	}
}

// Examine makes all checks in their order. When ctx ends it returns what was found so far.
func Examine(ctx context.Context, config Config) *Report {
	if config.system == nil {
		config.system = os.DirFS("/")
	}
	if config.checks == nil {
		config.checks = checks()
	}
	e := &examination{Config: config, ctx: ctx, report: &Report{
		Environment: results.ReadEnvironment(), Date: time.Now(), Quick: config.Quick,
	}}
	e.machine = readMachine(config.system, e.report.Environment)
	for _, c := range e.checks {
		if e.Begun != nil {
			e.Begun(c.name)
		}
		found := c.look(e)
		if ctx.Err() != nil {
			e.report.Interrupted = true
			break
		}
		found.Check = c.name
		e.report.Findings = append(e.report.Findings, found)
		if e.Each != nil {
			e.Each(found)
		}
	}
	return e.report
}

// lasting is a length of a whole examination, or of a quick one.
func (e *examination) lasting(whole, quick time.Duration) time.Duration {
	if e.Quick {
		return quick
	}
	return whole
}
