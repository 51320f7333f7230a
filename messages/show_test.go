package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toldErrors are one of each, with a secret wherever one may be.
func toldErrors() map[string]error {
	answer := Answer{
		Method: "POST", URL: "https://me:sesame@server.test/order?key=sesame", StatusCode: 400, Body: []byte(`{"sesame":1}`),
		Header: NewHeader("Set-Cookie: sesame\r\n"), Attempts: 2, Sent: SentMaybe, AnsweredAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	failure := NewError(&Request{Method: "POST", URL: answer.URL, LimitID: "order", Key: "account sesame"}, Throttled, errors.New("no\nroom"))
	failure.Limit, failure.Waited, failure.RetryAt, failure.Attempts = "weight", 1500*time.Millisecond, answer.AnsweredAt, 1
	return map[string]error{
		"error": failure, "status": &StatusError{answer}, "media": &ContentTypeError{answer, "text/html", "application/json"},
		"decoding": &DecodeError{answer, "engine.Book", io.ErrUnexpectedEOF},
	}
}

func TestAnErrorHoldsNoSecretHoweverItIsPrinted(t *testing.T) {
	for name, err := range toldErrors() {
		values := []any{err, []any{err}, struct{ Err error }{err}, fmt.Errorf("wrapped: %w", err)}
		switch e := err.(type) {
		case *Error:
			values = append(values, *e)
		case *StatusError:
			values = append(values, *e, e.Answer)
		case *ContentTypeError:
			values = append(values, *e)
		case *DecodeError:
			values = append(values, *e)
		}
		for _, value := range values {
			var log, object bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
			slog.New(slog.NewJSONHandler(&object, nil)).Info("x", "value", value)
			texts := []string{log.String(), object.String()}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				texts = append(texts, fmt.Sprintf(verb, value))
			}
			if raw, err := json.Marshal(value); err == nil {
				texts = append(texts, string(raw))
			}
			for _, text := range texts {
				require.NotContains(t, text, "sesame", "%s as %T", name, value)
				require.NotContains(t, text, "736573616d65", "%s as %T", name, value)
			}
		}
	}
}

func TestAnErrorIsReadInAField(t *testing.T) {
	for name, want := range map[string]string{
		"error": `{"attempts":1,"error":"no; room","limit":"weight","method":"POST","path":"https://server.test/order","retry_at":"2026-01-02T03:04:05Z",` +
			`"route":"order","sent":"no","stage":"throttled","waited":"1.5s"}`,
		"status":   `{"answered_at":"2026-01-02T03:04:05Z","attempts":2,"bytes":12,"method":"POST","sent":"maybe","status":400,"url":"https://server.test/order"}`,
		"media":    `{"answered_at":"2026-01-02T03:04:05Z","attempts":2,"bytes":12,"got":"text/html","method":"POST","sent":"maybe","status":400,"url":"https://server.test/order","want":"application/json"}`,
		"decoding": `{"answered_at":"2026-01-02T03:04:05Z","attempts":2,"bytes":12,"error":"unexpected EOF","into":"engine.Book","method":"POST","sent":"maybe","status":400,"url":"https://server.test/order"}`,
	} {
		got, err := json.Marshal(toldErrors()[name])
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "error", toldErrors()["error"])
	require.Contains(t, log.String(), `error.method=POST error.path=https://server.test/order error.stage=throttled error.limit=weight `+
		`error.route=order error.waited=1.5s error.retry_at=2026-01-02T03:04:05.000Z error.attempts=1 error.sent=no error.error="no; room"`)
	require.Equal(t, `"sluice: exchanging (sent: no): x"`, fmt.Sprintf("%q", &Error{Stage: Exchanging, Err: errors.New("x")}))
}
