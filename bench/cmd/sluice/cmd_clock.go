package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/clocks"
	"github.com/sluice-engine/sluice/bench/peers"
)

// clockFlags are the flags of the clock verb as they were typed.
type clockFlags struct {
	json   string
	quick  bool
	day    bool
	signed int
	seed   uint64
}

func newClockCommand() *cobra.Command {
	var f clockFlags
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Judge how well the server's time is known, and what signing gains by it",
		Long: `Judge how well the server's time is known, and what signed requests gain by it.

Without --day or --signed: the estimator in simulation, against the reference's
on the same samples: constant, asymmetric, jittered and heavy-tailed networks;
drift, slew and steps of the clocks; times to the millisecond and to the second.
Steps of the exchange's clock break every estimate until a sample shows them, and
stand apart. Both the table and --day are repeatable by their seed.

Exit codes: 0 every promise was kept, 1 one was not, or it was interrupted, 2 wrong
flags or a refusal of the system.`,
		Example: `  sluice clock                      the table, in well under a minute
  sluice clock --quick              a first look, in seconds
  sluice clock --json clock.json    the rows as JSON as well
  sluice clock --seed 7             other delays
  sluice clock --day                24 simulated hours of a signed request a second
  sluice clock --signed 100000      that many signed requests, really sent, to a
                                    simulated exchange with a skewed, drifting clock`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.Flags().Changed("signed"), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.json, "json", "", "write the rows to this `file` as a JSON array"+orOutput)
	flags.BoolVar(&f.quick, "quick", false, "a fraction of the table or of the day: too little to rely on, and to judge percentiles cell by cell")
	flags.BoolVar(&f.day, "day", false, "simulate a day of signed requests instead")
	flags.IntVar(&f.signed, "signed", 0, "send this many signed requests instead")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the networks' delays")
	cmd.MarkFlagsMutuallyExclusive("day", "signed")
	cmd.MarkFlagsMutuallyExclusive("quick", "signed")
	return cmd
}

func (f clockFlags) run(ctx context.Context, live bool, stdout, stderr io.Writer) error {
	if live && f.signed < 1 {
		return fmt.Errorf("--signed %d: at least 1 is needed", f.signed)
	}
	var files namedFiles
	files.writes("--json", f.json)
	if err := files.check(); err != nil {
		return err
	}
	to := files.outputs(stdout, stderr)
	fmt.Fprint(to.people, peers.ReadEnvironment())
	switch {
	case live:
		return f.runLive(ctx, to, stderr)
	case f.day:
		return f.runDay(ctx, to)
	}
	return f.runTable(ctx, to)
}

func (f clockFlags) runTable(ctx context.Context, to outputs) error {
	config := clocks.TableConfig{Seed: f.seed}
	if f.quick {
		config.Runs, config.Starts = 2, 200
	}
	table, err := clocks.RunTable(ctx, config)
	if err != nil {
		return interruptedAfter(ctx, err, "a part of the table, which is judged as a whole")
	}
	if err := table.WriteText(to.people); err != nil {
		return err
	}
	return concludeClock(to, f.json, table.Rows, table.Verdicts())
}

func (f clockFlags) runDay(ctx context.Context, to outputs) error {
	config := clocks.DayConfig{Seed: f.seed}
	if f.quick {
		config.Requests = 3600
	}
	rows, err := clocks.RunDay(ctx, config)
	if err != nil {
		return interruptedAfter(ctx, err, "a part of the day, which is judged as a whole")
	}
	if err := clocks.WriteDay(to.people, rows); err != nil {
		return err
	}
	return concludeClock(to, f.json, rows, clocks.DayVerdicts(rows))
}

func (f clockFlags) runLive(ctx context.Context, to outputs, stderr io.Writer) error {
	row, err := clocks.RunLive(ctx, clocks.LiveConfig{Requests: f.signed, Seed: f.seed, Progress: clockProgress(stderr)})
	if err != nil {
		return interruptedAfter(ctx, err, "%d of %d requests", row.Accepted, f.signed)
	}
	if err := row.WriteText(to.people); err != nil {
		return err
	}
	return concludeClock(to, f.json, []clocks.LiveRow{row}, row.Verdicts())
}

// clockProgress tells now and then how many requests are answered.
func clockProgress(w io.Writer) func(answered, of int) {
	const often = 5 * time.Second
	told := time.Now()
	return func(answered, of int) {
		if time.Since(told) < often {
			return
		}
		told = time.Now()
		fmt.Fprintf(w, "%d of %d requests\n", answered, of)
	}
}

// concludeClock writes the rows where they are wanted, and the verdicts. A promise
// that was not kept is a finding.
func concludeClock[R any](to outputs, file string, rows []R, verdicts []clocks.Verdict) error {
	fmt.Fprintln(to.people)
	err := errors.Join(
		clocks.WriteVerdicts(to.people, verdicts),
		to.write("--json", file, func(w io.Writer) error { return clocks.WriteJSON(w, rows) }),
	)
	if n := clocks.Broken(verdicts); n > 0 {
		err = errors.Join(err, finding{fmt.Sprintf("%d of %d promises broken", n, len(verdicts))})
	}
	return err
}
