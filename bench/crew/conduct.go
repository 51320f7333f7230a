package crew

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-engine/sluice/bench/results"
)

const (
	askAgain      = 300 * time.Millisecond // an enlist that was not answered
	probeEvery    = 200 * time.Millisecond // once clocks are known
	leastSamples  = 24                     // before clocks are
	clockPatience = 5 * time.Second        // for clocks to be known well enough
	mostPatience  = 10 * time.Second       // for a worker to take a run on
	farewellTime  = 2 * time.Second        // for workers to say that they are free
	mostReport    = 64 << 20               // bytes: as long as a line of results may be
	leastLead     = 300 * time.Millisecond // from the order to begin to the beginning
)

// What the actor tells Run's goroutine.
type (
	line string // for Say
	// started is the order to begin: no earlier than start.
	started struct {
		start  time.Time
		header results.Header
	}
	// parcel is a report that arrived whole.
	parcel struct {
		member int
		name   string
		next   uint64 // to be acknowledged once it is written
		text   []byte
	}
	// standing is how the machines stand together.
	standing struct {
		draining                       bool
		offered, sent, completed       uint64
		inFlight, waiting, connections int
		invalid                        []string
	}
	// outcome is the last of all.
	outcome struct {
		err   error // it could not begin
		end   results.End
		debts []debt
	}
)

// What Run's goroutine tells the actor.
type (
	// halt ends the run early.
	halt struct{ reason string }
	// written answers parcel.
	written struct {
		member                   int
		next                     uint64
		ready                    bool
		ended                    *results.End
		failed                   string
		second                   int // of an interval, -1 for another report
		offered, sent, completed uint64
		samples                  uint64
	}
)

// run is the coordinator's actor. Its fields belong to its mailbox.
//
//	gathering ── all ready, all clocks known ──▶ begun ── all ended or lost ──▶ parting ──▶ done
type run struct {
	cfg     Config
	node    *node
	id      string
	epoch   time.Time // all its instants are since then
	job     []byte
	members []*member
	news    chan any // to Run's goroutine; see post
	stands  *atomic.Pointer[standing]
	stage   stage
	entered time.Duration // into the stage
	start   time.Duration // the schedule's instant 0
	stopped time.Duration // when the members were told to stop; 0 if they were not
	reason  string        // of that
	invalid []string
	err     error // of a run that could not begin
}

type stage int

const (
	stageGathering stage = iota
	stageBegun
	stageParting
	stageDone
)

func newRun(cfg Config, n *node, job []byte, replies []string, epoch time.Time) *run {
	r := &run{
		cfg: cfg, node: n, id: newID(), epoch: epoch, job: job,
		news: make(chan any, 1024+2*partWindow*len(cfg.Workers)), stands: new(atomic.Pointer[standing]),
	}
	for i, address := range cfg.Workers {
		r.members = append(r.members, &member{
			index: i, address: address, reply: replies[i], name: address, asked: never, relation: newRelation(epoch),
			tally: reported{last: -1}, in: inbox{most: mostReport},
		})
	}
	return r
}

// never is an instant at which nothing was asked.
const never = -time.Hour

func (r *run) now() time.Duration { return time.Since(r.epoch) }

// Receive is part of actor.Actor. A panic ends the run with an error: else Run would wait for
// ever.
func (r *run) Receive(ctx actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			r.stage = stageDone
			r.post(outcome{err: fmt.Errorf("the coordinator panicked: %v", p)})
		}
	}()
	now := r.now()
	switch m := ctx.Message().(type) {
	case *wrapperspb.BytesValue:
		r.read(m.GetValue(), now)
	case tick:
		r.tick(now)
	case written:
		r.written(m, now)
	case halt:
		r.halt(m.reason, now)
	case dialFailed:
		r.dialFailed(m, now)
	case connectionLost:
		r.connectionLost(m)
	case *actor.Stopping, *actor.Restarting:
		if r.stage != stageDone {
			r.stage = stageDone
			r.post(outcome{err: errors.New("the coordinator was stopped")})
		}
	}
}

