package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/live"
)

type liveFlags struct {
	duration time.Duration
	jitter   string
	seed     uint64
	json     string
}

func newLiveCommand() *cobra.Command {
	var f liveFlags
	cmd := &cobra.Command{
		Use:   "live",
		Short: "Drive limits to their end with the whole engine, in real time",
		Long: `Drive limits to their end with the whole engine, in real time.

Three simulated exchanges count arrivals, each with a limit of its own, behind a
network that delays every request and every answer at random. An engine keeps
more requests waiting than the limit lets through. The exchange then says how
much of its limit was used, and how often it was broken. Exit code 1 if it was
broken, or not used enough, or if it was interrupted.`,
		Example: `  sluice live
  sluice live --duration 10s --jitter lognormal:3ms,7ms,1
  sluice live --json live.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.duration, "duration", time.Minute, "how long to drive each limit, all side by side")
	flags.StringVar(&f.jitter, "jitter", "uniform:5ms-50ms", "delay each way, as in 'sluice exchange --delay'")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the delays")
	flags.StringVar(&f.json, "json", "", "write the results to this `file` as a JSON array"+orOutput)
	return cmd
}

func (f *liveFlags) run(cmd *cobra.Command) error {
	var wrong mistakes
	jitter := noted(&wrong, "--jitter", f.jitter, exchange.ParseDelay)
	if f.duration <= 0 {
		wrong.add("--duration %v: want a time above zero, such as 10s", f.duration)
	}
	if err := wrong.err(); err != nil {
		return err
	}
	var files namedFiles
	files.writes("--json", f.json)
	if err := files.check(); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "driving %d limits for %s\n", len(live.Scenarios()), f.duration)
	results, err := live.Run(cmd.Context(), live.Scenarios(), live.Config{Duration: f.duration, Jitter: jitter, Seed: f.seed})
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "less than a request at each limit")
	}
	to := files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	err = errors.Join(live.WriteTable(to.people, results), to.write("--json", f.json, asJSON(results)))
	return errors.Join(err, driven(results))
}

// driven is a finding if a limit was broken, or not driven to its end, or not for all its time.
func driven(results []live.Result) error {
	for _, r := range results {
		if r.Interrupted && r.Violations == 0 && r.Failures == 0 {
			return finding{fmt.Sprintf("interrupted after %v: what was measured says little", r.Duration.Round(time.Second/10))}
		}
		if !r.Good() {
			return finding{fmt.Sprintf("%s: used to %.2f %%, %d violations, %d failures", r.Name, 100*r.Utilisation, r.Violations, r.Failures)}
		}
	}
	return nil
}
