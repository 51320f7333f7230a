package engine

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

func names(cookies []*http.Cookie) map[string]string {
	all := map[string]string{}
	for _, c := range cookies {
		all[c.Name] = c.Value
	}
	return all
}

func TestASiteKeepsItsNewestCookies(t *testing.T) {
	j, home := newJar(), parse(t, "https://a.shop.co.uk/x/y")
	var first []*http.Cookie
	for i := range mostCookies {
		first = append(first, &http.Cookie{Name: fmt.Sprint("c", i), Value: "1", Path: "/"})
	}
	j.SetCookies(home, first)
	require.Len(t, j.Cookies(home), mostCookies)

	// One of the site's other hosts, one for the whole site, one of the directory.
	j.SetCookies(parse(t, "https://b.shop.co.uk/"), []*http.Cookie{{Name: "other", Value: "1"}})
	j.SetCookies(home, []*http.Cookie{{Name: "whole", Value: "1", Domain: ".shop.co.uk", Path: "/"}, {Name: "below", Value: "1"}})
	j.SetCookies(home, []*http.Cookie{{Name: "c3", Value: "again", Path: "/"}})
	have := names(j.Cookies(home))
	require.Len(t, have, mostCookies-1, "the other host's is not sent here")
	require.NotContains(t, have, "c0")
	require.NotContains(t, have, "c2")
	require.Equal(t, "again", have["c3"], "what is set anew is no longer old")
	require.Contains(t, have, "whole")

	for i := range mostCookies {
		j.SetCookies(home, []*http.Cookie{{Name: fmt.Sprint("d", i), Value: "1", Path: "/"}})
	}
	have = names(j.Cookies(home))
	require.Len(t, have, mostCookies)
	require.NotContains(t, have, "whole")
	require.NotContains(t, have, "below")
	require.Empty(t, j.Cookies(parse(t, "https://b.shop.co.uk/")))
}

func TestWhatIsNoCookieAnyMorePushesNoneOut(t *testing.T) {
	for name, dead := range map[string]http.Cookie{
		"deleted":         {MaxAge: -1},
		"expired":         {Expires: time.Unix(1, 0)},
		"another site's":  {Domain: "elsewhere.test"},
		"a public suffix": {Domain: "co.uk"},
	} {
		for _, at := range []string{"https://a.shop.co.uk/x/y", "http://[::1]/", "http://[::1]:8080/", "http://127.0.0.1:80/a/"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				j, home := newJar(), parse(t, at)
				j.SetCookies(home, []*http.Cookie{{Name: "session", Value: "1", MaxAge: 3600}})
				var many []*http.Cookie
				for i := range 3 * mostCookies {
					one := dead
					one.Name, one.Value = fmt.Sprint("c", i), "1"
					j.SetCookies(home, []*http.Cookie{&one})
					many = append(many, &one)
				}
				j.SetCookies(home, many)
				require.Contains(t, names(j.Cookies(home)), "session")
				require.LessOrEqual(t, len(j.(*jar).sites[siteOf(home)]), mostCookies)
			})
		}
	}
}

func TestACookieThatIsSetManyTimesCountsOnce(t *testing.T) {
	for name, again := range map[string]http.Cookie{
		"set again":       {},
		"deleted at last": {MaxAge: -1},
	} {
		t.Run(name, func(t *testing.T) {
			j, home := newJar(), parse(t, "https://a.shop.co.uk/")
			j.SetCookies(home, []*http.Cookie{{Name: "session", Value: "old"}})
			answer := []*http.Cookie{{Name: "session", Value: "new"}}
			for i := range mostCookies + 20 {
				answer = append(answer, &http.Cookie{Name: "a", Value: fmt.Sprint(i)})
			}
			var want []string
			for i := range mostCookies - 2 {
				want = append(want, fmt.Sprint("c", i))
				answer = append(answer, &http.Cookie{Name: want[i], Value: "1"})
			}
			again.Name, again.Value = "a", "last"
			j.SetCookies(home, append(answer, &again))
			have := names(j.Cookies(home))
			require.Equal(t, "new", have["session"])
			require.Subset(t, slices.Collect(maps.Keys(have)), want)
			if again.MaxAge < 0 {
				require.NotContains(t, have, "a")
			} else {
				require.Equal(t, "last", have["a"])
			}
		})
	}
}

func TestSitesDoNotPushEachOthersCookiesOut(t *testing.T) {
	j := newJar()
	j.SetCookies(parse(t, "http://mine.test/"), []*http.Cookie{{Name: "session", Value: "1"}})
	for i := range 3 * mostCookies {
		j.SetCookies(parse(t, "http://127.0.0.1:80/"), []*http.Cookie{{Name: fmt.Sprint(i), Value: "1"}})
	}
	require.Len(t, j.Cookies(parse(t, "http://mine.test/")), 1)
	require.Len(t, j.Cookies(parse(t, "http://127.0.0.1/")), mostCookies)
}

func TestNoHostSetsCookiesForAPublicSuffix(t *testing.T) {
	j := newJar()
	j.SetCookies(parse(t, "https://evil.co.uk/"), []*http.Cookie{{Name: "a", Value: "1", Domain: "co.uk"}})
	require.Empty(t, j.Cookies(parse(t, "https://bank.co.uk/")))
}

func TestAFloodOfCookiesCostsLittle(t *testing.T) {
	eng, err := New(Config{})
	require.NoError(t, err)
	defer eng.Close()
	var flood []*http.Cookie
	for i := range 25_000 {
		flood = append(flood, &http.Cookie{Name: fmt.Sprint("c", i), Value: "some value of some length"})
	}
	start := time.Now()
	require.NoError(t, eng.UpdateCookies("http://server.test/", flood...))
	require.Less(t, time.Since(start), time.Second)
}
