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

func (s *socket) attach(net.Conn) {}

func (s *socket) converse(p []byte) (int, error) { return s.converseInSteps(p, nil) }

func (s *socket) quiet() error { return s.silence() }

func (s *socket) farewell() {}

func (s *socket) writeNow([]byte) (int, error) { return 0, nil }

// readNow reads what arrives within a moment, or returns errSilent.
func (s *socket) readNow(p []byte) (int, error) {
	if _, ok := s.Conn.(*net.TCPConn); !ok {
		return s.readPending(p)
	}
	if err := s.Conn.SetReadDeadline(time.Now().Add(probeWait)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	if back := s.Conn.SetReadDeadline(s.deadline); back != nil {
		return n, back
	}
	if aborted := s.live(); aborted != nil {
		return n, aborted
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return n, errSilent
	}
	return n, err
}
