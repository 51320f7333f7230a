package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

var errBroken = errors.New("the wire broke")

// tape is a connection whose peer answers with recorded bytes, however little
// it was asked.
type tape struct {
	answers []byte
	piece   int   // bytes per read; 0 means as many as fit
	end     error // behind the answers; nil means the peer says no more

	capacity int // bytes that can be written before errBroken; negative: no bound
	written  bytes.Buffer
	closed   bool
}

// play returns a tape that stays open behind its answers.
func play(answers string) *tape { return &tape{answers: []byte(answers), capacity: -1} }

// playAndHangUp returns a tape that ends behind its answers.
func playAndHangUp(answers string) *tape {
	tape := play(answers)
	tape.end = io.EOF
	return tape
}

func (c *tape) Read(p []byte) (int, error) {
	if len(c.answers) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		return 0, os.ErrDeadlineExceeded
	}
	if c.piece > 0 {
		p = p[:min(c.piece, len(p))]
	}
	n := copy(p, c.answers)
	c.answers = c.answers[n:]
	return n, nil
}

func (c *tape) Write(p []byte) (int, error) {
	if c.capacity < 0 || c.written.Len()+len(p) <= c.capacity {
		return c.written.Write(p)
	}
	n, _ := c.written.Write(p[:c.capacity-c.written.Len()])
	return n, errBroken
}

func (c *tape) Close() error                     { c.closed = true; return nil }
func (*tape) LocalAddr() net.Addr                { return &net.UnixAddr{} }
func (*tape) RemoteAddr() net.Addr               { return &net.UnixAddr{} }
func (*tape) SetDeadline(time.Time) error        { return nil }
func (*tape) SetReadDeadline(_ time.Time) error  { return nil }
func (*tape) SetWriteDeadline(_ time.Time) error { return nil }

// tapeWithPending can be asked what is there to be read once the first request
// is answered; before that it hides its answer, which is recorded too early.
type tapeWithPending struct{ *tape }

func (c tapeWithPending) Pending() (int, bool) {
	if c.written.Len() == 0 {
		return 0, false
	}
	return len(c.answers), len(c.answers) == 0 && c.end != nil
}

func get(path string) *messages.Call {
	return &messages.Call{Method: "GET", Host: "api.example.com", Path: path}
}

func post(body string) *messages.Call {
	return &messages.Call{Method: "POST", Host: "api.example.com", Path: "/", Body: []byte(body)}
}

var never time.Time

func exchange(t *testing.T, c *Conn, call *messages.Call) *messages.Response {
	t.Helper()
	resp, sent, err := c.Exchange(call, never)
	require.NoError(t, err)
	require.Equal(t, messages.SentYes, sent)
	return resp
}

// listen runs serve for every connection to a loopback listener, which is
// closed with its connections when the test ends.
func listen(t testing.TB, serve func(net.Conn)) messages.Origin {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return messages.Origin{Scheme: "http", Addr: listener.Addr().String()}
}

func dial(t testing.TB, d *Dialer, o messages.Origin) *Conn {
	t.Helper()
	c, err := d.Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
