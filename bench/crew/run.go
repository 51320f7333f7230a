package crew

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
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

// gathering is what Run's goroutine does while the actor talks with the workers: it writes
// down what comes, adds it up, and shows how it stands. Writing may take its time here, and
// only what was written is acknowledged, so that no more than the couriers' windows waits.
type gathering struct {
	cfg    Config
	tell   func(any) // to the actor
	writer *results.Writer
	sum    *results.Sum
	meter  *results.Meter
	gauges *gaugeBook
	start  time.Time
	stands *atomic.Pointer[standing]
	err    error // of writing
	told   time.Time
	judged time.Time
	failed string // the objective that ended the run
}

// mostAhead is how many seconds results may be ahead of this machine's time: more is no
// time at all, and would make the series coarse for everybody.
const mostAhead = 60

const showEvery = 250 * time.Millisecond

// follow does that until the actor says how it ended.
func (g *gathering) follow(ctx context.Context, news <-chan any) (*results.Run, error) {
	interrupted := ctx.Done()
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	for {
		select {
		case <-interrupted:
			interrupted = nil
			g.tell(halt{"interrupted"})
		case <-ticks.C:
			g.show(time.Now())
			g.judge(time.Now())
		case m := <-news:
			switch m := m.(type) {
			case line:
				g.cfg.Say(string(m))
			case started:
				g.begin(m)
			case parcel:
				g.tell(g.write(m))
			case outcome:
				return g.end(m)
			}
		}
	}
}

// begin opens the results.
func (g *gathering) begin(s started) {
	g.start = s.start
	g.sum, g.meter = results.NewSum(s.header), results.NewMeter(s.header, 3)
	g.gauges = newGaugeBook(len(s.header.Machines))
	if g.cfg.Open == nil {
		return
	}
	if g.writer, g.err = g.cfg.Open(s.header); g.err != nil {
		g.tell(halt{"the results cannot be written"})
	}
}

// add writes an interval and adds it up.
func (g *gathering) add(i results.Interval) error {
	if err := g.sum.Add(i); err != nil {
		return err
	}
	g.meter.Add(max(time.Since(g.start), 0), i)
	if g.cfg.Each != nil {
		g.cfg.Each(i)
	}
	if g.writer == nil || g.err != nil {
		return nil
	}
	if g.err = g.writer.Add(i); g.err != nil {
		g.tell(halt{"the results cannot be written"})
	}
	return nil
}

// write takes a parcel to pieces, and answers the actor what it was.
func (g *gathering) write(p parcel) written {
	w := written{member: p.member, next: p.next, second: -1}
	var r report
	if err := json.Unmarshal(p.text, &r); err != nil {
		w.failed = "it sent a report that cannot be read: " + err.Error()
		return w
	}
	w.ready, w.ended, w.failed = r.Ready != nil, r.Ended, r.Failed
	if i := r.Interval; i != nil {
		w.failed = g.interval(p, i)
		w.second, w.offered, w.sent, w.completed = i.Second, i.Offered, i.Sent, i.Completed
		for _, o := range i.Operations {
			if o != nil {
				w.samples += o.Count
			}
		}
	}
	return w
}

// interval takes one machine's: its counts as they are, its gauges with those of the others.
func (g *gathering) interval(p parcel, i *results.Interval) (failed string) {
	if g.sum == nil {
		return "it sent results before the beginning"
	}
	if latest := int(time.Since(g.start)/time.Second) + mostAhead; i.Second > latest {
		return fmt.Sprintf("it sent results of second %d, which is to come", i.Second)
	}
	if i.Gauges != nil {
		for _, together := range g.gauges.add(p.member, i.Second, i.Phase, i.Gauges) {
			_ = g.add(together)
		}
	}
	own := *i
	own.Gauges, own.Machine = nil, p.name
	if err := g.add(own); err != nil {
		return "it sent results that make no sense: " + err.Error()
	}
	return ""
}

// show tells Watch how it stands.
func (g *gathering) show(now time.Time) {
	if g.cfg.Watch == nil || g.meter == nil || now.Sub(g.told) < showEvery || now.Before(g.start) {
		return
	}
	g.told = now
	g.cfg.Watch(g.snapshot(now))
}

// snapshot is of all machines: latencies by what was gathered, counts by what each said last.
func (g *gathering) snapshot(now time.Time) results.Snapshot {
	s := g.meter.Snapshot(now.Sub(g.start))
	if all := g.stands.Load(); all != nil {
		s.Draining, s.Invalid = all.draining, all.invalid
		s.Offered, s.Sent, s.Completed = max(s.Offered, all.offered), max(s.Sent, all.sent), max(s.Completed, all.completed)
		s.InFlight, s.Waiting, s.Connections = all.inFlight, all.waiting, all.connections
	}
	return s
}

// end closes the books: what lost machines owe is written, then how it ended.
func (g *gathering) end(o outcome) (*results.Run, error) {
	if o.err != nil || g.sum == nil {
		return nil, o.err
	}
	for _, together := range g.gauges.rest() {
		_ = g.add(together)
	}
	end := o.end
	end.Notes = append(slices.Clone(g.cfg.Notes), end.Notes...)
	for _, d := range o.debts {
		owed, err := g.pay(d)
		if err != nil {
			return nil, err
		}
		end.Unfinished += owed + d.open
		end.NeverSent += owed
		end.Notes = append(end.Notes, fmt.Sprintf("machine %d of %d was lost with %d requests that it had due and did not report, and %d under way: they count as unfinished", d.share.Worker+1, d.share.Workers, owed, d.open))
	}
	run := g.sum.Run()
	for _, objective := range g.cfg.Objectives {
		end.Verdicts = append(end.Verdicts, objective.Judge(run))
	}
	if g.failed != "" {
		end.Notes = append(end.Notes, g.failed)
	}
	run.End, run.Whole = end, true
	if g.cfg.Watch != nil {
		s := g.snapshot(time.Now())
		s.Ended, s.Invalid, s.Verdicts = true, end.Invalid, end.Verdicts
		g.cfg.Watch(s)
	}
	if g.writer == nil || g.err != nil {
		return run, g.err
	}
	return run, g.writer.End(end)
}

// pay writes what a lost machine owes, and returns how many were never reported. Of a closed
// run nobody knows when they would have been sent: they are counted at the end only.
func (g *gathering) pay(d debt) (owed uint64, err error) {
	if closed := g.cfg.Job.Closed; closed != nil {
		mine := d.share.Of(closed.Requests)
		return mine - min(mine, d.reported), nil
	}
	err = d.each(*g.cfg.Job.Schedule, func(i results.Interval) error {
		owed += i.Offered
		return g.add(i)
	})
	return owed, err
}
