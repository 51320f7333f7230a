package request

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/internal/hostport"
	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Base is where requests that give only a path go.
type Base struct {
	Origin messages.Origin
	Host   string // the Host header, as the URL spells it
	Prefix string // percent-encoded path that every Request.Path is joined to, without "/" at the end
	Path   string // percent-encoded path as the URL has it, for requests that have none
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
	path := percent.EscapeTarget(rest)
	return Base{Origin: origin, Host: host, Prefix: strings.TrimRight(path, "/"), Path: path}, nil
}

// under returns the path that a Request.Path stands behind. One that has no path of its
// own means the base URL itself, whose "/" at the end tells a directory from a file.
func (b *Base) under(path string) string {
	if path == "" || path[0] == '?' || path[0] == '#' {
		return b.Path
	}
	return b.Prefix
}

// target is where a request goes, worked out from what the caller wrote.
type target struct {
	url, path string // as the caller wrote them
	encoded   bool
	egress    string // it has a pool of its own

	origin      messages.Origin
	host        string
	escapedPath string
	query       string
	lone        bool   // a "?" with nothing behind it
	sound       bool   // path and query are what a request line may have; set by buildTarget
	shown       string // the whole URL, as a response tells it
	name        string // the origin's, as the throttler knows it
	home        bool   // the origin is one of Plan.Homes

	pool protocol.Door // the origin's by the egress, which the slot is inside of; nil if that is not known
}

// buildTarget finds the origin, the path and the query. Callers often ask for
// the same again, so a slot remembers the target of its last life.
func (r *slot) buildTarget() error {
	if err := r.locate(); err != nil {
		return err
	}
	asked, t := r.asked, &r.target
	if len(asked.Query) > 0 && !asksServer(asked) {
		query, err := asked.Query.Encoded()
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		r.call.Query = joinQuery(t.query, query)
		r.url = t.origin.Scheme + "://" + t.host + r.call.Target()
	}
	return nil
}

// locate is buildTarget without the request's own Query.
func (r *slot) locate() error {
	asked, t := r.asked, &r.target
	if t.shown == "" || asked.Path != t.path || asked.URL != t.url || asked.Encoded != t.encoded || asked.Egress != t.egress {
		if err := r.aim(t, asked); err != nil {
			return err
		}
		t.sound = !asked.Encoded || canBeSent(t)
	}
	r.call.Origin, r.call.Host = t.origin, t.host
	r.call.Path, r.call.Query, r.call.ForceQuery, r.url = t.escapedPath, t.query, t.lone, t.shown
	r.home = t.home && !r.terms.Stranger
	if asksServer(asked) {
		r.call.Path, r.call.Query = asked.Path, ""
		r.url = t.origin.Scheme + "://" + t.host + "/*" // a URL has no form for it
	}
	return nil
}

// asksServer reports whether a request is about the server, and no place on it.
func asksServer(asked *messages.Request) bool {
	return asked.Path == "*" && asked.Method == http.MethodOptions
}

// OriginOf returns the origin of an absolute http or https URL.
func OriginOf(raw string) (messages.Origin, error) {
	origin, _, _, err := splitURL(raw)
	return origin, err
}

// aim works out where a request goes. With an error t is as before. What it writes
// there shares its texts with the request and the site, as far as they are the same.
func (c *Carrier) aim(t *target, asked *messages.Request) error {
	at, prefix, rest, err := c.destination(asked)
	if err != nil {
		return err
	}
	t.set(asked, at, prefix, rest)
	return nil
}

// canBeSent reports whether a connection would send path and query as they are.
func canBeSent(t *target) bool {
	_, err := wire.CheckCall(&messages.Call{Method: http.MethodGet, Host: "host", Path: t.escapedPath, Query: t.query})
	return err == nil
}

