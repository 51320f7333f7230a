package engine_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// whence is a server that says which address a request came from, and which connection
// of that address it came by.
type whence struct {
	*httptest.Server
	accepted, closed atomic.Int32
}

func newWhence(t *testing.T, http2 bool, handler http.HandlerFunc) *whence {
	w := &whence{}
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			host, port, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintf(w, "%s %s %s", host, port, r.Proto)
		}
	}
	w.Server = httptest.NewUnstartedServer(handler)
	w.Config.ErrorLog = discardLog
	w.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			w.accepted.Add(1)
		case http.StateClosed:
			w.closed.Add(1)
		}
	}
	if w.EnableHTTP2 = http2; http2 {
		w.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4}
		w.StartTLS()
	} else {
		w.Start()
	}
	t.Cleanup(w.Close)
	return w
}

// wantAccepted waits until the server has accepted so many connections, which it does some
// time after their dials are done, and finds no more.
func (w *whence) wantAccepted(t *testing.T, want int32) {
	t.Helper()
	require.Eventually(t, func() bool { return w.accepted.Load() >= want }, 5*time.Second, time.Millisecond)
	require.Equal(t, want, w.accepted.Load())
}

func (w *whence) config(egress map[string]engine.Egress) engine.Config {
	config := engine.Config{BaseURL: w.URL, Egress: egress}
	if w.EnableHTTP2 {
		config.Dial.TLS = w.Client().Transport.(*http.Transport).TLSClientConfig
		config.Connections.HTTP2 = func(string) bool { return true }
	}
	return config
}

// from are three ways out of one machine.
var from = map[string]engine.Egress{"two": {LocalAddr: "127.0.0.2"}, "three": {LocalAddr: "127.0.0.3"}}

var addressOf = map[string]string{"": "127.0.0.1", "two": "127.0.0.2", "three": "127.0.0.3"}

func TestARequestTakesItsEgressAndNoConnectionOfAnother(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2 ", http2), func(t *testing.T) {
			server := newWhence(t, http2, nil)
			config := server.config(from)
			config.Connections.Max = 8
			eng := newEngine(t, config)
			names := slices.Sorted(maps.Keys(addressOf))
			var all sync.WaitGroup
			var mu sync.Mutex
			egressOf := map[string]string{} // by the connection's port at its address
			for i := range 24 {
				all.Go(func() {
					for j := range 60 {
						name := names[(i+j*7)%3]
						response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name})
						if err != nil {
							t.Error(err)
							return
						}
						var host, port, proto string
						fmt.Sscan(response.Text(), &host, &port, &proto)
						if host != addressOf[name] || (proto == "HTTP/2.0") != http2 {
							t.Errorf("%q came as %q", name, response.Text())
						}
						mu.Lock()
						egressOf[host+":"+port] = name
						mu.Unlock()
					}
				})
			}
			all.Wait()
			stats := eng.Stats()
			require.Len(t, stats.Pools, 3)
			var told []string
			for _, p := range stats.Pools {
				told = append(told, p.Egress)
				require.Equal(t, server.URL, p.Origin.String())
				require.LessOrEqual(t, p.Idle+p.Leased+p.Dialling, 8)
			}
			slices.Sort(told)
			require.Equal(t, names, told)
			require.LessOrEqual(t, len(egressOf), 24, "they are kept")
			wantNothingHeld(t, eng)
			require.NoError(t, eng.Close())
			require.Eventually(t, func() bool { return server.closed.Load() == server.accepted.Load() }, 5*time.Second, time.Millisecond)
		})
	}
}

func TestRedirectsAndRepetitionsKeepTheirEgress(t *testing.T) {
	var seen []string
	server := newWhence(t, false, func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		seen = append(seen, r.URL.Path+" "+host)
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/there", http.StatusFound)
		case len(seen) == 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case len(seen) == 3:
			panic(http.ErrAbortHandler) // and so it is dialled anew
		}
	})
	config := server.config(from)
	config.Retry = engine.Retry{Statuses: []int{503}, Base: time.Millisecond}
	eng := newEngine(t, config)
	response, err := eng.Do(t.Context(), &engine.Request{Path: "/moved", Egress: "three", Redirects: 1})
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, []string{"/moved 127.0.0.3", "/there 127.0.0.3", "/there 127.0.0.3", "/there 127.0.0.3"}, seen)
}

func TestAnUnknownEgressIsAnErrorBeforeAnythingIsSent(t *testing.T) {
	for _, egress := range []map[string]engine.Egress{nil, from} {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Egress: egress})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: "gone"})
		require.ErrorIs(t, err, engine.ErrUnknownEgress)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, engine.Preparing, failure.Stage)
		require.Equal(t, "gone", failure.Egress)
		require.NotContains(t, err.Error(), "gone")
		require.ErrorIs(t, eng.WarmEgress(t.Context(), "gone", "", 1), engine.ErrUnknownEgress)
		require.Empty(t, s.seen())
		wantNothingHeld(t, eng)
	}
}

