package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/panels"
	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/results"
)

// formatHTML is the one format that is not the package report's.
const formatHTML = "html"

type reportFlags struct {
	format string
	out    string
}

func newReportCommand() *cobra.Command {
	var flags reportFlags
	command := &cobra.Command{
		Use:   "report FILE...",
		Short: "Report runs from their files of results, as text, a page, or for other programs",
		Long: `Report runs from their files of results, as text, a page, or for other programs.

Files of the machines of one run are merged: their counts and histograms are added up, and
what went wrong on one went wrong. Files of several runs make one page that compares them
(html), samples side by side (bench), or one report after the other (text); the other formats
are of one run. A file of a run that crashed, or that still goes on, is read as far as it
goes; "-" is standard input, and compressed files are recognized.

  text   for people: verdict, objectives, latency by operation, errors, charts
  html   one page with ten panels that needs no network
  json   everything but the histograms; names that end in _s are seconds, in _us microseconds
  csv    a row for each interval, and for each operation in it
  hlog   HdrHistogram's log, for its tools and plotters
  bench  Go's benchmark format, a sample for each run, for benchstat
  prom   Prometheus's text format, for a push gateway or a collector of files

Exit codes are those of the run: 0 all is well, 1 no request succeeded, 98 INVALID or without
an end, 99 an objective failed; 1 also if it was interrupted itself, 2 wrong flags, or a file
that cannot be read.`,
		Example: `  sluice report run.jsonl
  sluice report run.jsonl -o run.html
  sluice report worker-1.jsonl.gz worker-2.jsonl.gz --format json
  sluice report monday.jsonl tuesday.jsonl --format html -o week.html
  sluice report old-*.jsonl --format bench -o old.txt && sluice report new-*.jsonl --format bench -o new.txt && benchstat old.txt new.txt
  sluice report run.jsonl -o run.html.gz
  sluice run http://127.0.0.1:8080/api/v3/ping --rate 50/s -o - | sluice report - --format csv`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return untilInterrupted(cmd.Context(), func() error { return flags.run(cmd, files) })
		},
	}
	f := command.Flags()
	f.StringVar(&flags.format, "format", "", "text, html, json, csv, hlog, bench or prom; empty goes by the end of --out's name, below .gz, and is text else")
	f.StringVarP(&flags.out, "out", "o", "", "write to this `file` instead of standard output, which - is as well; .gz compresses")
	return command
}

// formatsByEnd are what names of files say about what is in them.
var formatsByEnd = map[string]string{
	".html": formatHTML, ".htm": formatHTML, ".json": "json", ".csv": "csv", ".hlog": "hlog", ".bench": "bench", ".prom": "prom",
}

// endOf is the end of a file's name, below that of a compressed one.
func endOf(name string) string {
	if results.Compressed(name) {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return strings.ToLower(filepath.Ext(name))
}

func (f *reportFlags) run(cmd *cobra.Command, files []string) error {
	if f.format == "" {
		f.format = "text"
		if format, known := formatsByEnd[endOf(f.out)]; known {
			f.format = format
		}
	}
	if err := f.check(files); err != nil {
		return err
	}
	runs, err := readRuns(cmd.InOrStdin(), files)
	if err != nil {
		return err
	}
	if len(runs) > 1 && !slices.Contains([]string{formatHTML, "bench", "text"}, f.format) {
		return fmt.Errorf("--format %s is of one run, and the files are of %d: give those of one, or choose html, bench or text", f.format, len(runs))
	}
	to := outputs{programs: cmd.OutOrStdout()}
	err = to.writeFile(cmp.Or(f.out, "-"), func(w io.Writer) error { return f.write(w, runs) })
	return errors.Join(err, worstOf(runs))
}

// check names every mistake at once.
func (f *reportFlags) check(files []string) error {
	var wrong mistakes
	if len(files) == 0 {
		wrong.add("no file of results is given")
	}
	if f.format != formatHTML && !report.Known(f.format) {
		wrong.add("--format %q is none of html, %s", f.format, strings.Join(report.Formats, ", "))
	}
	seen := map[string]os.FileInfo{}
	for at, name := range files {
		info, err := os.Stat(name)
		switch {
		case name == "-":
			if slices.Contains(files[:at], "-") {
				wrong.add(`"-" is given twice`)
			}
			continue
		case err != nil:
			wrong.note("", err)
			continue
		case info.IsDir():
			wrong.add("%s is a folder", name)
		}
		for other, same := range seen {
			if os.SameFile(info, same) {
				wrong.add("%s and %s are the same file, which would count twice", other, name)
			}
		}
		seen[name] = info
	}
	var all namedFiles
	all.reads("", files...)
	all.writes("--out", f.out)
	wrong.note("", all.check())
	return wrong.err()
}

// readRuns reads files, and merges those of one run, in the order of the first of each.
func readRuns(stdin io.Reader, files []string) ([]*results.Run, error) {
	var order []string
	parts := map[string][]*results.Run{}
	for _, name := range files {
		run, err := readRun(stdin, name)
		if err != nil {
			return nil, err
		}
		id := run.Header.ID
		if id == "" {
			id = "file " + name // of nobody else
		}
		if parts[id] == nil {
			order = append(order, id)
		}
		parts[id] = append(parts[id], run)
	}
	var runs []*results.Run
	for _, id := range order {
		run := parts[id][0]
		if len(parts[id]) > 1 {
			var err error
			if run, err = results.Merge(parts[id]...); err != nil {
				return nil, err
			}
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func readRun(stdin io.Reader, name string) (*results.Run, error) {
	if name != "-" {
		return results.Open(name)
	}
	run, err := results.Read(stdin)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return run, nil
}

func (f *reportFlags) write(w io.Writer, runs []*results.Run) error {
	switch f.format {
	case formatHTML:
		return panels.Write(w, runs...)
	case "bench":
		return report.Bench(w, runs...)
	}
	for at, run := range runs {
		if at > 0 {
			if _, err := fmt.Fprintf(w, "\n%s\n\n", strings.Repeat("=", 40)); err != nil {
				return err
			}
		}
		if err := report.Write(w, f.format, run, widthOf(w)); err != nil {
			return err
		}
	}
	return nil
}

// widthOf is that of the terminal, or what the environment says it is; 0 if nobody knows.
func widthOf(w io.Writer) int {
	if file, ok := w.(term.File); ok {
		if width, _, err := term.GetSize(file.Fd()); err == nil && width > 0 {
			return width
		}
	}
	return columns()
}

// worstOf is the outcome of the worst of the runs: one that cannot be believed is worse than
// one whose objectives failed.
func worstOf(runs []*results.Run) error {
	var failed, nothing error
	for _, run := range runs {
		o := report.Judge(run)
		who := ""
		if len(runs) > 1 {
			who = "run " + report.Printable(run.Header.ID) + ": "
		}
		if !o.Valid() {
			reasons := make([]string, len(o.Reasons))
			for i, reason := range o.Reasons {
				reasons[i] = report.Printable(reason)
			}
			return outcome{exitInvalid, who + o.Word + ": " + strings.Join(reasons, "; ")}
		}
		if n := o.Failed(); n > 0 && failed == nil {
			failed = outcome{exitObjective, fmt.Sprintf("%s%d of %d objectives failed", who, n, len(o.Verdicts))}
		}
		if err := successOf(run); err != nil && failed == nil && nothing == nil {
			nothing = finding{who + err.Error()}
		}
	}
	if failed == nil {
		return nothing
	}
	return failed
}
