package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/kills"
	"github.com/sluice-engine/sluice/bench/peers"
)

// memoryFlags are the flags of the memory verb as they were typed.
type memoryFlags struct {
	kills    int
	seed     uint64
	least    time.Duration
	most     time.Duration
	cost     bool
	rounds   int
	requests int
	callers  int
}

func newMemoryCommand() *cobra.Command {
	var f memoryFlags
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Kill processes under load, and count whether what they remember holds",
		Long: `Kill processes under load, and count whether what they remember holds.

A process with an engine that has a memory sends without measure, is ended by
kill -9 at a random instant, and is started again on the same file. A server in
this process, with a limit of every kind, counts by definition what arrives from
all of them together; it looks for nonces that come twice as well, and whether
the file can be read. Beside each limit stands how full it was at its fullest, counted by
its own definition: a window, a bucket, what was open at once, a budget. 100 % is the
limit, which may be reached; what is above it is counted as over a limit.

With --cost nothing is killed: the CPU time of a request with a memory and without
one is compared, in slices of mirrored order.

Exit codes: 0 nothing was found, 1 a limit was broken, a nonce reused or a file
unreadable, or it was interrupted, 2 wrong flags or a refusal of the system.`,
		Example: `  sluice memory                          a hundred kills, in half a minute
  sluice memory --kills 1000             a thousand
  sluice memory --most 1s                processes that live longer
  sluice memory --cost                   what it costs a request`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.cost {
				return f.compare(cmd)
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.kills, "kills", 100, "how often a process is killed")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the instants at which, and of the interval of --cost")
	flags.DurationVar(&f.least, "least", 20*time.Millisecond, "a process sends for at least this long")
	flags.DurationVar(&f.most, "most", 200*time.Millisecond, "and for this long at most")
	flags.BoolVar(&f.cost, "cost", false, "compare the CPU time of a request with and without a memory instead")
	flags.IntVar(&f.rounds, "rounds", 30, "of --cost: rounds of two slices with and two without")
	flags.IntVar(&f.requests, "requests", 5000, "of --cost: requests of a slice")
	flags.IntVar(&f.callers, "callers", 8, "of --cost: how many make them")
	cmd.AddCommand(&cobra.Command{
		Use: memoryWorkVerb, Hidden: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return kills.Work(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}, &cobra.Command{
		Use: memoryServeVerb, Hidden: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return peers.Serve(cmd.InOrStdin(), cmd.OutOrStdout()) },
	})
	return cmd
}

// The processes are this program again.
const (
	memoryWorkVerb  = "work"
	memoryServeVerb = "serve"
)

func (f memoryFlags) run(cmd *cobra.Command) error {
	if f.kills < 1 || f.least < 0 || f.most < f.least {
		return fmt.Errorf("--kills %d --least %v --most %v: want at least 1 kill, and the longest time no shorter than the least", f.kills, f.least, f.most)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	result, err := kills.Run(cmd.Context(), kills.Config{
		Child: []string{self, "memory", memoryWorkVerb}, Kills: f.kills, Least: f.least, Most: f.most, Seed: f.seed,
		Progress: func(n int, r *kills.Result) {
			if n%100 == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d kills, %d requests, found %d\n", n, r.Requests, r.Found())
			}
		},
	})
	if result == nil {
		return err
	}
	err = interruptedAfter(cmd.Context(), err, "%d of %d kills", result.Kills, f.kills)
	err = errors.Join(err, result.WriteText(cmd.OutOrStdout()))
	if n := result.Found(); n > 0 {
		err = errors.Join(err, finding{fmt.Sprintf("%d promises broken: see above", n)})
	}
	return err
}

func (f memoryFlags) compare(cmd *cobra.Command) error {
	if f.rounds < 1 || f.requests < 1 || f.callers < 1 {
		return fmt.Errorf("--rounds %d --requests %d --callers %d: want at least 1 of each", f.rounds, f.requests, f.callers)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	done := 0
	cost, err := kills.Measure(cmd.Context(), kills.CostConfig{
		Server: []string{self, "memory", memoryServeVerb},
		Rounds: f.rounds, Requests: f.requests, Callers: f.callers, Seed: f.seed,
		Progress: func(rounds, _ int) { done = rounds },
	})
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "%d of %d rounds", done, f.rounds)
	}
	return cost.WriteText(cmd.OutOrStdout())
}
