package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/referee"
)

// refereeFlags are the flags of the referee verb as they were typed.
type refereeFlags struct {
	seed     uint64
	arrivals int
	scenario string
}

func newRefereeCommand() *cobra.Command {
	var f refereeFlags
	cmd := &cobra.Command{
		Use:   "referee",
		Short: "Judge whole engines from outside, by servers that count by definition",
		Long: `Judge whole engines from outside, by servers that count by definition.

Engines, servers and callers live in fake time, in memory, through jitter, losses,
refusals, replaced limits and whatever else the scenarios say, with every kind of
window. The servers note when each request arrives by their own clock, and every
window is judged afterwards; so are pauses, what each error says of its request,
and what is left when the engine has ended. The first offences are printed. What
is used of a quota is judged where a world has at least ten windows behind its
first four seconds; with few --arrivals it is said that there are too few.

The last scenario is played only if it is asked for by name: it is known that the
engine breaks a promise there, and it says which.

It runs the tests of bench/referee, and so needs the go command and the source.

Exit codes: 0 nothing was found, 1 a promise was broken, or it was interrupted,
2 wrong flags or a refusal of the system.`,
		Example: `  sluice referee                          a million arrivals, in about a minute
  sluice referee --arrivals 200000        a first look
  sluice referee --seed 7                 other draws
  sluice referee --scenario refused       one scenario alone, of
                                          ` + wrapped(referee.Names(), 44),
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of all draws")
	flags.IntVar(&f.arrivals, "arrivals", 1_000_000, "how many requests arrive in all scenarios together, about")
	flags.StringVar(&f.scenario, "scenario", "", "play this one alone (default all)")
	return cmd
}

// wrapped writes names in lines of about so many letters, below one another.
func wrapped(names []string, width int) string {
	var b strings.Builder
	line := 0
	for i, name := range names {
		separator := ", "
		if line += len(name) + 2; line > width {
			separator, line = ",\n"+strings.Repeat(" ", 42), len(name)
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(name)
	}
	return b.String()
}

func (f refereeFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.arrivals < 1 {
		return fmt.Errorf("--arrivals %d: at least 1 is needed", f.arrivals)
	}
	if f.scenario != "" && !slices.Contains(referee.Names(), f.scenario) {
		return fmt.Errorf("--scenario %q: there are %s", f.scenario, strings.Join(referee.Names(), ", "))
	}
	return played{
		room: "github.com/sluice-engine/sluice/bench/referee",
		args: []string{
			"-test.run=^TestTheEngineKeepsItsPromises$", "-test.timeout=" + f.patience().String(),
			fmt.Sprint("-seed=", f.seed), fmt.Sprint("-arrivals=", f.arrivals), "-scenario=" + f.scenario,
		},
		env:    []string{"SLUICE_SEED="}, // the flag counts
		broken: "a promise was broken: see above",
	}.play(ctx, stdout, stderr)
}

// patience is more than any machine takes.
func (f refereeFlags) patience() time.Duration {
	return 2*time.Minute + time.Duration(f.arrivals)*time.Millisecond
}
