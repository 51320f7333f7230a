package engine_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// clockServer answers /time with a time in its body and a Date beside it.
func clockServer(t *testing.T, body, date func() time.Time, more func(http.Header)) *server {
	return newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", date().UTC().Format(http.TimeFormat))
		if more != nil {
			more(w.Header())
		}
		fmt.Fprintf(w, `{"code":"0","data":[{"ts":"%d"}]}`, body().UnixMilli())
	})
}

// ahead is a clock that is ahead of this machine's.
func ahead(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

func signingEngine(t *testing.T, s *server, config engine.Config) *engine.Engine {
	config.Auth = auth.HMACQuery{Key: "k", Secret: "s"}
	return s.newEngine(t, config)
}

var signedRequest = &engine.Request{Path: "/", Auth: true}

func TestATimeFromACacheIsRefusedWhereverItStands(t *testing.T) {
	age := func(h http.Header) { h.Set("Age", "30") }
	for name, c := range map[string]struct {
		field string
		body  time.Duration
		more  func(http.Header)
	}{
		"Age beside a Date":                      {"", 0, age},
		"Age beside a body":                      {"data.0.ts", 0, age},
		"a body that is older than its own Date": {"data.0.ts", -30 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := clockServer(t, ahead(c.body), time.Now, c.more)
				eng := signingEngine(t, s, engine.Config{Time: engine.TimeFrom("/time", c.field)})
				_, err := eng.Do(t.Context(), signedRequest)
				require.ErrorIs(t, err, engine.ErrNoTime)
				require.ErrorContains(t, err, "came from a cache")
			})
		})
	}
}

func TestADateOfAnotherZoneSaysNothingOfATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := func(h http.Header) {
			h.Set("Date", time.Now().Add(time.Hour).UTC().Format("Monday, 02-Jan-06 15:04:05")+" CET")
		}
		s := clockServer(t, time.Now, time.Now, zone)
		eng := signingEngine(t, s, engine.Config{Time: engine.TimeFrom("/time", "data.0.ts")})
		_, err := eng.Do(t.Context(), signedRequest)
		require.NoError(t, err)
		require.Less(t, time.Until(eng.Clock().Now()).Abs(), time.Second)
	})
}

func TestATimeInAListCanBeNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clockServer(t, ahead(time.Second), ahead(time.Second), nil) // as OKX answers
		eng := signingEngine(t, s, engine.Config{Time: engine.TimeFrom("/time", "data.0.ts")})
		_, err := eng.Do(t.Context(), signedRequest)
		require.NoError(t, err)
		require.InDelta(t, float64(time.Second), float64(time.Until(eng.Clock().Now())), float64(10*time.Millisecond))
	})
}

func TestAServerThatIsDaysOffIsSignedForWithinSeconds(t *testing.T) {
	for _, off := range []time.Duration{3 * 24 * time.Hour, -9 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := clockServer(t, ahead(off), ahead(off), nil)
			eng := signingEngine(t, s, engine.Config{Time: engine.TimeFrom("/time", "data.0.ts")})
			began := time.Now()
			_, err := eng.Do(t.Context(), signedRequest)
			require.NoError(t, err)
			require.Less(t, time.Since(began), 3*time.Second)
			require.LessOrEqual(t, eng.Clock().Now().Sub(time.Now().Add(off)).Abs(), eng.Clock().Bound())
			time.Sleep(time.Hour)
			require.LessOrEqual(t, eng.Clock().Now().Sub(time.Now().Add(off)).Abs(), eng.Clock().Bound())
		})
	}
}

func TestATimeThatNobodyConfirmsIsRefusedUnlessItIsTrusted(t *testing.T) {
	const off = 3 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := clockServer(t, ahead(off), time.Now, nil)
		eng := signingEngine(t, s, engine.Config{
			Time: engine.TimeFrom("/time", "data.0.ts"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		_, err := eng.Do(t.Context(), signedRequest)
		require.ErrorIs(t, err, engine.ErrNoTime)
		var skew *engine.SkewError
		require.ErrorAs(t, err, &skew)
		require.ErrorContains(t, err, "Date header")
		synctest.Wait() // lines are written on a goroutine of their own
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
		require.Contains(t, log.String(), "Clock.Trust")
	})
	synctest.Test(t, func(t *testing.T) {
		s := clockServer(t, ahead(off), time.Now, nil)
		eng := signingEngine(t, s, engine.Config{
			Time: engine.TimeFrom("/time", "data.0.ts"), Clock: engine.Clock{Trust: off + time.Hour},
		})
		_, err := eng.Do(t.Context(), signedRequest)
		require.NoError(t, err)
	})
	_, err := engine.New(engine.Config{Clock: engine.Clock{Trust: -1}})
	require.ErrorContains(t, err, "Clock.Trust")
}

func TestADailyQuotaIsLookedAtAgainWhenTheClockIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		midnight := time.Now().Add(24 * time.Hour).Truncate(24 * time.Hour)
		off := time.Until(midnight.Add(-10 * time.Second)) // so that the server's day ends in 10 s
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/time" {
				time.Sleep(3 * time.Second)
				fmt.Fprintf(w, `{"t":%d}`, time.Now().Add(off).UnixMilli())
			}
		})
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "day", Quota: 1, Per: 24 * time.Hour, Window: throttle.Fixed}},
			Time:   engine.TimeEndpoint{Path: "/time", Field: "t", LimitID: engine.Unlimited},
			Clock:  engine.Clock{Trust: 48 * time.Hour},
		})
		began := time.Now()
		for range 2 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "day"})
			require.NoError(t, err)
		}
		require.Less(t, time.Since(began), 30*time.Second)
		require.GreaterOrEqual(t, time.Since(began), 9*time.Second)
	})
}