func TestEachEgressHasAProxyOfItsOwn(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2 ", http2), func(t *testing.T) {
			server := newWhence(t, http2, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
			var tunnels [2]atomic.Int32
			egress, relayed := map[string]engine.Egress{}, [2]atomic.Int32{}
			for i := range tunnels {
				through := tunnelling(nil, &tunnels[i])
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodConnect {
						relayed[i].Add(1)
					} else if r.Header.Get("X-Way") != fmt.Sprint(i) {
						w.WriteHeader(http.StatusForbidden)
						return
					}
					through(w, r)
				}))
				defer proxy.Close()
				at, err := url.Parse(proxy.URL)
				require.NoError(t, err)
				at.User = url.UserPassword("user", "s3cret")
				egress[fmt.Sprint("proxy", i)] = engine.Egress{Proxy: http.ProxyURL(at), ProxyConnectHeader: http.Header{"X-Way": {fmt.Sprint(i)}}}
			}
			eng := newEngine(t, server.config(egress))
			for range 5 {
				for _, name := range []string{"", "proxy0", "", "proxy1", "proxy1"} {
					response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name})
					require.NoError(t, err)
					require.Equal(t, 200, response.StatusCode)
				}
			}
			if http2 {
				require.EqualValues(t, 1, tunnels[0].Load(), "one connection, and its streams")
				require.EqualValues(t, 1, tunnels[1].Load())
				server.wantAccepted(t, 3)
			} else {
				require.EqualValues(t, 5, relayed[0].Load())
				require.EqualValues(t, 10, relayed[1].Load())
			}
			wantNothingHeld(t, eng)
			require.NoError(t, eng.Close())
		})
	}
}

func TestAnEgressTakesNothingOfTheDefaultOnesWay(t *testing.T) {
	server := newWhence(t, false, nil)
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	config := server.config(map[string]engine.Egress{"direct": {}, "own": {DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 4)}}).DialContext(ctx, network, addr)
	}}})
	config.Dial.DialContext, config.Retry.Max = refused, -1
	eng := newEngine(t, config)
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.ErrorIs(t, err, net.ErrClosed)
	for name, address := range map[string]string{"direct": "127.0.0.1", "own": "127.0.0.4"} {
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name})
		require.NoError(t, err)
		require.Contains(t, response.Text(), address)
	}
}

// A dial that fails by one way is no reason to wait by another.
func TestAnEgressThatFailsHoldsUpNoOther(t *testing.T) {
	server := newWhence(t, false, nil)
	config := server.config(map[string]engine.Egress{"shut": {DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
	}}})
	config.Dial.Backoff, config.Retry.Max = time.Hour, -1
	config.Dial.BackoffCap = time.Hour
	eng := newEngine(t, config)
	for range 3 {
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: "shut"})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
	}
}

func TestConnectionsAreWarmedAndClosedByEgress(t *testing.T) {
	server := newWhence(t, false, nil)
	eng := newEngine(t, server.config(from))
	require.NoError(t, eng.WarmEgress(t.Context(), "two", "", 3))
	require.NoError(t, eng.Warm(t.Context(), "", 2))
	require.ErrorIs(t, eng.WarmEgress(t.Context(), "two", "", -1), engine.ErrInvalidRequest)
	idle := map[string]int{}
	for _, p := range eng.Stats().Pools {
		idle[p.Egress] = p.Idle
	}
	require.Equal(t, map[string]int{"two": 3, "": 2}, idle)
	response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: "two"})
	require.NoError(t, err)
	require.Contains(t, response.Text(), "127.0.0.2")
	server.wantAccepted(t, 5) // it was warm

	clientOf(eng).CloseIdleConnections()
	require.Eventually(t, func() bool { return server.closed.Load() == 5 }, 5*time.Second, time.Millisecond)
}

func TestTheWaysOutShareTheConnectionsThatThereMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(10 * time.Millisecond) })
		by := map[string]*atomic.Int32{"": {}, "a": {}, "b": {}}
		dialBy := func(name string) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				by[name].Add(1)
				return s.dial(ctx, network, addr)
			}
		}
		eng := s.newEngine(t, engine.Config{
			Dial:        engine.Dial{DialContext: dialBy("")},
			Egress:      map[string]engine.Egress{"a": {DialContext: dialBy("a")}, "b": {DialContext: dialBy("b")}},
			Connections: engine.Connections{MaxTotal: 2},
		})
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: []string{"", "a", "b"}[i%3]})
				require.NoError(t, err)
			})
		}
		all.Wait()
		open := 0
		for _, p := range eng.Stats().Pools {
			open += p.Idle
		}
		require.LessOrEqual(t, open, 2)
		for name, dials := range by {
			require.NotZero(t, dials.Load(), name)
		}
		wantNothingHeld(t, eng)
	})
}

func TestAPoolOfAnEgressEndsWhenItIsNotUsedAndComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Egress: map[string]engine.Egress{"a": {DialContext: s.dial}}})
		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: "a"})
			require.NoError(t, err)
			require.Len(t, eng.Stats().Pools, 1)
			time.Sleep(10 * time.Minute)
			require.Empty(t, eng.Stats().Pools)
		}
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Empty(t, eng.Stats().Pools[0].Egress)
	})
}

