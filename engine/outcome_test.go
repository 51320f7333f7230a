package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAVerdictClaimsNoMoreThanIsKnown(t *testing.T) {
	status := func(code int, sent engine.Sent) error {
		return &engine.StatusError{Answer: engine.Answer{StatusCode: code, Sent: sent}}
	}
	ended := func(sent engine.Sent, attempts int, cause error) error {
		return &engine.Error{Sent: sent, Attempts: attempts, Err: cause}
	}
	decoding := func(code int) error {
		return ended(engine.SentYes, 1, &engine.DecodeError{Answer: engine.Answer{StatusCode: code, Sent: engine.SentYes}, Err: io.EOF})
	}
	media := func(code int) error {
		return ended(engine.SentYes, 1, &engine.ContentTypeError{Answer: engine.Answer{StatusCode: code, Sent: engine.SentYes}})
	}
	for _, c := range []struct {
		name string
		err  error
		want engine.Outcome
	}{
		{"nil", nil, engine.Done},
		{"an error of somebody else's", io.EOF, engine.Unknown},
		{"a bare context", context.Canceled, engine.Unknown},
		{"a bare sentinel", engine.ErrOverloaded, engine.Unknown},

		{"not sent", ended(engine.SentNo, 0, engine.ErrQueueFull), engine.NotSent},
		{"not sent, twice", ended(engine.SentNo, 2, io.EOF), engine.NotSent},
		{"in doubt", ended(engine.SentMaybe, 1, context.DeadlineExceeded), engine.Unknown},
		{"answered, if badly", ended(engine.SentYes, 1, engine.ErrTruncated), engine.Unknown},
		{"answered, and a processor panicked", ended(engine.SentYes, 1, &engine.PanicError{Value: "x"}), engine.Unknown},
		{"unprocessed", ended(engine.SentYes, 1, fmt.Errorf("h2: %w", engine.ErrUnprocessed)), engine.Refused},
		{"unprocessed, again and again", ended(engine.SentYes, 9, engine.ErrUnprocessed), engine.Refused},
		{"unprocessed, in doubt", ended(engine.SentMaybe, 1, engine.ErrUnprocessed), engine.Unknown},
		{"unprocessed, after another attempt", ended(engine.SentMaybe, 2, engine.ErrUnprocessed), engine.Unknown},

		{"302", status(302, engine.SentYes), engine.Unknown},
		{"400", status(400, engine.SentYes), engine.Rejected},
		{"401", status(401, engine.SentYes), engine.Rejected},
		{"404", status(404, engine.SentYes), engine.Rejected},
		{"404, of the second attempt", status(404, engine.SentMaybe), engine.Unknown},
		{"408", status(408, engine.SentYes), engine.Unknown},
		{"409", status(409, engine.SentYes), engine.Unknown},
		{"418", status(418, engine.SentYes), engine.Refused},
		{"429", status(429, engine.SentYes), engine.Refused},
		{"429, of the second attempt", status(429, engine.SentMaybe), engine.Unknown},
		{"499", status(499, engine.SentYes), engine.Unknown},
		{"500", status(500, engine.SentYes), engine.Unknown},
		{"503", status(503, engine.SentYes), engine.Unknown},
		{"520", status(520, engine.SentYes), engine.Unknown},

		{"a success that is not what was expected", decoding(200), engine.Unknown},
		{"a refusal that is not what was expected", decoding(400), engine.Rejected},
		{"another media type", media(200), engine.Unknown},
		{"another media type, and a limit", media(429), engine.Refused},
		{"a processor's own, of a status", ended(engine.SentYes, 1, fmt.Errorf("mine: %w", status(400, engine.SentYes))), engine.Rejected},
		{"a processor's own, of a status, in doubt", ended(engine.SentMaybe, 2, status(400, engine.SentYes)), engine.Unknown},

		{"wrapped", fmt.Errorf("order: %w", &url.Error{Op: "Get", Err: ended(engine.SentNo, 0, io.EOF)}), engine.NotSent},
		{"joined with a stranger", errors.Join(io.EOF, status(400, engine.SentYes)), engine.Rejected},
		{"joined: the worst counts", errors.Join(ended(engine.SentNo, 0, io.EOF), status(500, engine.SentYes)), engine.Unknown},
		{"joined: either refused", fmt.Errorf("%w, then %w", ended(engine.SentNo, 0, io.EOF), status(429, engine.SentYes)), engine.Refused},
		{"joined of strangers", errors.Join(io.EOF, io.ErrClosedPipe), engine.Unknown},
	} {
		require.Equal(t, c.want, engine.OutcomeOf(c.err), c.name)
	}
	require.Equal(t, engine.Unknown, engine.Outcome(0), "a verdict that nobody gave is no good news")
	require.Equal(t, "not sent", engine.NotSent.String())
	require.Equal(t, "unknown", engine.Outcome(99).String())
}

