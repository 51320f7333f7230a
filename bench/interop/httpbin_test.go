package interop

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// ask is one request to the server under comparison.
type ask struct {
	method, target string
	header         http.Header
	body           string
	varies         []string // what of the answer is of the moment: header names, or "body"
}

func get(target string, header ...string) ask { return send("GET", target, "", header...) }

// send takes header names and values in turn.
func send(method, target, body string, header ...string) ask {
	a := ask{method: method, target: target, body: body, header: http.Header{"User-Agent": {"interop"}}}
	for i := 0; i+1 < len(header); i += 2 {
		a.header.Add(header[i], header[i+1])
	}
	return a
}

func (a ask) varying(names ...string) ask {
	a.varies = names
	return a
}

func asks() []ask {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:passwd"))
	all := []ask{
		get("/"), get("/get"), get("/get?a=1&b=2&a=3&c=%20%2F%2B"), get("/encoding/utf8"), get("/forms/post"),
		get("/anything"), get("/anything/with/a%20path?x=%C3%A9"), get("/base64/c2x1aWNl"), get("/base64/encode/sluice"),
		get("/base64/@"), get("/bearer"), get("/bearer", "Authorization", "Bearer token"),
		get("/basic-auth/user/passwd"), get("/basic-auth/user/passwd", "Authorization", basic),
		get("/hidden-basic-auth/user/passwd"), get("/hidden-basic-auth/user/passwd", "Authorization", basic),
		get("/digest-auth/auth/user/passwd").varying("Www-Authenticate"),
		get("/bytes/0?seed=7"), get("/bytes/1?seed=7"), get("/bytes/100000?seed=7"), get("/bytes/99999999"),
		get("/cache").varying("Last-Modified", "Etag"), get("/cache", "If-None-Match", "x"), get("/cache/60"),
		get("/cookies", "Cookie", "a=1; b=2"), get("/cookies/set?a=1"), get("/cookies/delete?a=1").varying("Set-Cookie"),
		get("/gzip"), get("/gzip", "Accept-Encoding", "gzip"), get("/brotli"),
		get("/deflate", "Accept-Encoding", "deflate"),
		get("/delay/20ms").varying("Server-Timing"), get("/deny"), get("/env"), get("/dump/request?a=b", "X-Sent", "yes"),
		get("/drip?numbytes=50&duration=50ms&delay=10ms").varying("Server-Timing"), get("/drip?numbytes=5&duration=0&delay=0&code=500").varying("Server-Timing"),
		get("/etag/abc"), get("/etag/abc", "If-None-Match", `"abc"`), get("/etag/abc", "If-Match", `"other"`),
		get("/etag/abc", "Range", "bytes=2-5"), get("/headers", "X-Twice", "1", "X-Twice", "2", "X-Empty", ""),
		get("/hostname"), get("/html"), get("/image", "Accept", "image/png"), get("/image", "Accept", "text/none"), get("/ip"),
		get("/image/jpeg"), get("/image/png"), get("/image/svg"), get("/image/webp"), get("/json"), get("/jsonl"),
		get("/links/10"), get("/links/10/3"), get("/range/1000"), get("/range/1000", "Range", "bytes=10-19"),
		get("/range/1000", "Range", "bytes=-5"), get("/range/1000", "Range", "bytes=5000-"),
		get("/redirect-to?url=/get"), get("/redirect-to?url=/get&status_code=307"), get("/redirect/3"),
		get("/relative-redirect/2"), get("/absolute-redirect/2"),
		get("/response-headers?X-One=1&X-Two=2&X-One=3"), get("/robots.txt"), get("/sse?count=3&duration=10ms&delay=0").varying("body", "Server-Timing"),
		get("/stream/0"), get("/stream/20"), get("/stream-bytes/50000?seed=3&chunk_size=777"), get("/trailers?X-One=1&X-Two=2"),
		get("/unstable?failure_rate=0"), get("/unstable?failure_rate=1"), get("/user-agent"), get("/uuid").varying("body"),
		get("/version"), get("/xml"), get("/not/there"), get("/websocket/echo"),
		send("HEAD", "/head", ""), send("HEAD", "/bytes/1000?seed=1", ""), send("HEAD", "/json", ""), send("HEAD", "/status/404", ""),
		send("HEAD", "/gzip", "", "Accept-Encoding", "gzip"), send("HEAD", "/stream/5", ""), send("OPTIONS", "/get", ""), send("OPTIONS", "/anything", ""),
		send("DELETE", "/delete", ""), send("DELETE", "/delete", "why", "Content-Type", "text/plain"), send("DELETE", "/get", ""),
		send("POST", "/post", ""), send("POST", "/upload", strings.Repeat("u", 100_000), "Content-Type", "text/plain"),
		send("TRACE", "/anything", ""), send("PROPFIND", "/anything", ""),
	}
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		all = append(all,
			send(method, "/"+strings.ToLower(method), `{"a":[1,2,{"b":null}]}`, "Content-Type", "application/json"),
			send(method, "/"+strings.ToLower(method), "a=1&b=2&a=3", "Content-Type", "application/x-www-form-urlencoded"),
			send(method, "/anything/x", "\x00\x01\xff bytes", "Content-Type", "application/octet-stream"),
			send(method, "/upload", strings.Repeat("0123456789", 30_000), "Content-Type", "application/octet-stream"))
	}
	for _, status := range []string{"200", "201", "202", "204", "205", "206", "226", "299", "300", "301", "302", "303", "304", "307", "308",
		"400", "401", "402", "403", "404", "405", "406", "407", "408", "409", "410", "411", "412", "413", "418", "421", "422", "425",
		"426", "428", "431", "451", "499", "500", "501", "502", "503", "504", "505", "511", "599", "999", "nonsense"} {
		all = append(all, get("/status/"+status))
		if status[0] != '4' {
			all = append(all, send("POST", "/status/"+status, "x", "Content-Type", "text/plain"))
		}
	}
	return all
}

