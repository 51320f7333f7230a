package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// keeper keeps the accounts of a run: it adds up samples, writes an interval a second, shows
// the run to whoever watches, and ends it early if an objective has failed. All of it is one
// goroutine's; once that has ended, end is the runner's to call.
type keeper struct {
	run    *runner
	abort  context.CancelCauseFunc
	tally  *tally
	sum    *results.Sum
	meter  *results.Meter // nil if nobody watches
	screen *screen        // likewise
	gauges gaugeReader
	second int   // that is not over yet
	failed error // why the file of results takes no more
	worst  []string
}

const (
	keeperTick  = 200 * time.Millisecond
	meterWindow = 5 // seconds
)

var errObjective = errors.New("an objective has failed")

func newKeeper(r *runner, abort context.CancelCauseFunc) *keeper {
	k := &keeper{run: r, abort: abort, sum: results.NewSum(r.cfg.Header)}
	k.tally = newTally(r.journey.names, r.cfg.Header.WarmUp)
	k.tally.deadline = farAway
	if r.medians != nil {
		k.tally.median = r.medians.tell
	}
	if r.cfg.Watch != nil {
		k.meter = results.NewMeter(r.cfg.Header, meterWindow)
		k.screen = newScreen(r.cfg.Watch)
	}
	k.gauges.begin()
	return k
}

func (k *keeper) keep() {
	every := time.Second
	if k.meter != nil || k.run.medians != nil {
		every = keeperTick
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case tray := <-k.run.shards.full:
			k.add(tray)
			k.run.shards.giveBack(tray)
		case <-ticker.C:
			k.tick(k.run.now())
		case <-k.run.stop:
			return
		}
	}
}

func (k *keeper) tick(now time.Duration) {
	k.collect()
	if second := secondOf(now); second > k.second {
		k.second = second
		k.tally.of(second-1, time.Duration(second)*time.Second <= k.tally.warmUp).interval.Gauges = k.gauge()
		k.emit(now, second)
		k.judgeEarly(now)
	}
	if k.meter != nil {
		k.screen.show(k.snapshot(now))
	}
}

// collect takes in what workers and waker have counted.
func (k *keeper) collect() {
	k.tally.deadline = time.Duration(k.run.deadline.Load())
	k.run.shards.drain(k.add)
	if k.run.waker != nil {
		k.run.waker.collect(k.tally.offer)
	}
}

// add tells the tally before when issuing ended, if it has: a sample of the drain comes after that.
func (k *keeper) add(samples []sample) {
	if k.run.waker != nil { // the last requests of a closed run are as much of it as the others
		k.tally.issued = k.issued(farAway)
	}
	k.tally.add(samples)
}

// emit writes the intervals of seconds before a second.
func (k *keeper) emit(now time.Duration, before int) {
	for _, interval := range k.tally.flush(before) {
		if err := k.sum.Add(interval); err != nil {
			k.failed = errors.Join(k.failed, err)
		}
		if k.run.cfg.Each != nil {
			k.run.cfg.Each(interval)
		}
		if k.run.cfg.Out != nil && k.failed == nil {
			k.failed = k.run.cfg.Out.Add(interval)
		}
		if k.meter != nil {
			k.meter.Add(now, interval)
		}
	}
}

func (k *keeper) gauge() *results.Gauges {
	g := k.gauges.read()
	g.InFlight, g.Waiting = int(k.run.inFlight.Load()), k.waiting()
	g.Connections, g.Limits = k.run.client.Connections(), k.run.client.Limits()
	return &g
}

func (k *keeper) waiting() int {
	if k.run.desk == nil {
		return 0
	}
	return k.run.desk.backlog()
}

