package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
	"github.com/sluice-engine/sluice/engine"
)

// wireServer answers by hand what it reads, and counts what has arrived.
type wireServer struct {
	net.Listener
	mu       sync.Mutex
	requests []string // methods, in order of arrival
	conns    map[net.Conn]struct{}
}

// newWireServer calls answer for the n-th request of a connection, from 0; false closes it.
func newWireServer(t *testing.T, answer func(conn net.Conn, r *http.Request, n int) bool) *wireServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &wireServer{Listener: listener, conns: map[net.Conn]struct{}{}}
	var gone sync.WaitGroup
	gone.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			gone.Go(func() { s.serve(conn, answer) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		gone.Wait()
	})
	return s
}

func (s *wireServer) serve(conn net.Conn, answer func(net.Conn, *http.Request, int) bool) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, r.Method)
		s.mu.Unlock()
		if !answer(conn, r, n) {
			return
		}
	}
}

func (s *wireServer) url() string { return "http://" + s.Addr().String() + "/" }

func (s *wireServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func stepOf(method, url string, body string) targets.Plan {
	return targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{{Method: method, URL: url, Body: []byte(body)}}}}}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func closedRun(t *testing.T, name string, plan targets.Plan, n uint64, timeout time.Duration) *results.Run {
	t.Helper()
	run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: n}, Plan: plan, Client: open(t, ClientConfig{Client: name, Timeout: timeout}), Timeout: timeout})
	require.NoError(t, err)
	require.EqualValues(t, n, run.Total[""].Count)
	return run
}

// A server may read a request on a connection that was used before, act on it, and die.
func TestAnOrderIsNeverSentTwice(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
			if n == 1 {
				return false
			}
			io.WriteString(conn, ok)
			return true
		})
		run := closedRun(t, name, stepOf("POST", server.url(), "buy"), 10, time.Second)
		require.Equal(t, 10, server.count())
		require.EqualValues(t, 10, run.Counts.Sent)
		require.EqualValues(t, 5, run.Total[""].Failed(), "%v", run.Total[""].Errors)
	})
}

func TestWhatTheServerHasSeenIsWhatIsReportedAsSentAndRepeated(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
			if n == 1 {
				return false
			}
			io.WriteString(conn, ok)
			return true
		})
		run := closedRun(t, name, stepOf("GET", server.url(), ""), 10, time.Second)
		require.EqualValues(t, 10, run.Counts.Sent)
		require.EqualValues(t, server.count(), run.Counts.Sent+run.Total[""].Repeats, "failed %d", run.Total[""].Failed())
	})
}

func TestTheEnginesOwnAttemptsAreCountedAsRepeats(t *testing.T) {
	var seen atomic.Int64
	server := newWireServer(t, func(conn net.Conn, _ *http.Request, _ int) bool {
		if seen.Add(1)%2 == 1 {
			return false
		}
		io.WriteString(conn, ok)
		return true
	})
	var cfg engine.Config
	cfg.Retry.Max, cfg.Retry.Base = 2, time.Millisecond
	run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 3}, Plan: stepOf("GET", server.url(), ""), Client: open(t, ClientConfig{Engine: &cfg})})
	require.NoError(t, err)
	require.EqualValues(t, 3, run.Counts.Sent)
	require.Greater(t, server.count(), 3)
	require.EqualValues(t, server.count(), 3+run.Total[""].Repeats)
}

func TestAnInterimAnswerIsNotTheAnswer(t *testing.T) {
	for what, first := range map[string]string{
		"continue": "HTTP/1.1 100 Continue\r\n\r\n", "hints": "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
		"both": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			eachClient(t, func(t *testing.T, name string) {
				for _, apart := range []time.Duration{0, 30 * time.Millisecond} {
					server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
						if apart == 0 {
							io.WriteString(conn, first+ok)
							return true
						}
						io.WriteString(conn, first)
						time.Sleep(apart)
						io.WriteString(conn, ok)
						return true
					})
					run := closedRun(t, name, stepOf("GET", server.url(), ""), 5, time.Second)
					all := run.Total[""]
					require.Equal(t, map[int]uint64{200: 5}, all.Statuses, "%v", all.Errors)
					require.EqualValues(t, 25, all.In)
					require.GreaterOrEqual(t, all.Response.Min(), apart-time.Millisecond)
				}
			})
		})
	}
}

func TestAnswersWithoutABodyEndAtTheirHead(t *testing.T) {
	for what, c := range map[string]struct {
		method, answer string
		status         int
		in             uint64
	}{
		"head":       {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200, 0},
		"204":        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0},
		"304":        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", 304, 0},
		"chunked":    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", 200, 5},
		"head chunk": {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, 0},
		"redirect":   {"GET", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, 0},
		"gzip":       {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200, 3},
		"folded":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhello", 200, 5},
	} {
		t.Run(what, func(t *testing.T) {
			eachClient(t, func(t *testing.T, name string) {
				server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
					io.WriteString(conn, c.answer)
					return true
				})
				all := closedRun(t, name, stepOf(c.method, server.url(), ""), 5, time.Second).Total[""]
				require.Equal(t, map[int]uint64{c.status: 5}, all.Statuses, "%v", all.Errors)
				require.Equal(t, 5*c.in, all.In)
				require.Zero(t, all.Failed(), "%v", all.Errors)
				require.Equal(t, 5, server.count())
				require.EqualValues(t, 1, all.Connect.Count(), "the connection is used again")
			})
		})
	}
}

