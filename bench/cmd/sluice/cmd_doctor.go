package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/doctor"
)

// doctorFlags are the flags of the doctor verb as they were typed.
type doctorFlags struct {
	json  jsonFlag
	quick bool
}

func newDoctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine what this machine can offer to the harness",
		Long: `Examine what this machine can offer to the harness, before anything is believed that
is measured on it: processors and their quota, load, governor, open files, ports, how
exactly the process is woken, whether a server that stalls is measured as arithmetic has
it, and the highest rates that are dispatched, and answered, in time.

Each check is a line: ok, warn, fail, or unknown where this system does not tell; what to
do about it is below. The last line is what open runs this machine can hold. Whatever
else runs on the machine is in the figures, and should be.

Exit codes: 0 no check failed, 1 one did, or it was interrupted, 2 wrong flags or a refusal
of the system.`,
		Example: `  sluice doctor                     all of it, in about a minute
  sluice doctor --quick             a first look, in ten seconds, or twenty on a busy machine
  sluice doctor --json=doctor.json  as JSON as well
  sluice doctor --quick --json      as JSON alone, on the standard output`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.quick, "quick", false, "shorter measurements: rougher figures")
	flags.StringVar((*string)(&f.json), "json", "", "write the report as JSON to this `file`, compressed if it ends in .gz; without one, or with -, to the standard output in place of the text")
	flags.Lookup("json").NoOptDefVal = "-"
	return cmd
}

func (f doctorFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	var files namedFiles
	files.writes("--json", string(f.json))
	if err := files.check(); err != nil {
		return err
	}
	lines := stdout // findings are shown as they come
	if f.json == "-" {
		lines = stderr
	}
	report := doctor.Examine(ctx, doctor.Config{
		Quick: f.quick,
		Begun: doctorProgress(stderr),
		Each: func(found doctor.Finding) {
			fmt.Fprint(stderr, clearLine(stderr))
			fmt.Fprintln(lines, found)
		},
	})
	fmt.Fprint(stderr, clearLine(stderr))
	err := f.json.write(stdout, shownAlready{report})
	if n := report.Failed(); n > 0 {
		err = errors.Join(err, finding{fmt.Sprintf("%d checks failed", n)})
	}
	if report.Interrupted {
		err = errors.Join(err, finding{"interrupted: nothing is concluded from some of the checks"})
	}
	return err
}

// shownAlready is a report whose findings need no second showing.
type shownAlready struct{ *doctor.Report }

// WriteText is part of writable.
func (r shownAlready) WriteText(w io.Writer) error { return r.WriteRest(w) }

// doctorProgress says on a terminal what is being looked at.
func doctorProgress(w io.Writer) func(check string) {
	return func(check string) {
		if isTerminal(w) {
			fmt.Fprintf(w, "%s… %s", clearLine(w), check)
		}
	}
}

// clearLine is what takes an unfinished line off a terminal.
func clearLine(w io.Writer) string {
	if isTerminal(w) {
		return "\r\x1b[K"
	}
	return ""
}
