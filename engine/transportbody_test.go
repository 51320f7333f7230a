package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// dialogue answers each line with the line.
func dialogue(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	w.Header().Set("Content-Type", "text/plain")
	_ = control.Flush()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		io.WriteString(w, lines.Text()+"\n")
		_ = control.Flush()
	}
}

// A body of known length, however short, may wait for what the answer says.
func TestABodyOfKnownLengthIsSentAsItComes(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(dialogue))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		eng := newEngine(t, asNetHTTP(server, http2))

		body, ask := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL, body)
		req.ContentLength = int64(len("one\ntwo\n"))
		resp, err := clientOf(eng, streamed).Do(req)
		require.NoError(t, err, "the head comes before the body")
		answers := bufio.NewReader(resp.Body)
		for _, line := range []string{"one\n", "two\n"} {
			io.WriteString(ask, line)
			if line == "two\n" {
				ask.Close() // net/http's HTTP/2 keeps the last bytes back until it has seen the end
			}
			answer, err := answers.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, line, answer)
		}
		rest, err := io.ReadAll(answers)
		require.NoError(t, err)
		require.Empty(t, rest)
		resp.Body.Close()
		wantNothingHeld(t, eng)
	}
}

func TestABodyInMemoryIsRepeatedAndAnyOtherOnlyIfItCanBeOpenedAnew(t *testing.T) {
	type body struct {
		body    func() io.Reader
		getBody bool
		repeats bool
	}
	for name, b := range map[string]body{
		"bytes.Reader":      {body: func() io.Reader { return bytes.NewReader([]byte("abc")) }, repeats: true},
		"bytes.Buffer":      {body: func() io.Reader { return bytes.NewBufferString("abc") }, repeats: true},
		"strings.Reader":    {body: func() io.Reader { return strings.NewReader("abc") }, repeats: true},
		"closed by nobody":  {body: func() io.Reader { return io.NopCloser(io.NopCloser(strings.NewReader("abc"))) }, repeats: true},
		"a reader":          {body: func() io.Reader { return once("abc") }},
		"a reader, closed":  {body: func() io.Reader { return &witness{Reader: strings.NewReader("abc")} }},
		"a reader, GetBody": {body: func() io.Reader { return once("abc") }, getBody: true, repeats: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var copies atomic.Int32
			eng := newServer(t, mirror(1, &copies)).newEngine(t, engine.Config{})
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://server.test/", b.body())
			req.ContentLength, req.GetBody = 3, nil
			if b.getBody {
				req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(b.body()), nil }
			}
			resp, err := clientOf(eng).Do(req)
			if !b.repeats {
				require.Error(t, err, name)
				require.EqualValues(t, 1, copies.Load(), name)
				return
			}
			require.NoError(t, err, name)
			content, _ := io.ReadAll(resp.Body)
			require.Equal(t, "abc", string(content), name)
			require.EqualValues(t, 2, copies.Load(), name)
			wantNothingHeld(t, eng)
		})
	}
}

// What a body fails with is what the client is told.
func TestABodyThatFailsIsTheCause(t *testing.T) {
	broken := errors.New("broken")
	for _, length := range []int64{-1, 3} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }).newEngine(t, engine.Config{})
			body := &witness{Reader: io.MultiReader(strings.NewReader("a"), failing{broken})}
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/", body)
			req.ContentLength = length
			_, err := clientOf(eng).Do(req)
			require.ErrorIs(t, err, broken)
			require.EqualValues(t, 1, body.closed.Load())
			wantNothingHeld(t, eng)
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A signature over the body needs all of it, wherever it comes from.
func TestABodyThatIsSignedIsReadBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signed string
		signer := auth.Func(func(c *messages.Call, _ auth.Clock) error { signed = string(c.Body); return nil })
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }).newEngine(t, engine.Config{Auth: signer})
		for _, length := range []int64{-1, 3} {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/", once("abc"))
			req.ContentLength = length
			resp, err := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Auth = true }).Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, "abc", signed)
		}
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/", once("abc"))
		req.Trailer = http.Header{"Sum": {"1"}}
		_, err := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Auth = true }).Do(req)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, "nothing is left out without a word")
	})
}

func TestABodyInMemoryWaitsForLeaveIfItIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expected string
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			expected = r.Header.Get("Expect")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}).newEngine(t, engine.Config{})
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://server.test/", strings.NewReader("abc"))
		req.Header.Set("Expect", "100-Continue")
		began := time.Now()
		resp, err := clientOf(eng).Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		require.Equal(t, "100-continue", expected)
		require.Zero(t, time.Since(began))
	})
}

