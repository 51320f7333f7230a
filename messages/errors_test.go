package messages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnErrorSaysWhereAndKeepsItsCause(t *testing.T) {
	cause := errors.New("cause")
	err := error(&Error{Stage: Exchanging, Sent: SentMaybe, Err: &PanicError{Stage: Signing, Value: cause}})
	require.ErrorIs(t, err, cause)
	require.Contains(t, err.Error(), "exchanging (sent: maybe, outcome unknown)")
}

func TestAPanicWithAnErrorThatCannotBeAskedIsToldByItsType(t *testing.T) {
	for _, value := range []any{(*runtime.TypeAssertionError)(nil), new(runtime.TypeAssertionError)} {
		err := &PanicError{Stage: Signing, Value: value}
		require.EqualError(t, err, "panic while signing: a *runtime.TypeAssertionError, see PanicError.Value")
		require.Equal(t, err.Error(), fmt.Sprintf("%+v", err))
		written, failure := json.Marshal(err)
		require.NoError(t, failure)
		require.Contains(t, string(written), `"panic":"a *runtime.TypeAssertionError, see PanicError.Value"`)
		require.NotPanics(t, func() { err.LogValue() })
		require.NotErrorIs(t, err, context.Canceled)
	}
}

func TestAnErrorNamesItsRequestTheFullLimitTheWaitAndWhenToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := NewError(&Request{Path: "/api/v3/depth?key=sesame", LimitID: "depth"}, Throttled, context.DeadlineExceeded)
		require.EqualError(t, err, `sluice: GET /api/v3/depth: throttled (route "depth"; sent: no): context deadline exceeded`)

		err.Limit, err.Waited, err.RetryAt = "weight", 2040*time.Millisecond, time.Now().Add(3100*time.Millisecond)
		require.EqualError(t, err, `sluice: GET /api/v3/depth: throttled by "weight" (route "depth", waited 2s, try again in 3.1s; sent: no): context deadline exceeded`)
		require.Equal(t, 3100*time.Millisecond, err.RetryAfter())

		time.Sleep(3100 * time.Millisecond)
		require.Zero(t, err.RetryAfter(), "it is past")
		require.EqualError(t, err, `sluice: GET /api/v3/depth: throttled by "weight" (route "depth", waited 2s; sent: no): context deadline exceeded`)

		later := NewError(&Request{Method: "POST", URL: "https://me:sesame@server.test/order?key=sesame#sesame", LimitID: Unlimited}, Exchanging, io.ErrUnexpectedEOF)
		later.Attempts, later.Sent = 2, SentMaybe
		require.EqualError(t, later, "sluice: POST https://server.test/order: exchanging (2 attempts; sent: maybe, outcome unknown): unexpected EOF")
		require.Zero(t, later.RetryAfter(), "it is not known")
	})
}

func TestAnErrorIsOneLine(t *testing.T) {
	err := NewError(&Request{Path: "/a\r\nb"}, Pausing, errors.Join(context.DeadlineExceeded, errors.New("dial\ttcp\x1b[2J"), errors.Join(io.EOF)))
	require.EqualError(t, err, "sluice: GET /a ; b: pausing (sent: no): context deadline exceeded; dial tcp [2J; EOF")
	require.Equal(t, "a; b", oneLine("a\nb\r\n"))

	status := &StatusError{Answer{Method: "G\nT", URL: "/x", StatusCode: 400}}
	require.NotContains(t, status.Error(), "\n")
}

func TestOfTwoAttemptsTheOneInDoubtStandsForBoth(t *testing.T) {
	for _, c := range []struct{ a, b, worst Sent }{
		{SentNo, SentNo, SentNo}, {SentNo, SentYes, SentYes}, {SentNo, SentMaybe, SentMaybe},
		{SentYes, SentYes, SentYes}, {SentYes, SentMaybe, SentMaybe}, {SentMaybe, SentMaybe, SentMaybe},
	} {
		require.Equal(t, c.worst, c.a.Worst(c.b), "%s and %s", c.a, c.b)
		require.Equal(t, c.worst, c.b.Worst(c.a), "%s and %s", c.b, c.a)
	}
}

