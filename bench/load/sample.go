package load

import (
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// sample is what was measured of one request. Instants are since the beginning of the run.
type sample struct {
	operation int // index into journey.names
	status    int
	kind      string // of its error; empty if there is none
	message   string // what the error said, of the first of its kind
	// due is the intended instant. ready is when the harness could hand it over: then as well,
	// but for a step of a chain whose step before was answered later. handed when the client
	// was given the request, sent when its first byte left, below zero if none did, and end
	// when it was over.
	due, ready, handed, sent, end time.Duration
	connected                     time.Duration
	in, out                       int64
	repeats                       int
	stages                        results.Stages
	// announced says that it is counted as offered already: by the waker, at its instant.
	announced bool
	refused   bool // this machine had no descriptor, port or memory for a connection it wanted
	unhanded  bool // the client was never given it: no worker took it before the drain ended
	fate      fate
}

// fate says how a request left the run.
type fate uint8

const (
	finished   fate = iota // answered or failed
	unfinished             // outstanding when the drain ended: recorded at its elapsed time
	neverSent              // likewise, and not even sent
)

const (
	trayLength = 256 // samples that a worker's shard collects before it hands them on
	traysAhead = 512 // how many trays the tally may be behind before workers wait for it
)

// shards take samples from workers. There are a few for all of them: a histogram for each
// worker would be gigabytes at 10,000 of them, and one lock for all would be fought for.
type shards struct {
	each  []shard
	full  chan []sample
	spare chan []sample
}

type shard struct {
	mu     sync.Mutex
	tray   []sample
	closed bool // the run's account is closed: what comes is dropped
	_      [64]byte
}

func newShards(n int) *shards {
	return &shards{
		each:  make([]shard, n),
		full:  make(chan []sample, traysAhead),
		spare: make(chan []sample, traysAhead),
	}
}

// put adds a sample. It waits only if the tally is far behind.
func (s *shards) put(worker int, m *sample) {
	at := &s.each[worker%len(s.each)]
	if full := at.put(s, m); full != nil {
		s.full <- full
	}
}

// put returns the tray if it is full.
func (at *shard) put(s *shards, m *sample) (full []sample) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.closed {
		return nil
	}
	if at.tray == nil {
		at.tray = s.empty()
	}
	at.tray = append(at.tray, *m)
	if len(at.tray) == cap(at.tray) {
		full, at.tray = at.tray, nil
	}
	return full
}

func (s *shards) empty() []sample {
	select {
	case tray := <-s.spare:
		return tray[:0]
	default:
		return make([]sample, 0, trayLength)
	}
}

// drain hands every sample that there is to f.
func (s *shards) drain(f func([]sample)) {
	for {
		select {
		case tray := <-s.full:
			f(tray)
			s.giveBack(tray)
			continue
		default:
		}
		break
	}
	for i := range s.each {
		at := &s.each[i]
		at.mu.Lock()
		tray := at.tray
		at.tray = nil
		at.mu.Unlock()
		if tray != nil {
			f(tray)
			s.giveBack(tray)
		}
	}
}

func (s *shards) giveBack(tray []sample) {
	select {
	case s.spare <- tray:
	default:
	}
}

// close drops whatever comes from now on.
func (s *shards) close() {
	for i := range s.each {
		s.each[i].mu.Lock()
		s.each[i].closed = true
		s.each[i].mu.Unlock()
	}
}
