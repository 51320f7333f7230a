package crew

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-engine/sluice/bench/results"
)

// Ids of the actors that take letters.
const (
	workerDoor = "sluice-worker"
	runDoor    = "sluice-run"
)

const (
	tickEvery  = 50 * time.Millisecond
	leastLease = time.Second
	mostLease  = time.Minute
	farewell   = time.Second // what a run that was ended has before its client is closed
)

// What a worker says to itself.
type (
	tick  struct{}
	leave struct{} // the process is to end
	// prepared is the end of understanding a job.
	prepared struct {
		run  string
		task Task
		err  error
	}
	// told is a report of a run, as it is sent, and measured a snapshot of it.
	told struct {
		run  string
		text []byte
		err  error
	}
	measured struct {
		run      string
		snapshot results.Snapshot
	}
	// finished is the end of a run.
	finished struct {
		run string
		end results.End
		err error
	}
)

// worker is the actor of a machine that makes requests for others. Its fields belong to its
// mailbox.
//
//	idle ── enlist ──▶ serving ── dismiss, silence ──▶ idle, once what it ran has ended
type worker struct {
	cfg     WorkerConfig
	node    *node
	clock   dial
	service *service // nil while idle
	leaving bool
	warned  time.Time     // of somebody who was not let in
	gone    chan struct{} // closed once nothing is left after leave
	isGone  bool
}

// service is one run as its worker sees it.
//
//	loading ── job ──▶ preparing ── prepared ──▶ ready ── begin ──▶ running ── finished ──▶ over
type service struct {
	run, coordinator, reply string
	share                   Share
	lease                   time.Duration
	coordinatorIs           silence
	runIs                   silence   // while it runs
	released                time.Time // nobody wants its results; zero if somebody does
	phase                   phase
	start                   time.Time // of the run
	in                      inbox
	out                     outbox
	task                    Task
	closed                  bool
	ctx                     context.Context
	cancel                  context.CancelCauseFunc
}

type phase int

const (
	phaseLoading phase = iota
	phasePreparing
	phaseReady
	phaseRunning
	phaseOver
)

// busy reports whether a goroutine is at work for the service.
func (s *service) busy() bool { return s.phase == phasePreparing || s.phase == phaseRunning }

// Receive is part of actor.Actor. A panic here would leave the coordinator without an answer
// and, at the eleventh, this machine without a worker: it ends the run instead, which says so.
func (w *worker) Receive(ctx actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			w.fail(fmt.Sprintf("the worker panicked: %v", p))
		}
	}()
	switch m := ctx.Message().(type) {
	case *wrapperspb.BytesValue:
		w.read(m.GetValue())
	case tick:
		w.tick(time.Now())
	case prepared:
		w.prepared(m)
	case told:
		w.told(m)
	case measured:
		w.measured(m)
	case finished:
		w.finished(m)
	case dialFailed:
		w.unreachable(m)
	case connectionLost: // what was not acknowledged is sent again
	case turnedAway:
		w.turnedAway(m)
	case leave:
		w.leave("the worker was ended")
	case *actor.Stopping, *actor.Restarting:
		w.leave("the worker was stopped")
	}
}

// read takes a letter. One that is none, or of another version, is not answered: whoever got
// past the gate is of the same version.
func (w *worker) read(text []byte) {
	l, err := decodeLetter(text)
	if err != nil {
		w.say("ignored a letter: %v", err)
		return
	}
	now := time.Now()
	if l.Enlist != nil {
		w.enlist(l)
		return
	}
	s := w.service
	if s == nil || s.run != l.Run || !s.released.IsZero() {
		w.answer(l, letter{Refused: &refused{Reason: "it knows nothing of this run: it was started anew, or gave the run up"}})
		return
	}
	s.coordinatorIs.heard()
	switch {
	case l.Probe != nil:
		w.show(l.Probe)
	case l.Part != nil:
		w.part(*l.Part)
	case l.Taken != nil:
		s.out.taken(l.Taken.Next, now)
		w.deliver(now)
	case l.Begin != nil:
		w.begin(l.Begin.At)
	case l.Stop != nil:
		s.cancel(errors.New(l.Stop.Reason))
	case l.Dismiss != nil:
		w.answer(l, letter{Refused: &refused{Reason: "dismissed"}})
		w.release(now, "dismissed by its coordinator")
	}
}

// answer writes to the coordinator of a letter, whose run may not be the one that is served.
func (w *worker) answer(to, l letter) {
	if !answerable(to.Reply) {
		return
	}
	l.Run, l.Worker = to.Run, to.Worker
	w.node.send(to.Reply, runDoor, l)
}

func answerable(address string) bool {
	host, port, err := split(address)
	return err == nil && host != "" && port != 0
}

// write writes to the coordinator of the run that is served.
func (w *worker) write(l letter) {
	s := w.service
	l.Run, l.Worker = s.run, s.share.Worker
	w.node.send(s.reply, runDoor, l)
}

