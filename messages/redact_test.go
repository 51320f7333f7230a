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
