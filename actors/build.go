package actors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// Base is where requests that give only a path go.
type Base struct {
	Origin messages.Origin
	Host   string // the Host header: the port left out when it is the scheme's own
	Prefix string // percent-encoded path that every Request.Path is joined to, without "/" at the end
}

// ParseBase reads an absolute http or https URL.
func ParseBase(raw string) (Base, error) {
	origin, host, rest, err := splitURL(raw)
	if err != nil {
		return Base{}, err
	}
	if strings.ContainsAny(rest, "?#") {
		return Base{}, errors.New("base URL must have no query and no fragment")
	}
	return Base{Origin: origin, Host: host, Prefix: strings.TrimRight(escapeTarget(rest), "/")}, nil
}

// build turns the caller's request into the bytes that every attempt starts
// from.
func (r *request) build() error {
	if err := r.preProcess(); err != nil {
		return err
	}
	if err := r.resolveLimit(); err != nil {
		return err
	}
	if err := r.buildTarget(); err != nil {
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	}
	var body []byte
	var contentType string
	var err error
	if r.upload, err = newUpload(r.asked, r.system.signsBody); err == nil && r.upload == nil {
		body, contentType, err = encodeBody(r.asked)
	}
	if err == nil && len(r.asked.Upload.Trailer) > 0 && r.upload == nil {
		err = errors.New("trailers follow a streamed body only")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
	}
	if r.asked.Auth && r.system.config.Auth == nil {
		return fmt.Errorf("%w: it asks to be signed, and the engine has no authenticator", messages.ErrInvalidRequest)
	}
	r.built.Method = r.asked.Method
	if r.built.Method == "" {
		r.built.Method = http.MethodGet
	}
	r.built.Body, r.built.Deadline = body, r.deadline
	r.built.Stream, r.built.Continue, r.built.Trailer = r.asked.Stream, r.asked.Upload.ExpectContinue, r.asked.Upload.Trailer
	r.built.Codings, r.built.Trace = r.system.config.Codings, r.trace.hooks
	r.contentType = contentType
	r.buildFields(contentType)
	return nil
}

