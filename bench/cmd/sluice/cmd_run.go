package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/panels"
	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
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

No file that is written may be one that is read, or be written twice; that, and a file that
cannot be written, is refused before anything is sent, and so is an objective of an operation
that the run does not have.

Exit codes: 0 all is well, 1 no request succeeded, 2 wrong flags or a refusal of the system,
98 INVALID, 99 an objective failed. Some requests that fail are no failure of the run unless
an objective, such as --slo 'errors<1%', says so.`,
		Example: `  # of an exchange without limits: sluice exchange --limit none
  sluice run http://127.0.0.1:8080/api/v3/ping --rate 500/s --duration 30s
  sluice run http://127.0.0.1:8080/api/v3/ping --stage 10s:0/s-1000/s --stage 30s:1000/s --warmup 10s
  sluice run http://127.0.0.1:8080/api/v3/ping --rate 500/s --poisson --slo 'p99<20ms' --slo 'errors<0.1%' --abort-after 5s
  sluice run http://127.0.0.1:8080/api/v3/ping -c 64 -n 100000 --client fasthttp
  sluice run http://127.0.0.1:8080/api/v3/ping --rate 500/s -o - | sluice report - -o run.html

  # with files of yours: targets and rows for them, an access log, a configuration; over TLS
  sluice run --targets targets.txt --data users.csv --rate 200/s -o run.jsonl --html run.html
  sluice run --replay access.log --base http://127.0.0.1:8080 --speed 2
  sluice run https://127.0.0.1:8443/ -k --http2 -c 10 --rate 2000/s --config venue.json

  # from three machines, each with 'sluice worker'
  sluice run http://server:8080/ --rate 50000/s --workers m1:7070,m2:7070,m3:7070`,
		RunE: func(cmd *cobra.Command, urls []string) error { return flags.run(cmd, urls) },
	}
	flags.register(command.Flags())
	return command
}

func (f *runFlags) register(flags *pflag.FlagSet) {
	f.load.register(flags)
	flags.StringVarP(&f.out, "out", "o", "", "write the results to this `file` while the run goes on"+orOutput)
	flags.StringVar(&f.html, "html", "", "draw them into this `file` at the end"+orOutput)
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
	f.load.how.elsewhere = len(f.crew.workers) > 0
	cfg, done, err := f.load.plan(urls)
	if err != nil {
		return err
	}
	defer done()
	cfg.Header.Started = time.Now().Add(untilStart)
	if err := cfg.Prepare(time.Now()); err != nil {
		return err
	}
	files := f.files()
	if err := files.check(); err != nil {
		return err
	}
	outputs := files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	if len(f.crew.workers) > 0 {
		return f.runOnCrew(cmd, cfg, outputs)
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	if cfg.Out, err = f.create(outputs, cfg.Header); err != nil {
		return err
	}
	if cfg.Out != nil {
		defer func() { err = errors.Join(err, cfg.Out.Close()) }()
	}
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
	return errors.Join(err, f.tell(outputs, run), verdictOn(run))
}

// files are all that the run reads, once it is planned, and that it writes.
func (f *runFlags) files() namedFiles {
	all := slices.Clone(f.load.files)
	f.crew.security.files(&all)
	all.writes("--out", f.out)
	all.writes("--html", f.html)
	return all
}

// create begins the results, which are closed later; nil if nobody wants them.
func (f *runFlags) create(to outputs, header results.Header) (out *results.Writer, err error) {
	switch f.out {
	case "":
		return nil, nil
	case "-":
		out, err = results.NewWriter(to.programs, header)
	default:
		out, err = results.Create(f.out, header)
	}
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return out, nil
}

// tell reports the run when it has ended.
func (f *runFlags) tell(to outputs, run *results.Run) error {
	return errors.Join(
		report.Text(to.people, run, widthOf(to.people)),
		to.write("--html", f.html, func(w io.Writer) error { return panels.Write(w, run) }),
	)
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
			failed = append(failed, fmt.Sprintf("%s (%s)", verdict.Objective, asMeasured(verdict)))
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

// asMeasured says what was measured, or that nothing was.
func asMeasured(verdict results.Verdict) string {
	if strings.HasPrefix(verdict.Measured, slo.NotMeasured) {
		return verdict.Measured
	}
	return "measured " + verdict.Measured
}

// successOf is a finding if there was none: a server that is not there must not pass.
func successOf(run *results.Run) error {
	if all := run.Total[""]; all != nil && all.NoneSucceeded() {
		return finding{"no request succeeded"}
	}
	return nil
}