func TestAnAnswerInTwoPartsEndsWithTheSecond(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
			io.WriteString(conn, ok[:len(ok)-2])
			time.Sleep(50 * time.Millisecond)
			io.WriteString(conn, ok[len(ok)-2:])
			return true
		})
		all := closedRun(t, name, stepOf("GET", server.url(), ""), 4, 30*time.Second).Total[""]
		require.Zero(t, all.Failed())
		require.GreaterOrEqual(t, all.Service.Min(), 49*time.Millisecond)
		require.GreaterOrEqual(t, all.Response.Min(), 49*time.Millisecond)
	})
}

func TestATornAnswerIsAnError(t *testing.T) {
	for what, end := range map[string]func(conn net.Conn){
		"closed": func(conn net.Conn) {},
		"reset":  func(conn net.Conn) { time.Sleep(20 * time.Millisecond); conn.(*net.TCPConn).SetLinger(0) },
		"half":   func(conn net.Conn) { conn.(*net.TCPConn).CloseWrite(); time.Sleep(20 * time.Millisecond) },
	} {
		for _, part := range []int{len(ok) - 1, len("HTTP/1.1 200 OK\r\n"), 0} {
			eachClient(t, func(t *testing.T, name string) {
				server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
					io.WriteString(conn, ok[:part])
					end(conn)
					return false
				})
				all := closedRun(t, name, stepOf("GET", server.url(), ""), 3, 30*time.Second).Total[""]
				require.EqualValues(t, 3, all.Failed(), "%s %d", what, part)
				require.Empty(t, all.Statuses)
				for kind := range all.Errors {
					require.Contains(t, []string{kindClosed, kindReset}, kind, "%s %d", what, part)
				}
			})
		}
	}
}

func TestAnAnswerThatNeverEndsIsATimeoutAtItsElapsedTime(t *testing.T) {
	const timeout = 320 * time.Millisecond
	eachClient(t, func(t *testing.T, name string) {
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
				return false
			}
			for {
				if _, err := io.WriteString(conn, "5\r\nhello\r\n"); err != nil {
					return false
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		pressure.Try(t, 4, func() error {
			before := server.count()
			all := closedRun(t, name, stepOf("GET", server.url(), ""), 3, timeout).Total[""]
			require.Equal(t, map[string]uint64{kindTimeout: 3}, all.Errors)
			require.GreaterOrEqual(t, all.Response.Min(), timeout*95/100)
			if asked := server.count() - before; asked != 3 {
				return fmt.Errorf("%d requests of 3 came to the server before their timeout", asked)
			}
			require.GreaterOrEqual(t, all.Service.Min(), timeout*8/10)
			return within(all.Response.Min(), timeout*2-1, 5*time.Second)
		})
	})
}

func TestAServerThatNeverAnswersCostsEachRequestItsTimeout(t *testing.T) {
	const timeout = 320 * time.Millisecond
	eachClient(t, func(t *testing.T, name string) {
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, n int) bool {
			io.Copy(io.Discard, conn)
			return false
		})
		pressure.Try(t, 4, func() error {
			before := server.count()
			run, err := Run(context.Background(), Config{Schedule: constant(100, 500*time.Millisecond), Plan: stepOf("POST", server.url(), "x"),
				Client: open(t, ClientConfig{Client: name, Timeout: timeout, Connections: 2}), Timeout: timeout})
			require.NoError(t, err)
			all := run.Total[""]
			require.EqualValues(t, 50, all.Count)
			require.EqualValues(t, 50, all.Failed())
			require.GreaterOrEqual(t, all.Response.Min(), timeout*95/100)
			if asked := uint64(server.count() - before); asked != run.Counts.Sent {
				return fmt.Errorf("%d sent and %d came: %v", run.Counts.Sent, asked, all.Errors)
			}
			return within(all.Response.Quantile(0.5), timeout*2-1, 5*time.Second)
		})
	})
}

func TestAMachineThatRefusesPortsMakesTheRunInvalid(t *testing.T) {
	refused := ClientFunc(func(_ context.Context, _ *targets.Request, a *Answer) {
		a.Err = &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
	})
	for _, cfg := range []Config{{Closed: &Closed{Callers: 1, Requests: 5}}, {Schedule: constant(100, 50*time.Millisecond)}} {
		cfg.Client, cfg.Plan = refused, planOf("http://a/")
		run, err := Run(context.Background(), cfg)
		require.NoError(t, err)
		require.Equal(t, map[string]uint64{kindSystem: 5}, run.Total[""].Errors)
		require.Contains(t, strings.Join(run.End.Invalid, ";"), "this machine refused 5 requests")
	}
}

