package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/compare"
	"github.com/sluice-engine/sluice/bench/results"
)

// compareFlags are the flags of the compare verb as they were typed.
type compareFlags struct {
	old, new  []string
	paired    bool
	anyway    bool
	gate      []string
	threshold percent
	seed      uint64
	json      jsonFlag
}

func newCompareCommand() *cobra.Command {
	flags := compareFlags{threshold: compare.ThresholdOfRuns}
	command := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say whether new results are worse than old ones, with intervals; a gate for scripts",
		Long: `Say whether new results are worse than old ones, with intervals; a gate for scripts.

OLD and NEW are files that run, or ab, has written; several of a side have commas
between them. Of one file with one the seconds are compared, and an interval knows
only of what varies within a run. Of several with several the ratio of medians is
compared, by the U-test, or with --paired the ratios of those at the same place.

Figures: ` + wrappedAt(compare.Names(compare.OfRuns), 70) + `.
A regression is a gated figure whose ratio has a 95 % interval without 1, a p-value
of at most 0.05 after Holm's correction over all that are gated, and more change
for the worse than --threshold. What would have been found with so much data is
said beside each. If nothing would have been, in all that is gated, that is no pass:
the exit code is 98. To be judged, one file with one needs 10 seconds in each, pairs
10 files of each side, and several unpaired ones 5 of each, or 4 where one figure
is gated.

Files of unlike machines, schedules, models or clients are refused, each difference
named, unless --anyway is given; then the output names them. INVALID runs, a run
given twice, and one of which more than half of the requests failed, are refused
always; but a new one that fails where the old one did not is a regression, if
errors are gated and there is enough data to find it.

Exit codes: 0 no regression, 1 interrupted, 2 wrong flags or a refusal, 97 a regression,
98 too little data to find one in anything that is gated.`,
		Example: `  sluice compare old.jsonl new.jsonl
  sluice compare old1.jsonl,old2.jsonl,old3.jsonl,old4.jsonl,old5.jsonl new1.jsonl,new2.jsonl,new3.jsonl,new4.jsonl,new5.jsonl
  sluice compare --paired --old "$OLD" --new "$NEW" # ten files of each, with commas between them
  sluice compare old.jsonl new.jsonl --gate p99,errors --threshold 10%
  sluice compare old.jsonl new.jsonl --anyway --json -`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return untilInterrupted(cmd.Context(), func() error { return flags.run(cmd.OutOrStdout(), args) })
		},
	}
	f := command.Flags()
	f.StringSliceVar(&flags.old, "old", nil, "old `files`, in place of OLD; repeat, or put commas between them")
	f.StringSliceVar(&flags.new, "new", nil, "new `files`, in place of NEW")
	f.BoolVar(&flags.paired, "paired", false, "files at the same place were made side by side, in turns")
	f.BoolVar(&flags.anyway, "anyway", false, "compare what is not alike, and say so")
	f.StringSliceVar(&flags.gate, "gate", nil, "`figures` in which a regression may be found (default "+compare.Names(compare.GateOfRuns)+")")
	f.Var(&flags.threshold, "threshold", "how much worse a figure must be to count")
	f.Uint64Var(&flags.seed, "seed", 1, "of the draws that give the intervals")
	f.StringVar((*string)(&flags.json), "json", "", "write the report as JSON to this `file`, compressed if it ends in .gz, or with - to the output in place of text")
	return command
}

// wrappedAt breaks a text at spaces, after so many letters.
func wrappedAt(text string, width int) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case line+len(word) >= width:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
		line += len(word) + 1
	}
	return b.String()
}

func (f compareFlags) run(stdout io.Writer, args []string) error {
	old, new, gate, err := f.read(args)
	if err != nil {
		return err
	}
	report, err := compare.Runs(old, new, compare.Options{
		Gate: gate, Threshold: float64(f.threshold), Seed: f.seed, Paired: f.paired, Anyway: f.anyway,
	})
	var unlike *compare.UnlikeError
	if errors.As(err, &unlike) {
		return fmt.Errorf("%w; --anyway compares them all the same", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.json.write(stdout, report), gated(report), seeing(report))
}

// seeing is a finding if there was too little data to find a regression in anything that is gated: then
// that none was found is no pass.
func seeing(report *compare.Report) error {
	if report.Sees() {
		return nil
	}
	return outcome{exitInvalid, "nothing that is gated could be judged: " + report.Needs()}
}

// gated turns regressions into an exit code.
func gated(report *compare.Report) error {
	if len(report.Regressions()) > 0 {
		return outcome{exitRegression, report.Conclusion()}
	}
	return nil
}

func (f compareFlags) read(args []string) (old, new []*results.Run, gate []compare.Figure, err error) {
	var wrong mistakes
	oldFiles, newFiles := f.old, f.new
	switch {
	case len(args) == 2 && len(f.old)+len(f.new) == 0:
		oldFiles, newFiles = strings.Split(args[0], ","), strings.Split(args[1], ",")
	case len(args) > 0 || len(f.old) == 0 || len(f.new) == 0:
		wrong.add("say what to compare: OLD and NEW, or --old and --new")
		oldFiles, newFiles = nil, nil
	}
	gate, err = compare.ParseFigures(f.gate, compare.OfRuns, compare.GateOfRuns)
	wrong.note("--gate", err)
	oldFiles, newFiles = trimmed(oldFiles), trimmed(newFiles)
	old, new = openAll(oldFiles, &wrong), openAll(newFiles, &wrong)
	var files namedFiles
	files.reads("", slices.Concat(oldFiles, newFiles)...)
	files.writes("--json", string(f.json))
	wrong.note("", files.check())
	if f.paired && len(oldFiles) != len(newFiles) {
		wrong.add("--paired: %d old files and %d new ones make no pairs", len(oldFiles), len(newFiles))
	}
	return old, new, gate, wrong.err()
}

// trimmed are names without the spaces around commas.
func trimmed(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, strings.TrimSpace(name))
	}
	return all
}

// openAll reads files of results. A run without a name is called as its file.
func openAll(files []string, wrong *mistakes) []*results.Run {
	var runs []*results.Run
	for _, file := range files {
		run, err := results.Open(file)
		if err != nil {
			wrong.note(file, err)
			continue
		}
		if run.Header.Name == "" {
			run.Header.Name = filepath.Base(file)
		}
		runs = append(runs, run)
	}
	return runs
}
