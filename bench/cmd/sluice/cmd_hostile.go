package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/hostile"
)

// hostileFlags are the flags of the hostile verb as they were typed.
type hostileFlags struct {
	seed  uint64
	cases int
	part  string
}

func newHostileCommand() *cobra.Command {
	var f hostileFlags
	cmd := &cobra.Command{
		Use:   "hostile",
		Short: "Have hostile servers, proxies and connections at whole engines",
		Long: `Have hostile servers, proxies and connections at whole engines.

Odd answers are read by net/http's Transport as well, and whatever an engine makes of
one otherwise must have a reason in the table of classes; how many differences there
were of each is printed. After every doubtful answer the same engine asks for
something else, and must be given just that. Nothing may hang, panic, or tell a
secret, and an engine has to be well again as soon as the server is.

A class of differences that nothing belongs to any more is a failure as well.

It runs the tests of bench/hostile, in memory and in fake time, and so needs the go
command and the source.

Exit codes: 0 nothing was found, 1 there were failures, or it was interrupted, 2 wrong
flags or a refusal of the system.`,
		Example: `  sluice hostile                         all parts, in a minute or two
  sluice hostile --part mutants          one alone, of
                                         ` + wrapped(hostile.Names(), 44) + `
  sluice hostile --part mutants --cases 500000 --seed 7
                                         as many mutated answers, of other draws
  sluice hostile --cases 100             a first look`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of all draws")
	flags.IntVar(&f.cases, "cases", 0, "how many answers are mutated; the slow parts are sampled then (default 20,000, and all of each part)")
	flags.StringVar(&f.part, "part", "", "play this one alone (default all)")
	return cmd
}

func (f hostileFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.cases < 0 {
		return fmt.Errorf("--cases %d: must not be negative", f.cases)
	}
	if f.part != "" && !slices.Contains(hostile.Names(), f.part) {
		return fmt.Errorf("--part %q: there are %s", f.part, strings.Join(hostile.Names(), ", "))
	}
	return played{
		room: "github.com/sluice-engine/sluice/bench/hostile",
		args: []string{
			"-test.run=^TestTheEngineWithstandsHostileServers$", "-test.timeout=" + f.patience().String(),
			fmt.Sprint("-seed=", f.seed), fmt.Sprint("-cases=", f.cases), "-part=" + f.part,
		},
		broken: "there were failures: see above",
	}.play(ctx, stdout, stderr)
}

// patience is more than any machine takes.
func (f hostileFlags) patience() time.Duration {
	return 10*time.Minute + time.Duration(f.cases)*10*time.Millisecond
}
