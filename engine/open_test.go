package engine_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// A request whose answer is streamed is open until the stream ends.
func TestALimitOnWhatIsOpenCountsAStreamUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "body") })
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "open", Quota: 1, Window: throttle.Concurrency}}})
		for range 3 {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "open", Stream: true})
			require.NoError(t, err)
			time.AfterFunc(time.Minute, func() { response.Stream.Close() })
		}
		require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}, s.seen())
		time.Sleep(time.Hour)
		wantNothingHeld(t, eng)
	})
}

// What its caller closes before its end is open until the server hears of that.
func TestALimitOnWhatIsOpenCountsAStreamThatWasClosedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			require.NoError(t, http.NewResponseController(w).Flush())
			<-r.Context().Done()
		})
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "open", Quota: 1, Window: throttle.Concurrency}}})
		for range 3 {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "open", Stream: true})
			require.NoError(t, err)
			require.NoError(t, response.Stream.Close())
		}
		require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, s.seen())
		time.Sleep(time.Hour)
		wantNothingHeld(t, eng)
	})
}

// renewing is an authenticator whose credentials are revoked, and replaced when
// it hears of that.
type renewing struct{ version string }

func (r *renewing) Authenticate(call *messages.Call, _ auth.Clock) error {
	call.SetHeader("Authorization", "Bearer "+r.version)
	return nil
}

func (r *renewing) Rejected(call *messages.Call, _ *messages.Response) bool {
	if value, _ := call.Header("Authorization"); value != "Bearer "+r.version {
		return true // it has been replaced meanwhile
	}
	r.version += "+"
	return true
}

func TestARevokedTokenIsReplacedAndTheRequestRepeatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		valid := "old+"
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+valid {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
		eng := s.newEngine(t, engine.Config{Auth: &renewing{"old"}})
		response, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Auth: true})
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, 2, response.Attempts)

		valid = "none"
		response, err = eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Auth: true})
		require.NoError(t, err)
		require.Equal(t, 401, response.StatusCode, "what is refused again is the answer")
		require.Len(t, s.seen(), 4)
	})
}

// Whoever waits for what the error says makes no attempt in vain.
func TestALoopThatWaitsForWhatTheErrorSaysTriesTwiceAWindowAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: 5 * time.Second}}})
		attempts, begun := 0, time.Now()
		for len(s.seen()) < 10 {
			attempts++
			_, err := engine.Fetch[string](t.Context(), eng, &engine.Request{Path: "/", LimitID: "calls", Timeout: 2 * time.Second})
			if err == nil {
				continue
			}
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, "calls", failure.Limit)
			require.False(t, failure.RetryAt.IsZero())
			require.NoError(t, engine.Wait(t.Context(), err))
		}
		windows := int(time.Since(begun)/(5*time.Second)) + 1
		require.LessOrEqual(t, attempts, 2*windows)
	})
}
