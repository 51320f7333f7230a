package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// capacity is how many bytes may lie unread in one direction.
const capacity = 64 << 10

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond // anything below changed, or a deadline passed

	buf    []byte // written, not yet read
	ended  bool   // the writer closed: no byte comes after buf
	broken bool   // the reader closed: nobody will read

	reader, writer deadline
}

// deadline bounds one side of a stream; it is guarded by the stream's mutex.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case s.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(s.buf) > 0:
			return s.take(p), nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

// take moves bytes from buf to p; mu is held.
func (s *stream) take(p []byte) int {
	n := copy(p, s.buf)
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	s.changed.Broadcast()
	return n
}

func (s *stream) write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.writer.passed():
			return written, os.ErrDeadlineExceeded
		case s.broken:
			return written, syscall.EPIPE
		}
		// A write that fits is never split, so that concurrent ones do not
		// interleave.
		room := capacity - len(s.buf)
		if rest := p[written:]; room >= len(rest) || room > 0 && len(p) > capacity {
			n := min(room, len(rest))
			s.buf = append(s.buf, rest[:n]...)
			written += n
			s.changed.Broadcast()
		}
		if written == len(p) {
			return written, nil
		}
		s.changed.Wait()
	}
}

// shut ends the stream from its reader's or its writer's side. What was
// written stays readable unless the reader left.
func (s *stream) shut(byReader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if byReader {
		s.broken, s.buf = true, nil
		s.reader.set(time.Time{}, nil)
	} else {
		s.ended = true
		s.writer.set(time.Time{}, nil)
	}
	s.changed.Broadcast()
}

func (s *stream) pending() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf), s.ended || s.broken
}

func (s *stream) setDeadline(d *deadline, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken && d == &s.reader || s.ended && d == &s.writer {
		return net.ErrClosed
	}
	d.set(t, s.wake)
	s.changed.Broadcast()
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake)
	}
}
