package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// foreign is a kind of connection that somebody's DialContext may return. What it can
// do well it must do well: every request has to be answered if it is sound.
type foreign struct {
	name  string
	sound bool // whoever reads and writes as net.Conn says cannot tell it from a socket
	// blind says that nothing tells what is there to be read: it is used once, and what
	// the server said before it was asked cannot be told from an answer.
	blind bool
	wrap  func(net.Conn) net.Conn
}

// wrapped is a net.Conn with methods replaced: those that are not nil.
type wrapped struct {
	net.Conn
	read     func(p []byte) (int, error)
	write    func(p []byte) (int, error)
	close    func() error
	deadline func(time.Time) error
}

func (w *wrapped) Read(p []byte) (int, error) {
	if w.read != nil {
		return w.read(p)
	}
	return w.Conn.Read(p)
}

func (w *wrapped) Write(p []byte) (int, error) {
	if w.write != nil {
		return w.write(p)
	}
	return w.Conn.Write(p)
}

func (w *wrapped) Close() error {
	if w.close != nil {
		return w.close()
	}
	return w.Conn.Close()
}

func (w *wrapped) SetDeadline(t time.Time) error {
	if w.deadline != nil {
		return w.deadline(t)
	}
	return w.Conn.SetDeadline(t)
}

func (w *wrapped) SetReadDeadline(t time.Time) error {
	if w.deadline != nil {
		return w.deadline(t)
	}
	return w.Conn.SetReadDeadline(t)
}

func (w *wrapped) SetWriteDeadline(t time.Time) error {
	if w.deadline != nil {
		return w.deadline(t)
	}
	return w.Conn.SetWriteDeadline(t)
}

// nowhere is a connection without addresses.
type nowhere struct{ net.Conn }

func (nowhere) LocalAddr() net.Addr  { return nil }
func (nowhere) RemoteAddr() net.Addr { return nil }

// lying says that something is there to be read, whether it is or not.
type lying struct{ net.Conn }

func (lying) Pending() (int, bool) { return 1, false }

var errForeign = errors.New("not on this connection")

