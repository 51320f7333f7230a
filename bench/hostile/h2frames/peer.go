package h2frames

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// peer is the server's side of one connection.
type peer struct {
	conn   net.Conn
	number int // of the connection, from 1

	asked  chan uint32   // the streams that were begun
	closed chan struct{} // the client has gone
	over   chan struct{} // the case is
	mute   bool          // nobody reads what the client sends; set before the first byte

	mu     sync.Mutex // held by whoever writes
	credit bool       // guarded by mu: what the client sends is credited to its windows
	taken  int        // guarded by mu: bytes of bodies that came
}

// patience bounds what a case waits for.
const patience = 5 * time.Second

func newPeer(conn net.Conn, number int) *peer {
	return &peer{conn: conn, number: number, asked: make(chan uint32, 4096), closed: make(chan struct{}), over: make(chan struct{}), credit: true}
}

// receive reads what the client sends until it goes.
func (p *peer) receive() {
	defer close(p.closed)
	if p.mute {
		<-p.over
		return
	}
	r := bufio.NewReader(p.conn)
	if _, err := r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		return
	}
	last := uint32(0)
	for {
		var h [9]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return
		}
		length := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		if _, err := r.Discard(length); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(h[5:])
		switch kind, flags := h[3], h[4]; {
		case kind == kindHeaders && stream > last:
			last = stream
			p.asked <- stream
		case kind == kindPing && flags&ack == 0:
			p.write(frame(kindPing, ack, 0, make([]byte, 8)...))
		case kind == kindData && length > 0:
			p.credited(stream, length)
		}
	}
}

func (p *peer) credited(stream uint32, n int) {
	p.mu.Lock()
	p.taken += n
	credit := p.credit
	p.mu.Unlock()
	if credit {
		p.write(windowUpdate(0, uint32(n)), windowUpdate(stream, uint32(n)))
	}
}

// write sends frames in one piece. An error is none of the case's: the client may
// have gone, and what it makes of everything is judged at its own side.
func (p *peer) write(frames ...[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range frames {
		if _, err := p.conn.Write(f); err != nil {
			return
		}
	}
}

// hello sends settings, takes the client's as known, and returns the first stream
// that is begun.
func (p *peer) hello(pairs ...uint32) uint32 {
	p.write(settings(pairs...), frame(kindSettings, ack, 0))
	return p.next()
}

// next waits for a stream to be begun; 0 means that the client has gone.
func (p *peer) next() uint32 {
	select {
	case id := <-p.asked:
		return id
	case <-p.closed:
		return 0
	case <-p.over:
		return 0
	case <-time.After(patience):
		return 0
	}
}

// silence lasts until the client goes.
func (p *peer) silence() {
	select {
	case <-p.closed:
	case <-p.over:
	case <-time.After(patience):
	}
}

// flood writes frames until there were so many, or the client has gone.
func (p *peer) flood(n int, one []byte) {
	const batch = 500
	many := times(batch, one)
	for sent := 0; sent < n; sent += batch {
		select {
		case <-p.closed:
			return
		default:
		}
		p.mu.Lock()
		_, err := p.conn.Write(many)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// serve answers whatever is asked, as one should.
func (p *peer) serve() {
	for {
		select {
		case id := <-p.asked:
			p.write(ok(id))
		case <-p.closed:
			return
		case <-p.over:
			return
		}
	}
}

// hangUp closes the connection, TLS's goodbye included.
func (p *peer) hangUp() { _ = p.conn.Close() }

// tear closes the connection with a reset.
func (p *peer) tear() {
	under := p.conn.(*tls.Conn).NetConn().(*net.TCPConn)
	_ = under.SetLinger(0)
	_ = under.Close()
}

// taking waits until so many bytes of bodies have come in all.
func (p *peer) taking(n int) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		taken := p.taken
		p.mu.Unlock()
		if taken >= n {
			return
		}
	}
}