// post tells Run's goroutine something, and does not wait: the windows of the couriers bound
// the parcels that are not written, and there are few lines beside them.
func (r *run) post(m any) { r.news <- m }

func (r *run) say(format string, args ...any) { r.post(line(fmt.Sprintf(format, args...))) }

// mention says what is no loss.
func (r *run) mention(format string, args ...any) {
	if !r.cfg.Quiet {
		r.say(format, args...)
	}
}

// read takes a letter of a member.
func (r *run) read(text []byte, now time.Duration) {
	l, err := decodeLetter(text)
	if err != nil || l.Run != r.id || l.Worker < 0 || l.Worker >= len(r.members) {
		return // of a run before, or of nobody
	}
	m := r.members[l.Worker]
	m.gone = false
	m.is.heard()
	switch {
	case r.stage >= stageParting:
		m.free = m.free || l.Refused != nil
	case m.state == stateLost:
		r.dismiss(m, now)
	case l.Enlisted != nil:
		r.enlisted(m, l.Enlisted, now)
	case l.Refused != nil:
		r.lose(m, l.Refused.Reason, now)
	case l.Reading != nil:
		r.reading(m, l.Reading, now)
	case l.Snapshot != nil:
		m.live = l.Snapshot.Snapshot
	case l.Part != nil:
		r.part(m, *l.Part, now)
	case l.Taken != nil:
		m.out.taken(l.Taken.Next, r.epoch.Add(now))
		r.deliver(m, now)
	}
}

// lose gives a member up. Before the beginning that is the end of the run; after it, the run
// is invalid, and goes on without it if the configuration says so.
func (r *run) lose(m *member, why string, now time.Duration) {
	if m.state == stateLost || m.state == stateEnded || r.stage >= stageParting {
		return // of one that has ended everything is here
	}
	m.state = stateLost
	why = printable(why)
	text := fmt.Sprintf("machine %s (%s) was lost: %s", m.name, m.address, why)
	if r.stage == stageGathering {
		r.abort(fmt.Errorf("worker %s: %s", m.address, why), now) // which dismisses it as well
		return
	}
	r.invalid = append(r.invalid, text)
	r.say("%s", text)
	r.dismiss(m, now)
	if r.cfg.OnLost == Fail {
		r.halt("machine lost", now)
	}
}

// abort is the end of a run that cannot begin.
func (r *run) abort(err error, now time.Duration) {
	if r.err == nil {
		r.err = err
	}
	r.depart(now)
}

// halt has all members stop, and waits for what they still tell.
func (r *run) halt(reason string, now time.Duration) {
	switch r.stage {
	case stageGathering:
		r.abort(fmt.Errorf("%s before it began", reason), now)
	case stageBegun:
		if r.stopped == 0 {
			r.stopped, r.reason = now, reason
			r.tellStop()
		}
	}
}

// tellStop is said again with every tick: it may be lost.
func (r *run) tellStop() {
	for _, m := range r.members {
		if m.state == stateRunning || m.state == stateReady {
			r.write(m, letter{Stop: &stop{Reason: r.reason}})
		}
	}
}

func (r *run) dialFailed(d dialFailed, now time.Duration) {
	for _, m := range r.members {
		if m.address != d.address {
			continue
		}
		if m.state == stateAsked || errors.Is(d.err, errGone) || errors.Is(d.err, ErrRefused) {
			m.gone = true
			r.lose(m, d.err.Error(), now)
		} else if m.state != stateLost && r.stage < stageParting {
			r.mention("machine %s (%s) cannot be reached, trying again: %v", m.name, m.address, d.err)
		}
	}
}

func (r *run) connectionLost(c connectionLost) {
	for _, m := range r.members {
		if m.address == c.address && m.state != stateLost && r.stage < stageParting {
			r.mention("the connection to machine %s (%s) ended, trying again", m.name, m.address)
		}
	}
}

