package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// kind is a request at random, and what must become of it.
type kind struct {
	request engine.Request
	cancel  time.Duration // the context ends after that; zero means never
	traced  bool
	fails   bool
	answer  string
}

func draw(rng *rand.Rand, i int) kind {
	one := func(in int) bool { return rng.IntN(in) == 0 }
	limits := []string{"calls", "open", engine.Unlimited}
	k := kind{request: engine.Request{Path: "/", LimitID: limits[rng.IntN(3)], Stream: one(3), Auth: one(2)}, traced: one(4)}
	r, signed, body, own, target := &k.request, "", "", "", "/"
	if r.Auth {
		signed = "yes"
	}
	if one(2) {
		body = fmt.Sprint("body ", i)
		r.Method, r.Body = http.MethodPost, body
		if one(2) {
			r.Body, r.Upload.Stream = io.Reader(strings.NewReader(body)), true
		}
	}
	if one(3) {
		own = fmt.Sprint(i)
		r.Header = http.Header{"X-Own": {own}}
	}
	if one(3) {
		r.Timeout = time.Minute
	}
	switch rng.IntN(8) {
	case 0:
		r.Path, k.cancel, k.fails = "/slow", 50*time.Millisecond, true
	case 1:
		r.Path, r.Timeout, k.fails = "/slow", 50*time.Millisecond, true
	case 2:
		r.Path, k.fails = "/drop", true
	case 3:
		r.Query, k.fails = engine.Values{"bad": func() {}}, true
	case 4:
		r.Path, target = "/refused", "/refused"
	case 5:
		r.Query, target = engine.Values{"n": i}, fmt.Sprint("/?n=", i)
	}
	k.answer = strings.Join([]string{r.Method, target, signed, body, own}, "|")
	return k
}

// send returns what the answer says; it may leave a stream unread.
func (k *kind) send(t *testing.T, eng *engine.Engine, rng *rand.Rand, traced *int) (string, error) {
	ctx, end := context.WithCancel(t.Context())
	defer end()
	if rng.IntN(3) == 0 {
		ctx = context.Background()
	}
	if k.cancel > 0 {
		ctx, end = context.WithTimeout(ctx, k.cancel)
		defer end()
	}
	if k.traced {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { *traced++ }})
	}
	response, err := eng.Do(ctx, &k.request)
	if err != nil {
		return "", err
	}
	if !k.request.Stream {
		return response.Text(), nil
	}
	if rng.IntN(3) == 0 {
		return k.answer, response.Stream.Close()
	}
	text, err := io.ReadAll(response.Stream)
	return string(text), err
}

// One caller has one slot, and so one ticket and one or two connections.
func TestASlotCarriesNothingFromOneRequestToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch r.URL.Path {
			case "/slow":
				time.Sleep(time.Second)
			case "/drop":
				panic(http.ErrAbortHandler)
			case "/refused":
				w.WriteHeader(http.StatusTooManyRequests)
			}
			method := strings.TrimPrefix(r.Method, http.MethodGet)
			io.WriteString(w, strings.Join([]string{method, r.URL.RequestURI(), r.Header.Get("X-Signed"), string(body), r.Header.Get("X-Own")}, "|"))
		})
		sign := auth.Func(func(call *messages.Call, _ auth.Clock) error { call.SetHeader("X-Signed", "yes"); return nil })
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{
				{ID: "calls", Quota: 50, Per: time.Second},
				{ID: "open", Quota: 2, Window: throttle.Concurrency, Linked: []throttle.Link{{ID: "calls"}}},
			},
			Auth: auth.WithoutBody{Authenticator: sign}, Connections: engine.Connections{Max: 2}, Retry: engine.Retry{Max: -1},
		})
		rng, traced := rand.New(rand.NewPCG(1, 2)), 0
		for i := range 1000 {
			k, before := draw(rng, i), traced
			text, err := k.send(t, eng, rng, &traced)
			if k.fails {
				var failure *engine.Error
				require.True(t, errors.As(err, &failure), i)
			} else {
				require.NoError(t, err, i)
				require.Equal(t, k.answer, text, i)
			}
			require.True(t, k.traced || traced == before, i)
			if i%50 == 0 {
				synctest.Wait()
				wantNothingHeld(t, eng)
			}
		}
	})
}

func TestAHomeIsKnownHoweverItIsSpelt(t *testing.T) {
	for url, home := range map[string]bool{
		"http://API.Test/": true, "HTTP://api.test:80": true, "http://[::1]:80/x": true, "http://api.test:080/x": true,
		"http://api.test.": false, "http://api.test:8080": false, "http://[0:0:0:0:0:0:0:1]": true, "http://[::2]": false, "http://api.test.evil.test": false,
		"http://evil.test/http://api.test/": false, "http://evil.test#@api.test/": false, "http://evil.test?@api.test/": false,
	} {
		synctest.Test(t, func(t *testing.T) {
			keys := make(chan string, 1)
			s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { keys <- r.Header.Get("X-Key") })
			eng := s.newEngine(t, engine.Config{
				BaseURL: "http://api.test", Origins: []string{"http://[::1]"}, Header: http.Header{"x-key": {"secret"}}, Auth: doingAuth(func() {}),
			})
			_, err := eng.Do(t.Context(), &engine.Request{URL: url})
			require.NoError(t, err, url)
			require.Equal(t, home, <-keys == "secret", url)
			_, err = eng.Do(t.Context(), &engine.Request{URL: url, Auth: true})
			require.Equal(t, home, err == nil, url)
		})
	}
}
