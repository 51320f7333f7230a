package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// givenBack asks twice, and returns the Cookie line of the second request.
func givenBack(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	line := ""
	for range 2 {
		resp, err := client.Get(url)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		line = string(text)
	}
	return line
}

func TestCookiesGoBackAsTheyCame(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range []string{`plain=a-b`, `quoted="a-b"`, `blank="a b"`, `comma=a,b`, `empty=""`, `nothing=`} {
			w.Header().Add("Set-Cookie", line)
		}
		io.WriteString(w, r.Header.Get("Cookie"))
	}))
	defer server.Close()
	newJar := func() http.CookieJar { return newCookieJar(t) }
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	want := givenBack(t, &http.Client{Transport: transport, Jar: newJar()}, server.URL)
	require.Contains(t, want, `quoted="a-b"`)

	eng := newEngine(t, engine.Config{Cookies: newJar()})
	require.Equal(t, want, givenBack(t, &http.Client{Transport: eng.RoundTripper()}, server.URL), "the engine's jar")
	eng = newEngine(t, engine.Config{})
	require.NoError(t, eng.UpdateCookies(server.URL, &http.Cookie{Name: "quoted", Value: "a-b", Quoted: true}))
	resp, err := eng.Do(t.Context(), &engine.Request{URL: server.URL})
	require.NoError(t, err)
	require.Equal(t, `quoted="a-b"`, resp.Text(), "a jar that was made for them")
	eng = newEngine(t, engine.Config{})
	require.Equal(t, want, givenBack(t, &http.Client{Transport: eng.RoundTripper(), Jar: newJar()}, server.URL), "the client's jar")
}

// An answer that another attempt follows is one like any other.
func TestTheCookiesOfAnAnswerThatIsRepeatedAreKeptAndSent(t *testing.T) {
	first, second := auth.APIKey{Key: "first", Header: "X-Key"}, auth.APIKey{Key: "second", Header: "X-Key"}
	for name, test := range map[string]struct {
		config engine.Config
		answer func(eng *engine.Engine, w http.ResponseWriter) // the first
	}{
		"a status to repeat": {
			engine.Config{Retry: engine.Retry{Statuses: []int{503}}, Auth: first},
			func(_ *engine.Engine, w http.ResponseWriter) { w.WriteHeader(503) },
		},
		"an account that was rotated": {
			engine.Config{Auth: first},
			func(eng *engine.Engine, w http.ResponseWriter) { eng.SetAccount("", second); w.WriteHeader(401) },
		},
		"a timestamp that was refused": {
			engine.Config{Auth: auth.Binance("key", "secret"), Time: engine.TimeFrom("/time", "t")},
			func(_ *engine.Engine, w http.ResponseWriter) { w.WriteHeader(400); io.WriteString(w, `{"code":-1021}`) },
		},
		"an answer that was cut off": {
			engine.Config{Auth: first},
			func(_ *engine.Engine, w http.ResponseWriter) {
				w.Header().Set("Content-Length", "10")
				io.WriteString(w, "half")
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
		},
		"a redirect": {
			engine.Config{Auth: first},
			func(_ *engine.Engine, w http.ResponseWriter) {
				w.Header().Set("Location", "/again")
				w.WriteHeader(307)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var eng *engine.Engine
				var sent []string
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/time" {
						fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli())
						return
					}
					sent = append(sent, r.Header.Get("Cookie"))
					if len(sent) > 1 {
						return
					}
					w.Header().Set("Set-Cookie", "session=1; Path=/")
					test.answer(eng, w)
				})
				test.config.Cookies = newCookieJar(t)
				eng = s.newEngine(t, test.config)
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Redirects: 1})
				require.NoError(t, err)
				require.Equal(t, 2, resp.Attempts)
				require.Equal(t, []string{"", "session=1"}, sent)
			})
		})
	}
}

func TestACookieThatTheRequestNamesIsNotAddedAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "sid=1")
		io.WriteString(w, r.Header.Get("Cookie"))
	}))
	defer server.Close()
	mine, engines := newCookieJar(t), newCookieJar(t)
	eng := newEngine(t, engine.Config{Cookies: engines})
	require.Equal(t, "sid=1", givenBack(t, &http.Client{Transport: eng.RoundTripper(), Jar: mine}, server.URL), "both jars have it")
	require.NoError(t, eng.UpdateCookies(server.URL, &http.Cookie{Name: "other", Value: "2"}))
	resp, err := eng.Do(t.Context(), &engine.Request{URL: server.URL, Header: http.Header{"Cookie": {"a=b; sid=mine"}}})
	require.NoError(t, err)
	require.Equal(t, "a=b; sid=mine; other=2", resp.Text())
}

func newCookieJar(t *testing.T) http.CookieJar {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return jar
}

func TestEveryCookieLineOfARequestIsKeptBesideTheJar(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.Header["Cookie"] }))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	require.NoError(t, eng.UpdateCookies(server.URL, &http.Cookie{Name: "b", Value: "jar"}))
	for _, test := range []struct{ own, sent []string }{
		{[]string{"a=1", "c=2"}, []string{"a=1; c=2; b=jar"}},
		{[]string{"a=1", "b=2"}, []string{"a=1", "b=2"}},
		{[]string{"b=2", "a=1"}, []string{"b=2", "a=1"}},
		{[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		{nil, []string{"b=jar"}},
	} {
		_, err := eng.Do(t.Context(), &engine.Request{URL: server.URL, Header: http.Header{"Cookie": test.own}})
		require.NoError(t, err)
		require.Equal(t, test.sent, got)
	}
}
