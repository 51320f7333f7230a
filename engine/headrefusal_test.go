package engine_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// ownByBody knows by the body alone that one limit was refused, and which server is busy.
func ownByBody(a feedback.Answer) feedback.Feedback {
	said := feedback.RetryAfter(a)
	switch string(a.Body) {
	case "own":
		return feedback.Feedback{Refused: true, OwnLimit: true, Pause: 2 * time.Second}
	case "busy":
		return feedback.Feedback{Busy: true, Pause: 100 * time.Millisecond}
	}
	return said
}

// In HTTP/2 head and body are frames of their own, and a body counts as late that net/http has not
// read when it tells of the head.
func TestWhatTheBodyOfARefusalSaysCountsIfItCameWithTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if body := r.URL.Query().Get("says"); body != "" {
				w.WriteHeader(http.StatusTooManyRequests)
				io.WriteString(w, body)
			}
		}).newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "a", Quota: 100, Per: time.Hour}, {ID: "b", Quota: 100, Per: time.Hour}},
			Feedback: ownByBody,
		})
		ask := func(limit, says string) (took time.Duration) {
			began := time.Now()
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/?says=" + says, LimitID: limit})
			require.NoError(t, err)
			return time.Since(began)
		}
		ask("a", "own")
		require.Zero(t, ask("b", ""), "nothing else is held")
		require.Equal(t, 2*time.Second, ask("a", ""), "for as long as was said, whatever there is room for")
		for range 4 {
			ask("b", "busy")
			require.Equal(t, 100*time.Millisecond, ask("b", ""), "being busy is no refusal, and its pause does not grow")
		}
	})
}

// It is chunked, and the last of what has come looks like the end of all.
func TestARefusalWhoseBodyOnlyLooksCompleteCountsFromItsHeadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(http.StatusTooManyRequests)
				io.WriteString(w, "please wait 60\r\n")
				w.(http.Flusher).Flush()
				time.Sleep(time.Minute)
			}
		}).newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "a", Quota: 100, Per: time.Minute}}})
		refused := eng.Submit(t.Context(), &engine.Request{Path: "/late", LimitID: "a"})
		time.Sleep(time.Second)
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "a"})
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, time.Since(began))
		_, err = refused.Result()
		require.NoError(t, err)
	})
}

func TestATrailerBehindTheBodyOfARefusalDoesNotMakeItLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/own" {
				w.Header().Set("Trailer", "X-Sum")
				w.WriteHeader(http.StatusTooManyRequests)
				io.WriteString(w, "own")
				w.Header().Set("X-Sum", "3")
			}
		}).newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "a", Quota: 100, Per: time.Hour}, {ID: "b", Quota: 100, Per: time.Hour}},
			Feedback: ownByBody,
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/own", LimitID: "a"})
		require.NoError(t, err)
		began := time.Now()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "b"})
		require.NoError(t, err)
		require.Zero(t, time.Since(began), "the body says that it is the request's own limit alone")
	})
}

func TestARefusalHeardAtItsHeadHoldsWhatWasChargedInPlaceOfABudget(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		late := make(chan struct{})
		_, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(http.StatusTooManyRequests)
				w.(http.Flusher).Flush()
				<-late // the body comes later
				io.WriteString(w, "no")
			}
		}, engine.Config{Limits: []throttle.Limit{
			{ID: "ever", Quota: 1, Window: throttle.Lifetime, Scope: "purse", Fallback: "trickle"},
			{ID: "trickle", Quota: 100, Per: time.Hour, Scope: "drip"},
			{ID: "other", Quota: 100, Per: time.Hour, Scope: "purse"},
		}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "ever"})
		require.NoError(t, err, "which spends the budget")
		refused := eng.Submit(t.Context(), &engine.Request{Path: "/late", LimitID: "ever"})
		time.Sleep(time.Second)
		began := time.Now()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "other"})
		require.NoError(t, err)
		require.Zero(t, time.Since(began), "it shares nothing with what was charged")
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "trickle"})
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, time.Since(began), "that was refused a second ago")
		close(late)
		_, err = refused.Result()
		require.NoError(t, err)
	})
}
