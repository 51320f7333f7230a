// Command sluice measures and exercises HTTP clients under rate limits. Each
// verb is one file, cmd_<verb>.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// verbs makes every subcommand, in the order of the help text.
var verbs = []func() *cobra.Command{
	newDoctorCommand,
	newExchangeCommand,
	newLiveCommand,
	newPeersCommand,
	newScaleCommand,
	newFanoutCommand,
	newLimitsCommand,
	newCountersCommand,
	newParkedCommand,
	newRefereeCommand,
	newMemoryCommand,
	newTelemetryCommand,
	newHostileCommand,
	newClockCommand,
	newMutantsCommand,
	newSuitesCommand,
	newCompareCommand,
	newABCommand,
	newSearchCommand,
	newCapacityCommand,
	newRunCommand,
	newWorkerCommand,
	newRatesCommand,
	newReportCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