var foreigners = []foreign{
	{"as it is", true, false, func(c net.Conn) net.Conn { return c }},
	{"hidden in a struct", true, false, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }},
	{"without addresses", true, false, func(c net.Conn) net.Conn { return nowhere{c} }},
	{"reads one byte at a time", true, false, func(c net.Conn) net.Conn {
		return reading(c, func(p []byte) (int, error) { return c.Read(p[:min(1, len(p))]) })
	}},
	{"reads seven bytes at a time", true, false, func(c net.Conn) net.Conn {
		return reading(c, func(p []byte) (int, error) { return c.Read(p[:min(7, len(p))]) })
	}},
	{"reads nothing now and then", true, false, func(c net.Conn) net.Conn {
		n := 0
		return reading(c, func(p []byte) (int, error) {
			if n++; n%2 == 0 {
				return 0, nil
			}
			return c.Read(p)
		})
	}},
	{"reads nothing for ever", false, false, func(c net.Conn) net.Conn { return reading(c, func([]byte) (int, error) { return 0, nil }) }},
	{"reads with the end beside the bytes", false, false, func(c net.Conn) net.Conn {
		return reading(c, func(p []byte) (int, error) {
			n, err := c.Read(p)
			if err == nil {
				err = io.EOF
			}
			return n, err
		})
	}},
	{"reads with an error beside the bytes", false, false, func(c net.Conn) net.Conn {
		return reading(c, func(p []byte) (int, error) { n, _ := c.Read(p); return n, errForeign })
	}},
	{"reads more than there is room for", false, false, func(c net.Conn) net.Conn {
		return reading(c, func(p []byte) (int, error) { n, err := c.Read(p); return n + len(p), err })
	}},
	{"reads a negative number", false, false, func(c net.Conn) net.Conn { return reading(c, func([]byte) (int, error) { return -1, nil }) }},
	{"panics when read", false, false, func(c net.Conn) net.Conn { return reading(c, func([]byte) (int, error) { panic("read") }) }},
	{"ends the goroutine when read", false, false, func(c net.Conn) net.Conn {
		return reading(c, func([]byte) (int, error) { runtime.Goexit(); return 0, nil })
	}},
	{"writes one byte, and says so", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func(p []byte) (int, error) { n, _ := c.Write(p[:1]); return n, io.ErrShortWrite }}
	}},
	{"writes one byte, without an error", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func(p []byte) (int, error) { return c.Write(p[:1]) }}
	}},
	{"writes all, and says less", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func(p []byte) (int, error) { _, err := c.Write(p); return 0, err }}
	}},
	{"writes all, and says more", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func(p []byte) (int, error) { n, err := c.Write(p); return n + 7, err }}
	}},
	{"writes all, and says that it failed", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func(p []byte) (int, error) { n, _ := c.Write(p); return n, errForeign }}
	}},
	{"panics when written", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, write: func([]byte) (int, error) { panic("write") }}
	}},
	{"refuses deadlines", true, true, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, deadline: func(time.Time) error { return errForeign }}
	}},
	{"forgets deadlines", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, deadline: func(time.Time) error { return nil }}
	}},
	{"panics at deadlines", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, deadline: func(time.Time) error { panic("deadline") }}
	}},
	{"takes an hour to close", true, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, close: func() error { time.Sleep(time.Hour); return c.Close() }}
	}},
	{"fails to close", true, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, close: func() error { _ = c.Close(); return errForeign }}
	}},
	{"panics when closed", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, close: func() error { _ = c.Close(); panic("close") }}
	}},
	{"refuses deadlines and takes an hour to return from Close", true, true, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, deadline: func(time.Time) error { return errForeign }, close: func() error { defer time.Sleep(time.Hour); return c.Close() }}
	}},
	{"forgets deadlines and takes an hour to return from Close", false, false, func(c net.Conn) net.Conn {
		return &wrapped{Conn: c, deadline: func(time.Time) error { return nil }, close: func() error { defer time.Sleep(time.Hour); return c.Close() }}
	}},
	{"always says that something is there", false, false, func(c net.Conn) net.Conn { return lying{c} }},
}

func reading(c net.Conn, read func(p []byte) (int, error)) net.Conn {
	return &wrapped{Conn: c, read: read}
}

// manners are what a server does beside answering.
type manners struct {
	name string
	// calm servers say nothing but their answers: a request to one has to be answered.
	calm   bool
	before string        // said as soon as the connection is there
	pieces time.Duration // between two bytes
	behind string        // said with the answer, or after late
	late   time.Duration
	closes bool
}

var serversManners = []manners{
	{name: "calm", calm: true},
	{name: "slow, byte by byte", calm: true, pieces: time.Millisecond / 4},
	{name: "closes after each answer", calm: true, closes: true},
	{name: "closes 30 ms after each answer", calm: true, closes: true, late: 30 * time.Millisecond},
	{name: "says more with the answer", behind: smuggled},
	{name: "says more 30 ms later", behind: smuggled, late: 30 * time.Millisecond},
	{name: "says a byte 30 ms later", behind: "H", late: 30 * time.Millisecond},
	{name: "says more 30 ms later, and closes", behind: smuggled, late: 30 * time.Millisecond, closes: true},
	{name: "speaks first", before: smuggled},
	{name: "speaks first, in part", before: "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"},
}

func (m manners) converse(c net.Conn) {
	defer c.Close()
	if m.before != "" {
		_, _ = io.WriteString(c, m.before)
	}
	for request := range requests(c) {
		answer := trueAnswer(request.URL.Path)
		if m.late == 0 {
			answer += m.behind
		}
		if m.pieces > 0 {
			for i := range len(answer) {
				_, _ = io.WriteString(c, answer[i:i+1])
				time.Sleep(m.pieces)
			}
		} else {
			_, _ = io.WriteString(c, answer)
		}
		if m.late > 0 {
			time.Sleep(m.late)
			_, _ = io.WriteString(c, m.behind)
		}
		if m.closes {
			return
		}
	}
}

