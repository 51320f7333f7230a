package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

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
// it have set. Without one, Config.DefaultLimitID is charged. For an SDK that signs
// its requests itself there is Resign.
//
// A response body has been read when RoundTrip returns, within Responses.MaxBody,
// and its connection is free; if an adjust function sets Stream, it is read as
// it arrives, has no cap, and holds its connection until it is closed. Errors
// are *Error. The request's body is always closed; one that is signed (see
// auth.BodyUnsigned), or known to be short, is read into memory first and can be
// repeated.
//
// Trailers are those of net/http, both ways: a request's need a body of unknown
// length, and an answer's are complete when its body has ended.
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

// shortBody is the length up to which a request body is read into memory.
const shortBody = 1 << 20

// RoundTrip is part of http.RoundTripper.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body := &closeOnce{ReadCloser: req.Body}
	if err := t.engine.made(); err != nil {
		body.Close()
		return nil, tripError(req, err)
	}
	asked, err := t.ask(req, body)
	if err != nil {
		body.Close()
		return nil, afterRedirect(req, tripError(req, err))
	}
	response, stream, err := t.engine.carry(req.Context(), asked, t.engine.strays(req))
	if err != nil {
		body.Close()
		return nil, afterRedirect(req, err)
	}
	if stream != nil {
		stream.OnEnd(func() { body.Close() }) // it may still be on its way
	} else {
		body.Close()
	}
	return httpResponse(req, response), nil
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
	origin, _ := request.OriginOf(req.URL.Scheme + "://" + req.URL.Host)
	return origin
}

// tripError is the error of a request that could not be told in the engine's
// words.
func tripError(req *http.Request, err error) error {
	place := Request{Method: req.Method}
	if req.URL != nil {
		place.URL = req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
	}
	return messages.NewError(&place, Preparing, err)
}

// CloseIdleConnections closes the connections nobody uses.
func (t *roundTripper) CloseIdleConnections() { t.engine.CloseIdleConnections() }

// closeOnce closes a body that may be nil, and no more than once.
type closeOnce struct {
	io.ReadCloser
	once sync.Once
}

// Close is part of io.Closer.
func (c *closeOnce) Close() error {
	c.once.Do(func() {
		if c.ReadCloser != nil {
			_ = c.ReadCloser.Close() // nobody is left to tell
		}
	})
	return nil
}

// ask turns an http.Request into the engine's.
func (t *roundTripper) ask(req *http.Request, body *closeOnce) (*Request, error) {
	if req.URL == nil || req.URL.Host == "" {
		return nil, fmt.Errorf("%w: it has no host", ErrInvalidRequest)
	}
	target := req.URL.RequestURI() // of an opaque URL, it is no path
	if !strings.HasPrefix(target, "/") {
		return nil, fmt.Errorf("%w: its target is not a path", ErrInvalidRequest)
	}
	// Encoded, because net/url has escaped the target: once more would change it.
	asked := &Request{
		Method: req.Method, URL: req.URL.Scheme + "://" + req.URL.Host + target, Encoded: true,
		Header: req.Header, Upload: Upload{Trailer: req.Trailer},
	}
	if err := t.header(req, asked); err != nil {
		return nil, err
	}
	for _, adjust := range t.adjust {
		adjust(req, asked)
	}
	return asked, t.body(req, body, asked)
}

// header leaves out what is the connection's own business. The caller's map is
// only copied if it has to be changed.
func (t *roundTripper) header(req *http.Request, asked *Request) error {
	if req.Header.Get("Upgrade") != "" {
		return fmt.Errorf("%w: the engine speaks no other protocol", ErrInvalidRequest)
	}
	copied := false
	change := func() http.Header {
		if !copied {
			copied = true
			asked.Header = req.Header.Clone()
			if asked.Header == nil {
				asked.Header = make(http.Header)
			}
		}
		return asked.Header
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Content-Length", "Trailer", "Expect"} {
		if _, has := req.Header[name]; has {
			// There is one expectation only, 100-continue (RFC 9110, section 10.1.1).
			asked.Upload.ExpectContinue = asked.Upload.ExpectContinue || name == "Expect"
			delete(change(), name)
		}
	}
	if req.Host != "" && req.Host != req.URL.Host {
		change().Set("Host", req.Host)
	}
	return nil
}