// judgeEarly ends the run if an objective cannot be held any more, whatever is still to come.
func (k *keeper) judgeEarly(now time.Duration) {
	cfg := &k.run.cfg
	if k.meter == nil && cfg.Abort == 0 {
		return
	}
	totals := k.sum.Totals()
	k.worst = stable(k.worst, k.invalid(totals, now))
	if cfg.Abort == 0 || now < cfg.Abort || totals.Total[""].Count == 0 {
		return
	}
	coming := k.coming(totals, now)
	for _, objective := range cfg.Objectives {
		if objective.Seen(totals, coming) {
			verdict := objective.Judge(totals)
			k.abort(fmt.Errorf("%w: %s, measured %s", errObjective, verdict.Objective, verdict.Measured))
			return
		}
	}
}

// fastest is how many times as fast as up to now a closed run is thought to go on at most.
const fastest = 4

// coming is how many requests of the main part can still be added to the totals: the rest of a
// known number, or as many as a closed run of a known length can be thought to make.
func (k *keeper) coming(totals *results.Run, now time.Duration) uint64 {
	h := &k.run.cfg.Header
	done := totals.Total[""].Count
	switch past := now - h.WarmUp; {
	case h.Planned > 0 && !k.run.journey.chained:
		return h.Planned - min(h.Planned, done+totals.Warm[""].Count)
	case h.Length > 0 && past > 0:
		return uint64(fastest*float64(done)*float64(max(h.Length-now, 0))/float64(past)) + uint64(max(k.run.inFlight.Load(), 0))
	}
	return math.MaxUint64
}

// stable is what is said now, in the words of before where only the numbers have changed: whoever
// watches is told of news.
func stable(before, now []string) []string {
	words := make([]string, len(now))
	for i, text := range now {
		words[i] = text
		for _, old := range before {
			if len(old) > sameSentence && len(text) > sameSentence && old[:sameSentence] == text[:sameSentence] {
				words[i] = old
			}
		}
	}
	return words
}

// sameSentence is how much of two sentences of Evidence.Judge is the same if they are about the
// same thing.
const sameSentence = 17

// invalid judges whether the harness held the rate, and its machine the load.
func (k *keeper) invalid(run *results.Run, now time.Duration) []string {
	all := run.Total[""]
	e := Evidence{Refused: k.tally.refused, Lag: all.Lag, Response: all.Response, Length: k.issued(now)}
	if k.run.waker == nil {
		return append(k.nothing(run), e.JudgeSystem()...)
	}
	e.Drained = now - e.Length
	e.Offered, e.Asleep, e.Drowsed, e.Longest = k.run.waker.account()
	e.HandedInTime, e.NeverHanded = k.tally.handedInTime, k.tally.neverHanded
	if !run.Whole { // what is in flight has no sample yet
		e.HandedInTime = e.Offered - min(e.Offered, uint64(k.waiting()))
	}
	if bound := k.run.cfg.MaxInFlight; bound > 0 && int(k.run.workers.Load()) >= bound {
		e.Bound = bound
	}
	if e.Offered == 0 && !run.Whole {
		return nil // it has not begun
	}
	return e.Judge()
}

// nothing says that a closed run has nothing to report, if that is so. One of several machines may
// have had none of the requests.
func (k *keeper) nothing(run *results.Run) []string {
	warm := run.Warm[""].Count
	if !run.Whole || run.Total[""].Count > 0 || warm == 0 && k.run.cfg.Workers > 1 {
		return nil
	}
	return []string{fmt.Sprintf("nothing was measured: %d requests were of the warm-up, and none came after it", warm)}
}

// issued is for how long requests were issued.
func (k *keeper) issued(now time.Duration) time.Duration {
	if issued := time.Duration(k.run.issued.Load()); issued > 0 {
		now = issued
	}
	if length := k.run.cfg.Header.Length; length > 0 {
		return min(length, now)
	}
	return now
}

func (k *keeper) snapshot(now time.Duration) results.Snapshot {
	s := k.meter.Snapshot(now)
	s.InFlight, s.Waiting = int(k.run.inFlight.Load()), k.waiting()
	s.Draining = k.run.draining.Load()
	s.Invalid = k.worst
	return s
}

