package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Whoever reads an error learns what to do.
func TestAnErrorNamesWhatCuresIt(t *testing.T) {
	busy := func(_ http.ResponseWriter, r *http.Request) { time.Sleep(time.Hour) }
	proxied := func(text string) engine.Config {
		return engine.Config{Dial: engine.Dial{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New(text) }}, Retry: engine.Retry{Max: -1}}
	}
	for want, c := range map[string]struct {
		config  engine.Config
		request engine.Request
		others  int // requests before it
		without string
	}{
		"Admission.MaxInFlight":  {config: engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}}, others: 1},
		"Connections.MaxWaiters": {config: engine.Config{Connections: engine.Connections{Max: 1, MaxWaiters: 1}}, others: 2},
		"Throttle.MaxQueued": {
			config: engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour}}, DefaultLimitID: "calls", Throttle: throttle.Options{MaxQueued: 1}}, others: 2,
		},
		"Request.Key or Charge.Key": {config: engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour, Keyed: true}}, DefaultLimitID: "calls"}},
		`limit "calls": no room before the deadline`: {
			config:  engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour}}, DefaultLimitID: "calls"},
			request: engine.Request{Timeout: time.Minute}, others: 1, without: `of "calls"`,
		},
		`one key of "calls"`: {
			config:  engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour, Keyed: true}}, DefaultLimitID: "calls"},
			request: engine.Request{Timeout: time.Minute, Key: "ACCOUNT-77"}, others: 1, without: "ACCOUNT",
		},
		"malformed URL: invalid port":           {request: engine.Request{URL: "http://h:sesame/"}, without: "sesame"},
		"malformed URL: net/url: invalid":       {request: engine.Request{URL: "http://me:sesame\x7f@h/"}, without: "sesame"},
		"none could be chosen: no proxy is up":  {config: proxied("no proxy is up")},
		"none could be chosen: bad proxy … now": {config: proxied("bad proxy http://me:ses ame@host now"), without: "ame"},
		"none could be chosen: parse …: oh":     {config: proxied(`parse "http://me:sesame": oh`), without: "sesame"},
		"an adjust function of a RoundTripper":  {request: engine.Request{Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, busy)
			c.config.Dial.DialContext = s.dial
			c.config.BaseURL = "http://server.test"
			eng := newEngine(t, c.config)
			ctx, cancel := context.WithCancel(t.Context())
			for range c.others {
				go eng.Do(ctx, &engine.Request{Path: "/", Key: c.request.Key})
				synctest.Wait()
			}
			if c.request.URL == "" {
				c.request.Path = "/"
			}
			_, err := eng.Do(t.Context(), &c.request)
			require.ErrorContains(t, err, want)
			if c.without != "" {
				require.NotContains(t, err.Error(), c.without)
			}
			cancel()
			synctest.Wait()
		})
	}
	_, err := newEngine(t, engine.Config{}).Do(t.Context(), &engine.Request{})
	require.ErrorContains(t, err, "sluice: GET: preparing")
}

func TestAnAnswerThatNetHTTPReadsNamesLenient(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
	} {
		eng := newEngine(t, engine.Config{Dial: engine.Dial{DialContext: raw(answer)}})
		_, err := eng.Do(t.Context(), &engine.Request{URL: "http://server.test/"})
		require.ErrorIs(t, err, engine.ErrMalformedResponse)
		require.ErrorContains(t, err, "Responses.Lenient", "%q", answer)
	}
}

// What a type says that decodes itself may be anything.
func TestNoTextOfAnErrorQuotesTheBody(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"tok":"sesame","n":73571357}`) })
	eng := s.newEngine(t, engine.Config{})
	req := &engine.Request{Path: "/"}
	_, number := engine.Fetch[struct{ Tok json.Number }](t.Context(), eng, req)
	_, instant := engine.Fetch[struct{ Tok time.Time }](t.Context(), eng, req)
	_, small := engine.Fetch[struct{ N int8 }](t.Context(), eng, req)
	_, other := engine.Fetch[[]int](t.Context(), eng, req)
	require.ErrorContains(t, small, "number is no int8, as field N is (at byte 28)")
	require.ErrorAs(t, instant, new(*time.ParseError), "the cause is there for who asks")
	clock := s.newEngine(t, engine.Config{Time: engine.TimeFrom("/", "tok"), Auth: auth.Binance("k", "s")})
	_, late := clock.Do(t.Context(), &engine.Request{Path: "/", Auth: true, Timeout: 100 * time.Millisecond})
	for _, err := range []error{number, instant, small, other, late} {
		require.Error(t, err)
		var log bytes.Buffer
		timeless := func(_ []string, a slog.Attr) slog.Attr { // which may have any digits
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: timeless})).Info("", "err", err)
		object, _ := json.Marshal(err)
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err), log.String(), string(object)} {
			require.NotContains(t, text, "sesame")
			require.NotContains(t, text, "7357")
		}
	}
}

func TestListsOfStatisticsAreNeverNull(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for range 2 {
		text, err := json.Marshal(eng.Stats())
		require.NoError(t, err)
		require.NotContains(t, string(text), "null")
		require.NoError(t, eng.Close())
	}
}
