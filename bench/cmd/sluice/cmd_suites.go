package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/suites"
)

type suitesFlags struct {
	names   []string
	mode    string
	dir     string
	root    string
	subset  bool
	list    bool
	verbose bool
}

func newSuitesCommand() *cobra.Command {
	var flags suitesFlags
	command := &cobra.Command{
		Use:   "suites",
		Short: "Run other projects' own tests through engine.RoundTripper",
		Long: `Run the tests of other Go projects, and those of net/http itself, as they are: once
over net/http, and then with every http.Transport's requests carried by an engine, its
answers streamed and read whole. Each verdict that is not net/http's needs a reason,
which bench/suites/reasons.go has.

Modules are fetched by the go command, from the module proxy that 'go env GOPROXY'
names; nothing else is. Copies are made in --dir, and may be deleted.

Exit codes: 0 every difference has its reason, and every reason its difference, 1 one
has none, 2 wrong flags, or something could not be fetched or built.`,
		Example: `  sluice suites                                all of them, in about a quarter of an hour
  sluice suites --subset                       the fast ones
  sluice suites --suite resty3 --mode read -v  one, in one mode, with what its tests print
  sluice suites --list                         what there is`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSuites(cmd, flags) },
	}
	f := command.Flags()
	f.StringSliceVar(&flags.names, "suite", nil, "suites to run, by `name` (default all)")
	f.StringVar(&flags.mode, "mode", "", "only with answers streamed or read (default both)")
	f.BoolVar(&flags.subset, "subset", false, "only the fast suites")
	f.BoolVar(&flags.list, "list", false, "list the suites, and run none")
	f.StringVar(&flags.dir, "dir", "", "`folder` for the copies (default sluice-suites in the user's cache)")
	f.StringVar(&flags.root, "root", "", "`folder` of the module (default where the go command finds it)")
	f.BoolVarP(&flags.verbose, "verbose", "v", false, "tell what differing tests printed, and every dropped test")
	return command
}

func runSuites(cmd *cobra.Command, flags suitesFlags) error {
	chosen, err := suites.Choose(flags.names, flags.subset)
	if err != nil {
		return err
	}
	if flags.list {
		return listSuites(cmd, chosen)
	}
	modes := suites.Modes
	if flags.mode != "" {
		if modes = []string{flags.mode}; !slices.Contains(suites.Modes, flags.mode) {
			return fmt.Errorf("there is no mode %q: --mode is one of %s", flags.mode, strings.Join(suites.Modes, ", "))
		}
	}
	if flags.root == "" {
		if flags.root, err = moduleRoot(cmd.Context()); err != nil {
			return err
		}
	}
	if flags.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("%w: say where with --dir", err)
		}
		flags.dir = filepath.Join(cache, "sluice-suites")
	}
	began := time.Now()
	results, failure := suites.Run(cmd.Context(), suites.Config{
		Root: flags.root, Dir: flags.dir, Suites: chosen, Modes: modes, Reasons: suites.Reasons,
		Told: func(line string) { fmt.Fprintf(cmd.ErrOrStderr(), "%6.0fs  %s\n", time.Since(began).Seconds(), line) },
	})
	stale := suites.Stale(suites.Reasons, results, modes)
	unlisted, err := suites.Report{Modes: modes, Verbose: flags.verbose}.Write(cmd.OutOrStdout(), results, stale)
	switch {
	case failure != nil:
		return failure
	case err == nil && unlisted > 0:
		return finding{fmt.Sprintf("%d verdicts are not net/http's, and no reason is listed; mend the engine, or give the reason in bench/suites/reasons*.go", unlisted)}
	case err == nil && len(stale) > 0:
		return finding{fmt.Sprintf("%d reasons explain nothing any more; take them out of bench/suites/reasons*.go", len(stale))}
	}
	return err
}

func listSuites(cmd *cobra.Command, chosen []suites.Suite) error {
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, s := range chosen {
		fast := ""
		if s.Fast {
			fast = "in the subset"
		}
		fmt.Fprintf(t, "%s\t%s%s\t%s\t%s\n", s.Name, s.Module, s.Std, s.Version, fast)
	}
	return t.Flush()
}
