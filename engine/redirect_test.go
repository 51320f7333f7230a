package engine_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// moved answers paths with a redirect, and any other with what it was asked.
func moved(status int, places map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if to, ok := places[r.URL.Path]; ok {
			w.Header().Set("Location", to)
			w.WriteHeader(status)
			return
		}
		io.WriteString(w, strings.Join([]string{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), string(body)}, " "))
	}
}

func TestRedirectsAreNotFollowedUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, moved(302, map[string]string{"/": "/next"}))
		eng := s.newEngine(t, engine.Config{})
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, 302, resp.StatusCode)
		require.Equal(t, "/next", resp.Header.Get("Location"))
	})
}

func TestARedirectKeepsOrDropsTheBodyAsItsStatusSays(t *testing.T) {
	for _, c := range []struct {
		status int
		method string
		want   string // "" if it is not followed
	}{
		{301, "GET", "GET /next?b=2  "}, {302, "POST", "GET /next?b=2  "}, {302, "PUT", ""}, {301, "DELETE", ""},
		{303, "POST", "GET /next?b=2  "}, {303, "PUT", "GET /next?b=2  "},
		{307, "POST", `POST /next?b=2 application/json {"a":1}`}, {308, "PUT", `PUT /next?b=2 application/json {"a":1}`},
		{304, "GET", ""}, {300, "GET", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, moved(c.status, map[string]string{"/": "next?b=2#part"})).newEngine(t, engine.Config{})
			req := &engine.Request{Method: c.method, Path: "/", Query: engine.Values{"a": 1}, Redirects: 3}
			if c.method != "GET" {
				req.Body = engine.Values{"a": 1}
			}
			resp, err := eng.Do(t.Context(), req)
			require.NoError(t, err)
			if c.want == "" {
				require.Equal(t, c.status, resp.StatusCode, "%s", c.method)
				return
			}
			require.Equal(t, c.want, resp.Text(), "%d %s", c.status, c.method)
			require.Equal(t, "http://server.test/next?b=2", resp.URL)
			require.Equal(t, 2, resp.Attempts)
		})
	}
}

func TestARedirectThatDropsTheBodyDropsWhatDescribesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				w.Header().Set("Location", "/next")
				w.WriteHeader(http.StatusSeeOther)
				return
			}
			for _, name := range []string{"Content-Type", "Content-Language", "Content-Encoding", "Digest", "Last-Modified", "X-Mine"} {
				io.WriteString(w, r.Header.Get(name)+";")
			}
		}).newEngine(t, engine.Config{})
		resp, err := eng.Do(t.Context(), &engine.Request{
			Method: "POST", Path: "/", Redirects: 1, Body: []byte("x"),
			Header: http.Header{
				"Content-Type": {"text/x"}, "content-language": {"en"}, "Content-Encoding": {"x"},
				"Digest": {"d"}, "Last-Modified": {"then"}, "X-Mine": {"stays"},
			},
		})
		require.NoError(t, err)
		require.Equal(t, ";;;;;stays;", resp.Text())
	})
}

func TestARedirectElsewhereIsTheAnswer(t *testing.T) {
	for _, to := range []string{
		"http://other.test/", "https://server.test/", "https://server.test:80/", "http://server.test:81/", "//other.test/", "http://sub.server.test/",
		"http://user@server.test/", "ftp://server.test/", "http://[::1", "",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, moved(307, map[string]string{"/": to}))
			eng := s.newEngine(t, engine.Config{Auth: auth.HMACQuery{Key: "key", Secret: secret}})
			resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Redirects: 3})
			require.NoError(t, err)
			require.Equal(t, 307, resp.StatusCode, to)
			require.Len(t, s.seen(), 1)
			wantNothingHeld(t, eng)
		})
	}
}

func TestRedirectsAreCountedThrottledAndStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, moved(302, map[string]string{"/": "/1", "/1": "http://server.test:080/2", "/2": "/3"}))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}, DefaultLimitID: "calls"})
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Redirects: 2, Stream: true})
		require.NoError(t, err)
		require.Equal(t, 302, resp.StatusCode)
		require.Equal(t, "/3", resp.Header.Get("Location"))
		require.Equal(t, []string{"/", "/1", "/2"}, s.paths)
		require.Equal(t, []time.Duration{0, aged(time.Second), 2 * aged(time.Second)}, s.seen())
		resp.Stream.Close()
		wantNothingHeld(t, eng)
	})
}

func TestEveryHopIsSignedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queries []string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			_, ok := signedBy(r.URL.RawQuery)
			require.True(t, ok, r.URL.RawQuery)
			queries = append(queries, r.URL.RawQuery)
			if r.URL.Path == "/" {
				time.Sleep(time.Second)
				w.Header().Set("Location", "/next?"+r.URL.RawQuery) // the old signature with it
				w.WriteHeader(307)
			}
		})
		eng := s.newEngine(t, engine.Config{Auth: auth.HMACQuery{Key: "key", Secret: secret}})
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Query: engine.Values{"a": 1}, Auth: true, Redirects: 1})
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Len(t, queries, 2)
		require.NotEqual(t, queries[0], queries[1])
		require.Equal(t, 1, strings.Count(queries[1], "signature="))
		require.Equal(t, 1, strings.Count(queries[1], "timestamp="))
		require.Equal(t, "http://server.test/next?a=1", resp.URL)
	})
}
