package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/report"
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
got worse, 98 the harness could not hold the rate (INVALID), or nothing could be judged,
99 an objective failed.`,
		Example: `  sluice exchange
  sluice exchange --addr 127.0.0.1:0 --limit weight=10/1s,sliding --delay uniform:5ms-50ms`,
		Args:          cobra.NoArgs,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetHelpCommand(newHelpCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return plainly(err) })
	for _, verb := range verbs {
		root.AddCommand(verb())
	}
	return root
}

// newHelpCommand is cobra's, but that a verb that there is not is a mistake.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [verb]",
		Short: "Tell of a verb, as its --help does",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("there is no verb %s", report.Printable(strings.Join(args, " ")))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// noArguments refuses arguments of a verb that has none. One may be meant for a flag that can do
// without a value, and so takes it only behind a "=".
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s is too much: %s takes flags alone", report.Printable(strings.Join(args, " ")), cmd.CommandPath())
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" && f.Value.Type() != "bool" && f.Value.String() == f.NoOptDefVal {
			text += fmt.Sprintf("; a value of --%s is written behind a =, as in --%s=%s", f.Name, f.Name, report.Printable(args[0]))
		}
	})
	return errors.New(text)
}

// version is that of the module that the program was built from, and of Go.
func version() string {
	info, known := debug.ReadBuildInfo()
	if !known {
		return "of an unknown version"
	}
	return info.Main.Version + " " + info.GoVersion
}

// wanted says what a flag's value must be, by the type of flag.
var wanted = map[string]string{
	"uint64":        "want a whole number from 0 on",
	"int":           "want a whole number",
	"float64":       "want a number",
	"duration":      "want a time such as 30s, 500ms or 1m30s",
	"bool":          "want true or false",
	"intSlice":      "want whole numbers, with commas between them",
	"stringToInt64": "want names and whole numbers, as a=1,b=2",
}

// plainly says in one line what is wrong with a flag's value, without the names of functions.
func plainly(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	name := "--" + invalid.GetFlag().Name
	if short := invalid.GetFlag().Shorthand; short != "" {
		name = "-" + short
	}
	want, known := wanted[invalid.GetFlag().Value.Type()]
	switch {
	case errors.Is(err, strconv.ErrRange):
		want = "that is more than can be kept"
	case !known:
		want = strings.ReplaceAll(invalid.Unwrap().Error(), "\n", "; ")
	}
	return fmt.Errorf("%s %s: %s", name, report.Printable(invalid.GetValue()), want)
}

// isOfSystem reports whether an error is a refusal of the system or of the network, against
// which no usage helps.
func isOfSystem(err error) bool {
	var number syscall.Errno
	var network net.Error
	return errors.As(err, &number) || errors.As(err, &network)
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
	if !isOfSystem(err) && (ctx.Err() == nil || !errors.Is(err, context.Cause(ctx))) {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return exitUsage
}
