package load

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// eachClient runs a test with every client.
func eachClient(t *testing.T, test func(t *testing.T, name string)) {
	for _, name := range ClientNames() {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// requestsOf makes n requests of a plan by callers.
func requestsOf(t *testing.T, client Client, plan targets.Plan, callers int, n uint64) *results.Operation {
	t.Helper()
	run, err := Run(context.Background(), Config{Closed: &Closed{Callers: callers, Requests: n}, Plan: plan, Client: client, Timeout: 30 * time.Second})
	require.NoError(t, err)
	require.EqualValues(t, n, run.Total[""].Count)
	return run.Total[""]
}

// watched is a server that counts connections and knows how many there were at once.
type watched struct {
	*httptest.Server
	opened, open, most atomic.Int64
	requests           atomic.Int64
}

func newWatched(t *testing.T, secure, http2 bool, handler http.HandlerFunc) *watched {
	s := &watched{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.opened.Add(1)
			s.most.Store(max(s.most.Load(), s.open.Add(1)))
		case http.StateClosed:
			s.open.Add(-1)
		}
	}
	s.EnableHTTP2 = http2
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func TestMethodHeadersAndBodyAreSentAsTheTargetSays(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("X-One"), r.Header["X-Two"], body)
		})
		plan := targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{{
			Method: "PUT", URL: server.URL + "/a?b=c%20d", Body: []byte("some body"),
			Header: http.Header{"X-One": {"1"}, "X-Two": {"2", "3"}},
			Save:   []targets.Save{{Name: "all", Regexp: "^PUT /a\\?b=c%20d 1 \\[2 3\\] some body$"}},
		}}}}}
		all := requestsOf(t, open(t, ClientConfig{Client: name}), plan, 2, 20)
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.EqualValues(t, 20*len("some body"), all.Out)
	})
}

func TestAChainCarriesAValueFromOneAnswerToTheNextRequest(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		var n atomic.Int64
		var mu sync.Mutex
		orders := map[string]bool{}
		server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/order" {
				fmt.Fprintf(w, `{"data":[{"id":"o%d"}]}`, n.Add(1))
				return
			}
			mu.Lock()
			orders[r.URL.Path+r.Header.Get("X-User")] = true
			mu.Unlock()
		})
		plan := targets.Plan{
			Data: &targets.Data{Columns: []string{"user"}, Rows: [][]string{{"anna"}}},
			Chains: []targets.Chain{{Steps: []targets.Step{
				{Operation: "order", Method: "POST", URL: server.URL + "/order", Save: []targets.Save{{Name: "id", JSON: "data.0.id"}}},
				{Operation: "cancel", Method: "DELETE", URL: server.URL + "/orders/{{id}}", Header: http.Header{"X-User": {"{{user}}"}}},
			}}},
		}
		run, err := Run(context.Background(), Config{Schedule: constant(200, 200*time.Millisecond), Plan: plan, Client: open(t, ClientConfig{Client: name})})
		require.NoError(t, err)
		require.EqualValues(t, 40, run.Total["order"].Count)
		require.EqualValues(t, 40, run.Total["cancel"].Count)
		require.Zero(t, run.Total[""].Failed(), "%v", run.Total[""].Errors)
		require.Len(t, orders, 40)
		for i := range 40 {
			require.True(t, orders[fmt.Sprintf("/orders/o%danna", i+1)])
		}
	})
}

func TestTLSIsBelievedAsTheFlagsSay(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, true, false, hello)
		file := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
		roots, err := ReadRoots(file)
		require.NoError(t, err)
		server.Config.ErrorLog = nil

		all := requestsOf(t, open(t, ClientConfig{Client: name, Roots: roots}), planOf(server.URL), 1, 20)
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.Positive(t, all.Stages.TLS)
		require.Positive(t, all.Connect.Count())
		require.LessOrEqual(t, all.Connect.Count(), uint64(server.opened.Load()))

		all = requestsOf(t, open(t, ClientConfig{Client: name, Insecure: true}), planOf(server.URL), 2, 20)
		require.Zero(t, all.Failed(), "%v", all.Errors)

		all = requestsOf(t, open(t, ClientConfig{Client: name}), planOf(server.URL), 1, 2)
		require.EqualValues(t, 2, all.Errors[kindTLS], "%v", all.Errors)
	})
}

