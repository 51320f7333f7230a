package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/parked"
)

// parkedFlags are the flags of the parked verb as they were typed.
type parkedFlags struct {
	waiting  int
	requests int
	json     string
}

func newParkedCommand() *cobra.Command {
	var f parkedFlags
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Have a million submitted requests wait for a limit, and cancel them",
		Long: `Have a million submitted requests wait for a limit, and cancel them together: how much
memory the process is resident with at the peak, how much CPU each took to be submitted,
and how long it takes until all have been told that they were cancelled.

Then 10,000 callers in Do, and 10,000 submitted requests without callers, share 64
connections to a server in the same process; their throughput is told in parts of that
of 64 callers, and so is the CPU that each request took, the server's included.

Exit codes: 0 all is well, 1 a bar was missed (1.2 GB, 4 µs, 3 s for a million), or it
was interrupted, 2 wrong flags or a refusal of the system.`,
		Example: `  sluice parked                           a million, and 200,000 for each row
  sluice parked --waiting 100000 --requests 0`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.waiting, "waiting", 1_000_000, "how many requests wait, at least 1")
	flags.IntVar(&f.requests, "requests", 200_000, "how many requests each row is measured with; 0 leaves the rows out")
	flags.StringVar(&f.json, "json", "", "write what was measured to this `file` as JSON as well"+orOutput)
	return cmd
}

func (f parkedFlags) run(cmd *cobra.Command) error {
	if f.waiting < 1 || f.requests < 0 {
		return fmt.Errorf("--waiting %d --requests %d: want at least 1 and 0", f.waiting, f.requests)
	}
	var files namedFiles
	files.writes("--json", f.json)
	if err := files.check(); err != nil {
		return err
	}
	var measured struct {
		Parking parked.Parking `json:"parking"`
		Rows    []parked.Row   `json:"rows"`
	}
	var err error
	if measured.Parking, err = parked.Park(cmd.Context(), f.waiting); err != nil {
		return interruptedAfter(cmd.Context(), err, "nothing that was measured")
	}
	p, to := measured.Parking, files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	tellOfParking(to.people, p)
	if f.requests > 0 {
		if measured.Rows, err = parked.Crowds(cmd.Context(), f.requests); err != nil {
			return interruptedAfter(cmd.Context(), err, "what is above")
		}
		tellOfCrowds(to.people, measured.Rows)
	}
	err = to.write("--json", f.json, asJSON(measured))
	if missed := p.Missed(); len(missed) > 0 {
		err = errors.Join(err, finding{"missed: " + strings.Join(missed, "; ")})
	}
	return err
}

func tellOfParking(w io.Writer, p parked.Parking) {
	fmt.Fprintf(w, "%d requests wait for a limit\n", p.Requests)
	fmt.Fprintf(w, "  resident at the peak   %8.2f GB\n  each, on heap and stacks %6.0f B\n  goroutines more        %8d\n", float64(p.PeakBytes)/1e9, p.BytesEach, p.Goroutines)
	fmt.Fprintf(w, "  CPU to submit one      %8.2f µs\n", p.SubmitCPU)
	if p.TouchCPU > 0 {
		fmt.Fprintf(w, "    of it the system's   %8.2f µs, to hand out so much memory that is used for the first time\n", p.TouchCPU)
	}
	fmt.Fprintf(w, "  to cancel all          %8.2f s, %.2f µs of CPU each\n", p.CancelTime, p.CancelCPU)
}

func tellOfCrowds(w io.Writer, rows []parked.Row) {
	fmt.Fprintf(w, "\n%-24s %12s %10s %14s\n", "on 64 connections", "requests/s", "relative", "CPU each")
	for _, row := range rows {
		fmt.Fprintf(w, "%-24s %12.0f %10.2f %11.2f µs\n", row.Name, row.Rate, row.Relative, row.CPU)
	}
}
