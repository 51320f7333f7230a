package exchange

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	slowPieces = 10 // that a slow body comes in
	wrongBy    = 10 // bytes that a wrong length is off by, or as many as there are
	// holding is how long a connection that was spoilt is kept at most, for its client to
	// find out.
	holding = time.Minute
)

// spoil sends an answer as its fault has it. It needs the connection itself for most; a
// recorder, and HTTP/2, has none, and gets no answer. It reports whether all of it was written.
func (e *Exchange) spoil(w http.ResponseWriter, r *http.Request, a answer, body []byte) bool {
	switch a.spoilt.Kind {
	case FaultTruncate:
		w.WriteHeader(a.status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case FaultSlow:
		w.WriteHeader(a.status)
		return e.dribble(w, body)
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	if !e.server.hijacked() {
		return false
	}
	defer e.server.streams.Done()
	switch a.spoilt.Kind {
	case FaultReset, FaultResetAfter:
		if c, is := conn.(interface{ SetLinger(int) error }); is {
			_ = c.SetLinger(0) // its end is then a reset
		}
	case FaultHalfClose:
		_, _ = conn.Write(a.raw(w.Header(), len(body), body[:len(body)/2]))
		if c, is := conn.(interface{ CloseWrite() error }); is && c.CloseWrite() == nil {
			e.hold(conn)
		}
	case FaultShortLength:
		_, _ = conn.Write(a.raw(w.Header(), len(body)-min(wrongBy, len(body)), body))
		e.hold(conn)
	case FaultLongLength:
		_, _ = conn.Write(a.raw(w.Header(), len(body)+wrongBy, body))
		e.hold(conn)
	}
	return a.spoilt.tells()
}

// raw is the answer as bytes, with a length that need not be that of the body.
func (a answer) raw(h http.Header, length int, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	h.Set("Content-Length", fmt.Sprint(length))
	_ = h.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// dribble sends a body in pieces, in the time that a slow one takes, and reports whether its
// client took them all.
func (e *Exchange) dribble(w http.ResponseWriter, body []byte) bool {
	for i := range slowPieces {
		if !e.travel(e.config.SlowBody / slowPieces) {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(body[len(body)*i/slowPieces : len(body)*(i+1)/slowPieces]); err != nil {
			return false
		}
		_ = http.NewResponseController(w).Flush()
	}
	return true
}

// hold leaves a connection open until its client ends it, the exchange closes, or it has been
// long enough. What comes is read and dropped.
func (e *Exchange) hold(conn net.Conn) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, conn)
	}()
	timer := time.NewTimer(holding)
	defer timer.Stop()
	select {
	case <-read:
		return
	case <-e.server.closing:
	case <-timer.C:
	}
	_ = conn.Close()
	<-read
}
