package hostport

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnePlaceHasOneSpelling(t *testing.T) {
	for want, spellings := range map[string][][2]string{
		"example.com:80":         {{"example.com", "80"}, {"EXAMPLE.com", "080"}, {"Example.Com", "00000080"}},
		"example.com:0":          {{"example.com", "0"}, {"example.com", "000"}},
		"example.com.:80":        {{"example.com.", "80"}},
		"example.com:65536":      {{"example.com", "65536"}},
		"example.com:":           {{"example.com", ""}},
		"[::1]:80":               {{"::1", "80"}, {"0:0:0:0:0:0:0:1", "80"}, {"0000::0001", "080"}, {"::0.0.0.1", "80"}},
		"[2001:db8::a]:443":      {{"2001:DB8::A", "443"}, {"2001:0db8:0:0::000a", "443"}},
		"[fe80::1%En0]:80":       {{"fe80::1%En0", "80"}, {"FE80:0::1%En0", "080"}},
		"[fe80::1%en0]:80":       {{"fe80::1%en0", "80"}},
		"[::ffff:127.0.0.1]:80":  {{"::ffff:127.0.0.1", "80"}, {"::FFFF:7f00:1", "80"}},
		"127.0.0.1:80":           {{"127.0.0.1", "80"}},
		"0127.0.0.1:80":          {{"0127.0.0.1", "80"}},
		"[no:address:at all]:80": {{"No:Address:at all", "80"}},
	} {
		for _, s := range spellings {
			require.Equal(t, want, Join(s[0], s[1]), s)
		}
	}
}

func TestAnAuthorityHasWhatHostsHave(t *testing.T) {
	for _, authority := range []string{
		"example.com", "EXAMPLE.com.:80", "a_b~c-1.test:", "xn--kln-sna.test:0443", "127.0.0.1:65536", "a!$&'()*+,;=b", "[::1]", "[::1]:80", "[::1]:", "[::ffff:1.2.3.4]:80", "[fe80::1%en0]:80", "[FE80::1%25en-0.1_a]",
	} {
		require.NoError(t, Check(authority), authority)
		u, err := url.Parse((&url.URL{Scheme: "http", Host: authority}).String() + "/path")
		require.NoError(t, err)
		require.Equal(t, authority, u.Host, "and a URL keeps it")
	}
	for authority, wrong := range map[string]string{
		"": "is empty", ":80": "is empty", "a/b": `has '/'`, "a?b": `has '?'`, "a#b": `has '#'`, "me@a": `has '@'`, `a\b`: `has '\\'`, "a b": `has ' '`, "a\nb": `has '\n'`,
		"a\x7f": `has '\x7f'`, "a%2f": "has '%'", "bücher": "must be ASCII", "a\x80": "must be ASCII", "a[": `has '['`, "a]": `has ']'`, "<a>": "has '<'", `a"`: `has '"'`,
		"a:80:": "a port that is no number", "me:word@a": "a port that is no number", "a:80/": "a port that is no number", "a:-1": "a port that is no number", "::1": "is empty",
		"[": "brackets", "[]": "brackets", "[::1": "brackets", "[a]": "brackets", "[127.0.0.1]": "brackets", "[::1%]": "brackets", "[::1%/a]": `has '/'`, "[::1%a@b]:80": `has '@'`,
		"[::1]a": "goes on behind", "[::1].test:80": "goes on behind", "[::1]/": "goes on behind", "[::1]:80/": "a port that is no number", "[::1]:8]": "a port that is no number",
	} {
		require.ErrorContains(t, Check(authority), wrong, "%q", authority)
	}
}

// What passes is read out of a URL as it was put in.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"a.test:80", "[fe80::1%en0]:80", "evil.test/.a.test", "[::1%25/]", "a%2fb", "me@a", "a:1:2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		if Check(authority) != nil {
			return
		}
		u, err := url.Parse((&url.URL{Scheme: "http", Host: authority}).String() + "/path")
		require.NoError(t, err)
		require.Equal(t, url.URL{Scheme: "http", Host: authority, Path: "/path"}, *u)
		if authority[0] != '[' { // and so it is if it was not even escaped
			require.Equal(t, authority, strings.Split("http://"+authority+"/path", "/")[2])
		}
	})
}
