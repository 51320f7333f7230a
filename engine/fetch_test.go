package engine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestTheLabelOfABodyIsThatOfItsBytes(t *testing.T) {
	const asForm, asJSON = "application/x-www-form-urlencoded", "application/json"
	type order struct{ A int }
	for _, c := range []struct {
		method, header string
		body           any
		want           string
	}{
		{"POST", "", engine.Values{"a": 1, "n": nil}, asJSON + `|{"a":1}`},
		{"POST", "", engine.Form{"a": 1, "n": nil}, asForm + "|a=1"},
		{"POST", "", url.Values{"a": {"1", "2"}}, asForm + "|a=1&a=2"},
		{"POST", "", map[string]any{"a": 1e-8, "n": nil}, asJSON + `|{"a":0.00000001,"n":null}`},
		{"POST", "", order{1}, asJSON + `|{"A":1}`},
		{"POST", asForm, engine.Values{"a": 1}, asForm + "|a=1"},
		{"POST", asForm, map[string]any{"a": 1}, asForm + "|a=1"},
		{"POST", asJSON + "; charset=utf-8", engine.Values{"a": 1}, asJSON + `; charset=utf-8|{"a":1}`},
		{"DELETE", "", engine.Values{"a": 1, "n": nil}, asForm + "|a=1"},
		{"DELETE", "", engine.Form{"a": 1}, asForm + "|a=1"},
		{"DELETE", "", map[string]any{"a": 1}, asJSON + `|{"a":1}`},
		{"DELETE", "", order{1}, asJSON + `|{"A":1}`},
		{"DELETE", "", []int{1}, asJSON + `|[1]`},
		{"DELETE", asJSON, engine.Values{"a": 1}, asJSON + `|{"a":1}`},
		{"PATCH", "", `{"a":1}`, asJSON + `|{"a":1}`},
		{"DELETE", "", ` [{"a":1}]`, asJSON + `| [{"a":1}]`},
		{"DELETE", "", []byte("a=1&b=2"), asForm + "|a=1&b=2"},
		{"POST", "", "a=1&b=2", asForm + "|a=1&b=2"},
		{"POST", "", strings.NewReader("{}"), asJSON + "|{}"},
		{"POST", "text/plain", "a=1", "text/plain|a=1"},
		{"GET", "", nil, "|"},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				io.WriteString(w, strings.Join(r.Header["Content-Type"], " and ")+"|"+string(body))
			}).newEngine(t, engine.Config{})
			request := &engine.Request{Method: c.method, Body: c.body}
			if c.header != "" {
				request.Header = http.Header{"content-type": {c.header}} // a literal, in lower case
			}
			got, err := engine.Fetch[string](t.Context(), eng, request)
			require.NoError(t, err)
			require.Equal(t, c.want, got, "%s %s %T", c.method, c.header, c.body)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{})
		_, err := engine.Fetch[string](t.Context(), eng, &engine.Request{
			Method: "POST", Body: order{1}, Header: http.Header{"Content-Type": {asForm}},
		})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, "use engine.Form")
	})
}

func TestAHeaderIsOneNameWhateverItsCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Join(append(r.Header["User-Agent"], r.Header["Accept-Encoding"]...), ", "))
		}).newEngine(t, engine.Config{Header: http.Header{"user-agent": {"mine"}, "accept-encoding": {"identity"}}})
		got, err := engine.Fetch[string](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.Equal(t, "mine, identity", got)
		got, err = engine.Fetch[string](t.Context(), eng, &engine.Request{Header: http.Header{"USER-AGENT": {"yours"}, "Accept-encoding": {"zstd"}}})
		require.NoError(t, err)
		require.Equal(t, "yours, zstd", got)
	})
}

// answering is an engine whose server answers with one body.
func answering(t *testing.T, config engine.Config, status int, contentType, body string) *engine.Engine {
	t.Helper()
	return newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}).newEngine(t, config)
}

