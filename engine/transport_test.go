package engine_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// What net/http's own Transport does is what a client expects: the same request to
// the same server, through both, and everything that can be seen is compared.

// seen is what a server sees of a request, and what its client sees of the answer.
type seen struct {
	Request, Target, Host  string
	Header                 string
	Length                 int64
	Framing                []string
	Closes                 bool
	Trailer                string
	Status, Proto          string
	AnswerHeader           string
	AnswerLength           int64
	AnswerFraming          []string
	AnswerCloses           bool
	AnswerTrailer          string
	Uncompressed, Bodiless bool
	Body, Error            string
}

// lines are a header's, in order.
func lines(header http.Header) string {
	var all []string
	for name, values := range header {
		all = append(all, fmt.Sprintf("%s=%q", name, values))
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}

// watching notes what arrives.
type watching struct {
	mu   sync.Mutex
	last seen
}

func (w *watching) around(handler http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		header := r.Header.Clone()
		w.last = seen{
			Request: r.Method + " " + r.Proto + " " + string(body), Target: r.RequestURI, Host: r.Host, Header: lines(header),
			Length: r.ContentLength, Framing: r.TransferEncoding, Closes: r.Close, Trailer: lines(r.Trailer),
		}
		w.mu.Unlock()
		rw.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
		handler(rw, r)
	}
}

// through sends a request by a RoundTripper and returns what both ends have seen.
func (w *watching) through(t *testing.T, rt http.RoundTripper, build func() *http.Request) seen {
	t.Helper()
	w.mu.Lock()
	w.last = seen{}
	w.mu.Unlock()
	req := build()
	before := req.Header.Clone()
	resp, err := rt.RoundTrip(req)
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.last
	require.Equal(t, before, req.Header, "the request is not changed")
	if err != nil {
		all.Error = err.Error()
		return all
	}
	require.NotNil(t, resp.Body)
	all.Bodiless = strings.Contains(strings.ToLower(fmt.Sprintf("%T", resp.Body)), "nobody") // in HTTP/2 it is another one
	if _, oracle := rt.(*http.Transport); !oracle {
		require.Same(t, req, resp.Request) // in HTTP/2 the oracle has a copy
		require.Equal(t, all.Bodiless, resp.Body == http.NoBody)
	}
	all.Status, all.Proto, all.AnswerHeader = resp.Status, resp.Proto, lines(resp.Header)
	all.AnswerLength, all.AnswerFraming, all.AnswerCloses = resp.ContentLength, resp.TransferEncoding, resp.Close
	all.Uncompressed = resp.Uncompressed
	body, err := io.ReadAll(resp.Body)
	all.Body, all.AnswerTrailer = string(body), lines(resp.Trailer)
	if err != nil {
		all.Error = "body: " + err.Error()
	}
	require.NoError(t, resp.Body.Close())
	if !all.Bodiless {
		_, err = resp.Body.Read(make([]byte, 1))
		require.ErrorContains(t, err, "closed")
	}
	return all
}

