package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
)

// RoundTripper returns an http.RoundTripper whose every request makes the whole
// journey, so that anything built on http.Client obeys the engine's limits:
//
//	client := &http.Client{Transport: eng.RoundTripper(func(r *http.Request, asked *engine.Request) {
//		asked.LimitID = "orders"
//		asked.Priority = engine.High
//	})}
//
// Each adjust function may set what an http.Request cannot say: limit, key,
// weight, priority, timeout, Auth, Idempotent; and replace what it does: URL, Header
// (as a copy, for the map is the http.Request's), Body. It must leave the
// http.Request as it is, and be safe for concurrent use. Each sees what those before
// it have set. A panic in one is a *PanicError of that request, and a nil one
// ErrInvalidRequest. Without one, Config.DefaultLimitID is charged. For an SDK that signs
// its requests itself there is Resign.
//
// A response body has been read when RoundTrip returns, within Responses.MaxBody,
// and its connection is free; if an adjust function sets Stream, it is read as
// it arrives, has no cap, and holds its connection until it is closed.
//
// The request's body is always closed. One that is in memory, as those are that
// http.NewRequest knows (bytes.Buffer, bytes.Reader, strings.Reader), is read at
// once, and can be repeated; so is one that is signed (see auth.BodyUnsigned), for
// which the request waits. If it was read before, as by a RoundTrip of the same request
// that found no room, it is what GetBody gives; without one that is ErrBodyRead. So who
// waits until a request that was not sent can be (see Wait) may send the same one again.
// Any other body is sent as it can be read, and repeated if the request has GetBody, or if
// it was not touched.
//
// Errors are those that clients know from net/http. If the context has ended, it is
// what context.Cause says, and nothing else, so that it can be compared; a
// certificate that is not trusted is a *tls.CertificateVerificationError. What the
// request's body could not be read for reads as that alone. A proxy that fails, or
// refuses a tunnel, is a *net.OpError whose Op is "proxyconnect", in which is
// what there is of any other. That
// reads as its cause and then says where the request was, and errors.As finds an
// *Error in it. OutcomeOf knows nothing of the former two: Unknown.
//
// Trailers are those of net/http, both ways: a request with trailers is sent
// without a length, whatever it says of that, and an answer's are complete when its
// body has ended. Request.Cancel and Request.Close are heeded. "Connection" names
// what it is to name; in HTTP/2, which has no such options, all but close are an
// error. A method is sent as it is spelt: "get" is none that servers know, and not
// taken for idempotent. CONNECT is refused, and so is a URL whose Host has what no host
// has, as a "/", or is a port alone: ":8080", which net/http takes for this machine, is
// mostly one whose host was forgotten. A protocol can be changed to with Upgrade,
// in HTTP/1.1 and if an adjust function sets Stream: the body of a 101 is an
// io.ReadWriteCloser then, with CloseWrite, which the timeout and the context bound as
// any other. Its end is that of what the server says: it is to be closed all the same. An
// Upgrade that Connection does not name is not sent. In HTTP/1 the lines of the header
// leave sorted by their names. What else is not as in net/http is listed in
// docs/guide/migrating.md.
//
// The hooks of net/http/httptrace are called. Those of name look-up, connecting
// and handshake are told of the dial that the request caused. As with net/http,
// that dial serves whoever is first, runs on another goroutine, and outlives the
// request: they may be called beside the others, and after RoundTrip returned.
func (e *Engine) RoundTripper(adjust ...func(*http.Request, *Request)) http.RoundTripper {
	return &roundTripper{engine: e, adjust: adjust}
}

type roundTripper struct {
	engine *Engine
	adjust []func(*http.Request, *Request)
}

// trip is one call of RoundTrip, and the answer that it returns, with what its body is
// read from: one piece of memory, which is kept as long as any of them.
type trip struct {
	req  *http.Request
	body closeOnce // the request's
	stop func()    // lets go of the context, which the request's Cancel ends as well; nil if it has none

	answered http.Response
	response *Response   // the same in the engine's words
	left     []byte      // of its body, if that is in memory
	closed   atomic.Bool // the answer's body; any goroutine may close it
}

// newTrip returns a call of RoundTrip, and room for its request in the engine's words.
// Without a body that is the same piece of memory; with one it is not, for who keeps
// the answer would keep a copy of the body that was sent.
func newTrip(req *http.Request) (*trip, *Request) {
	if req.Body == nil || req.Body == http.NoBody {
		made := &struct {
			trip
			asked Request
		}{}
		made.req = req
		return &made.trip, &made.asked
	}
	made := &trip{req: req}
	if !messages.HoldsNil(req.Body) { // which ask finds a mistake
		made.body.ReadCloser = req.Body
	}
	return made, &Request{}
}

// RoundTrip is part of http.RoundTripper.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	trip, asked := newTrip(req)
	var ctx context.Context
	ctx, trip.stop = cancellable(req)
	ended := false
	defer func() { // the caller's own code runs in there, and may end this goroutine
		if !ended {
			trip.end()
		}
	}()
	response, err := t.carry(ctx, trip, asked)
	if ended = true; err != nil {
		trip.end()
		return nil, trip.failure(afterRedirect(req, err), t.engine)
	}
	return trip.answer(response), nil
}