func playConnections(t *testing.T, c Config, r *Report) {
	for i, f := range foreigners {
		c.progress("connections", i, len(foreigners))
		for j, m := range serversManners {
			for n, door := range doors {
				if c.sampled(i+j, n) {
					continue
				}
				synctest.Test(t, func(*testing.T) { playForeign(f, m, door, r) })
			}
		}
	}
	for _, door := range doors {
		synctest.Test(t, func(*testing.T) { playNoConnection(door, r) })
	}
}

// questions is how many requests are sent over a kind of connection.
const questions = 4

func playForeign(f foreign, m manners, door string, r *Report) {
	r.Played++
	listener := memnet.Listen()
	s := serveRaw(listener, m.converse)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := listener.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond) // as long as anywhere else: who speaks first has spoken
		return f.wrap(c), nil
	}
	eng := newEngine(engine.Config{Dial: engine.Dial{DialContext: dial}})
	cl := byDoor(eng, door)
	answered := 0
	for i := range questions {
		path := fmt.Sprintf("/own/%d", i)
		began := time.Now()
		got := cl.get("GET", "http://mem.test"+path)
		took := time.Since(began)
		where := fmt.Sprintf("a connection that %s, a server that %s, %s, request %d", f.name, m.name, door, i)
		switch {
		case got.verdict == answers && got.body != trueBody(path) && f.blind && m.before != "":
			r.count("the server spoke first, over a connection that cannot be looked at")
		case got.verdict == answers && got.body != trueBody(path):
			r.fail("POISONED: %s got %v", where, got)
		case got.verdict == answers:
			answered++
		case f.sound && m.calm:
			r.fail("UNANSWERED: %s: %v", where, got)
		}
		if took > patience+time.Second {
			r.fail("LATE: %s took %v", where, took)
		}
		time.Sleep(50 * time.Millisecond) // what comes late is there now
	}
	r.count(fmt.Sprintf("%s: %d of %d requests answered", f.name, answered, questions))
	r.closing(eng, fmt.Sprintf("a connection that %s, a server that %s", f.name, m.name))
	time.Sleep(2 * time.Hour) // the slowest Close has returned
	s.stop()
}

// closing has an engine end, which must not take for ever either.
func (r *Report) closing(eng *engine.Engine, where string) {
	began := time.Now()
	err := eng.Close()
	if took := time.Since(began); took > time.Minute {
		r.fail("LATE: %s: Close took %v (%v)", where, took, err)
	}
}

// playNoConnection has DialContext return what it must not.
func playNoConnection(door string, r *Report) {
	var none *wrapped
	for name, dial := range map[string]dialer{
		"nothing at all":          func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"a nil pointer":           func(context.Context, string, string) (net.Conn, error) { return none, nil },
		"a panic":                 func(context.Context, string, string) (net.Conn, error) { panic("dial") },
		"an end of the goroutine": func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil },
		"an error after an hour": func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, errForeign
		},
	} {
		r.Played++
		eng := newEngine(engine.Config{Dial: engine.Dial{DialContext: dial}})
		began := time.Now()
		got := byDoor(eng, door).get("GET", "http://mem.test/own")
		if got.verdict == answers {
			r.fail("ANSWERED: a DialContext that returns %s, %s: %v", name, door, got)
		}
		if took := time.Since(began); took > patience+time.Second {
			r.fail("LATE: a DialContext that returns %s, %s, took %v", name, door, took)
		}
		r.count("no connection, and an error in time")
		r.closing(eng, "a DialContext that returns "+name)
		time.Sleep(2 * time.Hour)
	}
}
