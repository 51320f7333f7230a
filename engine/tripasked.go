package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/sluice-engine/sluice/internal/hostport"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// An http.Request in the engine's words: its target, its header, its body.

// mistake is what is wrong with an http.Request, in the words of net/http, for
// which clients look.
type mistake string

// Error is part of error.
func (m mistake) Error() string { return string(m) }

// Unwrap returns ErrInvalidRequest.
func (mistake) Unwrap() error { return ErrInvalidRequest }

// ask turns an http.Request into the engine's, which is its zero value until then.
func (t *roundTripper) ask(trip *trip, asked *Request) error {
	req := trip.req
	if err := sensible(req); err != nil {
		return err
	}
	// Encoded, because net/url has escaped the target: once more would change it.
	asked.Method, asked.Encoded, asked.Header, asked.Close = req.Method, true, req.Header, req.Close
	header := ownHeader{asked: asked}
	if len(req.Header) > 0 {
		header.take(req)
	}
	if err := target(req, &header); err != nil { // behind take, for it sets the Host
		return err
	}
	if err := t.adjusted(req, asked); err != nil {
		return err
	}
	return t.body(trip, asked)
}

// adjusted has the adjust functions look at a request. They are the caller's code: a
// panic in them ends the request.
func (t *roundTripper) adjusted(req *http.Request, asked *Request) (err error) {
	if len(t.adjust) == 0 {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = wire.Panicked(Preparing, v)
		}
	}()
	var now *adjustment // for Resign, if it is used at all
	if resigning.Load() {
		now = &adjustment{by: t.engine}
		underAdjustment.Store(asked, now)
		defer underAdjustment.Delete(asked)
	}
	for i, adjust := range t.adjust {
		if adjust == nil {
			return fmt.Errorf("%w: adjust function %d of the RoundTripper's %d is nil: leave it out", ErrInvalidRequest, i+1, len(t.adjust))
		}
		adjust(req, asked)
	}
	if now != nil {
		return now.err
	}
	return nil
}

// sensible looks at what net/http looks at first.
func sensible(req *http.Request) error {
	switch {
	case req.URL == nil:
		return mistake("http: nil Request.URL")
	case fields(req.Header) != "":
		return mistake("net/http: invalid header field " + fields(req.Header))
	case fields(req.Trailer) != "":
		return mistake("net/http: invalid trailer field " + fields(req.Trailer))
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return mistake(fmt.Sprintf("unsupported protocol scheme %q", req.URL.Scheme))
	case req.URL.Host == "":
		return mistake("http: no Host in request URL")
	case req.ContentLength != 0 && req.Body == nil:
		return mistake(fmt.Sprintf("http: Request.ContentLength=%d with nil Body", req.ContentLength))
	case holdsNilBody(req.Body):
		return mistake("http: Request.Body holds a nil pointer")
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodPatch, http.MethodOptions:
		return nil
	}
	_, err := wire.CheckCall(&messages.Call{Method: req.Method, Host: "host", Path: "/"})
	switch {
	case err == nil:
		return nil
	case req.Method == http.MethodConnect:
		return fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	return mistake(fmt.Sprintf("net/http: invalid method %q", req.Method))
}

// fields says which field cannot be sent, and never a value; empty if all can.
func fields(header http.Header) string {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Sprintf("name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Sprintf("value for %q", name)
			}
		}
	}
	return ""
}

// target says where the request goes. net/url leaves alone what a raw query holds, and
// there "#" is no fragment.
func target(req *http.Request, header *ownHeader) error {
	u := req.URL
	at, err := authorityOf(u)
	if err != nil {
		return err
	}
	named := inASCII(req.Host)
	path, mark, query := u.EscapedPath(), "", u.RawQuery
	if u.Opaque != "" {
		authority, rest, err := opaqueTarget(u)
		if err != nil {
			return err
		}
		named, path, query = cmp.Or(authority, named), rest, ""
	} else if path == "" {
		path = "/"
	}
	if u.Opaque == "" && (query != "" || u.ForceQuery) {
		mark, query = "?", strings.ReplaceAll(query, "#", "%23")
	}
	switch {
	case path == "*" && mark == "" && req.Method == http.MethodOptions:
		header.asked.URL, header.asked.Path = atHost(u.Scheme, at, "", "", ""), path
	case strings.HasPrefix(path, "/"):
		header.asked.URL = atHost(u.Scheme, at, path, mark, query)
	default:
		return fmt.Errorf("%w: its target is not a path", ErrInvalidRequest)
	}
	if named != "" && named != at {
		header.change().Set("Host", named)
	}
	return nil
}

