package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/peers"
)

type peersFlags struct {
	clients    []string
	cases      []string
	rounds     int
	within     time.Duration
	quick      bool
	seed       uint64
	json       string
	cpuProfile string
}

func newPeersCommand() *cobra.Command {
	var flags peersFlags
	command := &cobra.Command{
		Use:   "peers",
		Short: "Compare the cost of a request with other clients of Go",
		Long: `Compare what one request costs through the engine with what it costs through other
clients of Go: bare net/http and bare fasthttp, and resty v3, go-retryablehttp,
failsafe-go and imroc/req v3, which are built on net/http or on a copy of it.

All make the same small JSON GET over loopback to a server in a process of its
own: with 64 callers (get-64) and with one (get-1), over TLS (https-64), with the
engine beneath net/http's client (roundtripper-64), over HTTP/2 (http2-64), as a POST
whose body is signed and whose signature the server verifies (post-64), with 10,000
callers on 64 connections (get-10000), and 100,000 of them at once (fanout-100000:
Engine.Stream beside a pool of 64 goroutines). In crowd-10000 the engine is compared with
itself serving 64. The engine has a limit linked to a second one; neither
holds anything up. No client repeats anything, each has the same bound of connections,
and each answer is read and checked.

Slices of the clients alternate in mirrored order, and CPU time (getrusage) is compared
between neighbours, so that a busy machine disturbs the ratios little. It disturbs the
wall times all the same. The four clients on net/http take part in some of the rounds only,
unless --client names them; the cases of 10,000 and 100,000 come when the rounds are over.
A client that cannot do a case has a – and the reason.

Exit codes: 0 it was measured, 1 it was interrupted, 2 wrong flags or a refusal of the
system.`,
		Example: `  sluice peers                          the table, in some three minutes
  sluice peers --quick                  a first look, in half a minute or less
  sluice peers --json peers.json        the rows as JSON as well
  sluice peers --rounds 300 --within 0  narrower intervals
  sluice peers --case http2-64 --rounds 300 --within 60s
                                        one case alone; it runs in every 5th round
  sluice peers --client engine,resty --case get-64,post-64
                                        two clients, side by side in every round
  sluice peers --case get-64 --client engine --cpuprofile engine.prof
                                        where one client spends its time`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPeers(cmd, flags)
		},
	}
	f := command.Flags()
	f.StringSliceVar(&flags.clients, "client", nil, "clients to run, of "+strings.Join(peers.ClientNames(), ", ")+" (default all)")
	f.StringSliceVar(&flags.cases, "case", nil, "cases to run, of "+strings.Join(peers.CaseNames(), ", ")+" (default all)")
	f.IntVar(&flags.rounds, "rounds", peers.DefaultRounds, "rounds, of two slices by every client in every case; best a multiple of 3")
	f.DurationVar(&flags.within, "within", 85*time.Second, "begin no further round after this time, cases after the rounds apart; 0 for no bound")
	f.BoolVar(&flags.quick, "quick", false, fmt.Sprintf("%d rounds: too few to rely on", peers.QuickRounds))
	f.Uint64Var(&flags.seed, "seed", 1, "seed of the bootstrap that gives the intervals")
	f.StringVar(&flags.json, "json", "", "write the rows to this `file` as a JSON array"+orOutput)
	f.StringVar(&flags.cpuProfile, "cpuprofile", "", "write a CPU profile to this `file`; needs exactly one --client")
	command.MarkFlagsMutuallyExclusive("quick", "rounds")
	command.AddCommand(newPeersServerCommand())
	return command
}

// newPeersServerCommand returns what the comparison starts as its server
// process: this program again.
func newPeersServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    peersServerVerb,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return peers.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

const peersServerVerb = "serve"

func runPeers(cmd *cobra.Command, flags peersFlags) error {
	cfg, err := flags.config(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	var files namedFiles
	files.writes("--json", flags.json)
	files.writes("--cpuprofile", flags.cpuProfile)
	if err := files.check(); err != nil {
		return err
	}
	stopProfile, err := startCPUProfile(flags.cpuProfile)
	if err != nil {
		return err
	}
	last := notePeers(&cfg)
	result, err := peers.Run(cmd.Context(), cfg)
	err = interruptedAfter(cmd.Context(), err, "%s", *last)
	if err := errors.Join(err, stopProfile()); err != nil {
		return err
	}
	to := files.outputs(cmd.OutOrStdout(), cmd.ErrOrStderr())
	return errors.Join(result.WriteTable(to.people, peers.ReadEnvironment()), to.write("--json", flags.json, result.WriteJSON))
}

func (f peersFlags) config(progress io.Writer) (peers.Config, error) {
	if f.rounds < 1 {
		return peers.Config{}, fmt.Errorf("--rounds %d: at least 1 is needed", f.rounds)
	}
	if f.cpuProfile != "" && len(f.clients) != 1 {
		return peers.Config{}, errors.New("--cpuprofile needs exactly one --client, or the profile would mix them")
	}
	if f.cpuProfile == "-" {
		return peers.Config{}, errors.New("--cpuprofile -: give it a file, a profile is not for standard output")
	}
	cases, err := peers.CasesNamed(f.cases...)
	if err != nil {
		return peers.Config{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return peers.Config{}, err
	}
	cfg := peers.Config{
		Server:   []string{self, "peers", peersServerVerb},
		Clients:  f.clients,
		Cases:    cases,
		Rounds:   f.rounds,
		Within:   f.within,
		Seed:     f.seed,
		Progress: peersProgress(progress),
		Begun:    func(name string) { fmt.Fprintf(progress, "%s\n", name) },
		Brief:    f.quick,
	}
	if f.quick {
		cfg.Rounds, cfg.Within = peers.QuickRounds, min(f.within, 20*time.Second)
	}
	return cfg, nil
}

// notePeers keeps how far the comparison is, beside telling it.
func notePeers(cfg *peers.Config) *string {
	last := "nothing: the clients were being started"
	progress, begun := cfg.Progress, cfg.Begun
	cfg.Progress = func(done, rounds int) {
		last = fmt.Sprintf("%d of %d rounds", done, rounds)
		progress(done, rounds)
	}
	cfg.Begun = func(name string) {
		last = name + " had begun"
		begun(name)
	}
	return &last
}

// peersProgress tells now and then how far the comparison is.
func peersProgress(w io.Writer) func(done, rounds int) {
	const often = 5 * time.Second
	began := time.Now()
	told := began
	return func(done, rounds int) {
		if time.Since(told) < often {
			return
		}
		told = time.Now()
		fmt.Fprintf(w, "%d of %d rounds, %v\n", done, rounds, time.Since(began).Round(time.Second))
	}
}

// startCPUProfile returns what ends the profile and writes it; without a file
// neither does anything.
func startCPUProfile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
