package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/counters"
)

// countersFlags are the flags of the counters verb as they were typed.
type countersFlags struct {
	seed     uint64
	length   time.Duration
	scenario string
	json     string
}

func newCountersCommand() *cobra.Command {
	var f countersFlags
	cmd := &cobra.Command{
		Use:   "counters",
		Short: "Play a trading desk against counters as exchanges have them, in virtual time",
		Long: `Play a trading desk of three accounts and five symbols against counters as exchanges
have them, in virtual time: by account and symbol beside the account's own, with
batches that are 20 for it; several windows of which a batch takes five of one and one
of the other, beside a weight at the address, zero included; a budget for life, and one
request every 10 s when it is spent; a counter that falls for each pair, and that a
cancellation raises the more the younger its order is.

The desk wants more than it may all the time, each way of the network takes 5 to 50 ms,
and the server counts by its own plain definitions what arrives. The table says how
much of each counter was used, and how often it refused.

Exit codes: 0 all goals are met, 1 a request was refused or a goal was missed, or it was
interrupted, 2 wrong flags or a refusal of the system.`,
		Example: `  sluice counters                         ten minutes of each scenario
  sluice counters --for 1h --seed 7       longer, with other draws
  sluice counters --scenario haste        one scenario alone, of
                                          ` + strings.Join(counters.Names(), ", "),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of all chance")
	flags.DurationVar(&f.length, "for", 10*time.Minute, "how much virtual time each scenario lasts, at least 2m")
	flags.StringVar(&f.scenario, "scenario", "", "play this one alone (default all)")
	flags.StringVar(&f.json, "json", "", "write the table to this `file` as a JSON array as well"+orOutput)
	return cmd
}

func (f countersFlags) run(cmd *cobra.Command) error {
	if f.length < 2*time.Minute {
		return fmt.Errorf("--for %v: want at least 2m, for no window of a minute lies whole in less", f.length)
	}
	var files namedFiles
	files.writes("--json", f.json)
	if err := files.check(); err != nil {
		return err
	}
	to := files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	rows, err := counters.Play(cmd.Context(), counters.Config{Seed: f.seed, Length: f.length, Scenario: f.scenario})
	interrupted := interruptedAfter(cmd.Context(), err, "%d counters: the rest was not played", len(rows))
	if interrupted != nil && len(rows) == 0 {
		return interrupted
	}
	fmt.Fprintf(to.people, "3 accounts, 5 symbols, %v each, 5 to 50 ms each way, seed %d\n", f.length, f.seed)
	err = errors.Join(interrupted, counters.Write(to.people, rows), to.write("--json", f.json, arrayOf(rows)))
	missed := 0
	for _, r := range rows {
		if r.Missed() {
			missed++
		}
	}
	if missed > 0 {
		err = errors.Join(err, finding{fmt.Sprintf("%d counters refused something, or were not used as much as they have to be", missed)})
	}
	return err
}
