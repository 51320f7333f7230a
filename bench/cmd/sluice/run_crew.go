package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
)

// crewFlags are those of a run on many machines.
type crewFlags struct {
	workers    []string
	listen     string
	advertise  string
	clockBound time.Duration
	silence    time.Duration
	onLost     string
	security   securityFlags
}

func (f *crewFlags) register(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.workers, "workers", nil, "machines (`host:port,…`, each with 'sluice worker') that make the load instead of this one")
	flags.StringVar(&f.listen, "listen", "", "with --workers: `host:port` at which they answer (default any port of the address that faces them)")
	flags.StringVar(&f.advertise, "advertise", "", "with --workers: `host:port` that they are told to answer to, where a tunnel leads to --listen")
	flags.DurationVar(&f.clockBound, "clock-bound", crew.DefaultClockBound, "with --workers: refuse machines whose clocks cannot be related this well; below zero takes any")
	flags.DurationVar(&f.silence, "silence", crew.DefaultSilence, "with --workers: a machine that says nothing for so long is lost")
	flags.StringVar(&f.onLost, "on-lost", string(crew.Fail), "with --workers: when one is lost the others end (fail) or go on (continue); INVALID in any case")
	f.security.register(flags)
}

// check says which flags were given in vain.
func (f *crewFlags) check(flags *pflag.FlagSet) error {
	if len(f.workers) > 0 {
		return nil
	}
	if flags.Changed("workers") { // as by a variable of a script that is empty
		return errors.New("--workers names no machine: leave it out for a run of this one")
	}
	var vain []string
	for _, name := range []string{"listen", "advertise", "clock-bound", "silence", "on-lost", "token", "tls-cert", "tls-key", "ca"} {
		if flags.Changed(name) {
			vain = append(vain, "--"+name)
		}
	}
	if len(vain) > 0 {
		return fmt.Errorf("%s: for --workers only", strings.Join(vain, ", "))
	}
	return nil
}

// runOnCrew makes a run that was planned on many machines.
func (f *runFlags) runOnCrew(cmd *cobra.Command, cfg load.Config, to outputs) (err error) {
	team, err := f.crewConfig(cmd, cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	audience, err := f.gather(cmd, cfg.Header, stop)
	if err != nil {
		return err
	}
	lines := &heldLines{to: cmd.ErrOrStderr(), held: !f.quiet && isTerminal(cmd.ErrOrStderr())}
	team.Say = lines.say
	audience.join(&cfg)
	team.Watch, team.Each = cfg.Watch, cfg.Each
	var out *results.Writer
	if f.out != "" {
		team.Open = func(h results.Header) (*results.Writer, error) {
			var err error
			out, err = f.create(to, h)
			return out, err
		}
	}
	run, err := crew.Run(ctx, team)
	if out != nil {
		err = errors.Join(err, out.Close())
	}
	err = errors.Join(err, audience.leave(run))
	lines.release()
	if run == nil {
		return err
	}
	return errors.Join(err, f.tell(to, run), verdictOn(run))
}

func (f *runFlags) crewConfig(cmd *cobra.Command, cfg load.Config) (crew.Config, error) {
	var wrong mistakes
	team := crew.Config{
		Workers: f.crew.workers, Listen: f.crew.listen, Advertise: f.crew.advertise, Security: f.crew.security.read(&wrong),
		ClockBound: f.crew.clockBound, Silence: f.crew.silence, OnLost: crew.OnLost(f.crew.onLost),
		Job: crew.Job{
			Header: cfg.Header, Schedule: cfg.Schedule, Closed: cfg.Closed, Plan: cfg.Plan,
			MaxInFlight: cfg.MaxInFlight, Timeout: cfg.Timeout, Drain: cfg.Drain,
		},
		Objectives: cfg.Objectives, Abort: cfg.Abort, Notes: cfg.Notes, Quiet: f.quiet,
	}
	var err error
	team.Job.Client, err = f.load.how.describe(cfg.Header.Connections)
	wrong.note("", err)
	wrong.note("", team.Validate())
	if f.load.how.config != "" {
		team.Notes = append(team.Notes, "limits of --config were each machine's own")
	}
	if err := wrong.err(); err != nil {
		return crew.Config{}, err
	}
	warnOfPlainText(cmd, team.Security, f.load.how.proxy)
	return team, nil
}

// heldLines writes lines at once, or those that a drawn view would draw over after it.
type heldLines struct {
	to    io.Writer
	held  bool
	lines []string
}

func (h *heldLines) say(line string) {
	if h.held {
		h.lines = append(h.lines, line)
		return
	}
	fmt.Fprintln(h.to, line)
}

func (h *heldLines) release() {
	for _, line := range h.lines {
		fmt.Fprintln(h.to, line)
	}
	h.held, h.lines = false, nil
}
