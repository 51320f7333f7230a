package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/peers"
	"github.com/sluice-engine/sluice/bench/scale"
)

type scaleFlags struct {
	curves []string
	points []string
	rounds int
	within time.Duration
	limit  time.Duration
	quick  bool
	strict bool
	seed   uint64
	html   string
	json   string
	table  string
}

func newScaleCommand() *cobra.Command {
	var flags scaleFlags
	command := &cobra.Command{
		Use:   "scale",
		Short: "Show how cost grows with keys, limits, callers, connections, origins and bodies",
		Long: `Show how cost grows as the work grows.

Each curve has a base and points: ` + strings.Join(scale.CurveNames(), ", ") + `.
A point and its base are processes of their own, each against a server process of
its own, and their slices alternate in mirrored order. CPU time (getrusage) is
compared between neighbours, so that a busy machine disturbs the ratios little; bodies are
compared with bare fasthttp, and the growth with connections with fasthttp's own.

A point may have bars, such as "≤ 1.05 ×", and the table says whether they are met.
A point that does not end in time is given up and says so, and so is one whose
process dies.

Exit codes: 0 it was measured, whatever the bars say; 1 it was interrupted or, with
--strict, a bar was missed or a point did not come to its end; 2 wrong flags or a
refusal of the system.`,
		Example: `  sluice scale                             all curves, in about ten minutes
  sluice scale --quick                     a first look at small points, in under a minute
  sluice scale --curve limits,callers      two curves
  sluice scale --curve limits --points 100,10k,1M
                                           points of your own
  sluice scale --html scale.html           a page with a plot of each curve as well
  sluice scale --rounds 40 --within 60s    narrower intervals
  sluice scale --curve received --strict   for a script: fails if a bar is missed`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(cmd)
		},
	}
	f := command.Flags()
	f.StringSliceVar(&flags.curves, "curve", nil, "curves to measure (default all)")
	f.StringSliceVar(&flags.points, "points", nil, "points in place of the usual ones, such as 1000, 10k or 64KB; needs exactly one --curve")
	f.IntVar(&flags.rounds, "rounds", scale.DefaultRounds, "rounds a point, of two slices by the point and two by its base")
	f.DurationVar(&flags.within, "within", scale.DefaultWithin, "begin no further round of a point after this time; 0 for no bound")
	f.DurationVar(&flags.limit, "limit", scale.DefaultLimit, "give a point up after this time, beside what it has to wait for")
	f.BoolVar(&flags.quick, "quick", false, fmt.Sprintf("small points, %d rounds of short slices: too few to rely on", scale.QuickRounds))
	f.BoolVar(&flags.strict, "strict", false, "exit with 1 unless all bars are met")
	f.Uint64Var(&flags.seed, "seed", 1, "seed of the bootstrap that gives the intervals")
	f.StringVar(&flags.html, "html", "", "write a page with plots to this `file`"+orOutput)
	f.StringVar(&flags.json, "json", "", "write all figures to this `file` as JSON"+orOutput)
	f.StringVar(&flags.table, "markdown", "", "write a table for documents to this `file`"+orOutput)
	command.MarkFlagsMutuallyExclusive("quick", "rounds")
	command.MarkFlagsMutuallyExclusive("quick", "limit")
	command.AddCommand(newScaleProcess(scaleServerVerb, func(cmd *cobra.Command) error {
		return scale.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
	}), newScaleProcess(scaleWorkerVerb, func(cmd *cobra.Command) error {
		return scale.Work(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
	}))
	return command
}

// The processes of a point are this program again.
const (
	scaleServerVerb = "serve"
	scaleWorkerVerb = "work"
)

func newScaleProcess(verb string, run func(*cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use:    verb,
		Hidden: true,
		Args:   noArguments,
		RunE:   func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
}

func (f scaleFlags) run(cmd *cobra.Command) error {
	cfg, err := f.config(cmd.ErrOrStderr())
	var files namedFiles
	files.writes("--html", f.html)
	files.writes("--json", f.json)
	files.writes("--markdown", f.table)
	if err := errors.Join(err, files.check()); err != nil {
		return err
	}
	var last scale.Progress
	told := cfg.Progress
	cfg.Progress = func(p scale.Progress) {
		last = p
		told(p)
	}
	result, err := scale.Run(cmd.Context(), cfg)
	if err != nil {
		return interruptedAfter(cmd.Context(), err, "%d of %d points", max(last.Point-1, 0), last.Of)
	}
	env, to := peers.ReadEnvironment(), files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	err = errors.Join(
		result.WriteText(to.people, env),
		to.write("--html", f.html, func(w io.Writer) error { return result.WritePage(w, env) }),
		to.write("--json", f.json, func(w io.Writer) error { return result.WriteJSON(w, env) }),
		to.write("--markdown", f.table, result.WriteMarkdown),
	)
	if !f.strict {
		return err
	}
	return errors.Join(err, strictly(result))
}

func strictly(result *scale.Result) error {
	all, met := result.Verdicts()
	if failed := result.Failures(); met < all || failed > 0 {
		return finding{fmt.Sprintf("%d of %d bars missed, unfinished points: %d", all-met, all, failed)}
	}
	return nil
}

func (f scaleFlags) config(progress io.Writer) (scale.Config, error) {
	if f.rounds < 1 || f.limit <= 0 || f.within < 0 {
		return scale.Config{}, fmt.Errorf("--rounds %d --within %v --limit %v: want at least 1 round, and a limit above zero", f.rounds, f.within, f.limit)
	}
	if len(f.points) > 0 && len(f.curves) != 1 {
		return scale.Config{}, errors.New("--points needs exactly one --curve: 1000 is not the same of limits and of bytes")
	}
	curves, err := scale.CurvesNamed(f.curves...)
	if err != nil {
		return scale.Config{}, err
	}
	points, err := scale.ParsePoints(f.points)
	if err != nil {
		return scale.Config{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return scale.Config{}, err
	}
	cfg := scale.Config{
		Processes: scale.Processes{Server: []string{self, "scale", scaleServerVerb}, Worker: []string{self, "scale", scaleWorkerVerb}},
		Curves:    curves, Points: points,
		Rounds: f.rounds, Within: f.within, Limit: f.limit,
		Quick: f.quick, Seed: f.seed,
		Progress: scaleProgress(progress),
	}
	if f.quick {
		cfg.Rounds, cfg.Limit = scale.QuickRounds, scale.QuickLimit
	}
	return cfg, nil
}

// scaleProgress tells of every point, and now and then how far a long one is.
func scaleProgress(w io.Writer) func(scale.Progress) {
	const often = 5 * time.Second
	var told time.Time
	return func(p scale.Progress) {
		if p.Round > 0 && time.Since(told) < often {
			return
		}
		told = time.Now()
		round := ""
		if p.Round > 0 {
			round = fmt.Sprintf(", round %d of %d", p.Round+1, p.Rounds)
		}
		fmt.Fprintf(w, "point %d of %d: %s %s%s; %v so far, about %v left\n",
			p.Point, p.Of, p.Curve, p.X, round, p.Elapsed.Round(time.Second), p.Left.Round(time.Second))
	}
}
