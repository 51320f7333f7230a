package h2

import (
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
	told   int                   // bytes of interim answers; belongs to the goroutine that reads the connection
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

// of returns those hooks of a trace that net/http calls for a request.
func (h *hooks) of(trace *httptrace.ClientTrace) *httptrace.ClientTrace {
	guarded := &httptrace.ClientTrace{
		WroteHeaders:         h.plain(trace.WroteHeaders),
		Wait100Continue:      h.plain(trace.Wait100Continue),
		GotFirstResponseByte: h.plain(trace.GotFirstResponseByte),
		Got100Continue:       h.plain(trace.Got100Continue),
	}
	if f := trace.WroteHeaderField; f != nil {
		guarded.WroteHeaderField = func(name string, values []string) { h.call(func() { f(name, values) }) }
	}
	if f := trace.WroteRequest; f != nil {
		guarded.WroteRequest = func(info httptrace.WroteRequestInfo) { h.call(func() { f(info) }) }
	}
	if f := trace.Got1xxResponse; f != nil {
		guarded.Got1xxResponse = func(code int, header textproto.MIMEHeader) error { return h.interim(f, code, header) }
	}
	return guarded
}

func (h *hooks) plain(f func()) func() {
	if f == nil {
		return nil
	}
	return func() { h.call(f) }
}

// interim also counts: net/http leaves it to whoever listens to bound what there is
// to hear.
func (h *hooks) interim(f func(int, textproto.MIMEHeader) error, code int, header textproto.MIMEHeader) (err error) {
	for name, values := range header {
		for _, value := range values {
			h.told += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	if h.told += len("HTTP/2 100\r\n\r\n"); h.told > h.stream.limits.Header {
		return messages.ErrHeaderTooLarge
	}
	h.call(func() { err = f(code, header) })
	return err
}
