package engine

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// jar is what keeps cookies when Config.Cookies does not: net/http's, which knows
// the public suffixes, so that no host sets cookies for all of co.uk, and in which
// a site, that is a registrable domain with all below it, has no more than
// mostCookies: one more takes the place of the oldest.
type jar struct {
	cookies *cookiejar.Jar

	mu    sync.Mutex
	sites map[string][]kept // guarded by mu: the oldest first
}

// kept is a cookie as its jar tells it from others, and the URL it was set by.
type kept struct {
	name, domain, path string
	by                 *url.URL
}

// mostCookies is what browsers keep of a site.
const mostCookies = 180

func newJar() http.CookieJar {
	cookies, _ := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // its error is always nil
	return &jar{cookies: cookies, sites: make(map[string][]kept)}
}

// Cookies is part of http.CookieJar.
func (j *jar) Cookies(u *url.URL) []*http.Cookie { return j.cookies.Cookies(u) }

// SetCookies is part of http.CookieJar.
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(cookies) > mostCookies {
		cookies = cookies[len(cookies)-mostCookies:] // the others would only be thrown out again
	}
	j.cookies.SetCookies(u, cookies)
	site := siteOf(u)
	all := j.sites[site]
	for _, cookie := range cookies {
		one := keptOf(u, cookie)
		all = slices.DeleteFunc(all, func(k kept) bool {
			return k.name == one.name && k.domain == one.domain && k.path == one.path
		})
		all = append(all, one)
	}
	for len(all) > mostCookies {
		j.forget(all[0])
		all = all[1:]
	}
	j.sites[site] = slices.Clip(all)
}

// forget has the jar delete a cookie.
func (j *jar) forget(k kept) {
	gone := &http.Cookie{Name: k.name, Path: k.path, MaxAge: -1}
	if k.domain != hostOf(k.by) {
		gone.Domain = k.domain
	}
	j.cookies.SetCookies(k.by, []*http.Cookie{gone})
}

// keptOf says which cookie it is (RFC 6265, section 5.3, steps 4 to 7).
func keptOf(u *url.URL, cookie *http.Cookie) kept {
	k := kept{name: cookie.Name, domain: hostOf(u), path: cookie.Path, by: u}
	if domain := strings.ToLower(strings.TrimPrefix(cookie.Domain, ".")); domain != "" {
		k.domain = domain
	}
	if !strings.HasPrefix(k.path, "/") {
		k.path = u.Path[:max(0, strings.LastIndexByte(u.Path, '/'))]
		if k.path == "" {
			k.path = "/"
		}
	}
	return k
}

func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

// siteOf is the registrable domain of a URL's host, or the host if it has none, as
// an address has.
func siteOf(u *url.URL) string {
	host := hostOf(u)
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}
