package messages

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Origin is what a connection leads to.
type Origin struct {
	Scheme string // "http" or "https"
	// Addr is host and port as net.Dial takes them, in one spelling for all that a URL may
	// have: the name in small letters, IPv6 as RFC 5952 has it, the port without zeros before
	// it. A name that ends in a dot is another name.
	Addr string
}

// String returns the origin as a URL without a path.
func (o Origin) String() string { return o.Scheme + "://" + o.Addr }

// Field is one header line.
type Field struct{ Name, Value string }

// Call is a request in its final bytes, as one attempt sends it. The request
// actor builds it anew for every attempt; an authenticator may add to it, and
// the connection then writes exactly what stands here. A Call must not be kept
// after Authenticate returns.
type Call struct {
	Method string
	Origin Origin
	Host   string  // the Host header
	Path   string  // percent-encoded, begins with "/"
	Query  string  // percent-encoded, without "?"
	Fields []Field // header lines in the order they are written, Host and Content-Length apart
	Body   []byte

	// ForceQuery writes a "?" even if Query is empty, as url.URL does.
	ForceQuery bool

	// Reader is read and sent instead of Body. Length is its length, and
	// negative if that is not known. Continue waits for the server to ask for
	// it, for a second at most. Trailer follows a Reader of unknown length: its
	// names are announced, and its values read when the Reader has ended.
	Reader   io.Reader
	Length   int64
	Continue bool
	Trailer  http.Header

	// Close tells the server that the connection carries no other request, and closes
	// it behind the answer. Connection has the other options of that header line, which
	// are for HTTP/1.1 alone: names of fields that are for the next hop (RFC 9110,
	// section 7.6.1).
	Close      bool
	Connection string
	// Upgrade offers to change to one of these protocols; empty offers none. It is
	// for a call that has no body and whose answer is a Stream, which after a 101 can
	// be written to.
	Upgrade string

	Stream  bool    // hand the answer over at its head: Response.Stream
	Codings Codings // content codings of the answer to undo, which Fields ask for

	Trace *httptrace.ClientTrace // told of the exchange; nil tells nobody

	// OnHead is called with the head of an answer whose body is yet to come, on
	// the goroutine of the exchange: a refusal counts from its head on. Nil calls
	// nothing.
	OnHead func(*Response)

	// Deadline is when the caller stops waiting; zero means never. A scheme
	// may turn it into the server-side deadline it signs.
	Deadline time.Time
	// Done is closed when the caller stops waiting before that, and Closing when the engine
	// closes. Nil never is. They are for an authenticator that waits: see Await.
	Done, Closing <-chan struct{}
}

// Await waits until ready is closed or brings something, for no longer than the request is
// waited for: an authenticator that waits for somebody else, such as whoever hands out tokens,
// holds the request's connection and permit meanwhile. The error is context.DeadlineExceeded,
// context.Canceled or ErrClosed. Of a Call whose Deadline, Done and Closing are not set it waits
// for ready alone.
func (c *Call) Await(ready <-chan struct{}) error {
	var late <-chan time.Time
	if !c.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(c.Deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-ready:
		return nil
	case <-late:
		return context.DeadlineExceeded
	case <-c.Done:
		return context.Canceled
	case <-c.Closing:
		return ErrClosed
	}
}

// Codings are content codings (RFC 9110, section 8.4.1).
type Codings uint8

// The codings that can be undone.
const (
	Gzip Codings = 1 << iota
	Deflate
	Brotli
	Zstd
)

// AddQuery appends one parameter to the query, percent-encoded as in a form
// (RFC 3986 unreserved bytes stay, a space becomes "+").
func (c *Call) AddQuery(name, value string) {
	var b strings.Builder
	b.Grow(len(c.Query) + len(name) + len(value) + 2)
	b.WriteString(c.Query)
	if c.Query != "" {
		b.WriteByte('&')
	}
	b.WriteString(url.QueryEscape(name))
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(value))
	c.Query = b.String()
}

// SetHeader sets a header line, replacing every line of that name.
func (c *Call) SetHeader(name, value string) {
	c.DelHeader(name)
	c.Fields = append(c.Fields, Field{name, value})
}

// DelHeader removes every header line of that name.
func (c *Call) DelHeader(name string) {
	c.Fields = slices.DeleteFunc(c.Fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// AddCookies adds cookies to the Cookie line, which is made if there is none; with something
// to add, several lines become one, for a server expects one (RFC 6265, section 5.4). A
// value is in quotation marks if its cookie was (http.Cookie.Quoted), or if it has
// to be; what no cookie may hold is left out of it, and a cookie without a proper
// name altogether: it would be read as another.
func (c *Call) AddCookies(cookies []*http.Cookie) {
	var pairs []string
	for _, f := range c.Fields {
		if strings.EqualFold(f.Name, "Cookie") && f.Value != "" {
			pairs = append(pairs, f.Value)
		}
	}
	have := len(pairs)
	for _, cookie := range cookies {
		if strings.IndexFunc(cookie.Name, func(r rune) bool { return !inCookieName(r) }) >= 0 || cookie.Name == "" {
			continue
		}
		pairs = append(pairs, cookie.Name+"="+cookieValue(cookie))
	}
	if len(pairs) > have {
		c.SetHeader("Cookie", strings.Join(pairs, "; "))
	}
}

// cookieValue lays a value out as net/http does (RFC 6265, section 4.1.1, and
// blanks and commas in quotation marks).
func cookieValue(cookie *http.Cookie) string {
	value := cookie.Value
	if strings.IndexFunc(value, func(r rune) bool { return !inCookieValue(r) }) >= 0 {
		kept := make([]byte, 0, len(value))
		for i := range len(value) {
			if inCookieValue(rune(value[i])) {
				kept = append(kept, value[i])
			}
		}
		value = string(kept)
	}
	if cookie.Quoted || strings.ContainsAny(value, " ,") {
		return `"` + value + `"`
	}
	return value
}

func inCookieValue(r rune) bool {
	return ' ' <= r && r < 0x7f && r != '"' && r != ';' && r != '\\'
}

func inCookieName(r rune) bool {
	return ' ' < r && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}

// Header returns the value of the first header line of that name.
func (c *Call) Header(name string) (value string, ok bool) {
	for _, f := range c.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Target returns the request target as it stands on the request line: the path
// and, if there is one, "?" and the query.
func (c *Call) Target() string {
	if c.Query == "" && !c.ForceQuery {
		return c.Path
	}
	return c.Path + "?" + c.Query
}
