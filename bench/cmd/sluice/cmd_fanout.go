package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/fanout"
	"github.com/sluice-engine/sluice/bench/peers"
)

type fanoutFlags struct {
	connections int
	window      int
	requests    int
	rounds      int
	inputs      int
	quick       bool
	strict      bool
	seed        uint64
	json        string
}

func newFanoutCommand() *cobra.Command {
	var flags fanoutFlags
	command := &cobra.Command{
		Use:   "fanout",
		Short: "Measure what Engine.Stream costs and holds, beside Do and beside a pool around net/http",
		Long: `Measure what Engine.Stream costs and holds.

First a stream of millions of inputs, which are made while it runs: what the
process holds at most. Then slices of requests by Stream, by as many callers of Do,
and by a pool of as many goroutines around net/http, interleaved in mirrored order,
each with as many connections, against a server in a process of its own. CPU time is
that of this process (getrusage).

The bars: at most 64 MB; CPU time of a request at most 1.2 times Do's; throughput
at least 1.9 times the pool's.

Exit codes: 0 it was measured, whatever the bars say; 1 it was interrupted or, with
--strict, a bar was missed; 2 wrong flags or a refusal of the system.`,
		Example: `  sluice fanout                      everything, in some ten minutes
  sluice fanout --quick              a first look, in under half a minute
  sluice fanout --inputs 0           without the long stream
  sluice fanout --window 64          as many on their way as there are connections
  sluice fanout --rounds 20 --json fanout.json
                                     narrower intervals, and all figures in a file
  sluice fanout --strict             for a script: fails if a bar is missed`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := command.Flags()
	f.IntVar(&flags.connections, "connections", fanout.DefaultConnections, "connections, callers of Do and goroutines of the pool")
	f.IntVar(&flags.window, "window", 0, "requests of a stream on their way at once; 0 for the default of FanOut")
	f.IntVar(&flags.requests, "requests", fanout.DefaultRequests, "requests of a slice")
	f.IntVar(&flags.rounds, "rounds", fanout.DefaultRounds, "rounds, of two slices by each")
	f.IntVar(&flags.inputs, "inputs", fanout.DefaultInputs, "inputs of the stream whose memory is looked at; 0 leaves it out")
	f.BoolVar(&flags.quick, "quick", false, "few requests and two rounds: too few to rely on")
	f.BoolVar(&flags.strict, "strict", false, "exit with 1 unless all bars are met")
	f.Uint64Var(&flags.seed, "seed", 1, "seed of the bootstrap that gives the intervals")
	f.StringVar(&flags.json, "json", "", "write all figures to this `file` as JSON"+orOutput)
	for _, long := range []string{"requests", "rounds", "inputs"} {
		command.MarkFlagsMutuallyExclusive("quick", long)
	}
	command.AddCommand(newScaleProcess(fanoutServerVerb, func(cmd *cobra.Command) error {
		return fanout.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
	}))
	return command
}

// The server is this program again.
const fanoutServerVerb = "serve"

func (f fanoutFlags) run(cmd *cobra.Command) error {
	if f.connections < 1 || f.requests < 1 || f.rounds < 1 || f.window < 0 || f.inputs < 0 {
		return fmt.Errorf("--connections %d --requests %d --rounds %d --window %d --inputs %d: want at least 1 of the first three, and none below zero",
			f.connections, f.requests, f.rounds, f.window, f.inputs)
	}
	self, err := os.Executable()
	var files namedFiles
	files.writes("--json", f.json)
	if err := errors.Join(err, files.check()); err != nil {
		return err
	}
	if f.quick {
		f.requests, f.rounds, f.inputs = 5_000, 2, 100_000
	}
	last := "nothing"
	result, err := fanout.Run(cmd.Context(), fanout.Config{
		Server:      []string{self, "fanout", fanoutServerVerb},
		Connections: f.connections, Window: f.window, Requests: f.requests, Rounds: f.rounds, Inputs: f.inputs, Seed: f.seed,
		Progress: func(line string) {
			last = line
			fmt.Fprintln(cmd.ErrOrStderr(), line)
		},
	})
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "%s had begun", last)
	}
	env, to := peers.ReadEnvironment(), files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	err = errors.Join(
		result.WriteText(to.people, env),
		to.write("--json", f.json, func(w io.Writer) error { return result.WriteJSON(w, env) }),
	)
	if !f.strict {
		return err
	}
	return errors.Join(err, strictlyMet(result))
}

// strictlyMet is a finding if a bar was missed.
func strictlyMet(result *fanout.Result) error {
	missed := 0
	for _, verdict := range result.Verdicts() {
		if !verdict.Met {
			missed++
		}
	}
	if missed > 0 {
		return finding{fmt.Sprintf("%d bars missed", missed)}
	}
	return nil
}
