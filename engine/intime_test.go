package engine_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// An opener may take its time; a reader that comes too late is closed.
func TestATimeoutEndsARequestWhoseBodyIsLongInOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "open", Quota: 1, Window: throttle.Concurrency}}, DefaultLimitID: "open"})
		var closed atomic.Int32
		slow := func() (io.Reader, error) {
			time.Sleep(time.Minute)
			return closing{strings.NewReader("abc"), func() { closed.Add(1) }}, nil
		}
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{
			Method: http.MethodPost, Path: "/", Body: slow, Upload: engine.Upload{Stream: true}, Timeout: time.Second,
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		wantNothingHeld(t, eng)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, closed.Load())
	})
}

// As of a proxy, whose client sends what it has announced as slowly as it likes.
func TestAnHTTPRequestEndsInTimeThoughItsBodyDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		body, client := io.Pipe()
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://server.test/", body)
		req.ContentLength = 100
		began := time.Now()
		_, err := eng.RoundTripper().RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		wantNothingHeld(t, eng)
	})
}

func TestAReadingThatDoesNotSayWhenIsNotBelieved(t *testing.T) {
	hour := time.Hour
	for name, read := range map[string]func(now time.Time) engine.TimeReading{
		"nothing":     func(time.Time) engine.TimeReading { return engine.TimeReading{} },
		"no instants": func(now time.Time) engine.TimeReading { return engine.TimeReading{Server: now} },
		"backwards": func(now time.Time) engine.TimeReading {
			return engine.TimeReading{Server: now, Sent: now, Received: now.Add(-hour)}
		},
		"from the future": func(now time.Time) engine.TimeReading {
			return engine.TimeReading{Server: now, Sent: now.Add(hour), Received: now.Add(2 * hour)}
		},
		"a coarse step": func(now time.Time) engine.TimeReading {
			return engine.TimeReading{Server: now, Sent: now, Received: now, Resolution: hour}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			source := engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) { return read(time.Now()), nil })
			eng := s.newEngine(t, engine.Config{Time: source, Auth: doingAuth(func() {})})
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Timeout: time.Minute})
			require.ErrorIs(t, err, engine.ErrNoTime, name)
			require.NotContains(t, err.Error(), "Clock.Trust", "%s: it is no matter of trust", name)
			require.Empty(t, s.seen(), name)
		})
	}
}
