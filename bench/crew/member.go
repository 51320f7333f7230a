package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// member is one worker, as its coordinator sees it.
type member struct {
	index    int
	address  string
	reply    string // this machine's address, as the worker reaches it
	name     string // as results call it; its address until it has said
	env      results.Environment
	state    state
	asked    time.Duration // the last enlist, or dismissal
	gone     bool          // nobody is there, or lets this machine in, and it has said nothing since
	is       silence
	probed   time.Duration
	relation *relation
	ordered  time.Duration // what its clock shows at the start
	checked  bool          // the start was looked at again
	drift0   time.Duration // how far its clock was ahead at the start
	in       inbox
	out      outbox
	pending  int  // parcels that are not written
	free     bool // it said so
	live     results.Snapshot
	end      *results.End
	tally    reported
}

// reported is what arrived of a member.
type reported struct {
	offered, sent, completed uint64
	samples                  uint64 // requests that operations count
	last                     int    // second, -1 if none
}

type state int

const (
	stateAsked   state = iota // to serve
	stateLoading              // it gets the job
	stateReady
	stateRunning
	stateEnded
	stateLost
)

// write writes to a member.
func (r *run) write(m *member, l letter) {
	l.Run, l.Worker, l.Reply = r.id, m.index, m.reply
	r.node.send(m.address, workerDoor, l)
}

func (r *run) enlisted(m *member, e *enlisted, now time.Duration) {
	if m.state != stateAsked {
		return
	}
	m.state, m.env = stateLoading, e.Environment
	m.name = r.nameFor(e.Name, m)
	if err := m.out.add(r.job); err != nil {
		r.lose(m, err.Error(), now)
		return
	}
	r.probe(m, now)
	r.deliver(m, now)
}

// nameFor makes a name that no other member has.
func (r *run) nameFor(name string, m *member) string {
	name = printable(name)
	taken := func(name string) bool {
		return name == "" || slices.ContainsFunc(r.members, func(other *member) bool { return other != m && other.name == name })
	}
	if taken(name) {
		return m.address
	}
	return name
}

// reading relates the clocks, and asks again at once until enough is known.
func (r *run) reading(m *member, a *reading, now time.Duration) {
	if a.Sent < 0 || a.Sent > now {
		return
	}
	m.relation.add(a.Sent, now, a.Clock)
	if a.Begun && m.state == stateReady && r.stage == stageBegun {
		m.state = stateRunning
	}
	if a.Quiet > r.cfg.Silence && m.state == stateRunning {
		r.lose(m, fmt.Sprintf("its run has told nothing for %v", a.Quiet.Round(time.Millisecond)), now)
		return
	}
	if m.relation.samples < leastSamples {
		r.probe(m, now)
	}
}

func (r *run) probe(m *member, now time.Duration) {
	m.probed = now
	r.write(m, letter{Probe: &probe{Sent: r.now()}})
}

// part takes a piece of a report. It is acknowledged once what it belongs to is written; a
// piece that ends nothing at once, unless something before it is not.
func (r *run) part(m *member, p part, now time.Duration) {
	text, whole, err := m.in.take(p)
	switch {
	case err != nil:
		r.lose(m, err.Error(), now)
	case whole:
		m.pending++
		r.post(parcel{m.index, m.name, m.in.next, text})
	case m.pending == 0:
		r.write(m, letter{Taken: &taken{Next: m.in.next}})
	}
}

func (r *run) written(w written, now time.Duration) {
	m := r.members[w.member]
	m.pending--
	next := w.next
	if m.pending == 0 {
		next = m.in.next
	}
	r.write(m, letter{Taken: &taken{Next: next}})
	m.tally.offered += w.offered
	m.tally.sent += w.sent
	m.tally.completed += w.completed
	m.tally.samples += w.samples
	m.tally.last = max(m.tally.last, w.second)
	switch {
	case m.state == stateLost:
	case w.failed != "":
		r.lose(m, w.failed, now)
	case w.ready && m.state == stateLoading:
		m.state = stateReady
	case w.ended != nil && (m.state == stateRunning || m.state == stateReady):
		m.state, m.end = stateEnded, w.ended
	}
}

func (r *run) deliver(m *member, now time.Duration) {
	for _, p := range m.out.due(r.epoch.Add(now)) {
		r.write(m, letter{Part: &p})
	}
}

func (r *run) dismiss(m *member, now time.Duration) {
	if now-m.asked >= askAgain/3 {
		m.asked = now
		r.write(m, letter{Dismiss: &dismiss{}})
	}
}

// tend does what is due for one member.
func (r *run) tend(m *member, now time.Duration) {
	switch m.state {
	case stateLost:
		return
	case stateAsked:
		if now > mostPatience {
			r.lose(m, fmt.Sprintf("it has not answered for %v: it must be able to connect to this machine, at %s (see --listen)", mostPatience, m.reply), now)
		} else if now-m.asked >= askAgain {
			m.asked = now
			r.write(m, letter{Enlist: &enlist{Coordinator: r.cfg.Name, Lease: r.cfg.Silence, Workers: len(r.members)}})
		}
		return
	}
	if silent := m.is.tick(r.epoch.Add(now)); silent > r.cfg.Silence {
		r.lose(m, fmt.Sprintf("it has said nothing for %v", silent.Round(time.Millisecond)), now)
		return
	}
	every := probeEvery
	if m.relation.samples < leastSamples || r.stage == stageBegun && now < r.start+2*probeEvery {
		every = 0 // with every tick: the beginning is when it matters
	}
	if now-m.probed >= every {
		r.probe(m, now)
	}
	r.deliver(m, now)
	if r.stage != stageBegun {
		return
	}
	if m.state == stateReady && now < r.start {
		r.write(m, letter{Begin: &begin{At: m.ordered}})
	} else if m.state == stateReady && now > r.start+r.cfg.Silence {
		r.lose(m, "it did not get the order to begin", now)
		return
	}
	if !m.checked && now > r.start+2*probeEvery {
		r.checkStart(m)
	}
}

// owing reports whether something is still to come from a member.
func (m *member) owing() bool {
	return m.pending > 0 || m.state != stateEnded && m.state != stateLost
}
