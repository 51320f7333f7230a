package h2

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// hooks are those of one exchange's trace. net/http calls them on goroutines of its
// own, where a panic would end the process, and runtime.Goexit leave a stream that
// nobody looks after. Here either ends the exchange.
type hooks struct {
	stream *Stream
	failed atomic.Pointer[error] // the first failure; the stream's owner reads it
	over   atomic.Bool           // the exchange is; set by the stream's owner
}

func (h *hooks) call(f func()) {
	panicked := wire.Apart(messages.Exchanging, f)
	if panicked == nil || h.over.Load() { // what comes late ends no other exchange
		return
	}
	h.failed.CompareAndSwap(nil, &panicked)
	h.stream.cancel()
}

// failure is that of a hook, if there is any. It may be called on nil, which is an
// exchange without a trace.
func (h *hooks) failure() error {
	if h == nil {
		return nil
	}
	if failed := h.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// of returns those hooks of a trace that net/http calls for a request, and those
// that the place has itself.
func (h *hooks) of(trace *httptrace.ClientTrace) *httptrace.ClientTrace {
	guarded := h.stream.ownHooks()
	claim, tellInterim := guarded.WroteHeaders, guarded.Got1xxResponse
	if f := trace.WroteHeaders; f != nil {
		guarded.WroteHeaders = func() { claim(); h.call(f) }
	}
	if f := trace.Got1xxResponse; f != nil {
		guarded.Got1xxResponse = func(code int, header textproto.MIMEHeader) (err error) {
			if err := tellInterim(code, header); err != nil {
				return err
			}
			h.call(func() { err = f(code, header) })
			return err
		}
	}
	if f := trace.WroteHeaderField; f != nil {
		guarded.WroteHeaderField = func(name string, values []string) {
			h.stream.wroteField(name, values)
			h.call(func() { f(name, values) })
		}
	}
	if f := trace.WroteRequest; f != nil {
		guarded.WroteRequest = func(info httptrace.WroteRequestInfo) { h.call(func() { f(info) }) }
	}
	guarded.Wait100Continue = h.plain(trace.Wait100Continue)
	guarded.GotFirstResponseByte = h.plain(trace.GotFirstResponseByte)
	guarded.Got100Continue = h.plain(trace.Got100Continue)
	return guarded
}

func (h *hooks) plain(f func()) func() {
	if f == nil {
		return nil
	}
	return func() { h.call(f) }
}

// ownHooks are what a place itself is told of each of its exchanges. That a header
// was written is known by the hook behind it alone: the one for every line costs an
// allocation for each.
func (s *Stream) ownHooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{WroteHeaders: s.wroteHeader, Got1xxResponse: s.tellInterim}
}

// wroteHeader is called behind the writing of a header, perhaps late: the turn that it
// passes is that of the header which it claims.
func (s *Stream) wroteHeader() {
	if s.conn.frames.open.claim(s) {
		s.passTurn()
	}
}

// wroteField sees the lines of a header before it leaves, while nobody else can
// write.
func (s *Stream) wroteField(name string, values []string) {
	if name == ":method" && values[0] == http.MethodHead {
		s.conn.frames.follower.bodiless = true
	}
}

// tellInterim is called on the goroutine that reads the connection.
func (s *Stream) tellInterim(code int, header textproto.MIMEHeader) error {
	if code == http.StatusSwitchingProtocols {
		return errSwitching
	}
	if code != http.StatusContinue {
		s.begun.Store(true)
	}
	return s.conn.frames.tellInterim(listSize(http.Header(header)) + len(":status") + len("100") + lineOverhead)
}
