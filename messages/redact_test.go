package messages

import (
	"bytes"
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
