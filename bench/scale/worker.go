package scale

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-engine/sluice/bench/child"
)

// worker measures one job of a point, slice by slice.
type worker interface {
	slice(ctx context.Context) (Sample, error)
	end()
}

// Processes are the command lines of a point's processes, which must call Serve and
// Work on their standard streams.
type Processes struct{ Server, Worker []string }

// start makes a worker ready, with a server of its own if it needs one.
func (p Processes) start(ctx context.Context, c *Curve, job Job) (worker, error) {
	w := &process{}
	var err error
	if c.server {
		if w.server, job.Origin, err = p.startServer(ctx); err != nil {
			return nil, err
		}
	}
	if w.client, err = child.Start(ctx, p.Worker); err == nil {
		err = w.begin(ctx, job)
	}
	if err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

func (p Processes) startServer(ctx context.Context) (server *child.Process, origin string, err error) {
	if server, err = child.Start(ctx, p.Server); err == nil {
		if err = server.Receive(ctx, &origin); err != nil {
			server.Kill()
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("its server: %w", err)
	}
	return server, origin, nil
}

// process is a worker that is a process, beside its server.
type process struct{ server, client *child.Process }

func (p *process) begin(ctx context.Context, job Job) error {
	if err := p.client.Send(job); err != nil {
		return err
	}
	_, err := p.hear(ctx)
	return err
}

func (p *process) slice(ctx context.Context) (Sample, error) {
	if err := p.client.Send(measure); err != nil {
		return Sample{}, err
	}
	sample, err := p.hear(ctx)
	if err == nil && sample == nil {
		err = errors.New("it said nothing of the slice")
	}
	if err != nil {
		return Sample{}, err
	}
	return *sample, nil
}

// hear waits for a word of the worker. A server that is gone is the reason for what
// the worker says then.
func (p *process) hear(ctx context.Context) (*Sample, error) {
	var said word
	if err := p.client.Receive(ctx, &said); err != nil {
		return nil, err
	}
	if said.Error != "" {
		return nil, errors.New(said.Error)
	}
	return said.Sample, nil
}

// end kills both: there is nothing that they have to put in order.
func (p *process) end() {
	for _, one := range []*child.Process{p.client, p.server} {
		if one != nil {
			one.Kill()
		}
	}
}

// freshWorker starts another process for every slice.
type freshWorker struct {
	start func(context.Context) (worker, error)
}

func (f freshWorker) slice(ctx context.Context) (Sample, error) {
	w, err := f.start(ctx)
	if err != nil {
		return Sample{}, err
	}
	defer w.end()
	return w.slice(ctx)
}

func (freshWorker) end() {}
