package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/capacity"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/report"
)

// capacityFlags are the flags of the capacity verb as they were typed.
type capacityFlags struct {
	load    loadFlags
	callers []int
	predict []int
	step    time.Duration
	pause   time.Duration
	quiet   bool
	json    jsonFlag
}

func newCapacityCommand() *cobra.Command {
	var flags capacityFlags
	command := &cobra.Command{
		Use:   "capacity [URL...]",
		Short: "Measure throughput with more and more callers, and fit the Universal Scalability Law",
		Long: `Measure throughput with more and more callers, and fit the Universal Scalability Law.

Callers of the closed model, 1, 2, 4 and so on, each wait for an answer before they
ask again. To the throughput of each step the law X(N) = λN/(1+σ(N−1)+κN(N−1)) is
fitted: λ is what one caller gets, σ the share of work that only one can do at a
time, κ what it costs them to agree. Each has a 95 % interval, and so has the peak,
at N* = √((1−σ)/κ) callers. Nothing is predicted beyond twice the callers that were
measured, and a law that fits badly is said to.

Exit codes: 0 measured, 1 interrupted before a step had ended, or no request succeeded,
2 wrong flags or a refusal.`,
		Example: `  # of an exchange without limits: sluice exchange --limit none
  sluice capacity http://127.0.0.1:8080/api/v3/ping
  sluice capacity --callers 64 --step 3s --client nethttp --predict 100,120 http://127.0.0.1:8080/api/v3/ping
  sluice capacity --callers 1,2,3,4,6,8,12,16 --think 10ms --json capacity.json http://127.0.0.1:8080/api/v3/ping`,
		RunE: func(cmd *cobra.Command, urls []string) error {
			return flags.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), urls)
		},
	}
	f := command.Flags()
	flags.load.what.register(f)
	flags.load.how.register(f)
	f.StringVar(&flags.load.name, "name", "", "what the measurement is called")
	f.IntSliceVar(&flags.callers, "callers", []int{256}, "the most callers, doubled from 1 on; or with commas, every number of them")
	f.IntSliceVar(&flags.predict, "predict", nil, "`callers` of which to say what the law expects: up to twice those that are measured")
	f.DurationVar(&flags.step, "step", 5*time.Second, "how long a step is, its warm-up apart")
	f.DurationVar(&flags.load.when.warmUp, "warmup", time.Second, "before each step, with its callers")
	f.DurationVar(&flags.load.when.think, "think", 0, "the pause of a caller between an answer and its next request")
	f.DurationVar(&flags.pause, "pause", 500*time.Millisecond, "how long the server is left alone between steps")
	f.Uint64Var(&flags.load.when.seed, "seed", 1, "of picks, and of the draws that give the intervals")
	f.BoolVar(&flags.quiet, "quiet", false, "say nothing while it goes on")
	f.StringVar((*string)(&flags.json), "json", "", "write the report as JSON to this `file`, compressed if it ends in .gz, or with - to the output in place of text")
	return command
}

func (f *capacityFlags) run(ctx context.Context, stdout, stderr io.Writer, urls []string) error {
	cfg, callers, done, err := f.plan(urls)
	if err != nil {
		return err
	}
	defer done()
	files := slices.Clone(f.load.files)
	files.writes("--json", string(f.json))
	if err := files.check(); err != nil {
		return err
	}
	steps := capacity.Steps{Callers: callers, Pause: f.pause, Seed: f.load.when.seed, Measure: func(ctx context.Context, n int) (capacity.Step, error) {
		closed := *cfg.Closed
		closed.Callers = n
		step := cfg
		step.Closed = &closed
		run, err := load.Run(ctx, step)
		if err != nil {
			return capacity.Step{}, err
		}
		return capacity.StepOf(run, n), nil
	}}
	if !f.quiet {
		steps.Ended = func(s capacity.Step) {
			fmt.Fprintf(stderr, "%6d callers %12s  p50 %8s  p99 %8s\n", s.Callers, report.Rate(s.Throughput), report.Microseconds(s.P50), report.Microseconds(s.P99))
		}
	}
	report, err := steps.Run(ctx)
	if err != nil && ctx.Err() != nil {
		return finding{"interrupted before a step had ended"}
	}
	if err != nil {
		return err
	}
	for _, n := range f.predict {
		report.Predict(n)
	}
	err = f.json.write(stdout, report)
	if report.NothingSucceeded() {
		err = errors.Join(err, finding{"no request succeeded: " + report.Steps[0].Mostly})
	}
	return err
}

// plan reads all flags, and names every mistake in one line.
func (f *capacityFlags) plan(urls []string) (load.Config, []int, func(), error) {
	var wrong mistakes
	callers := f.callers
	switch {
	case len(callers) == 0 || slices.Min(callers) < 1:
		wrong.add("--callers: each number must be at least 1")
	case slices.Max(callers) > load.MostCallers:
		wrong.add("--callers %d: at most %d can be", slices.Max(callers), load.MostCallers)
	case len(callers) == 1:
		callers = capacity.Doubling(callers[0])
	default:
		callers = slices.Compact(slices.Sorted(slices.Values(callers)))
	}
	if len(wrong) == 0 && len(callers) < capacity.LeastSteps {
		wrong.add("--callers: %d steps are too few to fit the law: at least %d are needed, as of 1,2,3,4,6 or of 16", len(callers), capacity.LeastSteps)
	}
	when := &f.load.when
	if f.step <= 0 || when.warmUp < 0 || when.think < 0 || f.pause < 0 {
		wrong.add("--step must be above zero, --warmup, --think and --pause not below it")
	}
	cfg, done, err := f.load.planWith(urls, func(cfg *load.Config, _ int, _ []time.Duration, _ *mistakes) {
		cfg.Closed = &load.Closed{Callers: 1, For: when.warmUp + f.step, WarmUp: when.warmUp, Think: when.think}
		if len(wrong) == 0 {
			cfg.Closed.Callers = callers[len(callers)-1]
		}
	})
	if err != nil {
		wrong.add("%v", err)
	}
	if err := wrong.err(); err != nil {
		done()
		return cfg, nil, nil, err
	}
	return cfg, callers, done, nil
}
