package load

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// runner is a run that goes on. Its fields are written before it starts, but for those that
// are atomic or have a lock of their own.
type runner struct {
	cfg      Config
	client   Client
	journey  *journey
	medians  *medians // nil unless the run is open and has chains
	timeout  time.Duration
	start    time.Time
	requests context.Context // of all requests: it does not end with that of Run
	abandon  context.CancelFunc

	shards   *shards
	messages firstMessages
	seats    seats
	workers  atomic.Int64 // how many there ever were
	inFlight atomic.Int64
	deadline atomic.Int64 // until when an arrival is handed over in time
	cut      atomic.Int64 // when the drain ended
	draining atomic.Bool
	issued   atomic.Int64 // for how long requests were issued; 0 while they are

	desk  *desk  // of an open run
	waker *waker // likewise
	gone  sync.WaitGroup
	stop  chan struct{} // closed when watchdog and keeper are to end
}

const (
	farAway   = time.Duration(1<<63 - 1)
	lastGrace = time.Second // for clients to return from requests that were ended
)

// Run makes a run and returns what was measured, whole also if ctx ended it early: then
// nothing more is issued, and what is outstanding is drained. The error is for a run that could
// not begin, or whose results could not be written.
//
// The goroutine of a client that does not return when its context ends is left behind.
func Run(ctx context.Context, cfg Config) (*results.Run, error) {
	atOnce := cfg.Header.Started.IsZero()
	if err := cfg.Prepare(time.Now()); err != nil {
		return nil, err
	}
	r, err := newRunner(cfg)
	if err != nil {
		return nil, err
	}
	defer r.abandon()
	r.begin(ctx, atOnce)
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	keeper := newKeeper(r, abort)
	var aside sync.WaitGroup
	aside.Go(r.watchdog)
	aside.Go(keeper.keep)
	if cfg.Schedule != nil {
		r.open(ctx)
	} else {
		r.closed(ctx)
	}
	r.drain()
	first, last := r.finish()
	close(r.stop)
	aside.Wait()
	return keeper.end(context.Cause(ctx), first, last)
}

func newRunner(cfg Config) (*runner, error) {
	j, err := newJourney(cfg.Plan)
	if err != nil {
		return nil, err
	}
	r := &runner{cfg: cfg, client: cfg.Client, journey: j, timeout: cfg.Timeout, stop: make(chan struct{})}
	if r.timeout == 0 {
		r.timeout = DefaultTimeout
	}
	r.messages.warmUp = cfg.Header.WarmUp
	r.requests, r.abandon = context.WithCancel(context.Background())
	r.shards = newShards(2 * runtime.GOMAXPROCS(0))
	r.cut.Store(int64(farAway))
	r.deadline.Store(int64(farAway))
	if cfg.Schedule == nil {
		return r, nil
	}
	if length := cfg.Schedule.Length(); length > 0 {
		r.deadline.Store(int64(length + Grace(length)))
	}
	if j.chained {
		r.medians = newMedians(len(j.names))
	}
	wakers, err := r.dealt()
	if err != nil {
		return nil, err
	}
	takers, err := r.dealt()
	if err != nil {
		return nil, err
	}
	r.desk = newDesk(takers, cfg.MaxInFlight, r.hire)
	r.waker = &waker{schedule: wakers, length: cfg.Schedule.Length(), warmUp: cfg.Schedule.WarmUp, now: r.now, release: r.desk.release}
	return r, nil
}

// begin waits for the instant 0 of the run, if it was said, and notes it. What was prepared
// meanwhile is not to make the first requests late.
func (r *runner) begin(ctx context.Context, atOnce bool) {
	h := &r.cfg.Header
	if atOnce {
		r.start = time.Now()
		h.Started = r.start
		return
	}
	if wait := time.Until(h.Started); wait > 0 {
		pause(ctx, wait)
	}
	// Its monotonic part, which the header of another machine's file lacks, is this clock's.
	r.start = time.Now().Add(-time.Since(h.Started))
}

// dealt makes the schedule that is this machine's.
func (r *runner) dealt() (schedule.Schedule, error) {
	whole, err := r.cfg.Schedule.Schedule()
	if err != nil {
		return nil, err
	}
	return schedule.Dealt(whole, r.cfg.Worker, r.cfg.Workers), nil
}

// number is that of this machine's arrival k among those of all machines.
func (r *runner) number(k uint64) uint64 {
	n, _ := schedule.DealtNumber(k, r.cfg.Worker, r.cfg.Workers)
	return n
}