// asNetHTTP is the configuration of an engine that says of itself what net/http
// says.
func asNetHTTP(server *httptest.Server, http2 bool) engine.Config {
	agent := "Go-http-client/1.1"
	if http2 {
		agent = "Go-http-client/2.0"
	}
	return engine.Config{
		Header:      http.Header{"User-Agent": {agent}},
		Responses:   engine.Responses{Codings: []string{"gzip"}},
		Dial:        engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig},
		Connections: engine.Connections{HTTP2: func(string) bool { return http2 }},
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

func TestARequestAndItsAnswerAreAsNetHTTPsTransportHasThem(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		case "/empty":
		case "/chunks":
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		case "/close":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "bye")
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped("unzipped"))
		case "/gzip-length":
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", fmt.Sprint(len(zipped("unzipped"))))
			w.Write(zipped("unzipped"))
		case "/trailer":
			w.Header().Set("Trailer", "Sum")
			io.WriteString(w, "abc")
			w.Header().Set("Sum", "3")
		case "/redirect":
			w.Header().Add("Set-Cookie", "a=b")
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/length":
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
		default:
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
		}
	}
	type request struct {
		name, method, path string
		body               func() io.Reader
		change             func(*http.Request)
		only1              bool // in HTTP/2 net/http itself does otherwise, or it has no meaning
	}
	bare := func() io.Reader { return struct{ io.Reader }{strings.NewReader("abc")} }
	requests := []request{
		{name: "plain", path: "/length"},
		{name: "no method", path: "/length", change: func(r *http.Request) { r.Method = "" }},
		{name: "a method in lower case", method: "get", path: "/length"},
		{name: "a method in lower case with a body", method: "post", path: "/echo", body: func() io.Reader { return strings.NewReader("abc") }},
		{name: "head in lower case", method: "head", path: "/length"},
		{name: "a method of one's own", method: "purge", path: "/length"},
		{name: "204", path: "/204"},
		{name: "304", path: "/304"},
		{name: "empty", path: "/empty"},
		{name: "HEAD", method: "HEAD", path: "/length"},
		{name: "HEAD of chunks", method: "HEAD", path: "/chunks"},
		{name: "chunks", path: "/chunks"},
		{name: "server closes", path: "/close", only1: true},
		{name: "gzip", path: "/gzip"},
		{name: "gzip with a length", path: "/gzip-length"},
		{name: "gzip unasked", path: "/gzip-length", change: func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }},
		{name: "trailer", path: "/trailer"},
		{name: "redirect", path: "/redirect"},
		{name: "client closes", path: "/length", change: func(r *http.Request) { r.Close = true }},
		{name: "client closes by header", path: "/length", change: func(r *http.Request) { r.Header.Set("Connection", "close") }},
		{name: "a field for the next hop", path: "/length", only1: true, change: func(r *http.Request) {
			r.Header.Set("Connection", "X-Hop")
			r.Header.Set("X-Hop", "1")
		}},
		{name: "keep-alive", path: "/length", change: func(r *http.Request) {
			r.Header.Set("Connection", "keep-alive")
			r.Header.Set("Keep-Alive", "timeout=5")
			r.Header.Set("Proxy-Connection", "keep-alive")
		}},
		{name: "TE", path: "/length", change: func(r *http.Request) { r.Header.Set("Te", "trailers") }},
		{name: "no User-Agent", path: "/length", change: func(r *http.Request) { r.Header.Set("User-Agent", "") }},
		{name: "nil User-Agent", path: "/length", change: func(r *http.Request) { r.Header["User-Agent"] = nil }},
		{name: "header of framing", path: "/length", only1: true, change: func(r *http.Request) {
			r.Header.Set("Content-Length", "7")
			r.Header.Set("Transfer-Encoding", "chunked")
			r.Header.Set("Trailer", "X")
			r.Header.Set("Host", "elsewhere.test")
		}},
		{name: "own Host", path: "/length", change: func(r *http.Request) { r.Host = "other.test" }},
		{name: "user in URL", path: "/length", change: func(r *http.Request) { r.URL.User = url.UserPassword("a", "b") }},
		{name: "escapes", path: "/a%2Fb;c?x=%20&y=1+2"},
		{name: "OPTIONS *", method: "OPTIONS", path: "/", change: func(r *http.Request) { r.URL.Path = "*" }},
		{name: "OPTIONS opaque *", method: "OPTIONS", path: "/", change: func(r *http.Request) { r.URL.Opaque = "*" }},
		{name: "OPTIONS /*", method: "OPTIONS", path: "/*"},
		{name: "opaque path", path: "/", change: func(r *http.Request) { r.URL.Opaque, r.URL.RawQuery = "/a%2Fb", "q=1" }},
		{name: "POST from memory", method: "POST", path: "/echo", body: func() io.Reader { return strings.NewReader("abc") }},
		{name: "POST of nothing", method: "POST", path: "/echo"},
		{name: "POST of NoBody", method: "POST", path: "/echo", body: func() io.Reader { return http.NoBody }},
		{name: "POST of a stream", method: "POST", path: "/echo", body: bare},
		{name: "POST of a stream with a length", method: "POST", path: "/echo", body: bare, change: func(r *http.Request) { r.ContentLength = 3 }},
		{name: "POST in chunks", method: "POST", path: "/echo", body: func() io.Reader { return strings.NewReader("abc") }, change: func(r *http.Request) {
			r.TransferEncoding = []string{"chunked"}
		}, only1: true},
		{name: "POST with a trailer", method: "POST", path: "/echo", body: bare, change: func(r *http.Request) { r.Trailer = http.Header{"Sum": {"3"}} }},
		{name: "trailer of nothing", method: "POST", path: "/echo", change: func(r *http.Request) { r.Trailer = http.Header{"Sum": {"3"}} }, only1: true},
		{name: "other expectation", path: "/length", change: func(r *http.Request) { r.Header.Set("X-Expect", "y") }},
	}
	for _, http2 := range []bool{false, true} {
		var watch watching
		server := httptest.NewUnstartedServer(watch.around(answer))
		server.EnableHTTP2 = http2
		server.Config.ErrorLog = discardLog
		server.Config.DisableGeneralOptionsHandler = true
		server.StartTLS()
		t.Cleanup(server.Close)
		oracle := server.Client().Transport
		eng := newEngine(t, asNetHTTP(server, http2))
		streaming := eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Stream = true })
		for _, r := range requests {
			if r.only1 && http2 {
				continue
			}
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", r.name, http2), func(t *testing.T) {
				build := func() *http.Request {
					var body io.Reader
					if r.body != nil {
						body = r.body()
					}
					req, err := http.NewRequestWithContext(t.Context(), r.method, server.URL+r.path, body)
					require.NoError(t, err)
					if r.change != nil {
						r.change(req)
					}
					return req
				}
				want := watch.through(t, oracle, build)
				require.Equal(t, want, watch.through(t, streaming, build), "streamed")
				// A body in memory may well be none where net/http has one of no bytes.
				got := watch.through(t, eng.RoundTripper(), build)
				if got.Body == "" {
					got.Bodiless = want.Bodiless
				}
				require.Equal(t, want, got, "in memory")
			})
		}
	}
}

