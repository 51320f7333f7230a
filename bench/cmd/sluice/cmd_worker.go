package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/results"
)

type workerFlags struct {
	listen   string
	name     string
	security securityFlags
	give     []string
	skew     time.Duration
	drift    float64
}

func newWorkerCommand() *cobra.Command {
	var flags workerFlags
	command := &cobra.Command{
		Use:   "worker",
		Short: "Make load for 'sluice run --workers' of another machine",
		Long: `Make load for 'sluice run --workers' of another machine, one run after another, until
interrupted.

Without a token a worker listens on a loopback address only: whoever can reach it could have
it send requests to anybody. With one, only those are let in who know it too; it is proved,
never sent, and nothing that was said can be changed, repeated or forged. What is said can be
read on the way unless --tls-cert, --tls-key and --ca encrypt it: each machine needs a
certificate for the address by which the others reach it.

The machine that runs 'sluice run' must be reachable too: a worker connects to it, at the
address by which the worker itself is reached, or at --listen of run.

A worker that hears nothing of its coordinator for some seconds ends the run by itself, and
its connections. Limits in the --config of a run are each machine's own. Secrets that it takes
from the environment or from files are this machine's, and given only by --give: a run could
send them anywhere.

Exit codes: 0 it was interrupted, 2 wrong flags or a refusal of the system.`,
		Example: `  sluice worker                                      for runs of this machine
  SLUICE_TOKEN=$(openssl rand -hex 16) sluice worker --listen 0.0.0.0:7070
  sluice worker --listen 0.0.0.0:7070 --tls-cert m1.pem --tls-key m1.key --ca crew.pem --name m1
  sluice worker --give EXCHANGE_KEY --give EXCHANGE_SECRET
  sluice run http://server:8080/ --rate 50000/s --workers m1:7070,m2:7070,m3:7070`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := command.Flags()
	f.StringVar(&flags.listen, "listen", crew.DefaultListen, "`host:port` to listen on")
	f.StringVar(&flags.name, "name", "", "what results call this machine (default its host name)")
	flags.security.register(f)
	f.StringArrayVar(&flags.give, "give", nil, "a `variable` of the environment, or a file, that the --config of a run may use for secrets; repeat")
	f.DurationVar(&flags.skew, "clock-skew", 0, "how far this worker's clock is ahead of the machine's: for tests")
	f.Float64Var(&flags.drift, "clock-drift", 0, "by how much it is faster: for tests")
	_ = f.MarkHidden("clock-skew")
	_ = f.MarkHidden("clock-drift")
	return command
}

// isThere says that a name, which is to be given, is neither of a variable nor of a file.
func isThere(name string) error {
	if _, found := os.LookupEnv(name); found {
		return nil
	}
	if _, err := os.Stat(name); err != nil {
		return errors.New("there is neither a variable of that name in this worker's environment nor such a file")
	}
	return nil
}

func (f *workerFlags) run(cmd *cobra.Command) error {
	var wrong mistakes
	security := f.security.read(&wrong)
	for _, name := range f.give {
		wrong.note("--give "+name, isThere(name))
	}
	if err := wrong.err(); err != nil {
		return err
	}
	warnOfPlainText(cmd, security, "")
	return crew.Serve(cmd.Context(), crew.WorkerConfig{
		Listen: f.listen, Name: f.name, Security: security, Environment: results.ReadEnvironment(),
		Prepare: crew.Load(openRemoteClients(f.give)), Skew: f.skew, Drift: f.drift,
		Listening: func(address string) { fmt.Fprintf(cmd.OutOrStdout(), "worker listens at %s\n", address) },
		Say:       func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) },
	})
}