// tick is what happens because time has passed.
func (r *run) tick(now time.Duration) {
	switch r.stage {
	case stageGathering:
		r.tendAll(now)
		if r.stage == stageGathering {
			r.tryToBegin(now)
		}
	case stageBegun:
		r.tendAll(now)
		r.stand()
		if r.stopped > 0 {
			r.tellStop()
		}
		if !slices.ContainsFunc(r.members, (*member).owing) {
			r.depart(now)
		}
	case stageParting:
		r.leave(now)
	}
}

func (r *run) tendAll(now time.Duration) {
	for _, m := range r.members {
		r.tend(m, now)
	}
}

// tryToBegin orders everybody to begin at one instant once that is possible.
func (r *run) tryToBegin(now time.Duration) {
	lead := leastLead
	for _, m := range r.members {
		if m.state != stateReady || m.relation.samples < leastSamples {
			r.entered = now
			return
		}
		lead = max(lead, min(8*m.relation.worst, 3*time.Second))
	}
	start := now + lead
	for _, m := range r.members {
		if _, bound := m.relation.shows(start); r.cfg.ClockBound >= 0 && bound > r.cfg.ClockBound {
			if now-r.entered > clockPatience {
				r.abort(fmt.Errorf("worker %s: its clock is known to ±%s only, and ±%s is asked for (--clock-bound): the way there takes too long or varies too much", m.address, duration(bound), duration(r.cfg.ClockBound)), now)
			}
			return // more exchanges may tell more
		}
	}
	r.begin(start, now)
}

func (r *run) begin(start, now time.Duration) {
	r.stage, r.start = stageBegun, start
	h := r.cfg.Job.Header
	h.Started = r.epoch.Add(start)
	h.Environment = r.members[0].env
	if h.ID == "" {
		h.ID = r.id
	}
	for _, m := range r.members {
		h.Machines = append(h.Machines, m.name)
		m.ordered = m.relation.order(start)
		ahead, bound := m.relation.ahead(now)
		m.drift0 = ahead
		r.mention("machine %s (%s): its clock is %s from this one, known to ±%s after %d exchanges", m.name, m.address, signed(ahead), duration(bound), m.relation.samples)
	}
	r.post(started{h.Started, h})
	for _, m := range r.members {
		r.write(m, letter{Begin: &begin{At: m.ordered}})
	}
}

// checkStart looks at the beginning again, from both sides of it.
func (r *run) checkStart(m *member) {
	m.checked = true
	if worst := m.relation.off(m.ordered); r.cfg.ClockBound >= 0 && worst > r.cfg.ClockBound {
		r.invalid = append(r.invalid, fmt.Sprintf("machine %s may have begun %s from the others, and ±%s is asked for (--clock-bound)", m.name, duration(worst), duration(r.cfg.ClockBound)))
	}
}

// stand says how all stand together.
func (r *run) stand() {
	s := standing{draining: true, invalid: slices.Clone(r.invalid)}
	for _, m := range r.members {
		l := &m.live
		s.offered += max(l.Offered, m.tally.offered)
		s.sent += max(l.Sent, m.tally.sent)
		s.completed += max(l.Completed, m.tally.completed)
		if m.state == stateRunning || m.state == stateReady {
			s.inFlight, s.waiting, s.connections = s.inFlight+l.InFlight, s.waiting+l.Waiting, s.connections+l.Connections
			s.draining = s.draining && l.Draining
		}
		for _, why := range l.Invalid {
			s.invalid = append(s.invalid, m.name+": "+why)
		}
	}
	r.stands.Store(&s)
}

// depart ends what is common, and lets the members go.
func (r *run) depart(now time.Duration) {
	r.stage, r.entered = stageParting, now
	r.leave(now)
}

// leave waits for members to be free, but not for long: their leases end by themselves.
func (r *run) leave(now time.Duration) {
	waiting := false
	for _, m := range r.members {
		if m.free || m.gone || m.asked == never {
			continue // it knows no more of this run, or is not there, or never knew of it
		}
		// One that was asked and has not answered yet may serve all the same.
		waiting = true
		r.dismiss(m, now)
	}
	if waiting && now-r.entered < farewellTime {
		return
	}
	r.stage = stageDone
	if r.err != nil {
		r.post(outcome{err: r.err})
		return
	}
	r.post(r.outcome())
}