func TestWhatIsNoValueOfTheTypeIsAnError(t *testing.T) {
	type book struct{ Bids []string }
	for _, status := range []int{302, 304, 307, 404, 503} {
		synctest.Test(t, func(t *testing.T) {
			body := `{"bids":[]}`
			if status == 304 {
				body = ""
			}
			eng := answering(t, engine.Config{}, status, "application/json", body)
			_, err := engine.Fetch[book](t.Context(), eng, &engine.Request{})
			var refused *engine.StatusError
			require.ErrorAs(t, err, &refused, "%d", status)
			require.Equal(t, status, refused.StatusCode)
			require.Equal(t, body, string(refused.Body))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		eng := answering(t, engine.Config{}, 200, "", " null\n")
		_, err := engine.Fetch[book](t.Context(), eng, &engine.Request{})
		var decoding *engine.DecodeError
		require.ErrorAs(t, err, &decoding)
		require.ErrorContains(t, err, "the answer is null")
		_, err = engine.Fetch[int](t.Context(), eng, &engine.Request{})
		require.Error(t, err)

		pointer, err := engine.Fetch[*book](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.Nil(t, pointer)
		list, err := engine.Fetch[[]book](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.Nil(t, list)
	})
	synctest.Test(t, func(t *testing.T) {
		eng := answering(t, engine.Config{}, 200, "", "")
		got, err := engine.Fetch[book](t.Context(), eng, &engine.Request{})
		require.NoError(t, err, "an empty answer is no mistake")
		require.Zero(t, got)
	})
}

func TestFetchDecodesAllDigitsAndEveryCase(t *testing.T) {
	const document = "\xef\xbb\xbf" + `{"id":123456789012345678,"L":"2","l":"1"}`
	synctest.Test(t, func(t *testing.T) {
		eng := answering(t, engine.Config{}, 200, "", document)
		object, err := engine.Fetch[map[string]any](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.Equal(t, map[string]any{"id": json.Number("123456789012345678"), "L": "2", "l": "1"}, object)
		low, err := engine.Fetch[struct {
			Low string `json:"l"`
			ID  int64
		}](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.Equal(t, "1", low.Low)
		require.EqualValues(t, 123456789012345678, low.ID)

		resp, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		object = nil
		require.NoError(t, resp.JSON(&object))
		require.Equal(t, json.Number("123456789012345678"), object["id"])
	})
	synctest.Test(t, func(t *testing.T) {
		eng := answering(t, engine.Config{Responses: engine.Responses{Decode: json.Unmarshal}}, 200, "", document[3:])
		object, err := engine.Fetch[map[string]any](t.Context(), eng, &engine.Request{})
		require.NoError(t, err)
		require.IsType(t, 1.0, object["id"], "as the codec says that was set")
	})
}

func TestStatusComesBeforeMediaTypeAndNoErrorLosesTheAnswer(t *testing.T) {
	const page = "<html>Attention Required! | Cloudflare</html>"
	for _, status := range []int{403, 503, 520} {
		synctest.Test(t, func(t *testing.T) {
			eng := answering(t, engine.Config{}, status, "text/html", page)
			_, err := engine.Fetch[struct{}](t.Context(), eng, &engine.Request{Accept: "application/json"})
			var refused *engine.StatusError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, page, string(refused.Body))
			require.Equal(t, "text/html", refused.Header.Get("Content-Type"))

			_, err = engine.Fetch[struct{}](t.Context(), eng, &engine.Request{ReturnErrors: true})
			var decoding *engine.DecodeError
			require.ErrorAs(t, err, &decoding)
			require.Equal(t, status, decoding.StatusCode)
			require.Equal(t, page, string(decoding.Body))
			require.ErrorContains(t, err, fmt.Sprintf("status %d", status))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		eng := answering(t, engine.Config{}, 200, "text/html", page)
		_, err := engine.Fetch[struct{}](t.Context(), eng, &engine.Request{Accept: "application/json"})
		var media *engine.ContentTypeError
		require.ErrorAs(t, err, &media)
		require.Equal(t, page, string(media.Body))
		require.Equal(t, 200, media.StatusCode)
	})
}

func TestMediaTypesAndCharsetsAreReadAsTheyAreMeant(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/json; charset": true,
		"application/json, application/json": true, "application/json;": true, "application/problem+json; charset": true,
		"text/json": false, "": false, "text/html; x=application/json": false,
	} {
		synctest.Test(t, func(t *testing.T) {
			if contentType == "" {
				contentType = "none"
			}
			eng := answering(t, engine.Config{}, 200, contentType, "{}")
			_, err := engine.Fetch[struct{}](t.Context(), eng, &engine.Request{Accept: "application/json"})
			require.Equal(t, ok, err == nil, "%q: %v", contentType, err)
		})
	}
	for contentType, body := range map[string]string{
		"text/plain; charset=iso-8859-1": "caf\xe9", `text/plain; charset="windows-1252"`: "caf\xe9", "text/plain; charset=utf-8": "café",
		"text/plain": "café", "text/plain; charset=Shift_JIS": "caf\x81", "text/plain;CHARSET=utf-16le": "c\x00a\x00f\x00\xe9\x00", "text/plain; charset=klingon": "café",
	} {
		synctest.Test(t, func(t *testing.T) {
			got, err := engine.Fetch[string](t.Context(), answering(t, engine.Config{}, 200, contentType, body), &engine.Request{})
			require.NoError(t, err)
			if strings.Contains(contentType, "JIS") {
				require.Equal(t, "caf\uFFFD", got)
				return
			}
			require.Equal(t, "café", got, contentType)
		})
	}
}

func TestACodeBehindAByteOrderMarkIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []byte
		eng := answering(t, engine.Config{Feedback: func(a feedback.Answer) feedback.Feedback {
			seen = a.Body
			return feedback.Feedback{}
		}}, 400, "", "\xef\xbb\xbf{\"code\":-1003}")
		_, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		require.Equal(t, `{"code":-1003}`, string(seen))
	})
}

func TestASecretAmongParametersIsAnErrorBeforeAnythingIsSent(t *testing.T) {
	secret := auth.Secret("sesame")
	type login struct{ Key auth.Secret }
	for name, request := range map[string]engine.Request{
		"query":  {Query: engine.Values{"key": secret}},
		"form":   {Method: "POST", Body: engine.Form{"key": secret}},
		"values": {Method: "POST", Body: engine.Values{"key": []any{secret}}},
		"struct": {Method: "POST", Body: login{secret}},
		"map":    {Method: "POST", Body: map[string]any{"login": &login{secret}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				_, err := s.newEngine(t, engine.Config{}).Do(t.Context(), &request)
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				require.ErrorContains(t, err, "secret")
				require.NotContains(t, err.Error(), "sesame")
				require.Empty(t, s.seen())
			})
		})
	}
}

func TestAParameterWithoutATextIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		for _, request := range []*engine.Request{
			{Query: engine.Values{"filter": map[string]int{"a": 1}}}, {Method: "POST", Body: engine.Form{"filter": struct{}{}}},
		} {
			_, err := eng.Do(t.Context(), request)
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.ErrorContains(t, err, `parameter "filter"`)
		}
		require.Empty(t, s.seen())
		_, err := eng.Do(t.Context(), &engine.Request{Query: engine.Values{"filter": engine.AsJSON{Value: map[string]int{"a": 1}}}})
		require.NoError(t, err)
	})
}

func TestJSONOfAStreamSaysThatItIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := openStream(t, newServer(t, nil).newEngine(t, engine.Config{}), t.Context(), engine.Request{})
		defer resp.Stream.Close()
		require.ErrorContains(t, resp.JSON(new(any)), "the body is a stream")
	})
}

func TestAnAnswerThatCannotBeDecodedNamesTheLimitThatItsRequestWasChargedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"id":`) })
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 60, Per: time.Minute}}, DefaultLimitID: "calls"})
		defer eng.Close()
		for id, want := range map[string]string{"": "calls", "calls": "calls", engine.Unlimited: ""} {
			_, err := engine.Fetch[struct{ ID string }](t.Context(), eng, &engine.Request{Path: "/", LimitID: id})
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, want, failure.Route, id)
		}
	})
}