// saying is a server that says what it is told to say.
func saying(t *testing.T, answer string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, answer)
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return "http://" + listener.Addr().String() + "/"
}

func TestAnAnswersHeadIsAsNetHTTPsTransportHasIt(t *testing.T) {
	for name, head := range map[string]string{
		"own words":              "HTTP/1.1 418 I am small and stout\r\nContent-Length: 0\r\n\r\n",
		"no words":               "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
		"no words but a blank":   "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
		"an unknown status":      "HTTP/1.1 599 Gone Fishing\r\nContent-Length: 0\r\n\r\n",
		"to the end":             "HTTP/1.1 200 OK\r\n\r\nall there is",
		"nothing to the end":     "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0":               "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 kept alive":    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
		"304 with a length":      "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		"204 closing":            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
		"options of its own":     "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=4\r\nContent-Length: 2\r\n\r\nok",
		"chunks of nothing":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"upgrade it would have":  "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
		"304 in chunks":          "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"204 in chunks":          "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"interim answers":        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"gzip":                   "HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\n\r\n" + string(zipped("unzipped")),
		"gzip cut off":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + string(zipped("unzipped")[:20]),
		"gzip of a length":       "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n" + string(zipped("unzipped")),
		"chunks cut off":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"announced trailers":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A, b\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nC: 2\r\n\r\n",
		"trailers of no chunks":  "HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 2\r\n\r\nok",
		"a body cut off":         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc",
		"a Location of no sense": "HTTP/1.1 302 Found\r\nLocation: ::\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			at := saying(t, head)
			var watch watching
			build := func() *http.Request {
				req, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
				require.NoError(t, err)
				return req
			}
			oracle := &http.Transport{}
			defer oracle.CloseIdleConnections()
			want := watch.through(t, oracle, build)
			eng := newEngine(t, engine.Config{})
			got := watch.through(t, eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Stream = true }), build)
			require.Equal(t, want, got)
		})
	}
}

func TestAConnectionIsClosedBehindARequestThatSaysSo(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		eng := newEngine(t, asNetHTTP(server, http2))
		ask := func(change func(*engine.Request)) string {
			asked := &engine.Request{URL: server.URL}
			change(asked)
			resp, err := eng.Do(t.Context(), asked)
			require.NoError(t, err)
			return resp.Text()
		}
		plain := func(*engine.Request) {}
		first := ask(plain)
		require.Equal(t, first, ask(plain))
		require.Equal(t, first, ask(func(r *engine.Request) { r.Close = true }))
		second := ask(func(r *engine.Request) { r.Header = http.Header{"connection": {"Close"}} })
		require.NotEqual(t, first, second)
		require.NotEqual(t, second, ask(plain))
		wantNothingHeld(t, eng)
	}
}

func TestABodyOfKnownLengthEndsWithItsLastByte(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		for range 3 {
			io.WriteString(w, "*")
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	config := asNetHTTP(server, false)
	config.Connections.Max = 1
	for name, rt := range map[string]http.RoundTripper{
		"net/http": &http.Transport{MaxConnsPerHost: 1}, "engine": newEngine(t, config).RoundTripper(streamed),
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: rt}
			for range 3 { // of which none is closed: the connection is free all the same
				resp, err := client.Get(server.URL)
				require.NoError(t, err)
				read, buffer := 0, make([]byte, 1024)
				for {
					n, err := resp.Body.Read(buffer)
					require.NotZero(t, n)
					if read += n; err != nil {
						require.True(t, err == io.EOF)
						break
					}
				}
				require.Equal(t, 3, read)
				n, err := resp.Body.Read(buffer)
				require.Zero(t, n)
				require.True(t, err == io.EOF, "and again")
			}
			client.CloseIdleConnections()
		})
	}
}
