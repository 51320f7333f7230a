package engine

import (
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/sluice-engine/sluice/internal/unit"
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

// kept is a cookie, and the URL it was set by.
type kept struct {
	cookieID
	by    *url.URL
	until time.Time // when it expires; zero if it does not
}

// cookieID is a cookie as its jar tells it from others: one that is set again takes its place.
type cookieID struct{ name, domain, path string }

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
	site, now := siteOf(u), time.Now()
	cookies = newest(u, cookies, now)
	j.cookies.SetCookies(u, cookies)
	all := j.sites[site]
	for _, cookie := range cookies {
		one, mayBe := keptOf(u, cookie)
		if !mayBe { // the jar has passed it over, and it takes nobody's place
			continue
		}
		all = slices.DeleteFunc(all, func(k kept) bool { return k.cookieID == one.cookieID })
		if one.lives(now) {
			all = append(all, one)
		}
	}
	if len(all) > mostCookies {
		all = slices.DeleteFunc(all, func(k kept) bool { return !k.lives(now) })
	}
	for len(all) > mostCookies {
		j.forget(all[0])
		all = all[1:]
	}
	j.sites[site] = slices.Clip(all)
}

// newest leaves out of many cookies those that the newer ones would only take the place of, or
// push out again.
func newest(u *url.URL, cookies []*http.Cookie, now time.Time) []*http.Cookie {
	if len(cookies) <= mostCookies {
		return cookies
	}
	cookies = slices.Clone(cookies)
	slices.Reverse(cookies)
	living, seen := 0, make(map[cookieID]bool)
	cookies = slices.DeleteFunc(cookies, func(cookie *http.Cookie) bool {
		one, mayBe := keptOf(u, cookie)
		if !mayBe || seen[one.cookieID] {
			return true
		}
		seen[one.cookieID] = true
		if one.lives(now) { // and what deletes another stays
			living++
		}
		return one.lives(now) && living > mostCookies
	})
	slices.Reverse(cookies)
	return cookies
}

// forget has the jar delete a cookie.
func (j *jar) forget(k kept) {
	gone := &http.Cookie{Name: k.name, Path: k.path, MaxAge: -1}
	if k.domain != hostOf(k.by) {
		gone.Domain = k.domain
	}
	j.cookies.SetCookies(k.by, []*http.Cookie{gone})
}

// keptOf says which cookie it is (RFC 6265, section 5.3, steps 4 to 7), and whether the
// host may set it.
func keptOf(u *url.URL, cookie *http.Cookie) (k kept, mayBe bool) {
	host := hostOf(u)
	k = kept{cookieID: cookieID{cookie.Name, host, cookie.Path}, by: u, until: expiry(cookie)}
	if cookie.Domain != "" {
		k.domain = strings.ToLower(strings.TrimPrefix(cookie.Domain, "."))
	}
	if !strings.HasPrefix(k.path, "/") {
		k.path = u.Path[:max(0, strings.LastIndexByte(u.Path, '/'))]
		if k.path == "" {
			k.path = "/"
		}
	}
	return k, k.domain == host || isBelow(host, k.domain)
}

// isBelow reports whether a host is of a domain in which it may set cookies.
func isBelow(host, domain string) bool {
	if domain == "" || !strings.HasSuffix(host, "."+domain) || net.ParseIP(host) != nil {
		return false
	}
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix != domain
}

// expiry is when a cookie expires (RFC 6265, section 5.3, step 3); zero means never.
func expiry(cookie *http.Cookie) time.Time {
	switch {
	case cookie.MaxAge < 0:
		return time.Unix(0, 0)
	case cookie.MaxAge > 0:
		return time.Now().Add(min(time.Duration(cookie.MaxAge), longestAge) * time.Second)
	}
	return cookie.Expires
}

func (k kept) lives(now time.Time) bool { return k.until.IsZero() || k.until.After(now) }

// longestAge is as many seconds as any cookie is taken to live, a century.
const longestAge = unit.Longest / time.Second

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
