package request

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// redirect aims the request at where its answer points to, for another attempt
// that needs a permit and a signature of its own. It reports false if the
// answer is to be handed over instead: it is no redirect, leads to another
// scheme, host or port, or would repeat what cannot be repeated.
func (r *slot) redirect(response *messages.Response) bool {
	method, follows := redirectMethod(response.StatusCode, r.call.Method)
	if !follows || r.redirects >= r.asked.Redirects {
		return false
	}
	next, ok := r.sameOrigin(response.Header.Get("Location"))
	if !ok || method == r.call.Method && !r.upload.retire() {
		return false
	}
	r.closeStream() // what the redirect itself says is read by nobody
	r.redirects++
	r.keepCookies(r.url, response.Header) // before the URL is another
	if method != r.call.Method {
		// A redirect that makes it another request may well be the answer to one that
		// was carried out; how the other ends says nothing of that.
		r.sent = messages.SentMaybe
		r.call.Method, r.contentType, r.bodiless = method, "", true
		r.call.Body, r.call.Reader, r.call.Trailer, r.upload = nil, nil, nil, nil
	}
	r.call.Path, r.call.Query, r.call.ForceQuery = next.path, next.query, next.lone
	r.url = r.call.Origin.Scheme + "://" + r.call.Host + r.call.Target()
	r.buildFields(r.contentType)
	return true
}

// redirectMethod is what a redirected request becomes (RFC 9110, section
// 15.4). A body is repeated only where the status says so, and no method but
// GET and HEAD changes places by a 301 or 302, which servers use for anything.
func redirectMethod(status int, method string) (next string, follows bool) {
	reads := method == http.MethodGet || method == http.MethodHead
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return method, true
	case http.StatusMovedPermanently, http.StatusFound:
		if method == http.MethodPost {
			return http.MethodGet, true
		}
		return method, reads
	case http.StatusSeeOther:
		if reads {
			return method, true
		}
		return http.MethodGet, true
	}
	return method, false
}

type place struct {
	path, query string
	lone        bool // a "?" with nothing behind it
}

// sameOrigin resolves a Location, and drops from its query what an
// authenticator had added to the last one: the next signature takes its place.
func (r *slot) sameOrigin(location string) (place, bool) {
	base, err := url.Parse(r.call.Origin.Scheme + "://" + r.call.Host + r.call.Target())
	if err != nil || location == "" {
		return place{}, false
	}
	to, err := base.Parse(location)
	if err != nil {
		return place{}, false
	}
	origin, _, rest, err := splitURL(to.String())
	if err != nil || origin != r.call.Origin {
		return place{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, query, asks := strings.Cut(percent.EscapeTarget(rest), "?")
	if path == "" {
		path = "/"
	}
	return place{path, r.unsigned(query), asks && query == ""}, true
}

// unsigned leaves out the parameters whose names only the signed call had.
func (r *slot) unsigned(query string) string {
	signed := r.attempt.toSend
	if signed.Query == r.call.Query {
		return query
	}
	added := names(signed.Query)
	for name := range names(r.call.Query) {
		delete(added, name)
	}
	var kept []string
	for parameter := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(parameter, "="); !added[name] {
			kept = append(kept, parameter)
		}
	}
	return strings.Join(kept, "&")
}

func names(query string) map[string]bool {
	all := make(map[string]bool)
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		all[name] = true
	}
	return all
}
