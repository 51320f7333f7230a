package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/peers"
	"github.com/sluice-engine/sluice/bench/telemetry"
)

// telemetryFlags are the flags of the telemetry verb as they were typed.
type telemetryFlags struct {
	rounds   int
	requests int
	callers  int
	seed     uint64
	plain    bool
}

// telemetryServeVerb is this program again, as the server.
const telemetryServeVerb = "serve"

func newTelemetryCommand() *cobra.Command {
	var f telemetryFlags
	cmd := &cobra.Command{
		Use:   "telemetry",
		Short: "Compare the CPU time of a request with and without OpenTelemetry and the live page",
		Long: `Compare the CPU time of a request with and without OpenTelemetry, and the live page.

Engines that are observed in several ways make the same requests, charged to two
limits, over TLS to a server in a process of its own, in slices of mirrored order: without
observers, with an observer that has no provider, with metrics (the SDK with a manual
reader), and with traces of which one in a hundred or all are sampled (the SDK's
batches, an exporter that counts and forgets), and by hooks that call the same SDK and do
nothing else, which is the share of telemetry that is not ours. Ratios are to the engine without
observers, taken of neighbours; a bar is exceeded if the whole interval is above
it. Every slice is checked to have told of all its requests.

The live page is drawn once a second, and so it is measured in slices of twelve times as
many requests, a third of the rounds: while nobody looks, and with one viewer of its
server-sent events in this process, whose reading counts too. Its observer, without
which it shows no slow and no failed requests, is apart.

Exit codes: 0 no bar is exceeded, 1 one is, or it was interrupted, 2 wrong flags or a
refusal of the system.`,
		Example: `  sluice telemetry                            a minute or two
  sluice telemetry --rounds 70                narrower intervals
  sluice telemetry --plain                    without TLS
  sluice telemetry --rounds 2 --requests 500  a look at what is measured`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.rounds, "rounds", 21, "rounds of two slices of each engine")
	flags.IntVar(&f.requests, "requests", 5000, "requests of a slice")
	flags.IntVar(&f.callers, "callers", 8, "how many make them")
	flags.BoolVar(&f.plain, "plain", false, "without TLS, which makes requests cheaper and what is told of them weigh more")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the intervals")
	cmd.AddCommand(&cobra.Command{
		Use: telemetryServeVerb, Hidden: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return peers.Serve(cmd.InOrStdin(), cmd.OutOrStdout()) },
	})
	return cmd
}

func (f telemetryFlags) run(cmd *cobra.Command) error {
	if f.rounds < 1 || f.requests < 1 || f.callers < 1 {
		return fmt.Errorf("--rounds %d --requests %d --callers %d: want at least 1 of each", f.rounds, f.requests, f.callers)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	done := 0
	result, err := telemetry.Run(cmd.Context(), telemetry.Config{
		Server: []string{self, "telemetry", telemetryServeVerb},
		Rounds: f.rounds, Requests: f.requests, Callers: f.callers, Seed: f.seed, Plain: f.plain,
		Progress: func(round, rounds int) {
			done = round
			fmt.Fprintf(cmd.ErrOrStderr(), "\rround %d of %d", round, rounds)
		},
	})
	fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "%d of %d rounds", done, f.rounds)
	}
	if err := result.WriteText(cmd.OutOrStdout()); err != nil {
		return err
	}
	if n := result.Exceeding(); n > 0 {
		return finding{fmt.Sprintf("bars exceeded: %d, see above", n)}
	}
	return nil
}