// enlist takes a run on, says again that it did, or says what is in the way.
func (w *worker) enlist(l letter) {
	s := w.service
	if !answerable(l.Reply) {
		w.say("ignored somebody who says no address to be answered at")
		return
	}
	switch {
	case w.leaving:
		w.answer(l, letter{Refused: &refused{Reason: "it is ending"}})
		return
	case s != nil && s.run == l.Run && !s.released.IsZero():
		w.answer(l, letter{Refused: &refused{Reason: "it gave this run up"}})
		return
	case s != nil && s.run != l.Run && !s.released.IsZero():
		w.answer(l, letter{Refused: &refused{Reason: fmt.Sprintf("what is left of a run of %s ends there: it is free in a moment", s.coordinator)}})
		return
	case s != nil && s.run != l.Run:
		w.answer(l, letter{Refused: &refused{Reason: fmt.Sprintf("it is busy with a run of %s", s.coordinator)}})
		return
	case s == nil:
		e := l.Enlist
		if e.Workers < 1 || l.Worker < 0 || l.Worker >= e.Workers || e.Lease < leastLease || e.Lease > mostLease {
			w.answer(l, letter{Refused: &refused{Reason: "it was asked for something that makes no sense"}})
			return
		}
		s = &service{
			run: l.Run, coordinator: fmt.Sprintf("%.60q", e.Coordinator), reply: l.Reply, lease: e.Lease,
			share: Share{l.Worker, e.Workers},
		}
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		w.service = s
		w.say("serving a run of %s as machine %d of %d", s.coordinator, l.Worker+1, e.Workers)
	}
	s.coordinatorIs.heard()
	w.write(letter{Enlisted: &enlisted{Name: w.cfg.Name, Environment: w.cfg.Environment}})
}

func (w *worker) show(p *probe) {
	s := w.service
	r := &reading{Sent: p.Sent, Begun: s.phase >= phaseRunning}
	if s.phase == phaseRunning {
		r.Quiet = s.runIs.so
	}
	r.Clock = w.clock.shows(time.Now())
	w.write(letter{Reading: r})
}

// part takes a piece of the job, and begins to prepare it once it is whole.
func (w *worker) part(p part) {
	s := w.service
	parcel, whole, err := s.in.take(p)
	if err != nil {
		w.fail(err.Error())
		return
	}
	w.write(letter{Taken: &taken{Next: s.in.next}})
	if !whole || s.phase != phaseLoading {
		return
	}
	s.phase = phasePreparing
	go func(run string, share Share, prepare Prepare) {
		task, err := prepareJob(parcel, share, prepare)
		w.tell(prepared{run, task, err})
	}(s.run, s.share, w.cfg.Prepare)
}

// prepareJob reads a job and makes a task of it. What it is made of comes from elsewhere: a
// panic is an answer like any other.
func prepareJob(text []byte, share Share, prepare Prepare) (task Task, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("preparing the job panicked: %v", p)
		}
	}()
	var job Job
	if err := json.Unmarshal(text, &job); err != nil {
		return Task{}, fmt.Errorf("the job cannot be read: %w", err)
	}
	if err := job.Validate(); err != nil {
		return Task{}, err
	}
	return prepare(job, share)
}

func (w *worker) prepared(p prepared) {
	s := w.service
	if s == nil || s.run != p.run {
		p.task.close()
		return
	}
	s.phase, s.task = phaseReady, p.task
	switch {
	case !s.released.IsZero():
		w.settle()
	case p.err != nil:
		w.fail(p.err.Error())
	default:
		w.report(report{Ready: &ready{}})
	}
}

func (t Task) close() {
	if t.Close != nil {
		t.Close()
	}
}

// begin starts the run, once however often it is told.
func (w *worker) begin(at time.Duration) {
	s := w.service
	if s.phase != phaseReady {
		return
	}
	start := w.clock.when(at)
	if late := time.Since(start); late > 0 {
		w.fail(fmt.Sprintf("it was told to begin %v after the instant", late.Round(time.Microsecond)))
		return
	}
	s.phase, s.start = phaseRunning, start
	go func(run string, task Task, ctx context.Context) {
		end, err := runTask(ctx, task, start, sink{w, run})
		w.tell(finished{run, end, err})
	}(s.run, s.task, s.ctx)
}

func runTask(ctx context.Context, task Task, start time.Time, out Sink) (end results.End, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the run panicked: %v", p)
		}
	}()
	return task.Run(ctx, start, out)
}

// sink turns what a run measures into messages to its worker.
type sink struct {
	worker *worker
	run    string
}

func (s sink) Interval(i results.Interval) {
	text, err := json.Marshal(report{Interval: &i}) // here, for what is in it is only lent
	s.worker.tell(told{s.run, text, err})
}

