package engine_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// nowhere dials nothing, and says what it was to dial.
type nowhere struct{ dialled []string }

var errNowhere = errors.New("nothing is dialled here")

func (n *nowhere) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.dialled = append(n.dialled, addr)
	return nil, errNowhere
}

// A Host is put together by programs, as tenant + ".corp.example", and what a tenant is called they
// have from outside.
func TestAHostIsNotEndedByWhatStandsInIt(t *testing.T) {
	var n nowhere
	eng := newEngine(t, engine.Config{Auth: auth.Bearer{Token: "t"}, Origins: []string{"http://evil.example"}, Dial: engine.Dial{DialContext: n.dial}, Retry: engine.Retry{Max: -1}})
	for _, tenant := range []string{
		"evil.example/", "evil.example?", "evil.example#", "evil.example:80/", `evil.example\`, "evil.example/x?y#", "me@evil.example", "me:word@evil.example",
		"evil.example:80#", "evil.example:80:", "evil.example%2f", "evil.example%23", "evil.example ", "evil.example\n", "evil.example\x7f", "evil.example\u2100", "evil.example\uff0f",
		"[::1]/", "[::1]", "[evil.example]", "[::1", "::1]", "[::1%/evil.example]:80/", "[::1]:80/", "evil.example[", "evil.example^", "<evil.example>", "x:80:", ":80",
	} {
		asked := false
		trip := eng.RoundTripper(func(*http.Request, *engine.Request) { asked = true })
		for _, u := range []*url.URL{
			{Scheme: "http", Host: tenant + ".corp.example", Path: "/secret"},
			{Scheme: "http", Host: tenant + ".corp.example:80", Path: "/secret"},
			{Scheme: "http", Host: tenant + ".corp.example", Opaque: "/secret"},
		} {
			_, err := trip.RoundTrip((&http.Request{Method: "GET", URL: u}).WithContext(t.Context()))
			require.ErrorContains(t, err, "http: request URL's host ", "%q", u.Host)
			wantNothingSent(t, err)
			require.NotContains(t, err.Error(), "evil")
			require.NotContains(t, err.Error(), "word")
			require.False(t, asked, "nobody chooses a limit or an account by it: %q", u.Host)
		}
	}
	require.Empty(t, n.dialled)
}

// hostOfAnyKind begins as one host, and may end as another.
var hostOfAnyKind = rapid.Custom(func(t *rapid.T) string {
	names := rapid.SampledFrom([]string{"", "a", "b.test", "EVIL.test", "127.0.0.1", "xn--kln-sna", "bücher", "[::1]", "[fe80::1%en0]", "[FE80::A%25x]", "[fe80::1%/b]", "80", "0443", "65536", "2f", "25"})
	marks := rapid.SampledFrom([]string{
		"", "", ":", "/", "?", "#", "@", `\`, "%", "[", "]", " ", "\t", "\n", "\r", "\x00", "\x7f", "\x80", "\u00a0", "\u2028", "℀", "／", "．", "。",
		"<", ">", `"`, "^", "`", "{", "|", "}", "_", "-", ".", "!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=", "~",
	})
	host := names.Draw(t, "name")
	for range rapid.IntRange(0, 2).Draw(t, "further") {
		host += marks.Draw(t, "mark") + names.Draw(t, "name")
	}
	return host
})

// hostNamed is the place that net/http would dial for a URL, in one spelling.
func hostNamed(t *rapid.T, u *url.URL) string {
	name := u.Hostname()
	if address, err := netip.ParseAddr(name); err == nil {
		name = address.String()
	} else if strings.IndexFunc(name, func(c rune) bool { return c > '~' }) >= 0 {
		name, err = idna.Lookup.ToASCII(name)
		require.NoError(t, err)
	} else {
		name = strings.ToLower(name)
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return net.JoinHostPort(name, cmp.Or(strings.TrimLeft(port, "0"), "0"))
}

// tripTo is where a dial was begun for a request: nowhere, if that is refused.
func tripTo(t *testing.T, rt *rapid.T, base string, send func(*engine.Engine) error) (dialled []string) {
	var n nowhere
	eng, err := engine.New(engine.Config{BaseURL: base, Dial: engine.Dial{DialContext: n.dial}, Retry: engine.Retry{Max: -1}})
	require.NoError(rt, err)
	defer eng.Close()
	if err := send(eng); errors.Is(err, engine.ErrInvalidRequest) {
		require.Empty(rt, n.dialled)
	} else {
		require.ErrorIs(rt, err, errNowhere)
		require.Len(rt, n.dialled, 1)
	}
	return n.dialled
}

// What is dialled is what Host names, whatever else the URL has, or nothing at all.
func TestTheHostThatIsDialledIsTheOneThatTheURLNames(t *testing.T) {
	odd := rapid.SampledFrom([]string{"", "", "/", "/", "/a b", "//evil.test/", "/@evil.test", "/../..", "*", "@evil.test/", ":80", "?", "#", `\`, "http://evil.test/", "\n", "%2f"})
	opaque := rapid.SampledFrom([]string{"", "", "", "//evil.test/x", "//evil.test", "//evil.test?/x", "//evil.test#/x", "//me@evil.test/", "evil.test/x", "@evil.test", "/x", "*", "//b.test/x", "///x", "http://evil.test/"})
	asked := rapid.SampledFrom([]string{"", "", "b.test", "evil.test/", "evil.test#", "me@evil.test"})
	rapid.Check(t, func(rt *rapid.T) {
		for range 20 {
			u := &url.URL{
				Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(rt, "scheme"), Host: hostOfAnyKind.Draw(rt, "host"), Opaque: opaque.Draw(rt, "opaque"),
				Path: odd.Draw(rt, "path"), RawPath: odd.Draw(rt, "raw path"), RawQuery: odd.Draw(rt, "query"), Fragment: odd.Draw(rt, "fragment"),
				RawFragment: odd.Draw(rt, "raw fragment"), OmitHost: rapid.Bool().Draw(rt, "omit host"), ForceQuery: rapid.Bool().Draw(rt, "force query"),
				User: url.UserPassword(odd.Draw(rt, "name"), odd.Draw(rt, "password")),
			}
			req := &http.Request{Method: rapid.SampledFrom([]string{"GET", "OPTIONS"}).Draw(rt, "method"), URL: u, Host: asked.Draw(rt, "Host")}
			dialled := tripTo(t, rt, "", func(eng *engine.Engine) error {
				_, err := eng.RoundTripper().RoundTrip(req.WithContext(t.Context()))
				return err
			})
			for _, addr := range dialled {
				require.Equal(rt, hostNamed(rt, u), addr)
			}
		}
	})
}

// What a request calls its Path is behind the base URL's host, whatever it begins with.
func TestAPathDoesNotLeaveItsBaseURL(t *testing.T) {
	parts := rapid.SampledFrom([]string{"@", "evil.test", ":", "80", "/", "//", ".", "..", "?", "#", `\`, "%2f", "%40", "http:", "://", " ", "\t", "\n", "*", "x"})
	rapid.Check(t, func(rt *rapid.T) {
		base := rapid.SampledFrom([]string{"http://api.test", "http://api.test/", "http://api.test/base"}).Draw(rt, "base URL")
		asked := &engine.Request{Path: strings.Join(rapid.SliceOfN(parts, 0, 6).Draw(rt, "path"), ""), Encoded: rapid.Bool().Draw(rt, "encoded")}
		dialled := tripTo(t, rt, base, func(eng *engine.Engine) error {
			_, err := eng.Do(t.Context(), asked)
			return err
		})
		for _, addr := range dialled {
			require.Equal(rt, "api.test:80", addr)
		}
	})
}