func (r *runner) now() time.Duration { return time.Since(r.start) }

// at is an instant of the run; one that was not given is now.
func (r *runner) at(t time.Time) time.Duration {
	if t.IsZero() {
		return r.now()
	}
	return t.Sub(r.start)
}

func (r *runner) cutAt() time.Duration { return time.Duration(r.cut.Load()) }

// nextDue is when the step behind the one of a sample is due.
func (r *runner) nextDue(m *sample) time.Duration {
	if r.medians == nil {
		return m.end
	}
	median, known := r.medians.expected(m.operation)
	return nextDue(m.due, m.end, median, known)
}

// hire starts a worker of an open run.
func (r *runner) hire() {
	w := r.newWorker()
	r.gone.Go(func() { w.serve(r.desk) })
}

// open issues what the schedule says, until it is at its end, or ctx.
func (r *runner) open(ctx context.Context) {
	sleeper := newSleeper(r.now)
	defer sleeper.close()
	r.waker.sleep = sleeper.until
	r.waker.run(ctx)
	r.closeDoor(ctx)
	r.desk.end()
}

// closeDoor notes when issuing ended.
func (r *runner) closeDoor(ctx context.Context) {
	r.draining.Store(true)
	now := r.now()
	if ctx.Err() != nil {
		r.deadline.Store(int64(now + Grace(now)))
	} else if length := r.cfg.Schedule.Length(); length > 0 {
		now = length // what is behind the last arrival belongs to the schedule
	}
	r.issued.Store(int64(now))
}

// closed has callers make requests until there have been enough.
func (r *runner) closed(ctx context.Context) {
	if length := r.cfg.Closed.For; length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.start.Add(length))
		defer cancel()
	}
	defer func() {
		r.draining.Store(true)
		r.issued.Store(int64(r.now()))
	}()
	loop := newLoop(r)
	for range share(uint64(r.cfg.Closed.Callers), r.cfg.Worker, r.cfg.Workers) {
		select {
		case <-loop.last: // callers that would find nothing to do are not begun
			return
		case <-ctx.Done():
			return
		default:
		}
		w := r.newWorker()
		r.gone.Go(func() { loop.call(ctx, w) })
	}
	select {
	case <-loop.last:
	case <-ctx.Done():
	}
}

// drain waits until nothing is outstanding, but not for ever.
func (r *runner) drain() {
	limit := r.cfg.Drain
	if limit == 0 {
		limit = r.timeout + lastGrace // so that the last request's own time is up before
	}
	if r.waker == nil {
		r.waitForWorkers(limit)
		return
	}
	ctx, end := context.WithCancel(context.Background())
	var attending sync.WaitGroup
	attending.Go(func() { r.waker.attend(ctx) })
	r.waitForWorkers(limit)
	end()
	attending.Wait()
}

// waitForWorkers waits until all have gone home, at most for a time.
func (r *runner) waitForWorkers(limit time.Duration) bool {
	home := make(chan struct{})
	go func() { r.gone.Wait(); close(home) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-home:
		return true
	case <-timer.C:
		return false
	}
}

// interrupter is a client whose requests do not end with their contexts.
type interrupter interface{ Interrupt() }

// finish ends what the drain has left, so that it is counted as unfinished, and returns the
// arrivals that no worker took.
func (r *runner) finish() (first, last uint64) {
	cut := r.now()
	r.cut.Store(int64(cut))
	if r.desk != nil {
		first, last = r.desk.stop()
	}
	left := false
	r.seats.each(func(s *seat) { s.give(); left = true })
	if !left {
		return first, last
	}
	if client, ok := r.client.(interrupter); ok {
		client.Interrupt()
	}
	r.waitForWorkers(lastGrace)
	r.seats.each(func(s *seat) {
		if m, ok := s.count(); ok {
			m.giveUp(cut)
			m.fate = unfinished // whether it was sent is not known
			r.shards.put(0, &m)
		}
	})
	return first, last
}

// watchEvery is how exact a timeout is.
func (r *runner) watchEvery() time.Duration {
	return min(max(r.timeout/32, time.Millisecond), 250*time.Millisecond)
}

// watchdog ends requests whose time is up.
func (r *runner) watchdog() {
	ticker := time.NewTicker(r.watchEvery())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now := r.now()
			r.seats.each(func(s *seat) { s.expire(now) })
		case <-r.stop:
			return
		}
	}
}
