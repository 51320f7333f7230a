package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/compare"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/shellwords"
)

// abFlags are the flags of the ab verb as they were typed.
type abFlags struct {
	load      loadFlags
	a, b      string
	pairs     int
	requests  int
	gate      []string
	threshold percent
	out       string
	quiet     bool
	json      jsonFlag
}

// leastSlice is how many requests a slice has at least: CPU time is told too coarsely for less.
const leastSlice = 1500

func newABCommand() *cobra.Command {
	flags := abFlags{threshold: compare.ThresholdOfSlices}
	command := &cobra.Command{
		Use:   "ab --a FLAGS --b FLAGS [URL...]",
		Short: "Compare two settings side by side, in turns, by what each request costs the client",
		Long: `Compare two settings side by side, in turns, by what each request costs the client.

Each side is a process of its own, so that CPU time and allocations are its alone;
start the server elsewhere. They make slices of requests in mirrored order, A B B A,
B A A B, and a ratio is taken within each pair of neighbours, where whatever disturbs
the machine disturbs both. The medians of the ratios have bootstrap intervals. What is
compared: ` + compare.Names(compare.OfSlices) + `.

A regression is a gated figure in which B is worse than A: by more than --threshold
(allocations and bytes by more than 1 %), with a 95 % interval that excludes chance,
also after Holm's correction. Latency is shown and not gated unless --gate says so:
on a shared machine it says more about the neighbours. With slices whose CPU varies
by 5 % of its own, 60 pairs find 7 % more CPU nearly always.

--a and --b have flags and URLs, quoted as in a shell; they come after those that
both share, and a URL of a side stands in place of the shared ones. Without --rate a
side is a closed loop of -c callers.

Exit codes: 0 no regression, 1 interrupted before there was enough to find one in all
that is gated, 2 wrong flags or a refusal, 97 B is worse than A, 98 a side could not
hold its rate.`,
		Example: `  # of an exchange without limits: sluice exchange --limit none
  sluice ab --a '--client engine' --b '--client nethttp' -c 16 http://127.0.0.1:8080/api/v3/ping
  sluice ab --a '' --b "-H 'Accept-Encoding: gzip'" --rate 2000/s --requests 4000 http://127.0.0.1:8080/api/v3/ping

  # with two configurations, and of two servers
  sluice ab --a '--config old.json' --b '--config new.json' -c 8 --gate cpu,p99 -o ab.jsonl http://127.0.0.1:8080/api/v3/ping
  sluice ab --a http://127.0.0.1:8080/api/v3/ping --b http://127.0.0.1:8081/api/v3/ping --pairs 20`,
		RunE: func(cmd *cobra.Command, urls []string) error {
			return flags.run(cmd.Context(), cmd, urls)
		},
	}
	flags.register(command.Flags())
	command.AddCommand(newABSideCommand())
	return command
}

func (f *abFlags) register(set *pflag.FlagSet) {
	registerSide(&f.load, set)
	set.StringVar(&f.a, "a", "", "flags and URLs of side A, the old one")
	set.StringVar(&f.b, "b", "", "flags and URLs of side B, the new one")
	set.IntVar(&f.pairs, "pairs", compare.DefaultPairs, "slices of each side; at least 10 to find anything")
	set.IntVar(&f.requests, "requests", compare.DefaultRequests, fmt.Sprintf("requests of a slice, at least %d", leastSlice))
	set.StringSliceVar(&f.gate, "gate", nil, "`figures` in which a regression may be found (default "+compare.Names(compare.GateOfSlices)+")")
	set.Var(&f.threshold, "threshold", "how much worse a figure must be to count")
	set.StringVarP(&f.out, "out", "o", "", "write results of the sides to two `files`: of ab.jsonl to ab.a.jsonl and ab.b.jsonl")
	set.BoolVar(&f.quiet, "quiet", false, "say nothing while it goes on")
	set.StringVar((*string)(&f.json), "json", "", "write the report as JSON to this `file`, compressed if it ends in .gz, or with - to the output in place of text")
}

// registerSide adds what a side may be told, alone or together with the other.
func registerSide(l *loadFlags, f *pflag.FlagSet) {
	l.what.register(f)
	l.how.register(f)
	f.StringVar(&l.name, "name", "", "what the side is called")
	f.StringVar(&l.when.rate, "rate", "", "open model: requests in a time, whatever the answers take, as 500/s; 500 means 500/s")
	f.BoolVar(&l.when.poisson, "poisson", false, "arrivals at random instead of evenly spaced")
	f.DurationVar(&l.when.think, "think", 0, "closed model: the pause of a caller between an answer and its next request")
	f.Uint64Var(&l.when.seed, "seed", 1, "of random arrivals and picks, and of the draws that give the intervals")
}

const abSideVerb = "side"

