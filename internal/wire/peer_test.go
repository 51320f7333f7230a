package wire

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

var errBroken = fmt.Errorf("the wire broke: %w", net.ErrClosed)

// tape is a connection whose peer answers with recorded bytes, however little
// it was asked.
type tape struct {
	answers []byte
	piece   int   // bytes per read; 0 means as many as fit
	end     error // behind the answers; nil means the peer says no more

	capacity int // bytes that can be written before errBroken; negative: no bound
	mu       sync.Mutex
	written  bytes.Buffer // guarded by mu: an upload writes beside the read
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
	c.mu.Lock()
	defer c.mu.Unlock()
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

// Pending hides the recorded answers: nothing is there before it was asked for.
func (*tape) Pending() (int, bool) { return 0, false }

// tapeWithPending can be asked what is there to be read once the first request
// is answered; before that it hides its answer, which is recorded too early.
type tapeWithPending struct{ *tape }

func (c tapeWithPending) Pending() (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written.Len() == 0 {
		return 0, false
	}
	return len(c.answers), len(c.answers) == 0 && c.end != nil
}

// What is taken from wiretest, under the names it has here.
var (
	never                            = wiretest.Never
	get, post                        = wiretest.Get, wiretest.Post
	decoding, streaming              = wiretest.Decoding, wiretest.Streaming
	uploading, awaitsLeave, trailing = wiretest.Uploading, wiretest.AwaitsLeave, wiretest.Trailing
	listen, listenTLS, echo          = wiretest.Listen, wiretest.ListenTLS, wiretest.Echo
	takeRequest                      = wiretest.TakeRequest
	answering, answeringTLS          = wiretest.Answering, wiretest.AnsweringTLS
	exchange, requireStale           = wiretest.Exchange, wiretest.RequireStale
)

const (
	ok        = wiretest.OK
	anyCoding = wiretest.AnyCoding
)

type (
	joiner     = wiretest.Joiner
	readerFunc = wiretest.ReaderFunc
)

// over returns a Conn over c.
func over(c net.Conn, l Limits) *Conn { return NewConn(NewSocket(c), l) }

// dial connects to o, with TLS unless config is nil.
func dial(t testing.TB, config *tls.Config, o messages.Origin) *Conn {
	t.Helper()
	c := NewConn(connect(t, config, o), Limits{})
	t.Cleanup(func() { c.Close() })
	return c
}

func connect(t testing.TB, config *tls.Config, o messages.Origin) *Socket {
	t.Helper()
	c, err := net.Dial("tcp", o.Addr)
	require.NoError(t, err)
	s := NewSocket(c)
	if config == nil {
		return s
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	config.ServerName = cmp.Or(config.ServerName, "127.0.0.1")
	config.ClientSessionCache = cmp.Or(config.ClientSessionCache, tls.NewLRUClientSessionCache(1)) // asks for tickets
	s.Seal(tls.Client(s, config), config)
	require.NoError(t, s.Sealed().Handshake())
	return s
}