func TestASlotThatHasTakenOneWayTakesAnotherForTheSamePath(t *testing.T) {
	server := newWhence(t, false, nil)
	eng := newEngine(t, server.config(from))
	for range 3 { // one slot, one after another
		for _, name := range []string{"two", "", "three", "three"} {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name})
			require.NoError(t, err)
			require.Contains(t, response.Text(), addressOf[name]+" ")
		}
	}
	server.wantAccepted(t, 3)
}

func TestAStreamByAnEgressGivesItsConnectionBackToIt(t *testing.T) {
	server := newWhence(t, false, nil)
	eng := newEngine(t, server.config(from))
	for range 3 {
		for _, name := range []string{"", "two"} {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name, Stream: true})
			require.NoError(t, err)
			text, err := io.ReadAll(response.Stream)
			require.NoError(t, err)
			require.NoError(t, response.Stream.Close())
			require.Contains(t, string(text), addressOf[name]+" ")
		}
	}
	server.wantAccepted(t, 2)
	wantNothingHeld(t, eng)
}

func TestAnSDKsRequestsTakeTheEgressThatAnAdjustFunctionNames(t *testing.T) {
	server := newWhence(t, false, nil)
	eng := newEngine(t, server.config(from))
	client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Egress = "two" })
	response, err := client.Get(server.URL)
	require.NoError(t, err)
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	require.Contains(t, string(text), "127.0.0.2")
}

func TestTheClockIsLookedAtByTheDefaultEgressUnlessItsEndpointSaysOtherwise(t *testing.T) {
	for name, address := range addressOf {
		seen := make(chan string, 100)
		server := newWhence(t, false, func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			if r.URL.Path == "/time" {
				seen <- host
			}
			fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli())
		})
		config := server.config(from)
		config.Limits = []throttle.Limit{{ID: "calls", Window: throttle.Fixed, Quota: 100, Per: time.Minute}}
		config.Time = engine.TimeEndpoint{Path: "/time", Field: "t", LimitID: "calls", Egress: name}
		eng := newEngine(t, config)
		require.Equal(t, address, <-seen)
		require.NoError(t, eng.Close())
	}
}

func TestAnEgressWithAMistakeIsTold(t *testing.T) {
	for want, way := range map[string]engine.Egress{
		`Egress["a"].LocalAddr`:                          {LocalAddr: "localhost"},
		`Egress["a"] has a LocalAddr and a DialContext`:  {LocalAddr: "127.0.0.2", DialContext: (&net.Dialer{}).DialContext},
		`Egress["a"].ProxyConnectHeader: invalid header`: {ProxyConnectHeader: http.Header{"X Y": {"z"}}},
	} {
		_, err := engine.New(engine.Config{Egress: map[string]engine.Egress{"a": way}})
		require.ErrorContains(t, err, want)
	}
	_, err := engine.New(engine.Config{Egress: map[string]engine.Egress{"": {}}})
	require.ErrorContains(t, err, `Egress[""] has no name`)
	require.Equal(t, "engine.Egress with a LocalAddr", fmt.Sprintf("%+v", engine.Egress{LocalAddr: "127.0.0.2"}))
}

func TestADialOfAnEgressHasTheValuesOfTheRequestThatCausedIt(t *testing.T) {
	type key struct{}
	seen := make(chan any, 1)
	s := newServer(t, nil)
	eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Egress: map[string]engine.Egress{
		"a": {DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			seen <- ctx.Value(key{})
			return s.dial(ctx, network, addr)
		}},
	}})
	_, err := eng.Do(context.WithValue(t.Context(), key{}, "mine"), &engine.Request{Path: "/", Egress: "a"})
	require.NoError(t, err)
	require.Equal(t, "mine", <-seen)
}

func TestAConfigsWaysOutAreCopied(t *testing.T) {
	server := newWhence(t, false, nil)
	egress := maps.Clone(from)
	eng := newEngine(t, server.config(egress))
	delete(egress, "two")
	egress["three"] = engine.Egress{}
	for _, name := range []string{"two", "three"} {
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: name})
		require.NoError(t, err)
		require.Contains(t, response.Text(), addressOf[name]+" ")
	}
}

// Who waits for a place gives its permit back, and so nobody waits for the connection that
// comes of the place: it must not be closed then for who waits elsewhere, over and over.
func TestWaysOutWithOneConnectionAndALimitAreServedByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Millisecond) })
		eng := s.newEngine(t, engine.Config{
			Egress:         map[string]engine.Egress{"a": {DialContext: s.dial}, "b": {DialContext: s.dial}},
			Connections:    engine.Connections{MaxTotal: 1},
			Limits:         []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Second, By: throttle.ByEgress}},
			DefaultLimitID: "calls", Timeout: 5 * time.Second,
		})
		began, served := time.Now(), [2]atomic.Int32{}
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				for time.Since(began) < 10*time.Second {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Egress: []string{"a", "b"}[i%2]})
					require.NoError(t, err)
					served[i%2].Add(1)
				}
			})
		}
		all.Wait()
		require.Greater(t, served[0].Load(), int32(200))
		require.Greater(t, served[1].Load(), int32(200))
	})
}
