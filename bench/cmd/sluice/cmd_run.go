package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/results"
)

// runFlags are those of run beside what to make.
type runFlags struct {
	load  loadFlags
	out   string
	html  string
	page  string
	quiet bool
	crew  crewFlags
}

func newRunCommand() *cobra.Command {
	var flags runFlags
	command := &cobra.Command{
		Use:   "run [URL...]",
		Short: "Make load on a server, and measure it from the instants at which requests were due",
		Long: `Make load on a server, and measure it from the instants at which requests were due.

In the open model (--rate, --stage, --replay) requests are due by a schedule, whatever the
answers take, as those of many independent users are. Each is measured from its intended
instant: a server that stalls is charged with all that was due meanwhile, however few
connections there are. In the closed model (-c, -n) each caller sends its next request when
the last is answered; what would have arrived while callers wait is omitted, and the report
says so.

For each operation there are three times: response, from the intended instant to the end,
which is the headline; service, from the first byte out; lag, which is the harness's own. What
a request waits for within the client, such as a connection or a limit of the engine's, is part
of the response and told apart as wait. A run whose harness could not hold the rate is INVALID.

At the end nothing more is sent, and what is outstanding is waited for (--drain); what is left
then is recorded at its elapsed time and counted as unfinished. Ctrl-C does the same early; a
second one ends the program at once.

Exit codes: 0 all is well, 1 no request succeeded, 2 wrong flags or a refusal of the system,
98 INVALID, 99 an objective failed. Some requests that fail are no failure of the run unless
an objective, such as --slo 'errors<1%', says so.`,
		Example: `  sluice run http://127.0.0.1:8080/ --rate 500/s --duration 30s
  sluice run http://127.0.0.1:8080/ --stage 10s:0/s-1000/s --stage 30s:1000/s --warmup 10s
  sluice run http://127.0.0.1:8080/ --rate 500/s --poisson --slo 'p99<20ms' --slo 'errors<0.1%' --abort-after 5s
  sluice run http://127.0.0.1:8080/ -c 64 -n 100000 --client fasthttp
  sluice run --targets targets.txt --data users.csv --rate 200/s -o run.jsonl --html run.html
  sluice run --replay access.log --base http://127.0.0.1:8080 --speed 2
  sluice run https://127.0.0.1:8443/ -k --http2 -c 10 --rate 2000/s --config venue.json
  sluice run http://server:8080/ --rate 50000/s --workers m1:7070,m2:7070,m3:7070`,
		RunE: func(cmd *cobra.Command, urls []string) error { return flags.run(cmd, urls) },
	}
	flags.register(command.Flags())
	return command
}

func (f *runFlags) register(flags *pflag.FlagSet) {
	f.load.register(flags)
	flags.StringVarP(&f.out, "out", "o", "", "write the results to this `file` while the run goes on; .gz compresses")
	flags.StringVar(&f.html, "html", "", "draw them into this `file` at the end")
	flags.StringVar(&f.page, "page", "", "serve the run live to browsers at this `address`, such as 127.0.0.1:8080")
	flags.BoolVar(&f.quiet, "quiet", false, "say nothing while the run goes on, but which of --workers were lost")
	f.crew.register(flags)
}

// untilStart is how far ahead a run's beginning is: file and views are opened meanwhile.
const untilStart = 100 * time.Millisecond

func (f *runFlags) run(cmd *cobra.Command, urls []string) (err error) {
	if err := f.crew.check(cmd.Flags()); err != nil {
		return err
	}
	cfg, done, err := f.load.plan(urls)
	if err != nil {
		return err
	}
	defer done()
	cfg.Header.Started = time.Now().Add(untilStart)
	if err := cfg.Prepare(time.Now()); err != nil {
		return err
	}
	if err := tryToWrite(f.html); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	if len(f.crew.workers) > 0 {
		if err := tryToWrite(f.out); err != nil { // before machines are asked
			return fmt.Errorf("--out: %w", err)
		}
		return f.runOnCrew(cmd, cfg)
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	out, err := f.openOut(&cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out()) }()
	audience, err := f.gather(cmd, cfg.Header, stop)
	if err != nil {
		return err
	}
	audience.join(&cfg)
	run, err := load.Run(ctx, cfg)
	err = errors.Join(err, audience.leave(run))
	if run == nil {
		return err
	}
	return errors.Join(err, f.tell(cmd, run), verdictOn(run))
}

// openOut creates the file of results; the function closes it.
func (f *runFlags) openOut(cfg *load.Config) (func() error, error) {
	if f.out == "" {
		return func() error { return nil }, nil
	}
	out, err := results.Create(f.out, cfg.Header)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	cfg.Out = out
	return out.Close, nil
}

// tryToWrite says before a run what would spoil its end: that a file cannot be written.
func tryToWrite(name string) error {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666) // what it has is kept until the end
	if err != nil {
		return err
	}
	return file.Close()
}

// tell reports the run when it has ended.
func (f *runFlags) tell(cmd *cobra.Command, run *results.Run) error {
	if err := report.Text(cmd.OutOrStdout(), run, widthOf(cmd.OutOrStdout())); err != nil {
		return err
	}
	if f.html == "" {
		return nil
	}
	return writeHTML(f.html, run)
}

// columns is how wide the terminal says it is; 0 if it does not.
func columns() int {
	var n int
	fmt.Sscan(os.Getenv("COLUMNS"), &n) // nothing there is zero
	return n
}

// verdictOn is the outcome of a run as an exit code: that it is invalid wins, since then its
// objectives were judged by figures that say little.
func verdictOn(run *results.Run) error {
	if len(run.End.Invalid) > 0 {
		return outcome{exitInvalid, "INVALID: " + strings.Join(run.End.Invalid, "; ")}
	}
	var failed []string
	for _, verdict := range run.End.Verdicts {
		if !verdict.Held {
			failed = append(failed, fmt.Sprintf("%s (measured %s)", verdict.Objective, verdict.Measured))
		}
	}
	if len(failed) == 0 && run.End.Reason == "objective failed" {
		failed = run.End.Notes
	}
	if len(failed) > 0 {
		return outcome{exitObjective, "objective failed: " + strings.Join(failed, "; ")}
	}
	return successOf(run)
}

// successOf is a finding if there was none: a server that is not there must not pass.
func successOf(run *results.Run) error {
	if all := run.Total[""]; all != nil && all.Count > 0 && all.Failed() == all.Count {
		return finding{"no request succeeded"}
	}
	return nil
}