func TestAnErrorIsANetErrorAndKnowsWhatMayPass(t *testing.T) {
	var asNet net.Error = &Error{Err: context.DeadlineExceeded}
	require.True(t, asNet.Timeout())
	for _, c := range []struct {
		err       Error
		temporary bool
	}{
		{Error{Err: context.DeadlineExceeded}, true},
		{Error{Err: fmt.Errorf("queue: %w", ErrOverloaded)}, true},
		{Error{Err: ErrTooManyWaiters}, true},
		{Error{Err: io.EOF, RetryAt: time.Unix(1, 0)}, true},
		{Error{Err: &net.DNSError{IsTemporary: true}}, true},
		{Error{Err: &net.DNSError{IsNotFound: true}}, false},
		{Error{Err: ErrInvalidRequest}, false},
		{Error{Err: ErrClosed}, false},
		{Error{Err: context.Canceled}, false},
	} {
		require.Equal(t, c.temporary, c.err.Temporary(), "%v", c.err.Err)
	}
}

func TestEveryErrorAboutAnAnswerCarriesAllOfIt(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	response := &Response{
		StatusCode: 404, Method: "DELETE", URL: "https://server.test/order?key=sesame", Attempts: 2, Sent: SentMaybe,
		Header: NewHeader("Content-Type: text/html\r\nX: sesame\r\n"), Body: []byte("<sesame>"), AnsweredAt: at,
	}
	want := Answer{
		Method: "DELETE", URL: response.URL, StatusCode: 404, Header: response.Header, Body: response.Body,
		Attempts: 2, Sent: SentMaybe, AnsweredAt: at,
	}
	var status *StatusError
	require.ErrorAs(t, response.Err(), &status)
	require.Equal(t, want, status.Answer)
	require.EqualError(t, status, "DELETE https://server.test/order: status 404 (body of 8 bytes, attempt 2, an earlier one may have arrived)")

	var media *ContentTypeError
	require.ErrorAs(t, response.Require("application/json"), &media)
	require.Equal(t, want, media.Answer)
	require.EqualError(t, media, status.Error()+`: content type "text/html", want "application/json"`)

	var decoding *DecodeError
	require.ErrorAs(t, response.JSON(new(int)), &decoding)
	require.Equal(t, want, decoding.Answer)
	require.Contains(t, decoding.Error(), status.Error()+": decode into *int: invalid JSON at byte")

	require.Equal(t, SentYes, (&Response{}).Answer().Sent, "an answer proves that it was sent")
}

// moody is an error one of whose methods panics when it is called for the nth time.
type moody struct {
	method string
	at     int
	calls  *int
}

func (m moody) called(method string) {
	if m.method == method {
		if *m.calls++; *m.calls == m.at {
			panic("moody")
		}
	}
}

func (m moody) Error() string   { m.called("Error"); return "moody" }
func (m moody) Is(error) bool   { m.called("Is"); return false }
func (m moody) As(any) bool     { m.called("As"); return false }
func (m moody) Unwrap() error   { m.called("Unwrap"); return nil }
func (m moody) Timeout() bool   { m.called("Timeout"); return true }
func (m moody) Temporary() bool { m.called("Temporary"); return true }

func TestTheErrorOfAContextNeverPanicsWhateverItsCauseDoes(t *testing.T) {
	for _, method := range []string{"none", "Error", "Is", "As", "Unwrap", "Timeout", "Temporary"} {
		for at := 1; at < 30; at++ {
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := moody{method, at, new(int)}
			cancel(cause)
			e := NewError(nil, Throttled, ContextError(ctx))
			for range 5 {
				require.NotEmpty(t, e.Error())
				e.Timeout()
				e.Temporary()
				OutcomeOf(e)
				_ = errors.Is(e, context.DeadlineExceeded)
				_, _ = errors.AsType[*PanicError](e)
			}
			if method == "none" {
				require.ErrorIs(t, e, cause)
				require.ErrorIs(t, e, context.Canceled)
				found, is := errors.AsType[moody](e)
				require.True(t, is)
				require.Equal(t, cause, found)
				require.True(t, e.Timeout())
				require.Contains(t, e.Error(), "moody")
			}
		}
	}
}
