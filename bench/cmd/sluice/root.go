package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes. A verb returns an error with an ExitCode method to choose one;
// any other error is exitUsage.
const (
	exitFound = 1 // the verb worked and found what it looks for: violations
	exitUsage = 2 // wrong flags, or the system refused

	exitRegression = 97 // compare and ab: something got worse
	exitInvalid    = 98 // the harness could not hold the rate: what was measured says little
	exitObjective  = 99 // an objective has failed
)

// finding is an outcome that is no failure of the command but should fail a
// script.
type finding struct{ text string }

func (f finding) Error() string { return f.text }

// ExitCode returns exitFound.
func (f finding) ExitCode() int { return exitFound }

// outcome is a finding with an exit code of its own.
type outcome struct {
	code int
	text string
}

func (o outcome) Error() string { return o.text }

// ExitCode returns the code.
func (o outcome) ExitCode() int { return o.code }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Measure and exercise HTTP clients under rate limits",
		Long: `sluice measures and exercises HTTP clients under rate limits.

Exit codes: 0 all is well, 1 the verb found what it looks for (such as
violations of a limit), 2 wrong flags or a refusal of the system, 97 something
got worse, 98 the harness could not hold the rate (INVALID), 99 an objective failed.`,
		Example: `  sluice exchange
  sluice exchange --addr 127.0.0.1:0 --limit weight=10/1s,sliding --delay uniform:5ms-50ms`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, verb := range verbs {
		root.AddCommand(verb())
	}
	return root
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "sluice: %v\n", err)
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	return exitUsage
}