// newABSideCommand returns what the comparison starts as the process of a side: this program
// again.
func newABSideCommand() *cobra.Command {
	var flags loadFlags
	command := &cobra.Command{
		Use:    abSideVerb,
		Hidden: true,
		RunE: func(cmd *cobra.Command, urls []string) error {
			child.LeaveInterrupts()
			cfg, done, err := planSide(&flags, urls)
			if err != nil {
				return err
			}
			defer done()
			cfg.Header.Environment = results.ReadEnvironment() // once, and not in every slice
			return compare.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(ctx context.Context, requests int) (*results.Run, error) {
				return load.Run(ctx, sliceOf(cfg, requests))
			})
		},
	}
	registerSide(&flags, command.Flags())
	return command
}

// planSide reads the flags of a side. How many requests a slice has is not known yet.
func planSide(l *loadFlags, urls []string) (load.Config, func(), error) {
	return l.planWith(urls, func(cfg *load.Config, callers int, _ []time.Duration, wrong *mistakes) {
		if l.when.think < 0 {
			wrong.add("--think must not be below zero")
		}
		if l.what.targets == "-" {
			wrong.add("--targets -: the input is not the side's to read")
		}
		if l.when.rate == "" {
			if callers > load.MostCallers {
				wrong.add("-c %d: a closed run has at most %d callers", callers, load.MostCallers)
			}
			cfg.Closed = &load.Closed{Callers: max(callers, 1), Requests: 1, Think: l.when.think}
			return
		}
		if l.when.think > 0 {
			wrong.add("--think is of the closed model, --rate of the open one")
		}
		rate, err := schedule.ParseRate(l.when.rate)
		wrong.note("--rate", err)
		if err == nil && rate.Requests == 0 {
			wrong.add("--rate %s: it must be above zero", l.when.rate)
		}
		cfg.Schedule = &schedule.Spec{Poisson: l.when.poisson, Seed: l.when.seed, Stages: []schedule.Stage{{From: rate, To: rate}}}
	})
}

// sliceOf is the run of so many requests.
func sliceOf(cfg load.Config, requests int) load.Config {
	if cfg.Closed != nil {
		closed := *cfg.Closed
		closed.Requests = uint64(requests)
		cfg.Closed = &closed
		return cfg
	}
	spec := *cfg.Schedule
	stage := spec.Stages[0]
	each := stage.From.Per.Seconds() / float64(stage.From.Requests)
	stage.For = max(1, time.Duration(each*float64(requests)*float64(time.Second)))
	spec.Stages = []schedule.Stage{stage}
	cfg.Schedule = &spec
	return cfg
}

// abSide is what a side is told.
type abSide struct {
	name  string
	args  []string   // of its process, behind the verb
	files namedFiles // that it reads
}

func (f *abFlags) run(ctx context.Context, cmd *cobra.Command, urls []string) error {
	sides, gate, err := f.read(cmd.Flags(), urls)
	if err != nil {
		return err
	}
	if err := f.files(sides).check(); err != nil {
		return err
	}
	ab := compare.AB{
		Names: [2]string{sides[0].name, sides[1].name}, Pairs: f.pairs, Requests: f.requests,
		Options: compare.Options{Gate: gate, Threshold: float64(f.threshold), Seed: f.load.when.seed},
	}
	if !f.quiet {
		ab.Progress = abProgress(cmd.ErrOrStderr())
	}
	report, err := f.compare(ctx, ab, sides)
	var invalid *compare.InvalidError
	if errors.As(err, &invalid) {
		return outcome{exitInvalid, err.Error()}
	}
	if report == nil {
		return interruptedAfter(ctx, err, "less than a pair")
	}
	if err != nil {
		return err
	}
	return errors.Join(f.json.write(cmd.OutOrStdout(), report), gated(report), f.undecided(ctx, report))
}

// undecided is a finding if ctx ended before a regression could have been found, nor has been.
func (f *abFlags) undecided(ctx context.Context, report *compare.Report) error {
	pairs := report.Count[0]
	if pairs == f.pairs || len(report.Regressions()) > 0 || len(report.Blind()) == 0 {
		return nil
	}
	return interruptedAfter(ctx, context.Cause(ctx), "%d of %d pairs: %s", pairs, f.pairs, report.Conclusion())
}

// files are those that the sides read, and what is written.
func (f *abFlags) files(sides [2]abSide) namedFiles {
	all := slices.Concat(sides[0].files, sides[1].files)
	if f.out != "" {
		all.writes("--out", sideFile(f.out, "a"))
		all.writes("--out", sideFile(f.out, "b"))
	}
	all.writes("--json", string(f.json))
	return all
}

// compare starts both processes, has them make their slices and ends them.
func (f *abFlags) compare(ctx context.Context, ab compare.AB, sides [2]abSide) (report *compare.Report, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for i, side := range sides {
		process, err := compare.StartProcess(ctx, append([]string{self, "ab", abSideVerb}, side.args...))
		if err != nil {
			return nil, err
		}
		defer process.Stop()
		if f.out != "" {
			file := &abFile{name: sideFile(f.out, []string{"a", "b"}[i]), side: side.name}
			defer func() { err = errors.Join(err, file.end(ctx)) }()
			process.Wrote = file.add
		}
		if i == 0 {
			ab.A = process
		} else {
			ab.B = process
		}
	}
	return ab.Run(ctx)
}

