package engine_test

import (
	"bytes"
	"context"
	"crypto"
	"io"
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

func TestWhatIsMissingIsNamedAndNothingPanics(t *testing.T) {
	var noContext context.Context
	var none *engine.Engine
	eng := newEngine(t, engine.Config{})
	request := &engine.Request{URL: "http://server.test/"}

	_, err := eng.Do(noContext, request)
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.ErrorContains(t, err, "the context is nil")
	_, err = eng.Do(t.Context(), nil)
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.ErrorContains(t, err, "the *Request is nil")
	_, err = engine.Fetch[string](t.Context(), eng, nil)
	require.ErrorContains(t, err, "the *Request is nil")
	require.ErrorContains(t, eng.Warm(noContext, "", 1), "the context is nil")
	require.ErrorContains(t, eng.Shutdown(noContext), "the context is nil")
	require.ErrorContains(t, eng.Warm(t.Context(), "", 1), "no URL is given, and the engine has no base URL")

	for _, nobody := range []*engine.Engine{none, new(engine.Engine)} {
		_, err := nobody.Do(t.Context(), request)
		require.ErrorIs(t, err, engine.ErrNoEngine)
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		_, err = engine.Fetch[string](t.Context(), nobody, request)
		require.ErrorIs(t, err, engine.ErrNoEngine)
		_, err = (&http.Client{Transport: nobody.RoundTripper()}).Post("http://server.test/", "", strings.NewReader("x"))
		require.ErrorIs(t, err, engine.ErrNoEngine)
		for _, err := range []error{
			nobody.Close(), nobody.Shutdown(t.Context()), nobody.Warm(t.Context(), "", 1), nobody.ReplaceLimits(nil),
			nobody.AdjustLimit("a", engine.Parts{}, 1), nobody.SetShare("a", 1, 0), nobody.AnnounceQuota("a", throttle.Parts{}, 1), nobody.UpdateCookies("http://server.test/"),
			nobody.Pause(throttle.Scope{}, time.Second), nobody.Resume(throttle.Scope{}),
		} {
			require.ErrorIs(t, err, engine.ErrNoEngine)
		}
		require.Zero(t, nobody.Stats())
		require.WithinDuration(t, time.Now(), nobody.Clock().Now(), time.Minute)
		nobody.CloseIdleConnections()
	}
}

func TestNewRefusesWhatCanNeverBeSent(t *testing.T) {
	for name, c := range map[string]struct {
		config engine.Config
		want   string
	}{
		"a value with a line feed":   {engine.Config{Header: http.Header{"X-Key": {"a\r\nHost: evil"}}}, `Header: invalid header "X-Key"`},
		"a name that is no token":    {engine.Config{Header: http.Header{"X Key": {"a"}}}, `Header: invalid header "X Key"`},
		"a line of the connection's": {engine.Config{Header: http.Header{"Content-Length": {"3"}}}, `Header: invalid header "Content-Length"`},
		"a time without a place":     {engine.Config{Time: engine.TimeFrom("/time", "t")}, `Time.Path "/time" needs a BaseURL`},
		"a time of two places":       {engine.Config{BaseURL: "http://h", Time: engine.TimeEndpoint{Path: "/a", URL: "http://h/b"}}, "Time.Path and Time.URL are both given"},
		"a time of no place":         {engine.Config{BaseURL: "http://h", Time: engine.TimeFrom("", "t")}, "Time.Path and Time.URL are both empty"},
		"a time at no URL":           {engine.Config{Time: engine.TimeEndpoint{URL: "::evil"}}, "Time.URL: malformed URL"},
		"a time at a URL's path":     {engine.Config{BaseURL: "http://h", Time: engine.TimeFrom("http://h/evil", "t")}, "Time.Path is a whole URL"},
		"a time in no field":         {engine.Config{BaseURL: "http://h", Time: engine.TimeFrom("/time", "a..b")}, `Time.Field "a..b" has an empty name`},
		"a pointer to no scheme":     {engine.Config{Auth: (*auth.HMACQuery)(nil)}, "Auth is a nil *auth.HMACQuery"},
		"a chain with a gap":         {engine.Config{Auth: auth.Chain{nil}}, "Auth: auth: Chain[0] is nil"},
		"a secret with a line feed":  {engine.Config{Auth: auth.Binance("k", "evil\n")}, "Auth: auth: HMACQuery: Secret: is not as it was handed out: it has a line feed"},
		"a key's name with a blank":  {engine.Config{Auth: auth.JWT{KeyID: " evil", Signer: auth.HMAC{Secret: "s", SecretEncoding: auth.Raw, Hash: crypto.SHA256}}}, "Auth: auth: JWT: KeyID: is not as it was handed out"},
		"a pointer to no time":       {engine.Config{Time: (*engine.TimeEndpoint)(nil)}, "Time is a nil *engine.TimeEndpoint"},
		"keys of no keyed limit":     {engine.Config{Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second, Keys: []string{"x"}}}}, "not keyed"},
	} {
		_, err := engine.New(c.config)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), "evil", name)
	}
}

