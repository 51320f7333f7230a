package engine_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// firstLines answers one request on every connection, and says how each began: its
// request line and its Host.
func firstLines(t *testing.T) (dial func(context.Context, string, string) (net.Conn, error), said <-chan string) {
	t.Helper()
	lines := make(chan string, 10)
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			r := bufio.NewReader(far)
			var first string
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				if name, _, _ := strings.Cut(line, ":"); first == "" || name == "Host" {
					first += line
				}
			}
			lines <- first
			io.WriteString(far, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}()
		return near, nil
	}, lines
}

// Of these, net/http is asked what it sends.
func TestTargetAndHostAreSentAsNetHTTPSendsThem(t *testing.T) {
	dial, said := firstLines(t)
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	eng := newEngine(t, engine.Config{Dial: engine.Dial{DialContext: dial}})
	for _, raw := range []string{
		"http://example.com", "http://example.com/", "http://Example.COM:80/a", "http://example.com:8080/", "http://example.com:/a",
		"http://EXAMPLE.com:443/", "http://[FE80::1%25En0]:8080/x", "http://[fe80::1%25eth0]/", "http://[::1]:80/", "http://127.0.0.1/",
		"http://example.com:080/", "http://[0:0:0:0:0:0:0:1]/", "http://[2001:DB8::0A]:0443/", "http://[::ffff:7f00:1]/", "http://example.com./",
		"http://example.com/p?", "http://example.com?", "http://example.com?a=b", "http://example.com/p?a=b?c", "http://example.com/p?a=b#c", "http://example.com/p?#c",
		"http://example.com/a%2Fb", "http://example.com//a", "HTTP://example.com/A",
	} {
		ask := func(client http.RoundTripper) string {
			req, err := http.NewRequest("GET", raw, nil)
			require.NoError(t, err, raw)
			resp, err := client.RoundTrip(req)
			require.NoError(t, err, raw)
			require.NoError(t, resp.Body.Close())
			return <-said
		}
		want := ask(transport)
		require.Equal(t, want, ask(eng.RoundTripper()), raw)
		_, err := eng.Do(t.Context(), &engine.Request{URL: raw, Encoded: true})
		require.NoError(t, err, raw)
		require.Equal(t, want, <-said, raw)
	}
}

func TestAPathIsJoinedToTheBaseURL(t *testing.T) {
	dial, said := firstLines(t)
	for base, paths := range map[string]map[string]string{
		"":                {"": "/", "/": "/", "?a=1": "/?a=1", "a": "/a", "/a": "/a", "//a": "//a"},
		"/":               {"": "/", "/": "/", "?a=1": "/?a=1", "a": "/a", "/a": "/a"},
		"/base":           {"": "/base", "/": "/base/", "?a=1": "/base?a=1", "?": "/base?", "a": "/base/a", "/a": "/base/a"},
		"/base/":          {"": "/base/", "/": "/base/", "?a=1": "/base/?a=1", "#a": "/base/", "a": "/base/a", "/a": "/base/a", "/a?b#c": "/base/a?b"},
		"/a b/":           {"": "/a%20b/", "c": "/a%20b/c"},
		"/base//":         {"": "/base//", "a": "/base/a"},
		"/base/index.php": {"": "/base/index.php", "?a=1": "/base/index.php?a=1"},
	} {
		eng := newEngine(t, engine.Config{BaseURL: "http://server.test" + base, Dial: engine.Dial{DialContext: dial}})
		for path, want := range paths {
			for _, encoded := range []bool{false, true} {
				asked := &engine.Request{Path: path, Encoded: encoded}
				resp, err := eng.Do(t.Context(), asked)
				require.NoError(t, err)
				require.Equal(t, "GET "+want+" HTTP/1.1\r\nHost: server.test\r\n", <-said, "%q under %q", path, base)
				require.Equal(t, "http://server.test"+want, resp.URL)
			}
		}
		resp, err := eng.Do(t.Context(), &engine.Request{Query: engine.Values{"a": 1}})
		require.NoError(t, err)
		require.Equal(t, "http://server.test"+paths[""]+"?a=1", resp.URL)
		<-said
	}
}

func TestAHostOfTheRequestsOwnIsSentAsNetHTTPSendsIt(t *testing.T) {
	dial, said := firstLines(t)
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	eng := newEngine(t, engine.Config{Dial: engine.Dial{DialContext: dial}})
	for _, host := range []string{"Other.Test:80", "[fe80::1%eth0]:80", "other.test"} {
		for i, client := range []http.RoundTripper{transport, eng.RoundTripper()} {
			resp, err := client.RoundTrip(&http.Request{Method: "GET", URL: parsed(t, "http://example.com/"), Host: host, Header: http.Header{}})
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, "GET / HTTP/1.1\r\nHost: "+strings.Replace(host, "%eth0", "", 1)+"\r\n", <-said, i)
		}
	}
}

func parsed(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// net/http sends it as it is, and what reads it may cut it there.
func TestANumberSignInARawQueryIsEncoded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Query().Get("q")) }))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, client := range []http.RoundTripper{transport, eng.RoundTripper()} {
		u := parsed(t, server.URL+"/")
		u.RawQuery = "q=a#b"
		resp, err := client.RoundTrip(&http.Request{Method: "GET", URL: u, Header: http.Header{}})
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "a#b", string(body))
	}
}

func TestTargetAndAuthorityAreThoseOfNetHTTPInHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.RequestURI+" "+r.Host)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	transport.DialContext = dial
	eng := newEngine(t, engine.Config{
		Dial:        engine.Dial{TLS: transport.TLSClientConfig, DialContext: dial},
		Connections: engine.Connections{HTTP2: func(string) bool { return true }},
	})
	for _, raw := range []string{
		"https://Example.COM:443/a?", "https://example.com:8443/p?a=b", "https://example.com", "https://example.com?", "https://Example.com:/", "https://example.com:0443/",
	} {
		var got []string
		for _, client := range []http.RoundTripper{transport, eng.RoundTripper()} {
			req, err := http.NewRequest("GET", raw, nil)
			require.NoError(t, err, raw)
			resp, err := client.RoundTrip(req)
			require.NoError(t, err, raw)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			got = append(got, string(body))
		}
		require.Contains(t, got[0], "HTTP/2.0")
		require.Equal(t, got[0], got[1], raw)
	}
}

func TestALoneQuestionMarkIsNotCarriedOverARedirect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.RequestURI {
		case "/a?":
			w.Header().Set("Location", "/b")
			w.WriteHeader(http.StatusFound)
		case "/b":
			w.Header().Set("Location", "/c?")
			w.WriteHeader(http.StatusFound)
		default:
			io.WriteString(w, r.RequestURI)
		}
	}))
	defer server.Close()
	eng := newEngine(t, engine.Config{BaseURL: server.URL})
	resp, err := eng.Do(t.Context(), &engine.Request{Path: "/a?", Redirects: 3})
	require.NoError(t, err)
	require.Equal(t, "/c?", resp.Text())
	resp, err = eng.Do(t.Context(), &engine.Request{Path: "/a?", Query: engine.Values{"x": 1}})
	require.NoError(t, err)
	require.Equal(t, "/a?x=1", resp.Text())
}
