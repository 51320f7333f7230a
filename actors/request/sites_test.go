package request

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// laidOut is where a request goes, worked out step by step and remembered nowhere.
func laidOut(c *Carrier, asked *messages.Request) (t target, err error) {
	base, rest := c.needs.Plan.Base, asked.Path
	if asked.URL != "" {
		base = Base{}
		if base.Origin, base.Host, rest, err = splitURL(asked.URL); err != nil {
			return target{}, err
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	if !asked.Encoded {
		rest = percent.EscapeTarget(rest)
	}
	path, query, asks := strings.Cut(rest, "?")
	if path == "" && base.Prefix == "" || path != "" && path[0] != '/' {
		path = "/" + path
	}
	if path == "" {
		base.Prefix = cmp.Or(base.Path, base.Prefix)
	}
	t = target{
		url: asked.URL, path: asked.Path, encoded: asked.Encoded,
		origin: base.Origin, host: base.Host, escapedPath: base.Prefix + path, query: query, lone: asks && query == "",
		name: base.Origin.String(), home: c.needs.Plan.home(base.Origin),
	}
	t.shown = base.Origin.Scheme + "://" + base.Host + t.escapedPath
	if asks {
		t.shown += "?" + query
	}
	return t, nil
}

func newAiming(prefix string) *Carrier {
	origin := messages.Origin{Scheme: "http", Addr: "base.test:80"}
	return NewCarrier(Needs{Plan: Plan{
		Base:  Base{Origin: origin, Host: "base.test", Prefix: strings.TrimRight(prefix, "/"), Path: prefix},
		Homes: []messages.Origin{origin, {Scheme: "https", Addr: "host.test:443"}},
	}})
}

func TestAURLIsReadAlikeWhetherOrNotItsSiteIsKnown(t *testing.T) {
	schemes := rapid.SampledFrom([]string{"http://", "https://", "HTTP://", "Https://", "ftp://", "://", "http:/", "", "http:#://", "http:?://", "h%74tp://"})
	hosts := rapid.SampledFrom([]string{
		"host.test", "HOST.test", "host.test:", "host.test:80", "host.test:443", "host.test:x", "host.test:80:80", "", "u:p@host.test", "@host.test",
		"[::1]", "[::1]:8080", "[fe80::1%25En0]", "[::1", "127.0.0.1", "ho%73t.test", "ho%zzst", "h st", "h\x01st", `h\st`, "höst.test", "a,b", "*",
	})
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"/", "?", "#", "a", "b=c", "%41", "%4", "%zz", "%", " ", "\x00", "\x7f", "ü", "://", "@", ":", "[", "*", "//", "..", "\n", "+", "&",
	}), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		c := newAiming(rapid.SampledFrom([]string{"", "/", "/api", "/api/"}).Draw(t, "prefix"))
		for range 10 {
			rest := strings.Join(pieces.Draw(t, "rest"), "")
			asked := &messages.Request{Encoded: rapid.Bool().Draw(t, "encoded")}
			if rapid.IntRange(0, 3).Draw(t, "path alone") == 0 {
				asked.Path = rest
				if IsURL(rest) {
					continue
				}
			} else {
				asked.URL = schemes.Draw(t, "scheme") + hosts.Draw(t, "host") + rest
				if asked.URL == "" {
					continue
				}
			}
			want, wrong := laidOut(c, asked)
			for _, round := range []string{"first", "again"} {
				have, err := aimed(c, asked)
				require.Equal(t, wrong, err, "%q, %s", asked.URL, round)
				require.Equal(t, want, have, "%q, %s", asked.URL, round)
			}
		}
	})
}