func TestHTTP2IsSpokenWhereItIsAskedFor(t *testing.T) {
	for _, name := range []string{Engine, NetHTTP} {
		t.Run(name, func(t *testing.T) {
			var major atomic.Int64
			server := newWatched(t, true, true, func(w http.ResponseWriter, r *http.Request) { major.Store(int64(r.ProtoMajor)) })
			for asked, want := range map[bool]int64{true: 2, false: 1} {
				all := requestsOf(t, open(t, ClientConfig{Client: name, Insecure: true, HTTP2: asked, Connections: 4}), planOf(server.URL), 4, 40)
				require.Zero(t, all.Failed(), "%v", all.Errors)
				require.Equal(t, want, major.Load())
			}
		})
	}
	require.ErrorContains(t, ClientConfig{Client: FastHTTP, HTTP2: true}.Check(), "no HTTP/2")
}

func TestNoMoreConnectionsAreOpenedThanAllowed(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, false, false, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) })
		client := open(t, ClientConfig{Client: name, Connections: 3})
		all := requestsOf(t, client, planOf(server.URL), 20, 300)
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.LessOrEqual(t, server.most.Load(), int64(3))
		require.LessOrEqual(t, client.Connections(), 3)
		require.Greater(t, all.Wait.Quantile(0.5), all.Service.Quantile(0.5)/2, "17 of 20 wait at any time")
		require.LessOrEqual(t, all.Connect.Count(), uint64(3))
		require.Positive(t, all.Connect.Count())
	})
}

func TestWithoutKeepAliveEachRequestHasAConnectionOfItsOwn(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, false, false, hello)
		all := requestsOf(t, open(t, ClientConfig{Client: name, NoKeepAlive: true}), planOf(server.URL), 2, 20)
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.EqualValues(t, 20, server.opened.Load())
		require.EqualValues(t, 20, all.Connect.Count())
	})
}

func TestAProxyIsAskedForTheTunnel(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, true, false, hello)
		var tunnels atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			tunnels.Add(1)
			onward, err := net.Dial("tcp", r.Host)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { io.Copy(onward, conn); onward.Close() }()
			go func() { io.Copy(conn, onward); conn.Close() }()
		}))
		t.Cleanup(proxy.Close)
		at, err := ParseProxy(proxy.URL)
		require.NoError(t, err)
		all := requestsOf(t, open(t, ClientConfig{Client: name, Insecure: true, Proxy: at}), planOf(server.URL), 2, 20)
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.Positive(t, tunnels.Load())
		require.EqualValues(t, 20, server.requests.Load())
	})
}

func TestErrorsAreToldApart(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/cut":
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/odd":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	eachClient(t, func(t *testing.T, name string) {
		kinds := func(plan targets.Plan, timeout time.Duration) map[string]uint64 {
			client := open(t, ClientConfig{Client: name, Timeout: timeout})
			run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 2}, Plan: plan, Client: client, Timeout: timeout})
			require.NoError(t, err)
			for kind := range run.Total[""].Errors {
				if kind == kindTimeout {
					require.GreaterOrEqual(t, run.Total[""].Response.Min(), timeout*9/10)
				}
			}
			return run.Total[""].Errors
		}
		require.Equal(t, map[string]uint64{kindRefused: 2}, kinds(planOf("http://"+closed.Addr().String()), 30*time.Second))
		require.Equal(t, map[string]uint64{kindTimeout: 2}, kinds(planOf(server.URL+"/hang"), 100*time.Millisecond))
		require.Equal(t, map[string]uint64{kindClosed: 2}, kinds(planOf(server.URL+"/cut"), 30*time.Second))
		require.Equal(t, map[string]uint64{"status 503": 2}, kinds(planOf(server.URL+"/busy"), 30*time.Second))
		good := planOf(server.URL + "/odd")
		good.Chains[0].Steps[0].Success = []int{404}
		require.Empty(t, kinds(good, 30*time.Second))
	})
}

