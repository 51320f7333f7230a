package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/search"
	"github.com/sluice-engine/sluice/bench/slo"
)

// searchFlags are the flags of the search verb as they were typed.
type searchFlags struct {
	load     loadFlags
	from, to string
	trial    time.Duration
	width    percent
	confirm  int
	pause    time.Duration
	quiet    bool
	json     jsonFlag
}

// errorsOfASearch is added where no objective is about errors: a server that refuses everything
// at once is fast.
const errorsOfASearch = "errors<1%"

// abortOfASearch is from when on a trial ends early once it can be seen to fail.
const abortOfASearch = time.Second

func newSearchCommand() *cobra.Command {
	flags := searchFlags{width: search.DefaultWidth}
	command := &cobra.Command{
		Use:   "search --slo OBJECTIVE [URL...]",
		Short: "Find the highest rate at which objectives hold",
		Long: `Find the highest rate at which objectives hold.

Rates are doubled from --from on until a trial fails twice, then bisected until what
held and what failed are a --width apart; then what held must do so --confirm times
in a row, and goes back by a width until it does, and then as often a width below,
which is the answer. Bisection alone believes the luckiest trial; with the usual
--width and --confirm, what this finds holds in 19 of 20 retests where trials vary by
3 %, be a retest as long as a trial or longer, at the price of some per cent: so both
numbers are said, the rate that held and the lowest that failed.

A trial holds if every objective does, 99 % of what was due was sent in time, and
` + errorsOfASearch + ` unless an objective is about errors. One in which the harness could not
hold the rate counts for nothing, and is repeated; if it cannot again and again, the
harness is the limit, and that is said.

Exit codes: 0 a rate held, 1 interrupted before one did, 2 wrong flags or a refusal,
98 the harness could not even make the lowest rate, 99 the lowest rate failed.`,
		Example: `  # of an exchange without limits: sluice exchange --limit none
  sluice search --slo 'p99<5ms' http://127.0.0.1:8080/api/v3/ping
  sluice search --slo 'p99<5ms' --slo 'errors<0.1%' --from 500/s --to 50000/s --trial 10s http://127.0.0.1:8080/api/v3/ping
  sluice search --slo 'p(95)<200' --poisson --client fasthttp -c 64 http://127.0.0.1:8080/api/v3/ping

  # with a file of targets
  sluice search --slo 'GET /api/v3/ping:p99<5ms' --targets targets.jsonl --width 5% --json search.json`,
		RunE: func(cmd *cobra.Command, urls []string) error {
			return flags.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), urls)
		},
	}
	f := command.Flags()
	flags.load.registerWithoutSchedule(f)
	f.StringVar(&flags.from, "from", "10/s", "the lowest `rate` that is tried, and the first")
	f.StringVar(&flags.to, "to", "1000000/s", "the highest `rate` that may be tried")
	f.DurationVar(&flags.trial, "trial", 10*time.Second, "how long a trial is, its warm-up apart")
	f.DurationVar(&flags.load.when.warmUp, "warmup", time.Second, "before each trial, at its rate")
	f.Var(&flags.width, "width", "how far apart what held and what failed may be in the end")
	f.IntVar(&flags.confirm, "confirm", search.DefaultConfirmations, "trials in a row that must hold, at each of two rates a width apart")
	f.DurationVar(&flags.pause, "pause", time.Second, "how long the server is left alone between trials, after each has been drained")
	f.BoolVar(&flags.load.when.poisson, "poisson", false, "arrivals at random instead of evenly spaced")
	f.Uint64Var(&flags.load.when.seed, "seed", 1, "of random arrivals and picks")
	f.BoolVar(&flags.quiet, "quiet", false, "say nothing while the search goes on")
	f.StringVar((*string)(&flags.json), "json", "", "write the report as JSON to this `file`, compressed if it ends in .gz, or with - to the output in place of text")
	return command
}

