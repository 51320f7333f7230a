package targets

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// exchange is a request that was recorded.
type exchange struct {
	Step
	at time.Time // zero if it is not known
}

// recording collects what is taken of a record, and why the rest is not.
type recording struct {
	*source
	exchanges []exchange
	left      map[string]int
}

func (r *recording) leave(why string) {
	if r.left == nil {
		r.left = map[string]int{}
	}
	r.left[why]++
}

// take takes a request, if it is to be taken; the error is one of a record that is broken.
func (r *recording) take(e exchange, line int) error {
	e.URL = escape(e.URL)
	u, err := url.Parse(e.URL)
	e.Method = strings.ToUpper(e.Method)
	switch {
	case err != nil:
		return r.fail(line, "the url cannot be read")
	case !httpguts.ValidHeaderFieldName(e.Method):
		return r.fail(line, "%.20q is no method", e.Method)
	case u.Scheme == "ws" || u.Scheme == "wss" || u.Scheme == "data" || u.Scheme == "blob" || u.Scheme == "about" || strings.HasSuffix(u.Scheme, "-extension"):
		r.leave("of scheme " + u.Scheme)
		return nil
	case !r.wantsHost(u.Hostname()):
		r.leave("to other hosts")
		return nil
	case len(r.Methods) > 0 && !slices.Contains(r.Methods, e.Method):
		r.leave("with the method " + e.Method)
		return nil
	}
	if err := checkURL(e.URL); err != nil {
		return r.fail(line, "%w", err)
	}
	e.Header, e.Literal = r.keep(e.Header, u.Host), true
	r.exchanges = append(r.exchanges, e)
	return nil
}

func (r *recording) wantsHost(host string) bool {
	if len(r.Hosts) == 0 {
		return true
	}
	for _, wanted := range r.Hosts {
		below, all := strings.CutPrefix(wanted, "*")
		if strings.EqualFold(wanted, host) || all && len(host) > len(below) && strings.EqualFold(host[len(host)-len(below):], below) {
			return true
		}
	}
	return false
}

// ownHeaders are those that belong to a connection, or that a client sets by itself.
var ownHeaders = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Te": true, "Trailer": true, "Trailers": true, "Transfer-Encoding": true, "Upgrade": true, "Http2-Settings": true,
	"Content-Length": true, "Expect": true, "Accept-Encoding": true,
}

// isCredential says whether a header may say who is asking.
func isCredential(name string) bool {
	name = strings.ToLower(name)
	if name == "cookie" || strings.Contains(name, "authorization") {
		return true
	}
	for _, word := range []string{"token", "secret", "apikey", "api-key", "access-key", "signature", "password", "passphrase", "session"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// keep is what of a recorded header is sent again.
func (r *recording) keep(header http.Header, host string) http.Header {
	kept := http.Header{}
	named := map[string]bool{} // by Connection, and so of the connection alone
	for _, value := range header["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			named[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for name, values := range header {
		switch {
		case strings.HasPrefix(name, ":") || ownHeaders[name] || named[name]:
		case name == "Host" && len(values) == 1 && strings.EqualFold(values[0], host):
		case isCredential(name) && !r.Credentials:
			r.leave("headers with credentials")
		default:
			kept[name] = values
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// read makes a plan of what was taken, in the order in which it was sent.
func (r *recording) read() *Read {
	timed := !slices.ContainsFunc(r.exchanges, func(e exchange) bool { return e.at.IsZero() })
	if timed {
		slices.SortStableFunc(r.exchanges, func(a, b exchange) int { return a.at.Compare(b.at) })
	}
	steps := make([]Step, len(r.exchanges))
	read := &Read{Notes: r.notes()}
	for i, e := range r.exchanges {
		steps[i] = e.Step
		if timed {
			read.Recorded = append(read.Recorded, e.at.Sub(r.exchanges[0].at))
		}
	}
	if !timed {
		read.Notes = append(read.Notes, "no instants: not every request says when it was sent")
	}
	read.Plan = inTurn(steps)
	return read
}

func (r *recording) notes() (notes []string) {
	for _, why := range slices.Sorted(maps.Keys(r.left)) {
		if strings.HasPrefix(why, "headers") {
			notes = append(notes, fmt.Sprintf("left out %d %s", r.left[why], why))
		} else {
			notes = append(notes, fmt.Sprintf("left out %d requests %s", r.left[why], why))
		}
	}
	return notes
}