func TestKindsOfErrors(t *testing.T) {
	for want, err := range map[string]error{
		"":            nil,
		kindDNS:       &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}},
		kindTimeout:   fmt.Errorf("get: %w", context.DeadlineExceeded),
		kindCancelled: context.Canceled,
		kindReset:     &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		kindRefused:   &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		kindClosed:    io.ErrUnexpectedEOF,
		kindTLS:       tls.AlertError(40),
		kindOther:     errors.New("something"),
		kindSystem:    &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		kindLarge:     fmt.Errorf("get: %w", messages.ErrBodyTooLarge),
	} {
		require.Equal(t, want, KindOf(err), "%v", err)
	}
	require.Equal(t, kindTimeout, KindOf(os.ErrDeadlineExceeded))
	require.Equal(t, kindSystem, KindOf(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}))
	require.Equal(t, kindSystem, KindOf(&net.DNSError{Err: "dial udp: socket: too many open files"}))
	require.Equal(t, kindLarge, KindOf(&fasthttp.ErrSmallBuffer{}))
	require.Equal(t, kindPool, engineKind(&engine.Error{Err: engine.ErrTooManyWaiters}))
	require.Equal(t, kindLimit, engineKind(&engine.Error{Err: engine.ErrQueueFull}))
	require.Equal(t, kindLimit, engineKind(&engine.Error{Limit: "orders", Err: context.DeadlineExceeded}))
	require.Equal(t, kindTimeout, engineKind(&engine.Error{Stage: messages.Exchanging, Err: context.DeadlineExceeded}))
	require.Equal(t, kindLimit, engineKind(&engine.Error{Stage: messages.Throttled, Err: context.DeadlineExceeded}))
	require.Equal(t, kindRequest, engineKind(&engine.Error{Err: engine.ErrUnknownLimit}))
}

func TestInterruptingEndsRequestsOfEveryClient(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWatched(t, false, false, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		go func() {
			for server.requests.Load() < 3 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			interrupt()
		}()
		begun := time.Now()
		run, err := Run(ctx, Config{
			Closed: &Closed{Callers: 3, For: 10 * time.Minute}, Plan: planOf(server.URL), Drain: 50 * time.Millisecond,
			Client: open(t, ClientConfig{Client: name}), Timeout: 10 * time.Minute,
		})
		require.NoError(t, err)
		require.Less(t, time.Since(begun), time.Minute, "the timeout is 10 minutes")
		require.EqualValues(t, 3, run.End.Unfinished)
		require.Zero(t, run.End.NeverSent)
		require.Less(t, run.Total[""].Response.Max(), time.Minute)
	})
}

func TestTheEnginesQueueIsWaitAndNotLag(t *testing.T) {
	server := newWatched(t, false, false, hello)
	client := open(t, ClientConfig{Engine: &engine.Config{
		Limits:         []throttle.Limit{{ID: "slow", Quota: 1, Per: 100 * time.Millisecond}},
		DefaultLimitID: "slow",
	}})
	undisturbed(t, func() *results.Run {
		run, err := Run(context.Background(), Config{Schedule: constant(100, 50*time.Millisecond), Plan: planOf(server.URL), Client: client})
		require.NoError(t, err)
		require.EqualValues(t, 5, run.Total[""].Count)
		return run
	}, func(run *results.Run) error {
		all := run.Total[""]
		const short = 100 * time.Millisecond
		if wait, queue := all.Wait.Max(), all.Stages.Queue; wait <= 3*short || queue <= 5*short {
			return fmt.Errorf("waits %v at most, in the queue %v in all", wait, queue)
		}
		if service, lag := all.Service.Max(), all.Lag.Max(); service >= short || lag >= short {
			return fmt.Errorf("service %v and lag %v at most", service, lag)
		}
		return nil
	})
	limits := client.Limits()
	require.Len(t, limits, 1)
	require.Equal(t, "slow", limits[0].ID)
	require.EqualValues(t, 1, limits[0].Quota)
}

