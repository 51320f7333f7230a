//go:build !unix

package wire

import (
	"net"
	"time"
)

// descriptor is empty: sockets are reached through the net package alone.
type descriptor struct{}

// probeWait is what asking a socket for silence costs here.
const probeWait = time.Millisecond

func (s *Socket) attach(net.Conn) {}

func (s *Socket) converse(p []byte) (int, error) { return s.converseInSteps(p, nil) }

func (s *Socket) quiet() error { return s.silence() }

// farewell says nothing, for it might have to wait.
func (s *Socket) farewell() {}

// writeNow takes nothing: Write goes on by way of net, which can wait.
func (s *Socket) writeNow([]byte) (int, error) { return 0, nil }

// readNow reads what arrives within a moment, or returns errSilent.
func (s *Socket) readNow(p []byte) (int, error) {
	if _, ok := s.Conn.(*net.TCPConn); !ok {
		return s.readPending(p)
	}
	if err := s.Conn.SetReadDeadline(time.Now().Add(probeWait)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p) // expected to fail, with a timeout
	if back := s.Conn.SetReadDeadline(s.deadline); back != nil {
		return n, back
	}
	// The deadline set back may have overwritten that of an abort.
	if aborted := s.live(); aborted != nil {
		return n, aborted
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return n, errSilent
	}
	return n, err
}