// preProcess gives the pre-processors a copy of their own, maps included, but
// for the trailers, whose values are still to come.
func (r *request) preProcess() error {
	if len(r.system.config.PreProcessors) == 0 {
		return nil
	}
	draft := *r.asked
	draft.Query = maps.Clone(draft.Query)
	draft.Header = draft.Header.Clone()
	r.asked = &draft
	for _, p := range r.system.config.PreProcessors {
		if err := p.PreProcess(r.ctx, r.asked); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) resolveLimit() error {
	r.limit = r.asked.LimitID
	if r.limit == "" {
		r.limit = r.system.config.DefaultLimitID
	}
	if r.limit == "" {
		return messages.ErrNoLimit
	}
	return nil
}

func (r *request) unlimited() bool { return r.limit == messages.Unlimited }

// target is where a request goes, worked out from what the caller wrote.
type target struct {
	url, path string // as the caller wrote them
	encoded   bool

	origin      messages.Origin
	host        string
	escapedPath string
	query       string
	shown       string // the whole URL, as a response tells it

	door *poolDoor // of the origin's pool, which the slot is inside of
}

// buildTarget finds the origin, the path and the query. Callers often ask for
// the same again, so a slot remembers the target of its last life.
func (r *request) buildTarget() error {
	asked, t := r.asked, &r.target
	if t.shown == "" || asked.Path != t.path || asked.URL != t.url || asked.Encoded != t.encoded {
		found, err := r.system.config.Base.target(asked)
		if err != nil {
			return err
		}
		*t = found
	}
	r.built.Origin, r.built.Host = t.origin, t.host
	r.built.Path, r.built.Query, r.url = t.escapedPath, t.query, t.shown
	if len(asked.Query) > 0 {
		r.built.Query = joinQuery(t.query, asked.Query.Encode())
		r.url = t.origin.Scheme + "://" + t.host + r.built.Target()
	}
	return nil
}

func (base Base) target(asked *messages.Request) (target, error) {
	rest := asked.Path
	if asked.URL != "" {
		var err error
		base = Base{}
		if base.Origin, base.Host, rest, err = splitURL(asked.URL); err != nil {
			return target{}, err
		}
	} else if base.Host == "" {
		return target{}, errors.New("it has no URL, and the engine no base URL")
	}
	rest, _, _ = strings.Cut(rest, "#")
	if !asked.Encoded {
		rest = escapeTarget(rest)
	}
	path, query, _ := strings.Cut(rest, "?")
	if path == "" && base.Prefix == "" || path != "" && path[0] != '/' {
		path = "/" + path
	}
	t := target{
		url: asked.URL, path: asked.Path, encoded: asked.Encoded,
		origin: base.Origin, host: base.Host, escapedPath: base.Prefix + path, query: query,
	}
	t.shown = base.Origin.Scheme + "://" + base.Host + t.escapedPath
	if query != "" {
		t.shown += "?" + query
	}
	return t, nil
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// splitURL parses once; nothing later looks at the text again.
func splitURL(raw string) (origin messages.Origin, host, rest string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return origin, "", "", errors.New("malformed URL") // url.Error would repeat a secret in it
	}
	scheme := strings.ToLower(u.Scheme)
	port, known := map[string]string{"http": "80", "https": "443"}[scheme]
	name := strings.ToLower(u.Hostname())
	switch {
	case !known:
		return origin, "", "", fmt.Errorf("URL scheme %q is neither http nor https", u.Scheme)
	case name == "":
		return origin, "", "", errors.New("URL has no host")
	case strings.IndexFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0:
		return origin, "", "", errors.New("URL host must be ASCII (punycode)")
	case u.User != nil:
		return origin, "", "", errors.New("URL carries credentials; use an authenticator")
	}
	host = name
	if strings.Contains(name, ":") {
		host = "[" + name + "]"
	}
	if p := u.Port(); p != "" && p != port {
		port = p
		host += ":" + p
	}
	_, rest, _ = strings.Cut(raw, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	return messages.Origin{Scheme: scheme, Addr: net.JoinHostPort(name, port)}, host, rest, nil
}

// escapeTarget percent-encodes what RFC 3986 allows in neither path nor query.
// Valid escapes stay.
func escapeTarget(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = targetByte(s, i)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if targetByte(s, i) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func targetByte(s string, i int) bool {
	c := s[i]
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '%':
		return i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
	}
	return strings.IndexByte("-._~!$&'()*+,;=:@/?", c) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// buildFields lays the header lines: the engine's, then the request's, which
// win. Without any of its own the request shares the engine's.
func (r *request) buildFields(contentType string) {
	common := r.system.config.Fields
	cookies := r.system.cookiesFor(r.url)
	if len(r.asked.Header) == 0 && contentType == "" && len(cookies) == 0 {
		r.built.Fields = common
		return
	}
	r.built.Fields = make([]messages.Field, 0, len(common)+len(r.asked.Header)+2)
	r.built.Fields = append(r.built.Fields, common...)
	if contentType != "" {
		r.built.SetHeader("Content-Type", contentType)
	}
	for name := range r.asked.Header {
		r.built.DelHeader(name)
		if strings.EqualFold(name, "Accept-Encoding") {
			r.built.Codings = 0 // the caller undoes what the caller asks for
		}
		if strings.EqualFold(name, "Range") { // a part of a coded body cannot be decoded
			r.built.DelHeader("Accept-Encoding")
			r.built.Codings = 0
		}
	}
	for name, values := range r.asked.Header {
		for _, v := range values {
			r.built.Fields = append(r.built.Fields, messages.Field{Name: name, Value: v})
		}
	}
	if len(cookies) > 0 {
		r.built.AddCookies(cookies)
	}
}

// encodeBody returns the bytes to send and the media type they are of; the
// type is empty where only the caller can know it.
func encodeBody(asked *messages.Request) (body []byte, contentType string, err error) {
	switch b := asked.Body.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return b, "", nil
	case string:
		return []byte(b), "", nil
	case messages.Form:
		return []byte(b.Encode()), "application/x-www-form-urlencoded", nil
	case messages.Values:
		body, err = json.Marshal(withoutNil(b))
		return body, "application/json", err
	case io.Reader:
		body, err = readBody(b)
		return body, "", err
	}
	body, err = json.Marshal(asked.Body)
	return body, "application/json", err
}

// readBody takes a reader's bytes. A seeker is put back to where it was, so
// that the same Request can be sent again.
func readBody(reader io.Reader) ([]byte, error) {
	seeker, rewinds := reader.(io.Seeker)
	var start int64
	if rewinds {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			return nil, fmt.Errorf("request body: %w", err)
		}
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(reader); err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	if rewinds {
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("request body: %w", err)
		}
	}
	return b.Bytes(), nil
}

// withoutNil leaves out nil values and nil pointers, as a query does.
func withoutNil(values messages.Values) map[string]any {
	kept := make(map[string]any, len(values))
	for name, v := range values {
		rv := reflect.ValueOf(v)
		if !rv.IsValid() || rv.Kind() == reflect.Pointer && rv.IsNil() {
			continue
		}
		kept[name] = v
	}
	return kept
}

// finishResponse keeps the cookies, runs the post-processors in order, and
// checks the content type the caller asked for.
func (r *request) finishResponse(response *messages.Response) error {
	r.system.keepCookies(r.url, response.Header)
	for _, p := range r.system.config.PostProcessors {
		if err := p.PostProcess(r.ctx, r.asked, response); err != nil {
			return err
		}
	}
	if r.asked.Accept == "" {
		return nil
	}
	return response.Require(r.asked.Accept)
}
