package crew

import (
	"context"
	"os"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// WorkerConfig sets a worker up. Only Prepare must be given.
type WorkerConfig struct {
	// Listen is host:port; empty means 127.0.0.1:7070, port 0 any.
	Listen string
	// Name is what results call this machine; empty means its host name.
	Name        string
	Environment results.Environment
	Security    Security
	Prepare     Prepare
	// Say takes lines for whoever looks; nil means nobody does. It is called by one
	// goroutine at a time.
	Say func(line string)
	// Listening is told the address, once there is one; nil means nobody asks.
	Listening func(address string)
	// Skew is how far this worker's clock is ahead of the machine's, and Drift by how much it
	// is faster: 1e-3 is a millisecond a second. They are for tests of those who relate clocks.
	Skew  time.Duration
	Drift float64
}

// DefaultListen is where a worker listens if nothing else is said.
const DefaultListen = "127.0.0.1:7070"

// Serve serves one run after another, and returns nil once ctx has ended. A run that is being
// served then ends early, and its coordinator is told.
func Serve(ctx context.Context, cfg WorkerConfig) error {
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname()
	}
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	host, port, err := split(cfg.Listen)
	if err != nil {
		return err
	}
	n, err := openNode(host, port, cfg.Security, workerDoor)
	if err != nil {
		return err
	}
	defer n.close()
	w := &worker{cfg: cfg, node: n, clock: newDial(time.Now(), cfg.Skew, cfg.Drift), gone: make(chan struct{})}
	pid, err := n.spawn(workerDoor, w)
	if err != nil {
		return err
	}
	if cfg.Listening != nil {
		cfg.Listening(n.address)
	}
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	leaving := ctx.Done()
	for {
		select {
		case <-ticks.C:
			n.system.Root.Send(pid, tick{})
		case <-leaving:
			leaving = nil
			n.system.Root.Send(pid, leave{})
		case <-w.gone:
			return nil
		}
	}
}

// dial is a worker's clock: what the machine's showed at the beginning, and what has passed
// since by the monotonic one, so that nobody who sets the machine's clock moves it.
type dial struct {
	base time.Time
	skew time.Duration
	rate float64
}

func newDial(base time.Time, skew time.Duration, drift float64) dial {
	return dial{base, skew, 1 + drift}
}

// shows returns what the dial shows at an instant, as a Unix time.
func (d dial) shows(at time.Time) time.Duration {
	passed := at.Sub(d.base)
	if d.rate != 1 {
		passed = time.Duration(float64(passed) * d.rate)
	}
	return time.Duration(d.base.UnixNano()) + d.skew + passed
}

// when returns the instant at which the dial shows a Unix time.
func (d dial) when(shown time.Duration) time.Time {
	passed := shown - d.skew - time.Duration(d.base.UnixNano())
	if d.rate != 1 {
		passed = time.Duration(float64(passed) / d.rate)
	}
	return d.base.Add(passed)
}
