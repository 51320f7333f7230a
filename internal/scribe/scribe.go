package scribe

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Scribe writes log lines for others. All methods are safe for concurrent use.
type Scribe struct {
	to slog.Handler // the caller's; nil discards

	// What is known of Enabled: levels up to quiet were not wanted at asked. Read
	// by whoever logs, written by the goroutine that writes.
	quiet atomic.Int64
	asked atomic.Int64 // Unix ns

	mu      sync.Mutex
	lines   []line        // guarded by mu: in the order in which they were said
	dropped int64         // guarded by mu: since the last line that got through
	writing bool          // guarded by mu: a goroutine has been started, and takes lines until there are none
	closed  bool          // guarded by mu: no further lines
	given   bool          // guarded by mu: Close gave up, and the rest is not written
	ended   chan struct{} // guarded by mu: closed with the last line after Close; nil until Close waits
}

// line is one that was said, and what the handler has to know to write it.
type line struct {
	ctx    context.Context
	by     *voice
	record slog.Record
}

const (
	// mostLines is how many lines may wait to be written.
	mostLines = 1024
	// askAgain is how long it is believed that a level is not wanted.
	askAgain = time.Second
)

// New returns a scribe that writes to a logger's handler. A nil logger, or one
// that discards, has nothing written: no goroutine is ever started.
func New(logger *slog.Logger) *Scribe {
	s := new(Scribe)
	if logger != nil && logger.Handler() != slog.DiscardHandler {
		s.to = logger.Handler()
	}
	s.quiet.Store(math.MinInt64)
	return s
}

// Logger returns what is logged to: it never blocks, and never runs the caller's
// code.
func (s *Scribe) Logger() *slog.Logger {
	if s.to == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(&voice{scribe: s})
}

// Close has what was said written, waits for that no longer than patience, and
// drops what is said from then on. It is idempotent.
func (s *Scribe) Close(patience time.Duration) {
	s.mu.Lock()
	s.closed = true
	if !s.writing {
		s.mu.Unlock()
		return
	}
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	ended := s.ended
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.mu.Lock()
		s.given = true
		s.mu.Unlock()
	}
}

// wants reports whether a level may be worth a line.
func (s *Scribe) wants(level slog.Level) bool {
	if int64(level) > s.quiet.Load() {
		return true
	}
	asked, now := s.asked.Load(), time.Now().UnixNano()
	return now-asked >= int64(askAgain) && s.asked.CompareAndSwap(asked, now)
}

// say queues a line, and starts the goroutine unless it runs.
func (s *Scribe) say(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case len(s.lines) >= mostLines:
		s.dropped++
	default:
		s.lines = append(s.lines, l)
		if !s.writing {
			s.writing = true
			go s.write()
		}
	}
}

// write writes until nothing is left. The handler may end the goroutine that it
// runs on; then another goes on.
func (s *Scribe) write() {
	whole := false
	defer func() {
		if !whole {
			go s.write()
		}
	}()
	for l, more := s.next(); more; l, more = s.next() {
		s.writeLine(l)
	}
	whole = true
}

// next takes the line that is to be written; without one the goroutine ends.
func (s *Scribe) next() (l line, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given {
		s.lines = nil
	}
	if len(s.lines) == 0 {
		s.lines, s.writing = nil, false
		if s.ended != nil {
			close(s.ended)
			s.ended = nil
		}
		return line{}, false
	}
	l, s.lines[0] = s.lines[0], line{}
	s.lines = s.lines[1:]
	return l, true
}

// writeLine runs the caller's code. A panic there, or the goroutine's end, costs
// the line, and what it was to tell of others that were lost.
func (s *Scribe) writeLine(l line) {
	lost := int64(1)
	defer func() {
		_ = recover()
		s.lose(lost)
	}()
	to := l.by.handler()
	if !to.Enabled(l.ctx, l.record.Level) {
		s.unwanted(l.record.Level)
		lost = 0
		return
	}
	if level := int64(l.record.Level); level <= s.quiet.Load() {
		s.quiet.Store(level - 1)
	}
	if n := s.takeDropped(); n > 0 {
		l.record.AddAttrs(slog.Int64("lines_dropped", n))
		lost += n
	}
	_ = to.Handle(l.ctx, l.record) // slog has nobody to tell, either
	lost = 0
}

func (s *Scribe) unwanted(level slog.Level) {
	s.asked.Store(time.Now().UnixNano())
	s.quiet.Store(max(s.quiet.Load(), int64(level)))
}

func (s *Scribe) takeDropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.dropped
	s.dropped = 0
	return n
}

func (s *Scribe) lose(n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += n
}
