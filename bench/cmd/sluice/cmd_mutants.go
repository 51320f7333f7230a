package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/mutants"
)

type mutantsFlags struct {
	rules  []int
	sample int
	jobs   int
	root   string
}

func newMutantsCommand() *cobra.Command {
	var flags mutantsFlags
	command := &cobra.Command{
		Use:   "mutants",
		Short: "Prove that every rule has a test that fails without it",
		Long: `Take every rule for safe connections, and those that queue, pool and throttler rest
on, out of the source, a part at a time, and have its test fail. Nothing on disk is
changed: the go command gets an overlay. First the same tests must pass as the source
is.

Exit codes: 0 every mutant was killed, 1 one survived or proves nothing, or it was
interrupted, 2 wrong flags, or tests that fail by themselves.`,
		Example: `  sluice mutants             all of them, in some minutes
  sluice mutants --sample 3  three of every rule, in about one
  sluice mutants --rule 5    all of one rule`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMutants(cmd, flags) },
	}
	f := command.Flags()
	f.IntSliceVar(&flags.rules, "rule", nil, fmt.Sprintf("rules to take out, of 1 to %d (default all)", len(mutants.Rules)-1))
	f.IntVar(&flags.sample, "sample", 0, "how many of every rule, evenly spaced (default all)")
	f.IntVar(&flags.jobs, "jobs", runtime.NumCPU(), "how many mutants are tried at a time")
	f.StringVar(&flags.root, "root", "", "`folder` of the module (default where the go command finds it)")
	return command
}

func runMutants(cmd *cobra.Command, flags mutantsFlags) error {
	chosen, err := mutants.Choose(flags.rules, flags.sample)
	if err != nil {
		return err
	}
	if flags.root == "" {
		if flags.root, err = moduleRoot(cmd.Context()); err != nil {
			return interruptedAfter(cmd.Context(), err, "nothing: the source was looked for")
		}
	}
	done := 0
	outcomes, err := mutants.Run(cmd.Context(), mutants.Config{
		Root: flags.root, Mutants: chosen, Jobs: flags.jobs,
		Told: func(o mutants.Outcome) {
			done++
			fmt.Fprintf(cmd.ErrOrStderr(), "%3d of %d  %-8s %v\n", done, len(chosen), o.Fate, o.Mutant)
		},
	})
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "%d of %d mutants", done, len(chosen))
	}
	failures, err := mutants.WriteTable(cmd.OutOrStdout(), outcomes)
	if err == nil && failures > 0 {
		return finding{fmt.Sprintf("%d of %d mutants were not killed", failures, len(outcomes))}
	}
	return err
}

// moduleRoot is where the source is that some verbs need.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sluice-engine/sluice").Output()
	if err != nil {
		return "", fmt.Errorf("this runs the project's own source, which is not found from here: run it in a clone (go list: %v)", err) // not its exit code
	}
	return strings.TrimSpace(string(out)), nil
}
