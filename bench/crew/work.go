package crew

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
)

// Load prepares jobs that package load makes. Open makes the client that a job describes, of
// which this machine has a share of the connections.
func Load(open func(client json.RawMessage, share Share) (load.Client, error)) Prepare {
	return func(job Job, share Share) (Task, error) {
		client, err := open(job.Client, share)
		if err != nil {
			return Task{}, err
		}
		cfg := load.Config{
			Header: job.Header, Schedule: job.Schedule, Closed: job.Closed, Plan: job.Plan, Client: client,
			Timeout: job.Timeout, Drain: job.Drain, Worker: share.Worker, Workers: share.Workers,
		}
		cfg.Header.Environment = results.Environment{} // the coordinator's
		if job.MaxInFlight > 0 {
			cfg.MaxInFlight = int(max(share.Of(uint64(job.MaxInFlight)), 1))
		}
		return Task{
			Run: func(ctx context.Context, start time.Time, sink Sink) (results.End, error) {
				return runLoad(ctx, cfg, start, sink)
			},
			Close: client.Close,
		}, nil
	}
}

func runLoad(ctx context.Context, cfg load.Config, start time.Time, sink Sink) (results.End, error) {
	cfg.Header.Started = start
	cfg.Watch, cfg.Each = sink.Snapshot, sink.Interval
	run, err := load.Run(ctx, cfg)
	if err != nil {
		return results.End{}, err
	}
	return run.End, nil
}
