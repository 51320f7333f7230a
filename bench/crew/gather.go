package crew

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

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
