package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARequestPrintsWithoutItsSecrets(t *testing.T) {
	request := Request{
		Method: "POST", URL: "https://user:sesame@server.test/v1/order?key=sesame#sesame", Query: Values{"key": "sesame"},
		Header: http.Header{"X-Key": {"sesame"}}, Body: "sesame",
	}
	call := Call{
		Method: "POST", Origin: Origin{"https", "server.test:443"}, Path: "/v1/order", Query: "signature=sesame",
		Fields: []Field{{"X-Key", "sesame"}}, Body: []byte("sesame"),
	}
	for _, value := range []any{request, &request, call, &call, []any{&request, call}, struct{ R any }{&call}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, "sesame", "%s of %T", verb, value)
			require.NotContains(t, text, "736573616d65", "%s of %T", verb, value)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		require.NotContains(t, log.String(), "sesame", "%T", value)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "request", &request, "call", &call)
	require.NotContains(t, log.String(), "sesame")

	for _, value := range []any{request, &request, struct{ R any }{request}, []any{&request}} {
		object, err := json.Marshal(value)
		require.NoError(t, err)
		require.Contains(t, string(object), `"POST https://server.test/v1/order"`)
		require.NotContains(t, string(object), "sesame")
	}
	require.Equal(t, "POST https://server.test/v1/order", fmt.Sprint(&request))
	require.Equal(t, "POST https://server.test:443/v1/order", fmt.Sprint(call))
	require.Equal(t, "GET /v1/time", fmt.Sprint(Request{Path: "/v1/time?key=sesame"}))
}

// What cannot be parsed as a URL may have been meant as one, and is told in errors.
func TestAURLThatIsNonePrintsWithoutItsSecrets(t *testing.T) {
	for url, want := range map[string]string{
		"//user:sesame@server.test/v1":        "GET //server.test/v1",
		"http:user:sesame@server.test/v1":     "GET server.test/v1",
		"user:sesame@server.test":             "GET server.test",
		"https://user:ses/ame@server.test/":   "GET https://***",
		"https://user:se?same@server.test/":   "GET https://***",
		"https://server.test:8080/v1/@me":     "GET https://server.test:8080/v1/@me",
		"https://[::1]/v1":                    "GET https://[::1]/v1",
		"https://[::1]:8080/v1":               "GET https://[::1]:8080/v1",
		"/v1/users/@me/http://x:y/z?k=sesame": "GET /v1/users/@me/http://***",
	} {
		require.Equal(t, want, Request{URL: url}.String(), url)
	}
	require.Equal(t, "GET v1/time", Request{Path: "v1/time"}.String())
	require.Equal(t, "GET /users/@me/a:b", Request{Path: "/users/@me/a:b"}.String())
}

func TestARequestPrintsInOneLine(t *testing.T) {
	asked := Request{Method: "GET\r\nX: y", Path: "/a\nb\x1b[2J"}
	require.Equal(t, "GET ; X: y /a; b [2J", asked.String())
	require.Contains(t, NewError(&asked, Preparing, ErrInvalidRequest).Error(), asked.String(), "as its errors do")
	require.Equal(t, asked.String(), asked.LogValue().String())
}

// What holds a part of a request or an answer tells names, and no values. What is sent
// as JSON is, of course, all there.
func TestPartsOfRequestsAndAnswersPrintWithoutValues(t *testing.T) {
	header := NewHeader("Set-Cookie: sesame\r\nDate: today\r\n")
	response := Response{Method: "GET", URL: "https://server.test/v1?key=sesame", StatusCode: 200, Header: header, Body: []byte("sesame")}
	for want, value := range map[string]any{
		"[Set-Cookie Date]":         header,
		"X-Key: ***":                Field{"X-Key", "sesame"},
		"upload with trailer X-Sum": Upload{Trailer: http.Header{"X-Sum": {"sesame"}}},
		"[key limit]":               Values{"limit": 5, "key": "sesame"},
		"[key]":                     Form{"key": "sesame"},
		"JSON of map[string]string": AsJSON{map[string]string{"key": "sesame"}},
		"GET https://server.test/v1: status 200 (body of 6 bytes)": response,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, want, fmt.Sprintf(verb, value), "%s of %T", verb, value)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		require.NotContains(t, log.String(), "sesame", "%T", value)
	}
	sent, err := Values{"inner": Values{"key": "sesame"}}.JSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"inner":{"key":"sesame"}}`, string(sent))
}