func FuzzAURLIsReadAlikeWhetherOrNotItsSiteIsKnown(f *testing.F) {
	for _, seed := range []string{"http://a.test/b?c#d", "https://A.test:443", "http://[::1]:80/%41", "http://u:p@a/", "http://a#b?c/d", "http://a/b c#x"} {
		f.Add(seed, false)
	}
	c := newAiming("")
	f.Fuzz(func(t *testing.T, raw string, encoded bool) {
		if raw == "" {
			return
		}
		asked := &messages.Request{URL: raw, Encoded: encoded}
		want, wrong := laidOut(c, asked)
		for range 2 {
			have, err := aimed(c, asked)
			require.Equal(t, wrong, err)
			require.Equal(t, want, have)
		}
	})
}

// known returns every site that is kept.
func (s *sites) known() (all []*site) {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	for i := range t.sets {
		for w := range t.sets[i].ways {
			if at := t.sets[i].ways[w].Load(); at != nil {
				all = append(all, at)
			}
		}
	}
	return all
}

func TestAThousandOriginsAreAimedAtWithoutAnAllocation(t *testing.T) {
	c := newAiming("")
	asked := make([]messages.Request, 1000)
	for i := range asked {
		asked[i].URL = fmt.Sprintf("https://host%d.test/api/v3/order?symbol=BTCUSDT", i)
		_, err := aimed(c, &asked[i])
		require.NoError(t, err)
	}
	i := 0
	allocated := testing.AllocsPerRun(10*len(asked), func() {
		_, _ = aimed(c, &asked[i%len(asked)])
		i++
	})
	require.Less(t, allocated, 1.0, "a few may share a set with too many others")
	require.Greater(t, len(c.sites.known()), 950)

	paths := []messages.Request{{Path: "/a"}, {Path: "/b?c=d"}}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		_, _ = aimed(c, &paths[i%2])
		i++
	}), 1.0, "the URL that a response tells")
}

func TestEverNewHostsFillNoMemory(t *testing.T) {
	c := newAiming("")
	for i := range 50_000 {
		_, err := aimed(c, &messages.Request{URL: fmt.Sprintf("http://host%d.test/", i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(c.sites.known()), siteSets*siteWays)
	require.NotNil(t, c.sites.find("http://host49999.test"), "the last one is known, whomever it replaced")

	long := "http://" + strings.Repeat("a", longestSpelt) + ".test"
	_, err := aimed(c, &messages.Request{URL: long + "/"})
	require.NoError(t, err)
	require.Nil(t, c.sites.find(long), "what is long is not kept")
}

func TestWhatIsKeptOfAURLIsNoSecretAndPinsNone(t *testing.T) {
	c := newAiming("")
	for _, raw := range []string{
		"http://host.test/secret?key=secret#secret", "http://other.test?secret", "http://third.test#secret", "http://user:secret@fourth.test/", "http://secret@fifth.test",
	} {
		_, _ = aimed(c, &messages.Request{URL: raw})
		for _, at := range c.sites.known() {
			first, last := uintptr(unsafe.Pointer(unsafe.StringData(raw))), uintptr(len(raw))
			for _, text := range []string{at.spelt, at.host, at.root, at.name, at.origin.Addr, at.origin.Scheme} {
				require.NotContains(t, text, "secret")
				require.GreaterOrEqual(t, uintptr(unsafe.Pointer(unsafe.StringData(text)))-first, last, "a part of the caller's text")
			}
		}
	}
	require.Len(t, c.sites.known(), 3)
}

func TestSitesAreKeptAndFoundByManyAtOnce(t *testing.T) {
	c := newAiming("")
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				host := fmt.Sprintf("host%d.test", (i*7+g)%500)
				at, err := aimed(c, &messages.Request{URL: "http://" + host + "/x"})
				if err != nil || at.host != host || at.origin.Addr != host+":80" || at.home {
					t.Errorf("%s led to %+v: %v", host, at, err)
				}
			}
		})
	}
	all.Wait()
}

// aimed is aim for a target that knows nothing yet.
func aimed(c *Carrier, asked *messages.Request) (t target, err error) {
	err = c.aim(&t, asked)
	return t, err
}