// opaqueTarget is that of an opaque URL, which may name a host of its own; it does so
// in the place of the Host line (RFC 9112, section 3.2.2).
func opaqueTarget(u *url.URL) (authority, rest string, err error) {
	rest = strings.ReplaceAll(u.RequestURI(), "#", "%23")
	authority, is := strings.CutPrefix(u.Opaque, "//")
	if !is {
		return "", rest, nil
	}
	absolute, err := url.Parse(rest)
	if err != nil || absolute.Host == "" || absolute.User != nil {
		return "", "", mistake("http: opaque Request.URL is no URL")
	}
	authority, _, _ = strings.Cut(authority, "/")
	rest = strings.TrimPrefix(rest, u.Scheme+"://"+authority)
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return authority, rest, nil
}

// authorityOf is the host and port of a URL, in ASCII. What a URL's Host may not hold is an
// error: the URL is laid out as text, and read as that of another host.
func authorityOf(u *url.URL) (string, error) {
	at := inASCII(u.Host)
	if err := hostport.Check(at); err != nil {
		return "", mistake("http: request URL's host " + err.Error())
	}
	return at, nil
}

// atHost is a URL of scheme and host, as authorityOf has it, and then of what is behind
// them. The zone of an address is escaped in it.
func atHost(scheme, host, path, mark, query string) string {
	if strings.IndexByte(host, '%') >= 0 {
		return (&url.URL{Scheme: scheme, Host: host}).String() + path + mark + query
	}
	if mark == "" {
		return scheme + "://" + host + path
	}
	return scheme + "://" + host + path + mark + query
}

// inASCII spells the name of a host as it is looked up, and as the server knows it
// (punycode). One that cannot be spelled so is refused later.
func inASCII(host string) string {
	if isASCII(host) {
		return host
	}
	name, port := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		name, port = host[:colon], host[colon:]
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return host
	}
	return ascii + port
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// ownHeader is a request's header, which is the caller's map until something is
// changed in it.
type ownHeader struct {
	asked  *Request
	copied bool
}

func (h *ownHeader) change() http.Header {
	if !h.copied {
		h.copied = true
		h.asked.Header = h.asked.Header.Clone()
		if h.asked.Header == nil {
			h.asked.Header = make(http.Header)
		}
	}
	return h.asked.Header
}

// take leaves out what says how the body is framed and where the request goes: that
// is in fields of their own, and net/http does not look for it here.
func (h *ownHeader) take(req *http.Request) {
	for name, values := range req.Header {
		switch {
		case isElsewhere(req, name):
			delete(h.change(), name)
		case slices.ContainsFunc(values, padded): // blanks around a value are no part of it
			h.change()[name] = trimmed(values)
		}
		if strings.EqualFold(name, "User-Agent") && len(values) > 1 { // there is but one, and net/http sends the first
			h.change()[name] = h.asked.Header[name][:1:1]
		}
	}
}

// isElsewhere reports whether a request says in a field of its own what a line of that name
// would say, whatever the case it is written in. But of framing nothing that is spelt otherwise is
// left out: net/http would send it, and the connection refuses it.
func isElsewhere(req *http.Request, name string) bool {
	switch canonical := http.CanonicalHeaderKey(name); canonical {
	case "Transfer-Encoding", "Content-Length", "Trailer":
		return name == canonical
	case "Host":
		return true
	case "Expect": // the connection says it, of a body that waits
		return expectsContinue(req)
	case "Upgrade":
		// One that Connection does not name is for no next hop to obey (RFC 9110, section 7.8): a
		// proxy has it from whoever asked it, and offers nothing itself.
		return !hasOption(req.Header, "upgrade")
	}
	return false
}

func padded(value string) bool { return textproto.TrimString(value) != value }

// trimmed returns values without the blanks around them.
func trimmed(values []string) []string {
	values = slices.Clone(values)
	for i := range values {
		values[i] = textproto.TrimString(values[i])
	}
	return values
}

// holdsNilBody reports whether a body is there by its type alone.
func holdsNilBody(body io.Reader) bool {
	switch {
	case body == nil:
		return false
	case messages.HoldsNil(body):
		return true
	case slices.Contains(nopClosers, reflect.TypeOf(body)):
		inner, ok := reflect.ValueOf(body).Field(0).Interface().(io.Reader)
		return !ok || messages.HoldsNil(inner)
	}
	return false
}

// expectsContinue reports whether a request asks for leave to send its body.
func expectsContinue(req *http.Request) bool {
	for value := range valuesOf(req.Header, "Expect") {
		if strings.EqualFold(strings.TrimSpace(value), "100-continue") {
			return true
		}
	}
	return false
}