func TestATrailerBesideALengthIsSentAllTheSame(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(trailers))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		eng := newEngine(t, asNetHTTP(server, http2))
		for name, body := range map[string]io.Reader{"in memory": strings.NewReader("abc"), "streamed": once("abc")} {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL, body)
			req.ContentLength, req.Trailer = 3, http.Header{"Sum": {"7"}}
			resp, err := clientOf(eng).Do(req)
			require.NoError(t, err, name)
			content, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.Equal(t, "abc 7", string(content), name)
		}
	}
}

// An opaque URL may name a host, in which case it is this one that is asked.
func TestAnOpaqueURLSaysWhichHostIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host+r.URL.RequestURI()) }).newEngine(t, engine.Config{})
		for opaque, want := range map[string]string{
			"//other.test/a%2Fb": "other.test/a%2Fb?q=1",
			"//other.test":       "other.test/?q=1",
			"/a%2Fb":             "server.test/a%2Fb?q=1",
			"//a@other.test/":    "",
			"a/b":                "",
			"*":                  "",
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://server.test/", nil)
			req.URL.Opaque, req.URL.RawQuery = opaque, "q=1"
			resp, err := eng.RoundTripper().RoundTrip(req)
			if want == "" {
				require.ErrorIs(t, err, engine.ErrInvalidRequest, opaque)
				continue
			}
			require.NoError(t, err, opaque)
			content, _ := io.ReadAll(resp.Body)
			require.Equal(t, want, string(content))
		}
	})
}

func TestTheServerAsAWholeIsAskedByAnAsterisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var target string
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { target = r.RequestURI })
		s.http.DisableGeneralOptionsHandler = true
		for _, config := range []engine.Config{{}, {PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return nil })}}} {
			eng := s.newEngine(t, config)
			for _, asked := range []*engine.Request{{Path: "*"}, {Path: "*", URL: "http://server.test"}} {
				for _, method := range []string{"GET", "OPTIONS", "GET"} { // a slot remembers targets
					asked := *asked
					asked.Method = method
					_, err := eng.Do(t.Context(), &asked)
					require.NoError(t, err)
					switch {
					case method == "OPTIONS":
						require.Equal(t, "*", target)
					case asked.URL == "":
						require.Equal(t, "/*", target)
					}
				}
			}
		}
	})
}

func TestAnEmptyUserAgentIsNone(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, has := r.Header["User-Agent"]
			io.WriteString(w, map[bool]string{true: "some", false: "none"}[has])
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		for _, name := range []string{"User-Agent", "user-agent"} {
			own := asNetHTTP(server, http2)
			configured := asNetHTTP(server, http2)
			configured.Header = http.Header{name: {""}}
			for _, c := range []struct {
				config engine.Config
				header http.Header
				want   string
			}{{own, nil, "some"}, {own, http.Header{name: {""}}, "none"}, {own, http.Header{name: nil}, "none"}, {configured, nil, "none"}, {configured, http.Header{"User-Agent": {"x"}}, "some"}} {
				resp, err := newEngine(t, c.config).Do(t.Context(), &engine.Request{URL: server.URL, Header: c.header})
				require.NoError(t, err)
				require.Equal(t, c.want, resp.Text())
			}
		}
	}
}

func TestAHostOutsideOfASCIIIsAskedInPunycode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
		var dialled string
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = addr
			return s.dial(ctx, network, addr)
		}}})
		for _, c := range []struct{ url, host, want string }{
			{"http://bücher.test/", "", "xn--bcher-kva.test"},
			{"http://BÜCHER.test/", "", "xn--bcher-kva.test"},
			{"http://bücher.test:8080/", "", "xn--bcher-kva.test:8080"},
			{"http://bücher.test/", "köln.test", "xn--kln-sna.test"},
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", c.url, nil)
			if c.host != "" {
				req.Host = c.host
			}
			resp, err := clientOf(eng).Do(req)
			require.NoError(t, err)
			got, _ := io.ReadAll(resp.Body)
			require.Equal(t, c.want, string(got))
			require.Contains(t, dialled, "xn--bcher-kva.test:")
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a_\u00fc.test/", nil)
		_, err := clientOf(eng).Do(req)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, "no name of a host")
	})
}

// Two hosts are not the same because neither can be spelled in ASCII as it stands.
func TestCredentialsDoNotFollowARedirectBetweenHostsOutsideOfASCII(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			sent = append(sent, r.Host+" "+r.Header.Get("Authorization"))
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
		})
		eng := newEngine(t, engine.Config{Auth: auth.Bearer{Token: "t"}, Dial: engine.Dial{DialContext: s.dial}})
		client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Auth = true })
		_, err := client.Get("http://bücher.test/?to=http://köln.test/")
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.Equal(t, []string{"xn--bcher-kva.test Bearer t"}, sent)
	})
}