// reply is what is compared of an answer.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

// comparable leaves out what is of the moment, and the framing of the
// connection, which net/http takes from the header.
func (r reply) comparable(a ask) reply {
	r.header, r.trailer = r.header.Clone(), r.trailer.Clone()
	for _, name := range append([]string{"Date", "Transfer-Encoding", "Trailer", "Connection"}, a.varies...) {
		r.header.Del(name)
		r.trailer.Del(name)
	}
	for _, name := range a.varies {
		if name == "body" {
			r.body = ""
		}
	}
	if len(r.trailer) == 0 {
		r.trailer = nil
	}
	return r
}

func throughClient(t *testing.T, client *http.Client, origin string, a ask) reply {
	t.Helper()
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), a.method, origin+a.target, body)
	require.NoError(t, err)
	req.Header = a.header.Clone()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header, resp.Trailer, string(got)}
}

func throughEngine(t *testing.T, eng *engine.Engine, a ask) reply {
	t.Helper()
	asked := &engine.Request{Method: a.method, Path: a.target, Encoded: true, Header: a.header}
	if a.body != "" {
		asked.Body = a.body
	}
	resp, err := eng.Do(t.Context(), asked)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header.HTTP(), resp.Trailer.HTTP(), resp.Text()}
}

func TestEveryEndpointHasOneAnswerWhoeverAsks(t *testing.T) {
	origin := startHTTPBin(t)
	eng := startEngine(t, engine.Config{BaseURL: origin, Responses: engine.Responses{Codings: []string{"gzip"}}}) // net/http asks for gzip alone
	bare := bareClient(t)
	over := &http.Client{Transport: eng.RoundTripper(), CheckRedirect: stay}
	for _, a := range asks() {
		t.Run(a.method+" "+a.target, func(t *testing.T) {
			want := throughClient(t, bare, origin, a).comparable(a)
			require.Equal(t, want, throughEngine(t, eng, a).comparable(a), "the engine")
			require.Equal(t, want, throughClient(t, over, origin, a).comparable(a), "its RoundTripper")
		})
	}
	require.Zero(t, eng.Stats().InFlight)
}

func TestACodingTheEngineAsksForIsUndone(t *testing.T) {
	eng := startEngine(t, engine.Config{BaseURL: startHTTPBin(t)})
	for _, coding := range []string{"gzip", "deflate"} {
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/" + coding})
		require.NoError(t, err)
		require.True(t, resp.Uncompressed)
		require.Empty(t, resp.Header.Get("Content-Encoding"))
		var said struct{ Gzipped, Deflated bool }
		require.NoError(t, resp.JSON(&said))
		require.True(t, said.Gzipped || said.Deflated)
	}
}

func TestRedirectsFollowedByAClientLeadToTheSameAnswer(t *testing.T) {
	origin := startHTTPBin(t)
	eng := startEngine(t, engine.Config{Responses: engine.Responses{Codings: []string{"gzip"}}})
	bare, over := bareClient(t), &http.Client{Transport: eng.RoundTripper()}
	bare.CheckRedirect = nil
	for _, a := range []ask{
		get("/redirect/5"), get("/relative-redirect/3"), get("/absolute-redirect/3"), get("/redirect-to?url=/status/404"),
		send("POST", "/redirect-to?url=/post&status_code=307", "kept", "Content-Type", "text/plain"),
		send("POST", "/redirect-to?url=/get&status_code=303", "dropped", "Content-Type", "text/plain"),
	} {
		require.Equal(t, throughClient(t, bare, origin, a).comparable(a), throughClient(t, over, origin, a).comparable(a), a.target)
	}
}
