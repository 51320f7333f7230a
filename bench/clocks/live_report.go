package clocks

import (
	"fmt"
	"io"
)

// Verdicts compares a live run with what is promised.
func (r LiveRow) Verdicts() []Verdict {
	return []Verdict{
		none("signed requests refused for their timestamp", r.Ahead+r.Behind, r.Requests),
		none("signed requests not accepted", r.Requests-r.Accepted, r.Requests),
		none("the exchange's time outside the engine's bound", r.BoundFailures, r.Checks),
	}
}

// WriteText writes the run for people.
func (r LiveRow) WriteText(w io.Writer) error {
	if r.FirstRefusal != "" {
		fmt.Fprintf(w, "\nfirst refusal %s\n", r.FirstRefusal)
	}
	_, err := fmt.Fprintf(w, `
exchange  clock %+g ms ahead, gaining ±%g ppm, sign changing every 2 s; %s either way
client    %d workers, receive window %d ms
requests  %d signed: %d accepted, %d too new, %d too old, %d without an answer, %d other violations
speed     %.1f s, %.0f a second
clock     %d checks: error mean %.2f ms, max %.2f ms; bound at most %.2f ms, wrong %d times

`, r.Skew, r.DriftPPM, r.Network, r.Workers, r.Window,
		r.Requests, r.Accepted, r.Ahead, r.Behind, r.Failed, r.Other,
		r.Seconds, float64(r.Requests)/r.Seconds,
		r.Checks, r.MeanError, r.MaxError, r.MaxBound, r.BoundFailures)
	return err
}