// end closes the accounts. cause is why issuing ended, nil if by itself; arrivals from first
// up to last were never handed over.
func (k *keeper) end(cause error, first, last uint64) (*results.Run, error) {
	now := max(k.run.now(), 0) // it may have ended before its first instant
	k.run.shards.close()
	k.collect()
	k.writeOff(first, last)
	if last := k.tally.latest(); last != nil {
		last.interval.Gauges = k.gauge()
	}
	k.emit(now, math.MaxInt)
	e := results.End{Elapsed: now, Issued: k.issued(now), Reason: reason(cause), Unfinished: k.tally.unfinished, NeverSent: k.tally.unsent}
	run := k.sum.Run() // with its series, which some objectives are judged by
	run.End, run.Whole = e, true
	e.Invalid = k.invalid(run, now)
	run.End.Invalid = e.Invalid
	for _, objective := range k.run.cfg.Objectives {
		e.Verdicts = append(e.Verdicts, objective.Judge(run))
	}
	e.Notes = k.notes(cause)
	k.failed = errors.Join(k.failed, k.sum.End(e))
	if k.run.cfg.Out != nil && k.failed == nil {
		k.failed = k.run.cfg.Out.End(e)
	}
	if k.meter != nil {
		s := k.snapshot(now)
		s.Invalid, s.Verdicts, s.Ended, s.Draining = e.Invalid, e.Verdicts, true, false
		k.screen.last(s)
	}
	return k.sum.Run(), k.failed
}

// writeOff counts arrivals that no worker took before the drain ended.
func (k *keeper) writeOff(first, last uint64) {
	if first == last {
		return
	}
	var session targets.Session
	plan, cut := k.run.journey.plan, k.run.cutAt()
	for n := first; n < last; n++ {
		due, _ := k.run.desk.due.At(n)
		plan.Begin(&session, k.run.number(n))
		operation := 0
		if request, more, err := session.Next(); err != nil {
			operation = k.run.journey.operationOf(err)
		} else if more {
			operation = request.Operation
		}
		m := sample{operation: operation, due: due, ready: due, handed: max(cut, due), sent: -1, announced: true, unhanded: true}
		m.giveUp(cut)
		k.tally.addOne(&m)
	}
}

// reason is why a run ended, in the words of results.End.
func reason(cause error) string {
	switch {
	case cause == nil:
		return "finished"
	case errors.Is(cause, errObjective):
		return "objective failed"
	default:
		return "interrupted"
	}
}

func (k *keeper) notes(cause error) []string {
	notes := slices.Clone(k.run.cfg.Notes)
	if errors.Is(cause, errObjective) {
		notes = append(notes, cause.Error())
	}
	if k.run.cfg.Schedule == nil {
		notes = append(notes, "closed model: a caller that waits sends nothing, so what would have arrived meanwhile is omitted")
	} else if advice := k.run.cfg.Schedule.Advice(); advice != "" {
		notes = append(notes, advice)
	}
	return notes
}

// screen calls Watch on a goroutine of its own, so that whoever watches holds up nothing. It
// is shown the latest there is.
type screen struct {
	watch  func(results.Snapshot)
	latest chan results.Snapshot // room for one
	gone   sync.WaitGroup
}

func newScreen(watch func(results.Snapshot)) *screen {
	s := &screen{watch: watch, latest: make(chan results.Snapshot, 1)}
	s.gone.Go(func() {
		for snapshot := range s.latest {
			s.watch(snapshot)
		}
	})
	return s
}

// show is for one goroutine.
func (s *screen) show(snapshot results.Snapshot) {
	select {
	case <-s.latest: // it has not been looked at
	default:
	}
	s.latest <- snapshot
}

// last shows the end, and returns when it was seen.
func (s *screen) last(snapshot results.Snapshot) {
	close(s.latest)
	s.gone.Wait()
	s.watch(snapshot)
}
