package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// echo answers with the request as it arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s|%s|%s", r.Method, r.Host, r.RequestURI, r.Header.Get("Content-Type"), body)
}

func TestWhatIsSentIsWhatWasAskedFor(t *testing.T) {
	type none *int
	var nothing none
	for _, c := range []struct {
		name string
		base string
		req  engine.Request
		want string
	}{
		{"a path is joined to the base", "http://server.test/api/", engine.Request{Path: "/v1/x"}, "GET server.test /api/v1/x||"},
		{"with or without a slash", "http://server.test/api", engine.Request{Path: "v1/x"}, "GET server.test /api/v1/x||"},
		{"no path at all", "http://server.test", engine.Request{}, "GET server.test /||"},
		{"no path at all below a base", "http://server.test/api", engine.Request{}, "GET server.test /api||"},
		{"a full URL wins", "", engine.Request{URL: "http://Other.test:8080/a?b=c#d", Path: "/e"}, "GET Other.test:8080 /a?b=c||"},
		{"the default port is told if it is said", "", engine.Request{URL: "http://server.test:80"}, "GET server.test:80 /||"},
		{"an empty port is not", "", engine.Request{URL: "http://server.test:/"}, "GET server.test /||"},
		{"unsafe bytes are encoded", "", engine.Request{Path: "/a b/ü?q=x y"}, "GET server.test /a%20b/%C3%BC?q=x%20y||"},
		{"valid escapes stay", "", engine.Request{Path: "/a%2Fb%zz"}, "GET server.test /a%2Fb%25zz||"},
		{"an encoded path is not touched", "", engine.Request{Path: "/a%2fb?q={}", Encoded: true}, "GET server.test /a%2fb?q={}||"},
		{
			"parameters are sorted, nil ones dropped, slices repeated", "",
			engine.Request{Path: "/x?z=0", Query: engine.Values{"b": []int{1, 2}, "a": "ü &=+", "n": nil, "p": nothing, "f": 0.00000012, "t": true}},
			"GET server.test /x?z=0&a=%C3%BC+%26%3D%2B&b=1&b=2&f=0.00000012&t=true||",
		},
		{"a form", "", engine.Request{Method: "POST", Body: engine.Form{"a": 1, "b": nil, "c": "x y"}}, "POST server.test /|application/x-www-form-urlencoded|a=1&c=x+y"},
		{"values are JSON", "", engine.Request{Method: "POST", Body: engine.Values{"a": 1, "b": nil}}, `POST server.test /|application/json|{"a":1}`},
		{"any value is JSON", "", engine.Request{Method: "PUT", Body: struct{ A int }{7}}, `PUT server.test /|application/json|{"A":7}`},
		{"text is sent as it is", "", engine.Request{Method: "POST", Body: "text"}, "POST server.test /||text"},
		{"so are bytes", "", engine.Request{Method: "POST", Body: []byte("bytes")}, "POST server.test /||bytes"},
		{"a reader is read", "", engine.Request{Method: "POST", Body: strings.NewReader("read")}, "POST server.test /||read"},
		{"the caller's content type wins", "", engine.Request{Method: "POST", Body: engine.Values{}, Header: http.Header{"Content-Type": {"a/b"}}}, "POST server.test /|a/b|{}"},
		{"the caller's host wins", "", engine.Request{Header: http.Header{"Host": {"name.test"}}}, "GET name.test /||"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, echo).newEngine(t, engine.Config{BaseURL: c.base})
				for range 2 { // a slot remembers its last target
					resp, err := eng.Do(t.Context(), &c.req)
					require.NoError(t, err)
					require.Equal(t, c.want, resp.Text())
				}
			})
		})
	}
}

func TestARequestThatCannotBeBuiltIsRefused(t *testing.T) {
	broken := errors.New("broken")
	for name, req := range map[string]engine.Request{
		"another scheme":     {URL: "ftp://server.test"},
		"no host":            {URL: "http:///x"},
		"credentials":        {URL: "http://user:secret@server.test"},
		"not a URL":          {URL: "http://server.test:port/?key=secret"},
		"a host in Unicode":  {URL: "http://sërver.test"},
		"a body not JSON":    {Method: "POST", Body: func() {}},
		"a reader that errs": {Method: "POST", Body: io.MultiReader(strings.NewReader("x"), errReader{broken})},
		"a method not ASCII": {Method: "GÉT"},
		"a space in encoded": {Path: "/a b", Encoded: true},
		"a header name":      {Header: http.Header{"a b": {"c"}}},
		"its own length":     {Header: http.Header{"Content-Length": {"3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, echo).newEngine(t, engine.Config{})
				_, err := eng.Do(t.Context(), &req)
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				require.NotContains(t, err.Error(), "secret")
				wantNothingHeld(t, eng)
			})
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestASeekableBodyIsSentAgainFromWhereItStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, echo).newEngine(t, engine.Config{})
		body := bytes.NewReader([]byte("skipped, sent"))
		body.Seek(9, io.SeekStart)
		req := &engine.Request{Method: "POST", Body: body}
		for range 2 {
			resp, err := eng.Do(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, "POST server.test /||sent", resp.Text())
		}
	})
}

func TestFetchMakesErrorsOfStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Why", "because")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, `{"code":-1}`)
		})
		eng := s.newEngine(t, engine.Config{})
		type answer struct{ Code int }

		_, err := engine.Fetch[answer](t.Context(), eng, &engine.Request{})
		var status *engine.StatusError
		require.ErrorAs(t, err, &status)
		require.Equal(t, http.StatusTeapot, status.StatusCode)
		require.Equal(t, "because", status.Header.Get("x-why"))
		require.Equal(t, `{"code":-1}`, string(status.Body))

		got, err := engine.Fetch[answer](t.Context(), eng, &engine.Request{ReturnErrors: true})
		require.NoError(t, err)
		require.Equal(t, -1, got.Code)

		resp, err := engine.Fetch[*engine.Response](t.Context(), eng, &engine.Request{ReturnErrors: true})
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, resp.StatusCode)

		_, err = engine.Fetch[[]int](t.Context(), eng, &engine.Request{ReturnErrors: true})
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, engine.Finishing, failure.Stage)
	})
}