// read reads all flags, and names every mistake in one line.
func (f *abFlags) read(shared *pflag.FlagSet, urls []string) (sides [2]abSide, gate []compare.Figure, err error) {
	var wrong mistakes
	gate, err = compare.ParseFigures(f.gate, compare.OfSlices, compare.GateOfSlices)
	wrong.note("--gate", err)
	if f.pairs < 1 {
		wrong.add("--pairs %d: at least 1 is needed", f.pairs)
	}
	if f.requests < leastSlice {
		wrong.add("--requests %d: a slice needs at least %d", f.requests, leastSlice)
	}
	if !shared.Changed("a") || !shared.Changed("b") {
		wrong.add("say what to compare: --a and --b, one of which may be empty")
	}
	if f.out == "-" {
		wrong.add("--out -: there are two files: give the name that both are called by, such as ab.jsonl")
	}
	for i, text := range []string{f.a, f.b} {
		side, err := readSide(sharedArgs(shared), text, urls)
		wrong.note([]string{"--a", "--b"}[i], err)
		side.name = strings.ToUpper([]string{"a", "b"}[i])
		if text != "" {
			side.name += " (" + text + ")"
		}
		sides[i] = side
	}
	return sides, gate, wrong.err()
}

// readSide puts together what a side is told, and reads it once to find what is wrong with it.
func readSide(shared []string, text string, urls []string) (abSide, error) {
	words, err := shellwords.Split(text)
	if err != nil {
		return abSide{}, err
	}
	var flags loadFlags
	set := pflag.NewFlagSet("side", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	registerSide(&flags, set)
	if err := set.Parse(append(slices.Clone(shared), words...)); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			err = errors.New("--help is not of a side")
		}
		return abSide{}, plainly(err)
	}
	own := set.Args()
	if len(own) == 0 {
		own = urls
	}
	_, done, err := planSide(&flags, own)
	done()
	var args []string
	set.Visit(func(flag *pflag.Flag) { args = append(args, argsOf(flag)...) })
	args = append(args, "--")
	return abSide{args: append(args, own...), files: flags.files}, err
}

// sharedArgs writes those flags again that both sides are told.
func sharedArgs(flags *pflag.FlagSet) []string {
	var known loadFlags
	set := pflag.NewFlagSet("side", pflag.ContinueOnError)
	registerSide(&known, set)
	var args []string
	flags.Visit(func(flag *pflag.Flag) {
		if set.Lookup(flag.Name) != nil {
			args = append(args, argsOf(flag)...)
		}
	})
	return args
}

// argsOf writes a flag as it would be typed, once for each value.
func argsOf(flag *pflag.Flag) []string {
	values := []string{flag.Value.String()}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	var args []string
	for _, value := range values {
		args = append(args, "--"+flag.Name+"="+value)
	}
	return args
}

// abProgress tells now and then how far the comparison is.
func abProgress(w io.Writer) func(done, pairs int) {
	const often = 5 * time.Second
	began := time.Now()
	told := began
	return func(done, pairs int) {
		if time.Since(told) >= often {
			told = time.Now()
			fmt.Fprintf(w, "%d of %d pairs, %v\n", done, pairs, time.Since(began).Round(time.Second))
		}
	}
}

// sideFile puts the side's letter before a name's ending.
func sideFile(name, side string) string {
	ending := filepath.Ext(name)
	if results.Compressed(name) {
		ending = filepath.Ext(strings.TrimSuffix(name, ending)) + ending
	}
	return strings.TrimSuffix(name, ending) + "." + side + ending
}

// abFile is the file of results of a side: its slices one after another, each in the seconds
// in which it was made. The first slice, which is thrown away, makes the header.
type abFile struct {
	name, side string
	out        *results.Writer
	slices     int
	began      time.Time
	header     results.Header
}

func (f *abFile) add(began time.Time, run *results.Run) error {
	if f.slices++; f.slices == 1 {
		f.header = run.Header
		return nil
	}
	if f.out == nil {
		f.began = began
		h := f.header
		h.Name, h.Started, h.Planned, h.Length = f.side, began, 0, 0
		var err error
		if f.out, err = results.Create(f.name, h); err != nil {
			return err
		}
	}
	shift := int(began.Sub(f.began) / time.Second)
	for _, interval := range run.Series {
		interval.Second += shift
		if err := f.out.Add(interval); err != nil {
			return err
		}
	}
	return nil
}

// end writes the last line, if there is a file.
func (f *abFile) end(ctx context.Context) error {
	if f.out == nil {
		return nil
	}
	end := results.End{
		Elapsed: time.Since(f.began), Reason: "finished",
		Notes: []string{"a side of ab: slices between which the other side made its own"},
	}
	if ctx.Err() != nil {
		end.Reason = "interrupted"
	}
	return errors.Join(f.out.End(end), f.out.Close())
}
