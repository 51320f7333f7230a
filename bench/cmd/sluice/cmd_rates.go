package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/rates"
)

type ratesFlags struct {
	clients []string
	callers int
	turn    time.Duration
	rounds  int
	json    jsonFlag
}

func newRatesCommand() *cobra.Command {
	var flags ratesFlags
	command := &cobra.Command{
		Use:   "rates",
		Short: "Find the highest rates of run, wrk, hey and vegeta, side by side",
		Long: `Find the highest rates of run, wrk, hey and vegeta, side by side.

Each makes as many requests as it can, in a closed loop with the same number of
connections, to one server in a process of its own that does next to nothing for a
request. They take turns, every other round backwards, and ratios are taken within
rounds. wrk, hey and vegeta are looked for on the PATH; those that are missing are
named. Rates alone are compared: what the others call latency is not the same thing.

Exit codes: 0 all is measured, 1 interrupted before that, 2 wrong flags or a refusal of
the system.`,
		Example: `  sluice rates
  sluice rates --client fasthttp --rounds 9 --turn 5s -c 64`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := command.Flags()
	f.StringSliceVar(&flags.clients, "client", load.ClientNames(), "clients of run that take part")
	f.IntVarP(&flags.callers, "callers", "c", 64, "connections of each program")
	f.DurationVar(&flags.turn, "turn", 3*time.Second, "how long each runs at a time")
	f.IntVar(&flags.rounds, "rounds", 5, "turns of each")
	f.StringVar((*string)(&flags.json), "json", "", "write the result to this `file` as JSON as well, compressed if it ends in .gz, or to the output instead with -")
	command.AddCommand(newRatesServerCommand())
	return command
}

// newRatesServerCommand returns what the comparison starts as its server: this program again.
func newRatesServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    ratesServerVerb,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rates.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

const ratesServerVerb = "serve"

func (f ratesFlags) run(cmd *cobra.Command) error {
	var wrong mistakes
	for _, client := range f.clients {
		if !slices.Contains(load.ClientNames(), client) {
			wrong.add("--client %q is none of %s", client, strings.Join(load.ClientNames(), ", "))
		}
	}
	if f.callers < 1 || f.rounds < 1 || f.turn <= 0 {
		wrong.add("-c, --rounds and --turn must be above zero")
	}
	var files namedFiles
	files.writes("--json", string(f.json))
	wrong.note("", files.check())
	if err := wrong.err(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return errors.Join(errors.New("this program cannot start itself as the server"), err)
	}
	result, err := rates.Run(cmd.Context(), rates.Config{
		Server: []string{self, cmd.Name(), ratesServerVerb}, Callers: f.callers, Turn: f.turn, Rounds: f.rounds,
		Clients: f.clients, Progress: cmd.ErrOrStderr(),
	})
	if err != nil {
		return interruptedAfter(cmd.Context(), fmt.Errorf("rates: %w", err), "%d turns", result.Turns())
	}
	return f.json.write(cmd.OutOrStdout(), result)
}