func (f *searchFlags) run(ctx context.Context, stdout, stderr io.Writer, urls []string) error {
	cfg, trials, done, err := f.plan(urls)
	if err != nil {
		return err
	}
	defer done()
	files := slices.Clone(f.load.files)
	files.writes("--json", string(f.json))
	if err := files.check(); err != nil {
		return err
	}
	trials.Try = func(ctx context.Context, rate float64) (search.Trial, error) { return f.try(ctx, cfg, rate) }
	if !f.quiet {
		trials.Ended = searchProgress(stderr)
	}
	report, err := trials.Run(ctx)
	if err != nil {
		return err
	}
	for _, o := range cfg.Objectives {
		report.Objectives = append(report.Objectives, o.String())
	}
	return errors.Join(f.json.write(stdout, report), heldBy(report))
}

// heldBy is the outcome of a search as an exit code.
func heldBy(report *search.Report) error {
	switch {
	case report.Held > 0:
		return nil
	case report.Interrupted:
		return finding{"interrupted before a rate had held"}
	case report.HarnessIsTheLimit():
		return outcome{exitInvalid, "INVALID: the harness could not make " + strconv.FormatFloat(report.FirstInvalid, 'f', -1, 64) + "/s"}
	}
	return outcome{exitObjective, "no rate held: " + report.Conclusion()}
}

// plan reads all flags, and names every mistake in one line.
func (f *searchFlags) plan(urls []string) (load.Config, search.Trials, func(), error) {
	var wrong mistakes
	trials := search.Trials{Pause: f.pause, Config: search.Config{Width: float64(f.width), Confirmations: f.confirm}}
	trials.From, trials.To = readRate("--from", f.from, &wrong), readRate("--to", f.to, &wrong)
	if len(wrong) == 0 {
		_, err := search.New(trials.Config)
		wrong.note("--from, --to, --width, --confirm", err)
	}
	if f.trial <= 0 || f.load.when.warmUp < 0 || f.pause < 0 {
		wrong.add("--trial must be above zero, --warmup and --pause not below it")
	}
	if f.confirm < 1 {
		wrong.add("--confirm %d: at least 1 is needed", f.confirm)
	}
	if len(f.load.judge.objectives) == 0 {
		wrong.add("say what must hold: --slo")
	}
	cfg, done, err := f.load.planWithoutSchedule(urls)
	if err != nil {
		wrong.add("%v", err)
	}
	if err := wrong.err(); err != nil {
		done()
		return cfg, trials, nil, err
	}
	ofErrors := false
	for _, o := range cfg.Objectives {
		ofErrors = ofErrors || o.IsOfErrors()
	}
	if !ofErrors {
		o, _ := slo.Parse(errorsOfASearch)
		cfg.Objectives = append(cfg.Objectives, o)
	}
	if cfg.Abort == 0 {
		cfg.Abort = f.load.when.warmUp + abortOfASearch
	}
	return cfg, trials, done, nil
}

// readRate reads a rate as requests a second.
func readRate(flag, text string, wrong *mistakes) float64 {
	rate, err := schedule.ParseRate(text)
	if err != nil {
		wrong.note(flag, err)
		return 0
	}
	return float64(rate.Requests) / rate.Per.Seconds()
}

// try makes one trial.
func (f *searchFlags) try(ctx context.Context, cfg load.Config, rate float64) (search.Trial, error) {
	r, err := schedule.ParseRate(strconv.FormatFloat(rate, 'f', 6, 64) + "/s")
	if err != nil {
		return search.Trial{}, err
	}
	when := &f.load.when
	cfg.Schedule = &schedule.Spec{
		Stages:  []schedule.Stage{{From: r, To: r, For: when.warmUp + f.trial}},
		Poisson: when.poisson, Seed: when.seed, WarmUp: when.warmUp,
	}
	run, err := load.Run(ctx, cfg)
	if err != nil {
		return search.Trial{}, err
	}
	return search.TrialOf(run, rate, cfg.Objectives), nil
}

// searchProgress writes a line for each trial.
func searchProgress(w io.Writer) func(t search.Trial, confirmed, of int) {
	return func(t search.Trial, confirmed, of int) {
		fmt.Fprintf(w, "%-10s %12s  p99 %8s  %s", t.Phase, report.Rate(t.Rate), report.Microseconds(t.P99), t.Outcome)
		if t.Phase == search.Confirming && t.Outcome == search.Held {
			fmt.Fprintf(w, " %d of %d", confirmed, of)
		}
		if why, _, _ := strings.Cut(t.Why, "; "); why != "" {
			fmt.Fprintf(w, ": %s", why)
		}
		fmt.Fprintln(w)
	}
}
