package engine_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// One account's order is never signed with another's key.
func TestWhatOneEngineSignsIsNotSentByAnother(t *testing.T) {
	var keys []string
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { keys = append(keys, r.Header.Get("X-MBX-APIKEY")) })
	a := s.newEngine(t, engine.Config{Auth: auth.Binance("KEYA", "SECRETA")})
	b := s.newEngine(t, engine.Config{Auth: auth.Binance("KEYB", "SECRETB")})
	replace := func(_ *http.Request, asked *engine.Request) { asked.Body = "another" }
	for name, c := range map[string]struct {
		by   *engine.Engine
		with []func(*http.Request, *engine.Request)
		want error
	}{
		"the same engine":             {by: a, with: []func(*http.Request, *engine.Request){engine.Resign(a)}},
		"another engine":              {by: b, with: []func(*http.Request, *engine.Request){engine.Resign(a)}, want: engine.ErrInvalidRequest},
		"another, and another's body": {by: b, with: []func(*http.Request, *engine.Request){engine.Resign(a), replace}, want: engine.ErrInvalidRequest},
		"wrapped": {by: b, want: engine.ErrInvalidRequest, with: []func(*http.Request, *engine.Request){func(r *http.Request, asked *engine.Request) {
			engine.Resign(a)(r, asked)
		}}},
		"both":                     {by: a, with: []func(*http.Request, *engine.Request){engine.Resign(a), engine.Resign(b)}, want: engine.ErrInvalidRequest},
		"no engine":                {by: a, with: []func(*http.Request, *engine.Request){engine.Resign(nil)}, want: engine.ErrNoEngine},
		"one that New did not":     {by: a, with: []func(*http.Request, *engine.Request){engine.Resign(new(engine.Engine))}, want: engine.ErrNoEngine},
		"none, and another body's": {by: a, with: []func(*http.Request, *engine.Request){engine.Resign(nil), replace}, want: engine.ErrNoEngine},
	} {
		keys = nil
		for _, method := range []string{"POST", "GET"} {
			req, err := http.NewRequest(method, "http://server.test/order?symbol=X&timestamp=1&signature=stale", nil)
			require.NoError(t, err)
			req.Header.Set("X-MBX-APIKEY", "KEYA")
			resp, err := (&http.Client{Transport: c.by.RoundTripper(c.with...)}).Do(req)
			if c.want == nil {
				require.NoError(t, err, name)
				require.NoError(t, resp.Body.Close())
				continue
			}
			require.ErrorIs(t, err, c.want, name)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err), name)
		}
		if c.want == nil {
			require.Equal(t, []string{"KEYA", "KEYA"}, keys, name)
		} else {
			require.Empty(t, keys, name)
		}
	}
}

func TestASignedRequestThatLeadsElsewhereIsToldOnce(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{
		Auth: auth.Binance("KEY", "SECRET"), Logger: slog.New(slog.NewTextHandler(&locked{&mu, &log}, nil)),
	})
	client := &http.Client{Transport: eng.RoundTripper(engine.Resign(eng))}
	for _, url := range []string{
		"http://server.test/order?timestamp=1&signature=old", "http://other.test/public", "http://third.test/ping?symbol=X",
		"http://foreign.test/order?timestamp=1&signature=sesame", "http://foreign.test/order?timestamp=2&signature=sesame",
	} {
		resp, err := client.Get(url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.NoError(t, eng.Close())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, strings.Count(log.String(), "keeps its old signature"), log.String())
	require.Contains(t, log.String(), "origin=http://foreign.test:80")
	require.NotContains(t, log.String(), "sesame")
}

type locked struct {
	*sync.Mutex
	to io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.to.Write(p)
}