func TestWindowsOfAServersClockThatNobodyReadsAreWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		window throttle.Window
		time   engine.TimeSource
		warned bool
	}{
		"fixed, without a source": {throttle.Fixed, nil, true},
		"sliding":                 {throttle.Sliding, nil, false},
		"fixed, with a source":    {throttle.Fixed, engine.TimeEndpoint{URL: "http://server.test/time"}.ChargedTo(engine.Unlimited), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				s := newServer(t, nil)
				eng, err := engine.New(engine.Config{
					Limits: []throttle.Limit{{ID: "a", Window: c.window, Quota: 1, Per: time.Second}},
					Time:   c.time, Dial: engine.Dial{DialContext: s.dial}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				require.NoError(t, err)
				require.NoError(t, eng.Close())
				require.Equal(t, c.warned, strings.Contains(log.String(), "there is no Config.Time"), log.String())
			})
		})
	}
}

func TestARequestThatCannotBeSentIsRefusedBeforeItQueues(t *testing.T) {
	keyed := throttle.Limit{ID: "keyed", Quota: 9, Per: time.Second, Keyed: true, Keys: []string{"BTCUSDT"}}
	for name, c := range map[string]struct {
		request engine.Request
		stage   engine.Stage
		is      error
		want    string
	}{
		"a URL as a path":            {engine.Request{Path: "https://server.test/a"}, engine.Preparing, engine.ErrInvalidRequest, "whole URL: say so in URL"},
		"a method in lower case":     {engine.Request{Method: "post", Path: "/"}, engine.Preparing, engine.ErrInvalidRequest, `Method "post" is written "POST"`},
		"a method that is no token":  {engine.Request{Method: "GET /", Path: "/"}, engine.Preparing, engine.ErrInvalidRequest, "method"},
		"a tunnel":                   {engine.Request{Method: "CONNECT", Path: "/"}, engine.Preparing, engine.ErrInvalidRequest, "method"},
		"a line feed in a header":    {engine.Request{Path: "/", Header: http.Header{"X": {"a\nb"}}}, engine.Preparing, engine.ErrInvalidRequest, `header "X"`},
		"a line of the connection's": {engine.Request{Path: "/", Header: http.Header{"content-length": {"3"}}}, engine.Preparing, engine.ErrInvalidRequest, "belongs to the connection"},
		"a space in what is encoded": {engine.Request{Path: "/a b", Encoded: true}, engine.Preparing, engine.ErrInvalidRequest, "target"},
		"a forbidden trailer": {engine.Request{
			Method: "POST", Path: "/", Body: io.MultiReader(bytes.NewReader(nil)),
			Upload: engine.Upload{Stream: true, Trailer: http.Header{"Authorization": {"x"}}},
		}, engine.Preparing, engine.ErrInvalidRequest, "trailer"},
		"a timeout without a unit":       {engine.Request{Path: "/", Timeout: 30}, engine.Preparing, engine.ErrInvalidRequest, "write 30 * time.Second"},
		"a weight below zero":            {engine.Request{Path: "/", Weight: -5}, engine.Preparing, engine.ErrInvalidRequest, "Weight -5 is negative"},
		"a weight of its own below zero": {engine.Request{Path: "/", Weights: map[string]int64{"hourly": -5}}, engine.Preparing, engine.ErrInvalidRequest, `Weights has -5 for limit "hourly"`},
		"weights, and no limit":          {engine.Request{Path: "/", LimitID: engine.Unlimited, Weights: map[string]int64{"hourly": 1}}, engine.Preparing, engine.ErrInvalidRequest, "no limit charges it"},
		"a weight of another's limit":    {engine.Request{Path: "/", Weights: map[string]int64{"keyed": 1}}, engine.Throttled, engine.ErrNotCharged, `"keyed"`},
		"a length below zero": {engine.Request{
			Method: "POST", Path: "/", Body: io.MultiReader(), Upload: engine.Upload{Stream: true, Length: -2},
		}, engine.Preparing, engine.ErrInvalidRequest, "Upload.Length -2 is negative"},
		"a body that opens itself": {engine.Request{
			Method: "POST", Path: "/", Body: func() (io.Reader, error) { return strings.NewReader("a"), nil },
		}, engine.Preparing, engine.ErrInvalidRequest, "body: a func() (io.Reader, error) is sent with Upload.Stream"},
		"a body that is no JSON": {engine.Request{Method: "POST", Path: "/", Body: make(chan int)}, engine.Preparing, engine.ErrInvalidRequest, "body: json: unsupported type: chan int"},
		"no key":                 {engine.Request{Path: "/", LimitID: "keyed"}, engine.Throttled, engine.ErrNoKey, `limit "keyed"`},
		"a key of a megabyte":    {engine.Request{Path: "/", LimitID: "keyed", Key: strings.Repeat("k", 1<<20)}, engine.Throttled, engine.ErrLongName, `limit "keyed"`},
		"a mistyped key":         {engine.Request{Path: "/", LimitID: "keyed", Key: "BTCUSD"}, engine.Throttled, engine.ErrUnknownKey, `limit "keyed"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{hourly, keyed}, DefaultLimitID: "hourly"})
				_, err := eng.Do(t.Context(), &c.request)
				require.ErrorIs(t, err, c.is)
				require.ErrorContains(t, err, c.want)
				var failure *engine.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, c.stage, failure.Stage)
				require.Empty(t, s.seen())
				for _, limit := range eng.Stats().Limits.Limits {
					require.Zero(t, limit.Used, "no permit was taken")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // what is unusual is not forbidden
		s := newServer(t, nil)
		_, err := s.newEngine(t, engine.Config{}).Do(t.Context(), &engine.Request{Method: "Purge", Path: "/http://other"})
		require.NoError(t, err)
	})
}

func TestCookiesAreOfAWholeURL(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for _, place := range []string{"", "server.test", "/a", "ftp://server.test/"} {
		err := eng.UpdateCookies(place, &http.Cookie{Name: "a", Value: "sesame"})
		require.ErrorIs(t, err, engine.ErrInvalidRequest, place)
		require.NotContains(t, err.Error(), "sesame")
	}
	require.NoError(t, eng.UpdateCookies("http://server.test/"))
}

func TestACookieThatWouldBeReadAsAnotherIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ""
		eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Cookie") }).newEngine(t, engine.Config{})
		for name, cookie := range map[string]*http.Cookie{
			"a second cookie in the value": {Name: "a", Value: "sesame; admin=1"}, "and in the name": {Name: "sesame=1; admin", Value: "1"},
			"no name": {Value: "sesame"}, "a line feed": {Name: "a", Value: "sesame\r\nX: y"}, "an attribute in the path": {Name: "a", Value: "sesame", Path: "/; Domain=x"},
			"nothing": nil, "a quotation mark": {Name: "a", Value: `sesame"`},
		} {
			err := eng.UpdateCookies("http://server.test/", &http.Cookie{Name: "fine", Value: "1"}, cookie)
			require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
			require.ErrorContains(t, err, "cookie 1: ", name)
			require.NotContains(t, err.Error(), "sesame", name)
		}
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Empty(t, got, "not one of a list with a bad one is added")
		require.NoError(t, eng.UpdateCookies("http://server.test/", &http.Cookie{Name: "a", Value: "b c,d=e"}))
	})
}

// missingContext is one that a caller has forgotten to make.
var missingContext context.Context
