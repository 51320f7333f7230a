package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

func TestTheServersTimeIsReadInEveryForm(t *testing.T) {
	ahead := 90 * time.Minute
	for name, c := range map[string]struct {
		field  string
		answer func(http.ResponseWriter, time.Time)
		bound  time.Duration
	}{
		"milliseconds": {"serverTime", func(w http.ResponseWriter, at time.Time) { fmt.Fprintf(w, `{"serverTime":%d}`, at.UnixMilli()) }, 10 * time.Millisecond},
		"nested text": {"data.now", func(w http.ResponseWriter, at time.Time) {
			fmt.Fprintf(w, `{"data":{"now":%q}}`, at.UTC().Format("2006-01-02T15:04:05.000Z"))
		}, 10 * time.Millisecond},
		"in a list": {"data.1.ts", func(w http.ResponseWriter, at time.Time) {
			fmt.Fprintf(w, `{"data":[{},{"ts":"%d"}]}`, at.UnixMicro())
		}, 10 * time.Millisecond},
		"seconds":     {"t", func(w http.ResponseWriter, at time.Time) { fmt.Fprintf(w, `{"t":"%d"}`, at.Unix()) }, 2 * time.Second},
		"Date header": {"", func(w http.ResponseWriter, at time.Time) { w.Header().Set("Date", at.UTC().Format(http.TimeFormat)) }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/time" {
						c.answer(w, time.Now().Add(ahead))
					}
				})
				eng := s.newEngine(t, engine.Config{
					Auth: auth.HMACQuery{Key: "k", Secret: "s"},
					Time: engine.TimeFrom("/time", c.field),
				})
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
				require.NoError(t, err)

				off := eng.Clock().Now().Sub(time.Now().Add(ahead)).Abs()
				require.LessOrEqual(t, off, eng.Clock().Bound(), "the bound holds")
				require.LessOrEqual(t, eng.Clock().Bound(), c.bound)
			})
		})
	}
}

func TestATimeThatCannotBeReadFailsTheRequestsThatNeedIt(t *testing.T) {
	boom := errors.New("boom")
	for name, source := range map[string]engine.TimeSource{
		"no such field": engine.TimeFrom("/", "nothing"),
		"no JSON":       engine.TimeFrom("/text", "nothing"),
		"an error": engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			return engine.TimeReading{}, boom
		}),
		"a panic": engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) { panic(boom) }),
		"nonsense": engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			return engine.TimeReading{Server: time.Now(), Sent: time.Now(), Received: time.Now().Add(-time.Hour)}, nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/text" {
						io.WriteString(w, "now")
						return
					}
					io.WriteString(w, "{}")
				})
				eng := s.newEngine(t, engine.Config{Auth: auth.HMACQuery{Key: "k", Secret: "s"}, Time: source})

				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
				require.ErrorIs(t, err, engine.ErrNoTime)
				_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err, "others do not need it")
			})
		})
	}
}

func TestWhoeverStampsByHandMayWaitForTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead, looks := 90*time.Minute, 0
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			looks++
			time.Sleep(10 * time.Millisecond)
			fmt.Fprintf(w, `{"t":%d}`, time.Now().Add(ahead).UnixMilli())
		})
		eng := s.newEngine(t, engine.Config{Time: engine.TimeFrom("/time", "t")})
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, eng.AwaitTime(short), context.DeadlineExceeded)
		require.NoError(t, eng.AwaitTime(t.Context()))
		require.Less(t, eng.Clock().Now().Sub(time.Now().Add(ahead)).Abs(), 20*time.Millisecond)
		before := looks
		require.NoError(t, eng.AwaitTime(t.Context()), "it is known")
		require.Equal(t, before, looks)

		bare := s.newEngine(t, engine.Config{})
		require.NoError(t, bare.AwaitTime(t.Context()), "there is nothing to wait for")
		failing := s.newEngine(t, engine.Config{Time: engine.TimeFrom("/time", "elsewhere")})
		require.Error(t, failing.AwaitTime(t.Context()))
		require.NoError(t, failing.Close())
		require.ErrorIs(t, failing.AwaitTime(t.Context()), engine.ErrClosed)
		require.ErrorIs(t, (*engine.Engine)(nil).AwaitTime(t.Context()), engine.ErrNoEngine)
	})
}

// The error is one line, for the log, and says what in the Config leads nowhere.
func TestATimeFieldThatLeadsNowhereIsNamedWhole(t *testing.T) {
	for field, want := range map[string]string{
		"data.tss":   `server time is not known: server time: Config.Time reads "data.tss": answer has no field "tss"`,
		"serverTime": `server time is not known: server time: Config.Time reads "serverTime": answer has no field "serverTime"`,
		"data":       `server time is not known: server time: Config.Time reads "data": a text of 8 bytes: not a server time`,
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte(`{"data":{"ts":1}}`))
			}).newEngine(t, engine.Config{Time: engine.TimeFrom("/time", field)})
			require.EqualError(t, eng.AwaitTime(t.Context()), want)
		})
	}
}

func TestNothingIsSignedByAReadingThatNobodyCanHaveTaken(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		spoil func(*engine.TimeReading)
		says  string
	}{
		"sent in the year 1": {func(r *engine.TimeReading) { r.Sent = time.Time{}.Add(1) }, "sent more than a year before the engine began"},
		"sent in 1970":       {func(r *engine.TimeReading) { r.Sent = time.Unix(0, 1) }, "sent more than a year before the engine began"},
		"both in the year 1": {func(r *engine.TimeReading) { r.Sent, r.Received = time.Time{}.Add(1), time.Time{}.Add(2) }, "sent more than a year before the engine began"},
		"took too long":      {func(r *engine.TimeReading) { r.Sent = r.Sent.Add(-61 * time.Second) }, "received more than a minute after it was sent"},
		"received before":    {func(r *engine.TimeReading) { r.Sent = r.Sent.Add(time.Hour) }, "received before it was sent"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stamps []string
				s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { stamps = append(stamps, r.URL.Query().Get("timestamp")) })
				var lies atomic.Bool
				lies.Store(true)
				eng := s.newEngine(t, engine.Config{
					Auth: auth.HMACQuery{Key: "k", Secret: "s"},
					Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
						now := time.Now()
						reading := engine.TimeReading{Server: now, Resolution: time.Millisecond, Sent: now, Received: now}
						if lies.Load() {
							c.spoil(&reading)
						}
						return reading, nil
					}),
				})
				for range 3 {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
					require.ErrorIs(t, err, engine.ErrNoTime)
					require.ErrorContains(t, err, c.says)
					require.Greater(t, eng.Clock().Bound(), century/2, "nothing is claimed")
					time.Sleep(20 * time.Second)
				}
				require.Empty(t, stamps)

				lies.Store(false)
				time.Sleep(20 * time.Second)
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
				require.NoError(t, err)
				lies.Store(true)
				time.Sleep(20 * time.Second)
				require.Less(t, time.Until(eng.Clock().Now()).Abs(), 100*time.Millisecond, "what was learnt stays")
				require.Less(t, eng.Clock().Bound(), 100*time.Millisecond)
			})
		})
	}
}
