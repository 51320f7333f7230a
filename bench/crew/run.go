package crew

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
)

// OnLost says what becomes of a run that has lost a machine. It is invalid in any case.
type OnLost string

const (
	Fail     OnLost = "fail"     // the others end
	Continue OnLost = "continue" // the others go on
)

const (
	DefaultClockBound = 5 * time.Millisecond
	DefaultSilence    = 5 * time.Second
)

// Config is a run on many machines.
type Config struct {
	// Workers are host:port of each, at least one.
	Workers []string
	// Listen is the host:port at which workers answer; empty means any port of the address
	// by which the first of them is reached. Workers connect to it.
	Listen string
	// Advertise is the host:port that workers are told to answer to, where a tunnel or a
	// forwarded port leads to Listen; empty means Listen itself.
	Advertise string
	Security  Security
	// Name is what workers call this machine; empty means its host name.
	Name string
	Job  Job
	// ClockBound is how far the workers' instants may be from this machine's at most; a worker
	// whose clock cannot be related that well is refused. 0 means DefaultClockBound, less
	// than zero any.
	ClockBound time.Duration
	// Silence is for how long a machine may say nothing before it is lost, and after which a
	// worker that hears nothing ends its run; 0 means DefaultSilence.
	Silence time.Duration
	OnLost  OnLost // empty means Fail
	// Open makes where the results are written, once it is known when the run starts, and by
	// which machines; nil means they are written nowhere. Run does not close it.
	Open func(results.Header) (*results.Writer, error)
	// Objectives are judged by what all machines measured. Abort ends the run early once one of
	// them cannot be held any more, but not before this long; 0 means never.
	Objectives []slo.Objective
	Abort      time.Duration
	// Notes go into the results beside those about machines.
	Notes []string
	// Each is called with each interval that is written, one call at a time; what it points to
	// is only lent. Nil means that nobody wants them.
	Each func(results.Interval)
	// Watch is called a few times a second, one call at a time; nil means nobody looks.
	Watch func(results.Snapshot)
	// Say takes lines about machines: who they are, how their clocks are related, which were
	// lost. Nil means nobody reads them. One call at a time.
	Say func(line string)
	// Quiet has Say told of machines that were lost, and of nothing else.
	Quiet bool
}

func (c Config) withDefaults() Config {
	if c.ClockBound == 0 {
		c.ClockBound = DefaultClockBound
	}
	if c.Silence == 0 {
		c.Silence = DefaultSilence
	}
	if c.OnLost == "" {
		c.OnLost = Fail
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	return c
}

// Validate reports every mistake in c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if len(c.Workers) == 0 {
		errs = append(errs, errors.New("no workers"))
	}
	seen := map[string]bool{}
	for _, address := range c.Workers {
		if host, port, err := split(address); err != nil || host == "" || port == 0 {
			errs = append(errs, fmt.Errorf("worker %q: it must be host:port", address))
		}
		if seen[address] {
			errs = append(errs, fmt.Errorf("worker %q twice", address))
		}
		seen[address] = true
	}
	if c.Advertise != "" {
		if host, port, err := split(c.Advertise); err != nil || host == "" || port == 0 {
			errs = append(errs, fmt.Errorf("advertise %q: it must be host:port", c.Advertise))
		}
	}
	if c.OnLost != Fail && c.OnLost != Continue {
		errs = append(errs, fmt.Errorf("on lost %q: it must be %q or %q", c.OnLost, Fail, Continue))
	}
	if c.Silence < leastLease || c.Silence > mostLease {
		errs = append(errs, fmt.Errorf("a silence of %v: it must be %v to %v", c.Silence, leastLease, mostLease))
	}
	if err := c.Security.Validate("localhost"); err != nil { // where it listens is looked at then
		errs = append(errs, err)
	}
	if err := c.Job.Validate(); err != nil {
		errs = append(errs, err)
	} else if c.Job.Closed != nil && len(c.Workers) > 0 {
		if _, err := (Share{len(c.Workers) - 1, len(c.Workers)}).closed(*c.Job.Closed); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run makes a run on many machines, and returns what they measured together. If ctx ends it
// early the result is whole nevertheless. The error is of a run that could not begin, or whose
// results could not be written; a machine that is lost after the beginning makes the run
// invalid instead.
func Run(ctx context.Context, cfg Config) (*results.Run, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	job, err := json.Marshal(cfg.Job)
	if err != nil {
		return nil, err
	}
	host, port, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	n, err := openNode(host, port, cfg.Security, runDoor)
	if err != nil {
		return nil, err
	}
	defer n.close()
	replies, err := cfg.replies(n.address)
	if err != nil {
		return nil, err
	}
	r := newRun(cfg, n, job, replies, time.Now())
	pid, err := n.spawn(runDoor, r)
	if err != nil {
		return nil, err
	}
	beats, stop := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() { beat(beats, func() { n.system.Root.Send(pid, tick{}) }) })
	defer beating.Wait()
	defer stop()
	g := &gathering{cfg: cfg, stands: r.stands, tell: func(m any) { n.system.Root.Send(pid, m) }}
	return g.follow(ctx, r.news)
}

// beat has the actor look at the time, whatever Run's goroutine waits for: a disk that takes its
// time is no reason for workers to think that their coordinator is gone.
func beat(ctx context.Context, tick func()) {
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			tick()
		case <-ctx.Done():
			return
		}
	}
}

// listen finds where workers can answer.
func (c Config) listen() (host string, port int, err error) {
	if c.Listen != "" {
		return split(c.Listen)
	}
	host, err = facing(c.Workers[0])
	if err != nil {
		return "", 0, err
	}
	for _, other := range c.Workers[1:] {
		if also, err := facing(other); err != nil {
			return "", 0, err
		} else if also != host {
			return "0.0.0.0", 0, nil // reached by several: each is answered the one it faces
		}
	}
	return host, 0, nil
}

// replies are the addresses at which each worker reaches what listens on an address.
func (c Config) replies(listening string) ([]string, error) {
	host, port, err := split(listening)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host)
	all := ip != nil && ip.IsUnspecified()
	var replies []string
	for _, worker := range c.Workers {
		if c.Advertise != "" {
			replies = append(replies, c.Advertise)
			continue
		}
		if all {
			if host, err = facing(worker); err != nil {
				return nil, err
			}
		}
		replies = append(replies, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return replies, nil
}

// facing returns this machine's address by which it reaches another. Nothing is sent.
func facing(address string) (string, error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return "", fmt.Errorf("worker %s: %w", address, err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// newID returns a name that no other run has.
func newID() string { return rand.Text() }
