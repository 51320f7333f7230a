package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/panels"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/watch"
)

// audience are those who look at a run while it goes on.
type audience struct {
	watch []func(results.Snapshot)
	each  []func(results.Interval)
	bye   []func(run *results.Run) error // run is nil if it could not begin
}

// gather opens the views that the flags ask for. stop ends the run early.
func (f *runFlags) gather(cmd *cobra.Command, header results.Header, stop func()) (*audience, error) {
	a := &audience{}
	if f.page != "" {
		if err := a.page(cmd, f.page, header); err != nil {
			return nil, fmt.Errorf("--page: %w", err)
		}
	}
	if !f.quiet {
		view := watch.Start(watch.Config{Out: cmd.ErrOrStderr(), In: cmd.InOrStdin(), End: stop})
		a.watch = append(a.watch, view.Show)
		a.bye = append(a.bye, func(*results.Run) error { return view.Close() })
	}
	return a, nil
}

// page serves the run to browsers until it has ended.
func (a *audience) page(cmd *cobra.Command, address string, header results.Header) error {
	var names []string
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		names = append(names, host)
	}
	live := panels.NewLive(header, names...)
	url, end, err := panels.Serve(address, live)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "live at %s\n", url)
	a.watch = append(a.watch, live.Watch)
	a.each = append(a.each, func(i results.Interval) { _ = live.Add(i) }) // one that it refuses is not drawn
	a.bye = append(a.bye, func(run *results.Run) error {
		if run != nil {
			_ = live.End(run) // the page is for looking: the report is what counts
		}
		return end()
	})
	return nil
}

// join has the run tell all of them.
func (a *audience) join(cfg *load.Config) {
	if len(a.watch) > 0 {
		cfg.Watch = func(s results.Snapshot) {
			for _, watch := range a.watch {
				watch(s)
			}
		}
	}
	if len(a.each) > 0 {
		cfg.Each = func(i results.Interval) {
			for _, each := range a.each {
				each(i)
			}
		}
	}
}

// leave says goodbye to all of them.
func (a *audience) leave(run *results.Run) error {
	var err error
	for _, bye := range a.bye {
		err = errors.Join(err, bye(run))
	}
	return err
}
