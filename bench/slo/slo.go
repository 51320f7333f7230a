// Package slo reads objectives such as "p99<5ms", and says whether a run held them.
package slo

import "github.com/sluice-engine/sluice/bench/results"

// Objective is one condition on a run.
type Objective struct{}

// Parse reads an objective: "p99<5ms", "p(99)<5", "max<1s", "errors<0.1%", "achieved>99%",
// "lag.p99<2ms", "service.p50<=1ms", "rate>500/s", "unfinished<1", with "operation:" before it for one
// operation alone.
func Parse(text string) (Objective, error) { panic("to be written") }

// String returns the objective as it was written.
func (o Objective) String() string { panic("to be written") }

// Judge says what became of the objective. What was not measured has not held.
func (o Objective) Judge(run *results.Run) results.Verdict { panic("to be written") }