func TestRefusalsByTheEnginesLimitsAreCounted(t *testing.T) {
	server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	const timeout = 700 * time.Millisecond // less than the shortest pause
	pressure.Try(t, 6, func() error {
		client := open(t, ClientConfig{Engine: &engine.Config{
			Limits:         []throttle.Limit{{ID: "one", Quota: 10, Per: time.Minute}},
			DefaultLimitID: "one",
		}, Timeout: timeout})
		run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 2}, Plan: planOf(server.URL), Client: client, Timeout: timeout})
		require.NoError(t, err)
		failed := run.Total[""].Errors
		if failed["status 429"] != 1 {
			return fmt.Errorf("the first was not answered in time: %v", failed)
		}
		require.EqualValues(t, 1, failed[kindLimit], "%v", failed) // paused for longer than it has time
		var refusals uint64
		for _, interval := range run.Series {
			if interval.Gauges != nil {
				for _, limit := range interval.Gauges.Limits {
					refusals += limit.Refusals
				}
			}
		}
		require.EqualValues(t, 1, refusals)
		return nil
	})
}

func TestWhatOpenRefusesIsSaid(t *testing.T) {
	_, err := Open(ClientConfig{Client: "curl", Connections: -1})
	require.EqualError(t, err, `client: "curl" is unknown; there are engine, nethttp, fasthttp, connections and timeout must not be below zero`)
	_, err = ParseProxy("ftp://user:secret@host")
	require.ErrorContains(t, err, "scheme ftp")
	_, err = ParseProxy("http://user:sec ret@%zz")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "sec")
	_, err = ReadRoots(filepath.Join(t.TempDir(), "none.pem"))
	require.Error(t, err)
	u, err := ParseProxy("127.0.0.1:3128")
	require.NoError(t, err)
	require.Equal(t, &url.URL{Scheme: "http", Host: "127.0.0.1:3128"}, u)
}

func TestAConfigurationsMistakesAreToldTogether(t *testing.T) {
	_, err := Run(context.Background(), Config{Drain: -1, Worker: 3, Workers: 2})
	require.Error(t, err)
	for _, part := range []string{"Schedule or a Closed", "Client", "below zero", "Worker 3", "nothing to send"} {
		require.ErrorContains(t, err, part)
	}
	require.False(t, strings.Contains(err.Error(), "\n"))
	_, err = Run(context.Background(), Config{Closed: &Closed{Callers: 1}, Client: instant(), Plan: planOf("http://a/")})
	require.ErrorContains(t, err, "no end")
	_, err = Run(context.Background(), Config{
		Closed: &Closed{Callers: 1, Requests: 1}, Client: instant(), Plan: planOf("http://a/"), Objectives: objectives(t, "GET /nope:p99<5ms"),
	})
	require.ErrorContains(t, err, `there is no operation "GET /nope"; there are "GET /"`)
}

func TestAResultsFileThatCannotBeWrittenIsToldAndTheRunGoesOn(t *testing.T) {
	out, err := results.NewWriter(&full{room: 1}, results.Header{})
	require.NoError(t, err)
	run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 100}, Client: instant(), Plan: planOf("http://a/"), Out: out})
	require.ErrorIs(t, err, errNoRoom)
	require.EqualValues(t, 100, run.Total[""].Count)
}

var errNoRoom = errors.New("no room")

// full takes so many writes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, errNoRoom
	}
	return len(p), nil
}
