package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// summing is a body that sets a trailer when it ends, as a check sum would be.
type summing struct {
	io.Reader
	trailer http.Header
}

func (s summing) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.trailer.Set("Sum", "42")
	}
	return n, err
}

// trailers answers with the trailer it was sent, and one of its own.
func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Own, Never")
	io.Copy(w, r.Body)
	io.WriteString(w, " "+r.Trailer.Get("Sum"))
	w.Header().Set("Own", "1")
	w.Header().Set(http.TrailerPrefix+"Late", "2")
}

func TestTrailersOfAnHTTPClientAreLikeThoseOfNetHTTP(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(trailers))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		bare := server.Client()
		eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: bare.Transport.(*http.Transport).TLSClientConfig}, Connections: engine.Connections{HTTP2: func(string) bool { return http2 }}, Responses: engine.Responses{Codings: []string{}}})
		streaming := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Stream = true })

		exchange := func(client *http.Client) (before, after http.Header, resp *http.Response, body string) {
			trailer := http.Header{"Sum": nil}
			req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, summing{strings.NewReader("abc"), trailer})
			require.NoError(t, err)
			req.Trailer = trailer
			resp, err = client.Do(req)
			require.NoError(t, err)
			before = resp.Trailer.Clone()
			same := resp.Trailer
			content, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, same, resp.Trailer, "the map is the same")
			return before, resp.Trailer, resp, string(content)
		}
		wantBefore, wantAfter, want, wantBody := exchange(bare)
		require.Equal(t, "abc 42", wantBody)
		before, after, got, body := exchange(streaming)
		require.Equal(t, wantBody, body)
		require.Equal(t, wantBefore, before)
		require.Equal(t, wantAfter, after)
		require.Equal(t, want.TransferEncoding, got.TransferEncoding)
		want.Header.Del("Date")
		got.Header.Del("Date")
		require.Equal(t, want.Header, got.Header)

		_, after, got, body = exchange(clientOf(eng))
		require.Equal(t, wantBody, body)
		require.Equal(t, wantAfter, after)
		require.Equal(t, want.TransferEncoding, got.TransferEncoding)
	}
}

func TestATrailerThatCannotBeSentIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(trailers))
	defer server.Close()
	eng := newEngine(t, engine.Config{BaseURL: server.URL})
	sum := http.Header{"Sum": {"1"}}
	for name, request := range map[string]*engine.Request{
		"no body":      {Method: "POST", Upload: engine.Upload{Stream: true, Trailer: sum}},
		"not streamed": {Method: "POST", Body: "abc", Upload: engine.Upload{Trailer: sum}},
		"a length":     {Method: "POST", Body: strings.NewReader("abc"), Upload: engine.Upload{Stream: true, Length: 3, Trailer: sum}},
		"a framing":    {Method: "POST", Body: strings.NewReader("abc"), Upload: engine.Upload{Stream: true, Trailer: http.Header{"Content-Length": nil}}},
	} {
		_, err := eng.Do(t.Context(), request)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
	}
	resp, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Body: strings.NewReader("abc"), Upload: engine.Upload{Stream: true, Trailer: sum}})
	require.NoError(t, err)
	require.Equal(t, "abc 1", resp.Text())
}
