package main

import (
	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/load"
)

type runFlags struct {
	load    loadFlags
	out     string
	html    string
	page    string
	quiet   bool
	workers []string
}

func newRunCommand() *cobra.Command {
	var flags runFlags
	command := &cobra.Command{
		Use:   "run [URL...]",
		Short: "Make load on a server, and measure it from the instants at which requests were due",
		RunE: func(cmd *cobra.Command, urls []string) error {
			cfg, done, err := flags.load.plan(urls)
			if err != nil {
				return err
			}
			defer done()
			_, err = load.Run(cmd.Context(), cfg)
			return err
		},
	}
	f := command.Flags()
	flags.load.register(f)
	f.StringVarP(&flags.out, "out", "o", "", "write the results to this `file` while the run goes on")
	f.StringVar(&flags.html, "html", "", "draw them into this `file` at the end")
	f.StringVar(&flags.page, "page", "", "serve the run live to browsers at this `address`, such as 127.0.0.1:8080")
	f.BoolVar(&flags.quiet, "quiet", false, "say nothing while the run goes on")
	f.StringSliceVar(&flags.workers, "workers", nil, "machines (`host:port`) that make the load instead of this one")
	return command
}
