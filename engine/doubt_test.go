package engine_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// takesOrders carries a POST out and says where the order is, and refuses to show
// it.
func takesOrders(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/order/1", http.StatusSeeOther)
			return
		}
		w.WriteHeader(status)
	}
}

func TestWhatFollowsARedirectSaysNothingOfWhatWasRedirected(t *testing.T) {
	for _, status := range []int{400, 404, 429} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, takesOrders(status))
			eng := s.newEngine(t, engine.Config{})
			_, err := engine.Fetch[string](t.Context(), eng, &engine.Request{Method: http.MethodPost, Path: "/order", Redirects: 1})
			require.Equal(t, engine.Unknown, engine.OutcomeOf(err), err)
		})
	}
}

// The second request, which http.Client makes of the first, does not leave.
func TestARedirectOfAnHTTPClientsMakesItsErrorDoubt(t *testing.T) {
	for redirect, want := range map[int]engine.Outcome{303: engine.Unknown, 302: engine.Unknown, 307: engine.NotSent} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/order/1", redirect) })
			eng := s.newEngine(t, engine.Config{
				Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Hour}}, DefaultLimitID: "one", Timeout: time.Second,
			})
			_, err := clientOf(eng).Post("http://server.test/order", "text/plain", strings.NewReader("x"))
			require.Equal(t, want, engine.OutcomeOf(err), err)
		})
	}
}

// closing is a reader that has something done when it is closed.
type closing struct {
	io.Reader
	do func()
}

func (c closing) Close() error { c.do(); return nil }

// uploading is a request whose body is closed by the engine.
func uploading(do func()) *engine.Request {
	return &engine.Request{
		Method: http.MethodPost, Path: "/", Upload: engine.Upload{Stream: true},
		Body: func() (io.Reader, error) { return closing{strings.NewReader("abc"), do}, nil },
	}
}

func TestAPanicBehindTheAnswerLeavesNoDoubtThatThereWasOne(t *testing.T) {
	bang := func() { panic("boom") }
	for name, request := range map[string]*engine.Request{
		"hook":   {Method: http.MethodPost, Path: "/"},
		"reader": uploading(bang),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			eng := s.newEngine(t, engine.Config{})
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) { bang() }})
			_, err := eng.Do(ctx, request)
			var failure *engine.Error
			require.ErrorAs(t, err, &failure, name)
			require.Equal(t, engine.SentYes, failure.Sent, name)
			require.Equal(t, 1, failure.Attempts, name)
			require.Equal(t, engine.Unknown, engine.OutcomeOf(err), name)
			wantNothingHeld(t, eng)
		})
	}
}
