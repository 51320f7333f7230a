package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// ledger of credentials: which request arrived where with which.
type guestBook struct {
	mu    sync.Mutex
	lines []string
}

// serve notes the origin, the path and the credentials of each request, and
// redirects where the query says.
func (g *guestBook) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.lines = append(g.lines, fmt.Sprintf("%s%s key=%s signed=%t agent=%s", r.Host, r.URL.Path,
		r.Header.Get("X-Api-Key"), r.Header.Get("Authorization") != "", r.Header.Get("User-Agent")))
	g.mu.Unlock()
	if to := r.URL.Query().Get("to"); to != "" {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli())
}

func (g *guestBook) read() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	lines := g.lines
	g.lines = nil
	return lines
}

// withCredentials is a configuration that has some to lose.
func withCredentials(config engine.Config) engine.Config {
	config.Header = http.Header{"X-Api-Key": {"sesame"}, "User-Agent": {"me"}}
	config.Auth = auth.Basic{User: "u", Password: "p"}
	return config
}

func TestCredentialsGoToTheOriginsOfTheConfigurationAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book guestBook
		s := newServer(t, book.serve)
		eng, err := engine.New(withCredentials(engine.Config{
			BaseURL: "http://home.test", Origins: []string{"http://Annex.test:8080/"}, Dial: engine.Dial{DialContext: s.dial},
		}))
		require.NoError(t, err)
		defer eng.Close()
		for _, url := range []string{"http://home.test/a", "http://HOME.test:80/b", "http://annex.test:8080/c"} {
			_, err := eng.Do(t.Context(), &engine.Request{URL: url, Auth: true})
			require.NoError(t, err, url)
		}
		require.Equal(t, []string{
			"home.test/a key=sesame signed=true agent=me", "HOME.test:80/b key=sesame signed=true agent=me",
			"annex.test:8080/c key=sesame signed=true agent=me",
		}, book.read())

		for _, url := range []string{"http://foreign.test/", "http://annex.test/", "http://home.test:8080/", "http://home.test.evil.test/"} {
			_, err := eng.Do(t.Context(), &engine.Request{URL: url, Auth: true})
			require.ErrorIs(t, err, engine.ErrInvalidRequest, url)
			require.ErrorContains(t, err, "neither the origin of BaseURL nor among Origins", url)
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, engine.Preparing, failure.Stage)
			require.Empty(t, book.read(), "nothing was sent")

			_, err = eng.Do(t.Context(), &engine.Request{URL: url})
			require.NoError(t, err, url)
			host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
			require.Equal(t, []string{host + "/ key= signed=false agent=me"}, book.read())
		}
		_, err = eng.Do(t.Context(), &engine.Request{URL: "http://foreign.test/", Header: http.Header{"X-Api-Key": {"theirs"}}})
		require.NoError(t, err)
		require.Equal(t, []string{"foreign.test/ key=theirs signed=false agent=me"}, book.read(), "what the caller says is said")
	})
}