// destination returns the site that a request goes to, and what the place there is called:
// the base URL's path, and what the request says.
func (c *Carrier) destination(asked *messages.Request) (at *site, prefix, rest string, err error) {
	switch {
	case asked.URL != "":
		at, rest, err = c.siteOf(asked.URL)
		return at, "", rest, err
	case IsURL(asked.Path):
		return nil, "", "", errors.New("its Path is a whole URL: say so in URL")
	case c.base.host == "":
		return nil, "", "", errors.New("it has no URL, and the engine no base URL")
	}
	return c.base, c.needs.Plan.Base.under(asked.Path), asked.Path, nil
}

func (t *target) set(asked *messages.Request, at *site, prefix, rest string) {
	asIs := rest
	rest, _, _ = strings.Cut(rest, "#")
	if !asked.Encoded {
		rest = percent.EscapeTarget(rest)
	}
	path, query, asks := strings.Cut(rest, "?")
	if path == "" && prefix == "" || path != "" && path[0] != '/' {
		prefix += "/"
	}
	*t = target{
		url: asked.URL, path: asked.Path, encoded: asked.Encoded, egress: asked.Egress,
		origin: at.origin, host: at.host, name: at.name, home: at.home,
		query: query, lone: asks && query == "",
	}
	if at.spelt == at.root && prefix == "" && rest == asIs {
		t.shown, t.escapedPath = asked.URL, path // as the caller wrote it
		return
	}
	t.shown = at.root + prefix + rest
	t.escapedPath = t.shown[len(at.root) : len(at.root)+len(prefix)+len(path)]
}

// IsURL reports whether a path is meant as a URL: it begins with a scheme of HTTP.
func IsURL(path string) bool {
	scheme, _, found := strings.Cut(path, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// splitURL parses once; nothing later looks at the text again. All texts that lead to one
// origin give it in one spelling: a ban stops the origin, and not a text. Host stays as
// the URL has it.
func splitURL(raw string) (origin messages.Origin, host, rest string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return origin, "", "", withScheme(raw, malformed(err))
	}
	scheme := strings.ToLower(u.Scheme)
	port, known := map[string]string{"http": "80", "https": "443"}[scheme]
	name := u.Hostname()
	switch {
	case !known:
		return origin, "", "", withScheme(raw, fmt.Errorf("URL scheme %q is neither http nor https", u.Scheme))
	case u.Host == "":
		return origin, "", "", errors.New("URL has no host")
	case u.User != nil:
		return origin, "", "", errors.New("URL carries credentials; use an authenticator")
	case !isPort(u.Port()):
		return origin, "", "", errors.New("URL has a port above 65535")
	}
	if err := hostport.Check(u.Host); err != nil {
		return origin, "", "", fmt.Errorf("URL host %w", err)
	}
	_, rest, _ = strings.Cut(raw, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	return messages.Origin{Scheme: scheme, Addr: hostport.Join(name, cmp.Or(u.Port(), port))}, hostOf(u), rest, nil
}

// isPort reports whether there can be a port of these digits, or there is none.
func isPort(digits string) bool {
	_, err := strconv.ParseUint(digits, 10, 16)
	return digits == "" || err == nil
}

// malformed says why a text is no URL, without the URL, which may hold a secret.
func malformed(err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		err = whole.Err
	}
	return fmt.Errorf("malformed URL: %s", messages.WithoutQuotes(err))
}

// hostOf is what Host says of a URL: host and port as the caller spelt them, and no
// zone of IPv6, which means something on this machine alone.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(u.Host, ":")
	if zone, end := strings.IndexByte(host, '%'), strings.LastIndexByte(host, ']'); 0 < zone && zone < end {
		host = host[:zone] + host[end:]
	}
	return host
}

// withScheme says what to write if a URL has none, as "api.example.com:443", of which
// package url makes something else.
func withScheme(raw string, err error) error {
	if strings.Contains(raw, "://") {
		return err
	}
	return fmt.Errorf("%w: a URL begins with https:// or http://", err)
}