// body reads a short or signed body, and streams any other. It comes after the
// adjust functions, which may have set Auth.
func (t *roundTripper) body(req *http.Request, body *closeOnce, asked *Request) error {
	if asked.Body != nil { // an adjust function's own, in place of the request's
		return replaced(body, asked)
	}
	if req.Body == nil || req.Body == http.NoBody {
		asked.Upload.ExpectContinue = false
		return nil
	}
	if asked.Auth && t.engine.system.SignsBody() || req.ContentLength > 0 && req.ContentLength <= shortBody {
		asked.Upload.ExpectContinue = false
		whole := &wholeBody{Reader: body, length: req.ContentLength}
		if req.GetBody == nil { // it may take its time, and is read on the journey
			asked.Body = io.Reader(whole)
			return nil
		}
		content, err := io.ReadAll(whole) // net/http has made it of bytes or a text
		if err != nil {
			return fmt.Errorf("request body: %w", err)
		}
		asked.Body = content
		return body.Close()
	}
	// net/http says -1 for an unknown length, and 0 as well when there is a body.
	asked.Upload.Stream, asked.Upload.Length, asked.Body = true, max(0, req.ContentLength), io.Reader(body)
	if req.GetBody != nil {
		asked.Body = rewind(req, body)
	}
	return nil
}

// wholeBody is a body that must be as long as it says, if it says.
type wholeBody struct {
	io.Reader
	length int64 // zero or less if it does not
	read   int64
}

// Read is part of io.Reader.
func (w *wholeBody) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.read += int64(n)
	if w.length > 0 && (w.read > w.length || w.read < w.length && err == io.EOF) {
		err = fmt.Errorf("%w: its body is not as long as it said", ErrInvalidRequest)
	}
	return n, err
}

// rewind gives the first attempt the request's body, and each other a new one.
func rewind(req *http.Request, first *closeOnce) func() (io.Reader, error) {
	begun := false // written and read by one attempt after the other
	return func() (io.Reader, error) {
		if !begun {
			begun = true
			return first, nil // closed by the engine as well as by RoundTrip, hence closeOnce
		}
		return req.GetBody()
	}
}

// httpResponse turns the engine's answer into net/http's.
func httpResponse(req *http.Request, response *Response) *http.Response {
	answer := &http.Response{
		Status:     strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode),
		StatusCode: response.StatusCode,
		Proto:      response.Proto(), ProtoMajor: int(response.ProtoMajor), ProtoMinor: int(response.ProtoMinor),
		Header: response.Header.HTTP(), Uncompressed: response.Uncompressed, TLS: response.TLS, Request: req,
	}
	takeFraming(answer)
	addTrailer(answer, response)
	switch {
	case response.Stream != nil:
		answer.Body, answer.ContentLength = &tripStream{response.Stream, response, answer}, declaredLength(answer)
	case req.Method == http.MethodHead:
		answer.Body, answer.ContentLength = http.NoBody, declaredLength(answer)
	case len(response.Body) == 0:
		answer.Body = http.NoBody
	default:
		answer.Body, answer.ContentLength = memoryBody{bytes.NewReader(response.Body)}, int64(len(response.Body))
	}
	return answer
}

func declaredLength(answer *http.Response) int64 {
	length, err := strconv.ParseInt(answer.Header.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return length
}

// takeFraming moves what an answer that may have trailers says of its framing
// from the header to where net/http has it. The trailers announced are known by
// name until the body has ended.
func takeFraming(answer *http.Response) {
	if answer.Header["Transfer-Encoding"] != nil {
		delete(answer.Header, "Transfer-Encoding")
		answer.TransferEncoding = []string{"chunked"}
	} else if answer.ProtoMajor == 1 {
		return // only chunks have trailers in HTTP/1.1; in HTTP/2 any answer may
	}
	for _, list := range answer.Header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if answer.Trailer == nil {
				answer.Trailer = make(http.Header)
			}
			answer.Trailer[http.CanonicalHeaderKey(name)] = nil // announced; addTrailer has the value
		}
	}
	delete(answer.Header, "Trailer")
}

// addTrailer fills in the trailers that have come, in the same map.
func addTrailer(answer *http.Response, response *Response) {
	if response.Trailer == (messages.Header{}) {
		return
	}
	if answer.Trailer == nil {
		answer.Trailer = make(http.Header)
	}
	maps.Copy(answer.Trailer, response.Trailer.HTTP())
}

// memoryBody is a body in memory; it keeps io.WriterTo.
type memoryBody struct{ *bytes.Reader }

// Close is part of io.Closer.
func (memoryBody) Close() error { return nil }

// tripStream fills in the trailers where net/http does: at the body's end.
type tripStream struct {
	io.ReadCloser
	response *Response
	answer   *http.Response
}

// Read is part of io.Reader.
func (s *tripStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == io.EOF {
		addTrailer(s.answer, s.response)
	}
	return n, err
}

// CloseIdleConnections closes every connection that is not in use.
func (e *Engine) CloseIdleConnections() {
	if e.made() == nil {
		e.system.CloseIdle()
	}
}