func TestATargetThatARedirectChoseIsSentNoCredentials(t *testing.T) {
	sign := func(_ *http.Request, asked *engine.Request) { asked.Auth = true }
	for _, c := range []struct {
		name   string
		config engine.Config
		way    []string // the first, and where each of the others redirects to
		signed bool     // adjust asks for signatures
		want   []string
		fails  bool
	}{
		{
			name: "elsewhere, with a home", config: engine.Config{BaseURL: "http://home.test"},
			way:  []string{"http://home.test/a", "http://evil.test/b"},
			want: []string{"home.test/a key=sesame signed=false", "evil.test/b key= signed=false"},
		}, {
			name: "elsewhere, without a home", way: []string{"http://api.test/a", "http://evil.test/b"},
			want: []string{"api.test/a key=sesame signed=false", "evil.test/b key= signed=false"},
		}, {
			name: "elsewhere, signed, with a home", config: engine.Config{BaseURL: "http://home.test"}, signed: true,
			way:  []string{"http://home.test/a", "http://evil.test/b"},
			want: []string{"home.test/a key=sesame signed=true"}, fails: true,
		}, {
			name: "elsewhere, signed, without a home", signed: true,
			way:  []string{"http://api.test/a", "http://evil.test/b"},
			want: []string{"api.test/a key=sesame signed=true"}, fails: true,
		}, {
			name: "there and back", way: []string{"http://api.test/a", "http://evil.test/b", "http://api.test/c"},
			want: []string{"api.test/a key=sesame signed=false", "evil.test/b key= signed=false", "api.test/c key= signed=false"},
		}, {
			name: "home by way of a stranger", config: engine.Config{BaseURL: "http://home.test"}, signed: false,
			way:  []string{"http://home.test/a", "http://evil.test/b", "http://home.test/withdraw"},
			want: []string{"home.test/a key=sesame signed=false", "evil.test/b key= signed=false", "home.test/withdraw key= signed=false"},
		}, {
			name: "within the origin", signed: true, way: []string{"http://api.test/a", "http://api.test/b"},
			want: []string{"api.test/a key=sesame signed=true", "api.test/b key=sesame signed=true"},
		}, {
			name: "from one home to another", config: engine.Config{BaseURL: "http://home.test", Origins: []string{"http://annex.test"}}, signed: true,
			way:  []string{"http://home.test/a", "http://annex.test/b"},
			want: []string{"home.test/a key=sesame signed=true", "annex.test/b key=sesame signed=true"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var book guestBook
				s := newServer(t, book.serve)
				c.config.Dial.DialContext = s.dial
				eng := newEngine(t, withCredentials(c.config))
				var adjust []func(*http.Request, *engine.Request)
				if c.signed {
					adjust = append(adjust, sign)
				}
				first := c.way[len(c.way)-1]
				for i := len(c.way) - 2; i >= 0; i-- {
					first = c.way[i] + "?to=" + escape(first)
				}
				resp, err := clientOf(eng, adjust...).Get(first)
				require.Equal(t, c.fails, err != nil, "%v", err)
				if err == nil {
					require.NoError(t, resp.Body.Close())
				}
				var want []string
				for _, line := range c.want {
					want = append(want, line+" agent=me")
				}
				if !c.fails {
					require.Equal(t, want, book.read())
				} else {
					require.Equal(t, want, book.read(), "nothing was sent to the other")
				}
			})
		})
	}
}

func escape(s string) string {
	return strings.NewReplacer("?", "%3F", "&", "%26", "=", "%3D", "%", "%25").Replace(s)
}

func TestAForeignTimeEndpointIsSentNoCredentials(t *testing.T) {
	for name, base := range map[string]string{"with a home": "http://home.test", "without": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var book guestBook
				s := newServer(t, book.serve)
				config := withCredentials(engine.Config{
					BaseURL: base, Dial: engine.Dial{DialContext: s.dial}, Auth: nil,
					Time: engine.TimeEndpoint{URL: "http://clock.test/time", Field: "t"},
				})
				eng, err := engine.New(config)
				require.NoError(t, err)
				defer eng.Close()
				_, err = eng.Do(t.Context(), &engine.Request{URL: "http://home.test/a", Auth: true})
				require.NoError(t, err)
				require.Equal(t, []string{
					"clock.test/time key= signed=false agent=me", "home.test/a key=sesame signed=true agent=me",
				}, book.read())
			})
		})
	}
}

func TestALookAtTheClockIsChargedToALimitIfThereAreAny(t *testing.T) {
	weight := []throttle.Limit{{ID: "weight", Quota: 10, Per: time.Minute}}
	source := engine.TimeFrom("/api/v3/time", "serverTime")
	_, err := engine.New(engine.Config{BaseURL: "http://server.test", Limits: weight, Time: source})
	require.ErrorContains(t, err, `Time.LimitID: names no limit`)
	require.ErrorContains(t, err, `engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("time")`)

	for name, config := range map[string]engine.Config{
		"charged":        {Limits: weight, Time: source.ChargedTo("weight")},
		"declared free":  {Limits: weight, Time: source.ChargedTo(engine.Unlimited)},
		"with a default": {Limits: weight, Time: source, DefaultLimitID: "weight"},
		"without limits": {Time: source},
		"a source of the caller's": {Limits: weight, Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			return engine.TimeReading{}, errors.ErrUnsupported
		})},
	} {
		config.BaseURL = "http://server.test"
		eng, err := engine.New(config)
		require.NoError(t, err, name)
		require.NoError(t, eng.Close())
	}

	eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Time: source})
	require.ErrorContains(t, eng.ReplaceLimits(weight), "Config.Time.LimitID: names no limit", "later is no better")
	require.NoError(t, eng.ReplaceLimits(nil))
}

func TestWithoutLimitsARequestNeedsNoLimitIDWhateverThereWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{Limits: []throttle.Limit{hourly}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrNoLimit)
		require.NoError(t, eng.ReplaceLimits(nil))
		for range 3 {
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		}
		require.NoError(t, eng.ReplaceLimits([]throttle.Limit{hourly}))
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrNoLimit)
	})
}