// body gives the request a body that is in memory, or streams it. It comes after
// the adjust functions, which may have set Auth.
func (t *roundTripper) body(trip *trip, asked *Request) error {
	if asked.Body != nil { // an adjust function's own, in place of the request's
		return replaced(&trip.body, asked)
	}
	req := trip.req
	chunked := slices.Contains(req.TransferEncoding, "chunked")
	waits := expectsContinue(req) || asked.Upload.ExpectContinue
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case asked.Auth && t.engine.system.SignsBody(asked.Account):
		asked.Body = io.Reader(&wholeBody{Reader: &trip.body, length: req.ContentLength, anew: req.GetBody}) // it is read on the journey
		asked.Upload.Trailer = req.Trailer                                                                   // which is an error, if there is one
	case inMemory(req.Body) && req.ContentLength > 0 && !chunked && !waits && len(req.Trailer) == 0:
		content, err := io.ReadAll(&wholeBody{Reader: &trip.body, length: req.ContentLength, anew: req.GetBody})
		if err != nil {
			return fmt.Errorf("request body: %w", err)
		}
		asked.Body = content
		return trip.body.Close()
	default:
		asked.Upload.Stream, asked.Upload.Trailer, asked.Upload.ExpectContinue = true, req.Trailer, waits
		// net/http says -1 for an unknown length, and 0 as well when there is a body.
		// Trailers have a place only behind chunks.
		if !chunked && len(req.Trailer) == 0 {
			asked.Upload.Length = max(0, req.ContentLength)
		}
		asked.Body = io.Reader(&trip.body)
		if req.GetBody != nil {
			asked.Body = rewind(trip)
		}
	}
	return nil
}

// nopClosers are the types that io.NopCloser returns, which have no names outside
// of io.
var nopClosers = []reflect.Type{
	reflect.TypeOf(io.NopCloser(nil)),
	reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{})),
}

// inMemory reports whether a body can be read without waiting: all of it is there
// already.
func inMemory(body io.Reader) bool {
	switch body.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	}
	if !slices.Contains(nopClosers, reflect.TypeOf(body)) {
		return false
	}
	inner, ok := reflect.ValueOf(body).Field(0).Interface().(io.Reader)
	return ok && inMemory(inner)
}

var (
	// errBodyLength is the error of a body that is shorter or longer than it said.
	errBodyLength = fmt.Errorf("%w: its body is not as long as it said", ErrInvalidRequest)
	// errBodySpent is that of one that says that it is not empty, and has nothing.
	errBodySpent = &readsAs{
		ErrInvalidRequest.Error() + ": its body was read already, and there is no GetBody: set that, or another Body",
		errors.Join(ErrInvalidRequest, ErrBodyRead),
	}
)

// wholeBody is a body that must be as long as it says, if it says. The same http.Request may be
// sent twice, as by who waited because nothing was sent, and was read by then.
type wholeBody struct {
	io.Reader
	length int64 // zero or less if it does not
	read   int64
	anew   func() (io.ReadCloser, error) // opens one that was read already; nil if nothing does, or did
}

// Read is part of io.Reader.
func (w *wholeBody) Read(p []byte) (int, error) {
	if w.length > 0 { // one byte too many says as much as all of them
		p = p[:min(int64(len(p))-1, w.length-w.read)+1]
	}
	n, err := w.Reader.Read(p)
	w.read += int64(n)
	switch spent := w.read == 0 && errors.Is(err, io.EOF); {
	case spent && w.anew != nil:
		if err := w.open(); err != nil {
			return 0, err
		}
		return w.Read(p)
	case spent && w.length > 0:
		err = errBodySpent
	case w.length > 0 && (w.read > w.length || w.read < w.length && errors.Is(err, io.EOF)):
		err = errBodyLength
	}
	return n, err
}

// open has the body read from its beginning. It is read here, for nobody closes it later.
func (w *wholeBody) open() error {
	anew := w.anew
	w.anew = nil
	content, err := contentOf(anew, w.length)
	w.Reader = bytes.NewReader(content)
	return err
}

// contentOf is what GetBody gives, which is the caller's code.
func contentOf(getBody func() (io.ReadCloser, error), length int64) (content []byte, err error) {
	panicked := wire.Guard(Preparing, func() {
		var body io.ReadCloser
		switch body, err = getBody(); {
		case err != nil:
		case holdsNilBody(body) || body == nil:
			err = fmt.Errorf("%w: its GetBody returned none", ErrInvalidRequest)
		default:
			defer body.Close()
			if length > 0 {
				content, err = io.ReadAll(io.LimitReader(body, length+1)) // one byte too many, as above
			} else {
				content, err = io.ReadAll(body)
			}
		}
	})
	return content, cmp.Or(panicked, err)
}

// rewind gives the first attempt the request's body, and each other a new one.
func rewind(trip *trip) func() (io.Reader, error) {
	begun := false // written and read by one attempt after the other
	return func() (io.Reader, error) {
		if !begun {
			begun = true
			return &trip.body, nil // closed by the engine as well as by RoundTrip, hence closeOnce
		}
		return trip.req.GetBody()
	}
}