func (s sink) Snapshot(snapshot results.Snapshot) { s.worker.tell(measured{s.run, snapshot}) }

// tell sends the worker a message of its own process.
func (w *worker) tell(m any) {
	w.node.tell(m)
}

func (w *worker) told(t told) {
	if s := w.service; s != nil && s.run == t.run {
		s.runIs.heard()
		w.reportText(t.text, t.err)
	}
}

func (w *worker) measured(m measured) {
	s := w.service
	if s == nil || s.run != m.run || !s.released.IsZero() {
		return
	}
	s.runIs.heard()
	m.snapshot.Header = results.Header{} // the coordinator has it
	w.write(letter{Snapshot: &live{m.snapshot}})
}

func (w *worker) finished(f finished) {
	s := w.service
	if s == nil || s.run != f.run {
		return
	}
	s.phase = phaseOver
	if f.err != nil {
		w.report(report{Failed: f.err.Error()})
	} else {
		w.report(report{Ended: &f.end})
	}
	w.closeTask()
	w.settle()
}

// report sends what must arrive.
func (w *worker) report(r report) { w.reportText(json.Marshal(r)) }

func (w *worker) reportText(text []byte, err error) {
	s := w.service
	if !s.released.IsZero() {
		return
	}
	if err == nil {
		err = s.out.add(text)
	}
	if err != nil {
		s.cancel(err)
		w.write(letter{Refused: &refused{Reason: "it cannot send its results: " + err.Error()}})
		return
	}
	w.deliver(time.Now())
}

// deliver sends what the courier has to send.
func (w *worker) deliver(now time.Time) {
	for _, p := range w.service.out.due(now) {
		w.write(letter{Part: &p})
	}
}

// fail ends the run that is served, and says why.
func (w *worker) fail(reason string) {
	s := w.service
	if s == nil {
		return
	}
	w.say("cannot go on with the run: %s", reason)
	w.report(report{Failed: reason})
	s.cancel(errors.New(reason))
	if !s.busy() {
		s.phase = phaseOver
		w.closeTask()
	}
}

func (w *worker) closeTask() {
	if s := w.service; !s.closed {
		s.closed = true
		go s.task.close() // it is not this package's: it may take its time
	}
}

// release gives the run up: its results are wanted by nobody.
func (w *worker) release(now time.Time, why string) {
	s := w.service
	if !s.released.IsZero() {
		return
	}
	s.released = now
	s.cancel(errors.New(why))
	w.say("the run of %s is over: %s", s.coordinator, why)
	w.settle()
}

// settle makes the worker free again if nobody wants the run and nothing is left of it.
func (w *worker) settle() {
	s := w.service
	if s == nil || s.released.IsZero() || s.busy() {
		return
	}
	w.closeTask()
	s.cancel(nil)
	w.service = nil
}

// depart tells Serve, once, that a worker which is to end has nothing left. It is called by
// the tick after: what was said last has gone by then.
func (w *worker) depart() {
	if w.leaving && w.service == nil && !w.isGone {
		w.isGone = true
		close(w.gone)
	}
}

func (w *worker) tick(now time.Time) {
	s := w.service
	if s == nil {
		w.depart()
		return
	}
	if !s.released.IsZero() {
		if s.busy() && now.Sub(s.released) > farewell {
			w.closeTask() // its requests end, whatever they wait for
		}
		return
	}
	if s.phase == phaseRunning && now.After(s.start) {
		s.runIs.tick(now)
	}
	if s.coordinatorIs.tick(now) > s.lease {
		w.release(now, fmt.Sprintf("nothing was heard of its coordinator for %v", s.lease))
		return
	}
	w.deliver(now)
}

// unreachable gives a run up at once if nobody listens where its coordinator did.
func (w *worker) unreachable(d dialFailed) {
	s := w.service
	if s == nil || s.reply != d.address {
		return
	}
	if errors.Is(d.err, errGone) || errors.Is(d.err, ErrRefused) {
		w.release(time.Now(), fmt.Sprintf("its coordinator cannot be reached: %v", d.err))
	} else if s.released.IsZero() {
		w.say("cannot reach %s at %s, trying again: %v", s.coordinator, s.reply, d.err)
	}
}

// turnedAway tells of somebody who was not let in, now and then.
func (w *worker) turnedAway(t turnedAway) {
	if now := time.Now(); now.Sub(w.warned) > time.Second {
		w.warned = now
		w.say("turned %s away: %s", t.address, printable(t.err.Error()))
	}
}

// leave is the end of this worker: the coordinator is told, and what runs ends.
func (w *worker) leave(why string) {
	w.leaving = true
	if s := w.service; s != nil && s.released.IsZero() {
		w.write(letter{Refused: &refused{Reason: why}})
		w.release(time.Now(), why)
	}
}

func (w *worker) say(format string, args ...any) { w.cfg.Say(fmt.Sprintf(format, args...)) }