func TestWhatFetchFailsWithSaysHowManyAttemptsThereWereAndTheWorstOfThem(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		check  func(*testing.T, error) *engine.Answer
	}{
		{"a status", 404, `{"msg":"unknown order"}`, func(t *testing.T, err error) *engine.Answer {
			var e *engine.StatusError
			require.ErrorAs(t, err, &e)
			return &e.Answer
		}},
		{"no JSON", 200, `<html>`, func(t *testing.T, err error) *engine.Answer {
			var e *engine.DecodeError
			require.ErrorAs(t, err, &e)
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, 2, failure.Attempts)
			require.Equal(t, engine.SentMaybe, failure.Sent)
			return &e.Answer
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if calls++; calls == 1 {
						panic(http.ErrAbortHandler) // it arrived, and its answer is lost
					}
					w.Header().Set("X-Trace", "7")
					w.WriteHeader(c.status)
					io.WriteString(w, c.body)
				}).newEngine(t, engine.Config{})
				_, err := engine.Fetch[struct{}](t.Context(), eng, &engine.Request{Method: "DELETE", Path: "/order"})
				answer := c.check(t, err)
				require.Equal(t, 2, answer.Attempts)
				require.Equal(t, engine.SentMaybe, answer.Sent)
				require.Equal(t, c.status, answer.StatusCode)
				require.Equal(t, "7", answer.Header.Get("X-Trace"))
				require.Equal(t, c.body, string(answer.Body))
				require.Equal(t, engine.Unknown, engine.OutcomeOf(err), "the first may have done it")
			})
		})
	}
}

func TestWaitEndsWhenItMakesSenseToTryAgain(t *testing.T) {
	at := func(d time.Duration) error {
		return fmt.Errorf("book: %w", &engine.Error{RetryAt: time.Now().Add(d), Err: io.EOF})
	}
	refused := func(status int, lines string) error {
		return &engine.StatusError{Answer: engine.Answer{StatusCode: status, Header: messages.NewHeader(lines), AnsweredAt: time.Now()}}
	}
	for _, c := range []struct {
		name        string
		err         func() error
		least, most time.Duration
	}{
		{"no error", func() error { return nil }, 0, 0},
		{"the instant that the error says", func() error { return at(5 * time.Second) }, 5 * time.Second, 5 * time.Second},
		{"an instant that is past", func() error { return at(-time.Second) }, time.Millisecond, time.Millisecond},
		{"a Retry-After", func() error { return refused(429, "Retry-After: 7\r\n") }, 7 * time.Second, 7 * time.Second},
		{"a date", func() error {
			return refused(503, "Retry-After: Mon, 01 Jan 2001 00:00:09 GMT\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n")
		}, 9 * time.Second, 9 * time.Second},
		{"a Retry-After of no refusal", func() error { return refused(404, "Retry-After: 7\r\n") }, 100 * time.Millisecond, 200 * time.Millisecond},
		{"a Retry-After of nothing", func() error { return refused(503, "Retry-After: 0\r\n") }, 100 * time.Millisecond, 200 * time.Millisecond},
		{"nothing", func() error { return io.EOF }, 100 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := c.err()
				start := time.Now()
				require.NoError(t, engine.Wait(t.Context(), err))
				require.GreaterOrEqual(t, time.Since(start), c.least)
				require.LessOrEqual(t, time.Since(start), c.most)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(boom) })
		start := time.Now()
		require.ErrorIs(t, engine.Wait(ctx, at(time.Hour)), boom)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, engine.Wait(ctx, nil), context.Canceled)

		short, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		start = time.Now()
		require.ErrorIs(t, engine.Wait(short, at(time.Hour)), context.DeadlineExceeded)
		require.Zero(t, time.Since(start), "there is nothing to wait for")
	})
}

func TestNoWaitingMendsADialThatWouldOnlyFailAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var config engine.Config
		config.BaseURL = "http://nowhere.example"
		config.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "nowhere.example", IsNotFound: true}
		}
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		start := time.Now()
		require.Equal(t, err, engine.Wait(t.Context(), err))
		require.Zero(t, time.Since(start))
	})
}

func TestNoWaitingMendsAMistake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var noContext context.Context
		require.ErrorContains(t, engine.Wait(noContext, io.EOF), "the context is nil")

		keyed := throttle.Limit{ID: "keyed", Quota: 9, Per: time.Second, Keyed: true, Keys: []string{"a"}}
		route := throttle.Limit{ID: "route", Linked: []throttle.Link{{ID: "calls"}}}
		eng := newServer(t, nil).newEngine(t, engine.Config{
			Limits: []throttle.Limit{keyed, route, {ID: "calls", Quota: 9, Per: time.Second}},
		})
		for _, request := range []*engine.Request{
			nil, {Path: "/"}, {Path: "/", LimitID: "no such"}, {Path: "/", LimitID: "keyed"}, {Path: "/", LimitID: "keyed", Key: "b"},
			{Path: "/", LimitID: "calls", Weight: 10}, {Path: "/", LimitID: "route", Weight: 2}, {Path: "/", LimitID: "calls", Method: "get"},
			{URL: "http://example.com:65536/", LimitID: "calls"}, {URL: "http://127.0.0.1:99999/", LimitID: "calls"},
		} {
			_, err := eng.Do(t.Context(), request)
			start := time.Now()
			require.Error(t, err)
			require.Equal(t, err, engine.Wait(t.Context(), err))
			require.Zero(t, time.Since(start))
		}
		require.NoError(t, eng.Close())
		_, err := fetchBook(context.Background(), eng, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrClosed, "and the guide's loop ends")
	})
}