func (t *roundTripper) carry(ctx context.Context, trip *trip, asked *Request) (*Response, error) {
	if err := t.engine.made(); err != nil {
		return nil, tripError(trip.req, err)
	}
	trip.body.outside = t.engine.system.Outside()
	if err := t.ask(trip, asked); err != nil {
		return nil, tripError(trip.req, err)
	}
	asked.Coalesce = false // an http.Client's request is its own
	response, stream, err := t.engine.carry(ctx, asked, &request.Terms{Stranger: t.engine.strays(trip.req), MethodAsSpelt: true, ReaderAsHTTP: true})
	switch {
	case err != nil:
		return nil, err
	case stream != nil:
		stream.OnEnd(trip.end) // the body may still be on its way
	default:
		trip.end()
	}
	return response, nil
}

// end closes the request's body, and lets go of its context.
func (t *trip) end() {
	if t.stop != nil {
		defer t.stop()
	}
	if t.body.ReadCloser != nil {
		_ = t.body.Close() // it never fails
	}
}

// errRequestCanceled is the cause of a request's end whose Cancel was closed.
var errRequestCanceled = errors.New("net/http: request canceled")

// cancelOf is what ends a request that was made long ago, or by an http.Client.
func cancelOf(req *http.Request) <-chan struct{} {
	//lint:ignore SA1019 whoever still sets it expects it to be heeded
	return req.Cancel
}

// cancellable returns the request's context, which ends with its Cancel too if it
// has one. An http.Client with a Timeout gives it one.
func cancellable(req *http.Request) (context.Context, func()) {
	canceled := cancelOf(req)
	if canceled == nil {
		return req.Context(), nil
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	select {
	case <-canceled: // before anything is sent
		cancel(errRequestCanceled)
	default:
		go func() {
			select {
			case <-canceled:
				cancel(errRequestCanceled)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// afterRedirect makes an error doubt, if a redirect made the request of another by
// which an http.Client's caller knows it: that one was answered, and may well have
// been carried out.
func afterRedirect(req *http.Request, err error) error {
	failure, ok := err.(*Error)
	for ; ok && req.Response != nil && req.Response.Request != nil; req = req.Response.Request {
		if cmp.Or(req.Method, http.MethodGet) != cmp.Or(req.Response.Request.Method, http.MethodGet) {
			failure.Sent = SentMaybe
		}
	}
	return err
}

// strays reports whether an http.Client sends the request because a redirect says
// so, and not its own caller: then the server chose the target, and may have
// chosen it for the credentials that go there. A way that never leaves the
// target's origin, or the engine's homes, leads nowhere new.
func (e *Engine) strays(req *http.Request) bool {
	if req.Response == nil {
		return false
	}
	target := originOf(req)
	for ; req.Response != nil; req = req.Response.Request {
		if req.Response.Request == nil {
			return true
		}
		if from := originOf(req.Response.Request); from != target && !slices.Contains(e.homes, from) {
			return true
		}
	}
	return false
}

// originOf is the zero origin for a URL that has none.
func originOf(req *http.Request) Origin {
	if req.URL == nil {
		return Origin{}
	}
	at, err := authorityOf(req.URL)
	if err != nil {
		return Origin{}
	}
	origin, _ := request.OriginOf(atHost(req.URL.Scheme, at, "", "", ""))
	return origin
}

// tripError is the error of a request that could not be told in the engine's
// words.
func tripError(req *http.Request, err error) error {
	place := Request{Method: req.Method}
	if req.URL == nil {
		return messages.NewError(&place, Preparing, err)
	}
	place.Path = req.URL.EscapedPath()
	if at, wrong := authorityOf(req.URL); wrong == nil {
		place.URL = atHost(req.URL.Scheme, at, place.Path, "", "")
	}
	return messages.NewError(&place, Preparing, err)
}

// CloseIdleConnections closes the connections nobody uses, as
// http.Client.CloseIdleConnections asks.
func (t *roundTripper) CloseIdleConnections() { t.engine.CloseIdleConnections() }

// closeOnce closes a body that may be nil, and no more than once.
type closeOnce struct {
	io.ReadCloser
	outside *request.Outside // counts who closes it; nil counts nothing
	closed  atomic.Bool      // set by whoever closes it, on any goroutine
}

// Close is part of io.Closer. A Close that waits is not waited for: RoundTrip may return before the
// body is closed.
func (c *closeOnce) Close() error {
	if c.ReadCloser == nil || c.closed.Swap(true) {
		return nil
	}
	if inMemory(c.ReadCloser) {
		return c.ReadCloser.Close()
	}
	_ = c.outside.Close(c.ReadCloser) // nobody is left to tell
	return nil
}

// CloseIdleConnections closes every connection that is not in use.
func (e *Engine) CloseIdleConnections() {
	if e.made() == nil {
		e.system.CloseIdle()
		e.ending.unlinger()
	}
}
