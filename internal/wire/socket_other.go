//go:build !unix

package wire

import (
	"errors"
	"net"
)

// descriptor is empty: sockets are reached through the net package alone.
type descriptor struct{}

func (s *Socket) attach(net.Conn) {}

func (s *Socket) converse(p []byte, r *source) (int, error) { return s.converseInSteps(p, r) }

// mayRenegotiate changes nothing: every read waits by itself.
func (s *Socket) mayRenegotiate(bool) {}

// press waits here, and so nothing is left.
func (s *Socket) press() error { return s.send() }

func (s *Socket) pass() {}

func (s *Socket) readShared(p []byte) (int, error) { return s.Conn.Read(p) }

func (s *Socket) writeShared(p []byte) (int, error) { return s.Conn.Write(p) }

func (s *Socket) prompt() bool { return false }

func (s *Socket) lay([]byte) bool { return false }

func (s *Socket) takeBacklog() backlog { return backlog{} }

// offer and writeLent are for what prompt allows.
func (s *Socket) offer() error { return errors.ErrUnsupported }

func (s *Socket) writeLent(*Lent) error { return errors.ErrUnsupported }

func (s *Socket) quiet() error { return s.silence() }

// farewell says nothing, for it might have to wait.
func (s *Socket) farewell() {}

// writeNow takes nothing: Write goes on by way of net, which can wait.
func (s *Socket) writeNow([]byte) (int, error) { return 0, nil }

// readNow costs a moment here, for a socket as well.
func (s *Socket) readNow(p []byte) (int, error) { return s.readForeign(p) }

// glance sees nothing here.
func (s *Socket) glance() glimpse { return unknown }