func TestAPathIsSentAsItStands(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		var paths seenBy
		server := newWatched(t, false, false, func(w http.ResponseWriter, r *http.Request) { paths.add(r.Host + " " + r.RequestURI) })
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { paths.add(r.RequestURI) })
		for _, path := range []string{"/a/../b//c?x=1&y=%20+", "?only=query", "/%2e%2e/a%2Fb", ""} {
			closedRun(t, name, stepOf("GET", server.URL+path, ""), 1, time.Second)
		}
		require.Equal(t, map[string]int{"/a/../b//c?x=1&y=%20+": 1, "/?only=query": 1, "/%2e%2e/a%2Fb": 1, "/": 1}, paths.n)
	})
}

func TestALargeAnswerIsReadAndAnEndlessOneIsNotKept(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		part := make([]byte, 1<<20)
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, _ int) bool {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
			for range 32 {
				conn.Write(part)
			}
			return true
		})
		all := closedRun(t, name, stepOf("GET", server.url(), ""), 1, 10*time.Second).Total[""]
		require.Zero(t, all.Failed(), "%v", all.Errors)
		require.EqualValues(t, 32<<20, all.In)
		if name == NetHTTP { // it reads and forgets
			return
		}
		server = newWireServer(t, func(conn net.Conn, _ *http.Request, _ int) bool {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
			return true
		})
		all = closedRun(t, name, stepOf("GET", server.url(), ""), 1, time.Second).Total[""]
		require.Equal(t, map[string]uint64{kindLarge: 1}, all.Errors)
	})
}

func TestAClosedRunThatIsAllWarmUpIsInvalid(t *testing.T) {
	run, err := Run(context.Background(), Config{Closed: &Closed{Callers: 1, Requests: 5, WarmUp: time.Hour}, Client: instant(), Plan: planOf("http://a/")})
	require.NoError(t, err)
	require.Equal(t, []string{"nothing was measured: 5 requests were of the warm-up, and none came after it"}, run.End.Invalid)
	run, err = Run(context.Background(), Config{Closed: &Closed{Callers: 2, Requests: 1}, Worker: 1, Workers: 2, Client: instant(), Plan: planOf("http://a/")})
	require.NoError(t, err)
	require.Empty(t, run.End.Invalid, "the other machine has the one request")
}

func TestNothingIsBegunAfterTheRunHasEnded(t *testing.T) {
	s := seat{parent: context.Background()}
	s.give()
	ctx := s.begin(&sample{}, time.Second)
	require.Error(t, ctx.Err(), "it was taken before the end, and is begun after it")
	_, cut, _ := s.finish()
	require.True(t, cut)
	s.leave()
}

// A handshake that hangs is a timeout, at its elapsed time, of a request that was not sent.
func TestAHandshakeThatHangsIsATimeoutOfWhatWasNotSent(t *testing.T) {
	const timeout = 320 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var gone sync.WaitGroup
	var held []net.Conn
	gone.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
		}
	})
	t.Cleanup(func() {
		listener.Close()
		gone.Wait()
		for _, conn := range held {
			conn.Close()
		}
	})
	eachClient(t, func(t *testing.T, name string) {
		run, err := Run(context.Background(), Config{Schedule: constant(50, 400*time.Millisecond), Plan: stepOf("GET", "https://"+listener.Addr().String()+"/", ""),
			Client: open(t, ClientConfig{Client: name, Timeout: timeout, Connections: 4, Insecure: true}), Timeout: timeout})
		require.NoError(t, err)
		all := run.Total[""]
		require.EqualValues(t, 20, all.Count)
		require.EqualValues(t, 20, all.Failed())
		require.Zero(t, run.Counts.Sent)
		require.Zero(t, all.Service.Count())
		require.EqualValues(t, 20, all.Errors[kindTimeout]+all.Errors[kindPool], "%v", all.Errors)
		require.GreaterOrEqual(t, all.Response.Min(), timeout*9/10)
		t.Log(all.Errors, all.Response.Quantiles())
	})
}

// What comes after the timeout is no answer any more, and does not answer the next request.
func TestALateAnswerIsNotThatOfTheNextRequest(t *testing.T) {
	eachClient(t, func(t *testing.T, name string) {
		var n atomic.Int64
		server := newWireServer(t, func(conn net.Conn, _ *http.Request, _ int) bool {
			if n.Add(1)%2 == 1 {
				time.Sleep(300 * time.Millisecond)
				io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			time.Sleep(120 * time.Millisecond) // the late one would have come by now
			io.WriteString(conn, ok)
			return true
		})
		pressure.Try(t, 4, func() error {
			before := server.count()
			n.Store(0)
			run := closedRun(t, name, stepOf("GET", server.url(), ""), 6, 200*time.Millisecond)
			all := run.Total[""]
			require.Zero(t, all.Statuses[http.StatusNotFound], "an answer that came too late")
			if all.Statuses[http.StatusOK] != 3 || server.count()-before != 6 { // the server had no time for one that has some
				return fmt.Errorf("statuses %v, errors %v, %d requests came", all.Statuses, all.Errors, server.count()-before)
			}
			require.Equal(t, map[string]uint64{kindTimeout: 3}, all.Errors)
			require.EqualValues(t, 6, run.Counts.Sent)
			return nil
		})
	})
}
