package compare

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// UnlikeError is a refusal to compare runs that differ in more than what is to be compared.
type UnlikeError struct {
	// Differences are one for each thing that differs.
	Differences []string
}

// Error names all of them in one line.
func (e *UnlikeError) Error() string {
	return "these runs are not alike: " + strings.Join(e.Differences, "; ")
}

// InvalidError is a refusal to compare a run in which the harness, or nobody, held the rate.
type InvalidError struct {
	Run     string // its name or number
	Reasons []string
}

// Error says why.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s is INVALID, so its figures mean nothing: %s", e.Run, strings.Join(e.Reasons, "; "))
}

// unlike names what differs between two runs besides what they measured: the machine, the
// schedule, the model, the client and its settings, what was asked for, and how it ended.
// Versions of the program, its modules and of Go are what a comparison may be about.
func unlike(old, new *results.Run) []string {
	a, b := &old.Header, &new.Header
	var differences []string
	differ := func(what string, x, y any) {
		if !reflect.DeepEqual(x, y) {
			differences = append(differences, fmt.Sprintf("%s: %v and %v", what, orNone(x), orNone(y)))
		}
	}
	differ("host", a.Environment.Host, b.Environment.Host)
	differ("system", a.Environment.System, b.Environment.System)
	differ("CPU", a.Environment.CPU, b.Environment.CPU)
	differ("CPUs", a.Environment.CPUs, b.Environment.CPUs)
	differ("GOMAXPROCS", a.Environment.Procs, b.Environment.Procs)
	differ("governor", a.Environment.Governor, b.Environment.Governor)
	differ("machines", strings.Join(a.Machines, ","), strings.Join(b.Machines, ","))
	differ("model", a.Model, b.Model)
	differ("schedule", describe(a.Schedule), describe(b.Schedule))
	differ("planned requests", a.Planned, b.Planned)
	differ("length", a.Length, b.Length)
	differ("warm-up", a.WarmUp, b.WarmUp)
	differ("callers", a.Callers, b.Callers)
	differ("think time", a.Think, b.Think)
	differ("client", a.Client, b.Client)
	differ("connections", a.Connections, b.Connections)
	differ("targets", strings.Join(sorted(a.Targets), ", "), strings.Join(sorted(b.Targets), ", "))
	differ("end", ending(old), ending(new))
	return differences
}

// orNone writes what is empty so that it can be seen.
func orNone(x any) any {
	if x == "" {
		return "none"
	}
	return x
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// describe writes a schedule in one line.
func describe(s schedule.Spec) string {
	var parts []string
	for _, stage := range s.Stages {
		text := fmt.Sprintf("%v:%d/%v", stage.For, stage.From.Requests, stage.From.Per)
		if stage.To != stage.From {
			text += fmt.Sprintf("-%d/%v", stage.To.Requests, stage.To.Per)
		}
		parts = append(parts, text)
	}
	if s.Poisson {
		parts = append(parts, "Poisson")
	}
	if s.Seed != 0 {
		parts = append(parts, fmt.Sprintf("seed %d", s.Seed))
	}
	if s.Speed != 0 {
		parts = append(parts, fmt.Sprintf("speed %g", s.Speed))
	}
	if s.WarmUp != 0 {
		parts = append(parts, fmt.Sprintf("warm-up %v", s.WarmUp))
	}
	return strings.Join(parts, " ")
}

// ending is how a run ended; one without an end crashed.
func ending(run *results.Run) string {
	if !run.Whole {
		return "crashed"
	}
	return run.End.Reason
}
