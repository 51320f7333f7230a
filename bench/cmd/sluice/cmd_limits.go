package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/limits"
)

type limitsFlags struct {
	seed          uint64
	quick         bool
	clients       []string
	scenarios     []string
	json          string
	jsonScenarios string
	fuzz          time.Duration
	world         uint64
}

func newLimitsCommand() *cobra.Command {
	var flags limitsFlags
	command := &cobra.Command{
		Use:   "limits",
		Short: "Play rate limiters against servers that count, in virtual time",
		Long: `Play rate limiters against servers that count what arrives, in virtual time.

The grid is {constant 5 ms, uniform 5 to 50 ms, lognormal, 500 ms stalls} ×
{sliding, fixed, token bucket, decaying} × five clients, at 10 requests a second:
how much of the limit each uses, how often it is refused, how long urgent requests
wait beside bulk work without end. Then come scenarios of their own kind, each with
a goal. The Sluice client is the engine's own ledger; xtimerate and uber are
golang.org/x/time/rate and go.uber.org/ratelimit themselves.

--fuzz plays random worlds instead and counts refusals; --world shows one of them.

Exit codes: 0 all is well, 1 Sluice was refused where that is ruled out (or, in
random worlds, has forgotten a request), or it was interrupted, 2 wrong flags or
a refusal of the system. It is not ruled out in the scenario shared-key: what somebody else will
spend can only be estimated. A goal that was missed is printed as such.`,
		Example: `  sluice limits                                the grid and all scenarios
  sluice limits --quick                        a first look
  sluice limits --json grid.json               the grid's rows as JSON as well
  sluice limits --scenario urgent-beside-bulk  one scenario alone
  sluice limits --fuzz 10m                     random worlds, for ten minutes
  sluice limits --world 4711                   all that happens in one of them`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(cmd)
		},
	}
	f := command.Flags()
	f.Uint64Var(&flags.seed, "seed", 1, "seed of all chance; with --fuzz that of the first world")
	f.BoolVar(&flags.quick, "quick", false, "short runs: too short to rely on")
	f.StringSliceVar(&flags.clients, "client", nil, "clients to play, of "+clientNames()+" (default all)")
	f.StringSliceVar(&flags.scenarios, "scenario", nil, "scenarios to play, without the grid: "+strings.Join(limits.ScenarioNames(), ", "))
	f.StringVar(&flags.json, "json", "", "write the grid's rows to this `file` as a JSON array"+orOutput)
	f.StringVar(&flags.jsonScenarios, "json-scenarios", "", "write what came of the scenarios to this `file` as a JSON array"+orOutput)
	f.DurationVar(&flags.fuzz, "fuzz", 0, "play random worlds for this `duration`")
	f.Uint64Var(&flags.world, "world", 0, "play the random world of this `seed` and tell all that happens")
	command.MarkFlagsMutuallyExclusive("fuzz", "world", "scenario")
	command.MarkFlagsMutuallyExclusive("fuzz", "world", "json")
	command.MarkFlagsMutuallyExclusive("fuzz", "world", "json-scenarios")
	command.MarkFlagsMutuallyExclusive("scenario", "json")
	return command
}

func clientNames() string {
	var names []string
	for _, c := range limits.Clients() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

func (f limitsFlags) run(cmd *cobra.Command) error {
	switch {
	case cmd.Flags().Changed("world"):
		v, err := limits.Replay(f.world, cmd.OutOrStdout())
		return errors.Join(err, judge(v.Refused, v.Stuck))
	case cmd.Flags().Changed("fuzz"):
		return f.runFuzz(cmd)
	}
	return f.runTables(cmd)
}

func (f limitsFlags) runFuzz(cmd *cobra.Command) error {
	if f.fuzz <= 0 {
		return fmt.Errorf("--fuzz %v: want a duration above zero, such as 10m", f.fuzz)
	}
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	fmt.Fprintf(out, "random worlds from seed %d for %v\n", f.seed, f.fuzz)
	report := limits.Fuzz(cmd.Context(), f.seed, f.fuzz, func(r limits.FuzzReport) {
		fmt.Fprintf(stderr, "%d requests in %d worlds, %d refused, %d without end\n", r.Requests, r.Worlds, r.Refused, r.Stuck)
	})
	err := interruptedAfter(cmd.Context(), cmd.Context().Err(), "%d worlds, before %v were over", report.Worlds, f.fuzz)
	return errors.Join(report.WriteText(out), err, judge(report.Refused, report.Stuck))
}

func (f limitsFlags) runTables(cmd *cobra.Command) error {
	clients, err := limits.ParseClients(f.clients)
	var files namedFiles
	files.writes("--json", f.json)
	files.writes("--json-scenarios", f.jsonScenarios)
	if err := errors.Join(err, limits.CheckScenarios(f.scenarios), files.check()); err != nil {
		return err
	}
	to := files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	cfg := limits.Config{Seed: f.seed, Quick: f.quick, Clients: clients}
	rows, outcomes, err := f.play(cmd.Context(), cfg, to)
	err = errors.Join(err, to.write("--json", f.json, arrayOf(rows)), to.write("--json-scenarios", f.jsonScenarios, arrayOf(outcomes)))
	return errors.Join(err, judge(limits.Violations(rows, outcomes), 0))
}

// play plays the grid, unless scenarios are named, and then the scenarios, and writes the tables
// of both. What was played until ctx ended is told, and that it is not all.
func (f limitsFlags) play(ctx context.Context, cfg limits.Config, to outputs) ([]limits.Row, []limits.Outcome, error) {
	var played []limits.Row
	if len(f.scenarios) == 0 {
		rows, err := limits.Grid(ctx, cfg)
		played = limits.Played(rows)
		err = errors.Join(interruptedAfter(ctx, err, "%d of the grid's %d cells", len(played), len(rows)), limits.WriteGrid(to.people, rows, cfg))
		if err != nil {
			return played, nil, err
		}
	}
	outcomes, err := limits.Scenarios(ctx, cfg, f.scenarios)
	err = interruptedAfter(ctx, err, "%d of the scenarios' cells", len(outcomes))
	return played, outcomes, errors.Join(err, limits.WriteScenarios(to.people, outcomes))
}

// interruptedAfter makes a finding of the end of ctx, which is no mistake in the flags, and must
// not pass either.
func interruptedAfter(ctx context.Context, err error, format string, args ...any) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return finding{"interrupted after " + fmt.Sprintf(format, args...)}
}

func judge(refused, stuck int) error {
	if refused+stuck == 0 {
		return nil
	}
	return finding{fmt.Sprintf("%d requests of Sluice were refused, %d never ended", refused, stuck)}
}

// arrayOf writes rows as a JSON array, for outputs.write.
func arrayOf[T any](rows []T) func(io.Writer) error {
	return func(w io.Writer) error { return limits.WriteJSON(w, rows) }
}
