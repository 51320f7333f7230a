package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// sending is a way into an engine.
type sending func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error)

var allWays = map[string]sending{
	"Do": func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return eng.Do(ctx, req)
	},
	"Submit": func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return eng.Submit(ctx, req).Result()
	},
	"Do among many": func(eng *engine.Engine, ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return eng.DoAmongMany(ctx, req)
	},
}

// goes reports whether requests may go a way: what is promised the caller's own goroutine does
// not go another.
func goes(way string, config *engine.Config, req *engine.Request) bool {
	_, reader := req.Body.(io.Reader)
	_, files := req.Body.(engine.Multipart)
	return way != "Do among many" || !req.Stream && !req.Coalesce && !reader && !files &&
		len(config.PreProcessors)+len(config.PostProcessors)+len(config.Costs)+len(config.Observers) == 0
}

// ended is what a caller sees of the end of a request, and when.
type ended struct {
	status   int
	body     string
	text     string
	stage    engine.Stage
	attempts int
	sent     engine.Sent
	limit    string
	waited   time.Duration
	retries  bool // it says when
	after    time.Duration
}

func endedWith(began time.Time, response *engine.Response, err error) (e ended) {
	e.after = time.Since(began)
	if response != nil {
		e.status, e.body, e.attempts, e.sent = response.StatusCode, string(response.Body), response.Attempts, response.Sent
		if response.Stream != nil {
			all, _ := io.ReadAll(response.Stream)
			e.body = "streamed " + string(all)
			response.Stream.Close()
		}
	}
	var failed *engine.Error
	if errors.As(err, &failed) {
		e.text, e.stage, e.attempts, e.sent = failed.Error(), failed.Stage, failed.Attempts, failed.Sent
		e.limit, e.waited = failed.Limit, failed.Waited
		e.retries = !failed.RetryAt.IsZero()
		e.text = drawn.ReplaceAllString(e.text, "try again later")
	} else if err != nil {
		e.text = "no *Error: " + err.Error()
	}
	return e
}

// drawn is what is not the same twice.
var drawn = regexp.MustCompile(`try again in [0-9.a-zµ]+`)

var errOwnCause = errors.New("the caller's own cause")

// processor is a pre-processor that does something.
func processor(f func(r *engine.Request) error) engine.PreProcessor {
	return engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error { return f(r) })
}

// parkedSituations are what may happen to a request. The first request of each takes the limit or
// the connection, where there is one of it.
var parkedSituations = map[string]struct {
	config  engine.Config
	server  http.HandlerFunc
	busy    int // requests that are sent before
	request engine.Request
	after   time.Duration // something happens
	then    func(t *testing.T, eng *engine.Engine, cancel context.CancelCauseFunc)
	want    error // found in the error; nil for an answer
}{
	"an answer":       {request: engine.Request{Path: "/"}},
	"an answer later": {config: oneASecond, busy: 2, request: engine.Request{Path: "/late", Query: engine.Values{"a": 1}}},
	"a body": {config: oneASecond, busy: 1, server: echoing, request: engine.Request{
		Method: "POST", Path: "/", Body: engine.Values{"a": "b"}, Header: http.Header{"X-Own": {"yes"}}, Idempotent: true,
	}},
	"a reader": {config: oneASecond, busy: 1, server: echoing, request: engine.Request{Method: "POST", Path: "/", Body: io.MultiReader(strings.NewReader("once"))}},
	"an upload": {config: oneASecond, busy: 1, server: echoing, request: engine.Request{
		Method: "POST", Path: "/", Body: strings.NewReader("streamed"), Upload: engine.Upload{Stream: true},
	}},
	"a stream":            {config: oneASecond, busy: 1, server: echoing, request: engine.Request{Path: "/", Stream: true}},
	"a stream at once":    {server: echoing, request: engine.Request{Path: "/", Stream: true}},
	"no limit is named":   {config: engine.Config{Limits: oneASecond.Limits}, request: engine.Request{Path: "/"}, want: engine.ErrNoLimit},
	"an unknown limit":    {config: oneASecond, request: engine.Request{Path: "/", LimitID: "other"}, want: engine.ErrUnknownLimit},
	"an unknown account":  {request: engine.Request{Path: "/", Account: "other"}, want: engine.ErrUnknownAccount},
	"an invalid request":  {request: engine.Request{Path: "/", Redirects: -1}, want: engine.ErrInvalidRequest},
	"no time for a limit": {config: oneASecond, busy: 2, request: engine.Request{Path: "/", Timeout: 500 * time.Millisecond}, want: context.DeadlineExceeded},
	"a full queue": {
		config: engine.Config{Limits: oneASecond.Limits, DefaultLimitID: "one", Throttle: throttle.Options{MaxQueued: 1}}, busy: 2,
		request: engine.Request{Path: "/"}, want: engine.ErrQueueFull,
	},
	"time is up behind a connection": {
		config: oneConnection, server: dawdles, busy: 1, request: engine.Request{Path: "/", Timeout: time.Second}, want: context.DeadlineExceeded,
	},
	"time is up in an exchange": {server: dawdles, request: engine.Request{Path: "/", Timeout: time.Second}, want: context.DeadlineExceeded},
	"cancelled in the queue": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	},
	"cancelled behind a connection": {
		config: oneConnection, server: dawdles, busy: 1, request: engine.Request{Path: "/"}, after: time.Second, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	},
	"cancelled in an exchange": {
		server: dawdles, request: engine.Request{Path: "/"}, after: time.Second, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	},
	"cancelled in the exchange of a stream": {
		server: dawdles, request: engine.Request{Path: "/", Stream: true}, after: time.Second, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	},
	"halted in the queue": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond, want: engine.ErrHalted, then: haltAll,
	},
	"halted behind a connection": {
		config: oneConnection, server: dawdles, busy: 1, request: engine.Request{Path: "/"}, after: time.Second, want: engine.ErrHalted, then: haltAll,
	},
	"closed in the queue": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond, want: engine.ErrClosed,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) { require.NoError(t, eng.Close()) },
	},
	"closed in an exchange": {
		server: dawdles, request: engine.Request{Path: "/"}, after: time.Second, want: engine.ErrClosed,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) { require.NoError(t, eng.Close()) },
	},
	"a drain": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) {
			require.NoError(t, eng.Shutdown(t.Context()))
		},
	},
	"its limit is replaced": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) {
			require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "one", Quota: 1, Per: 10 * time.Second}}))
		},
	},
	"its limit is gone": {
		config: oneASecond, busy: 3, request: engine.Request{Path: "/"}, after: 500 * time.Millisecond, want: engine.ErrUnknownLimit,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) {
			require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "another", Quota: 1, Per: time.Second}}))
		},
	},
	"no credit in time": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, server: dawdles, busy: 1,
		request: engine.Request{Path: "/", Timeout: time.Second}, want: context.DeadlineExceeded,
	},
	"a credit later": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, server: dawdles, busy: 1, request: engine.Request{Path: "/"},
	},
	"cancelled before its credit": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, server: dawdles, busy: 1, request: engine.Request{Path: "/"},
		after: time.Second, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	},
	"halted before its credit": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, server: dawdles, busy: 1, request: engine.Request{Path: "/"},
		after: time.Second, want: engine.ErrHalted, then: haltAll,
	},
	"closed before its credit": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, server: dawdles, busy: 1, request: engine.Request{Path: "/"},
		after: time.Second, want: engine.ErrClosed,
		then: func(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) { require.NoError(t, eng.Close()) },
	},
	"nobody may wait for a credit": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}}, server: dawdles, busy: 1,
		request: engine.Request{Path: "/"}, want: engine.ErrOverloaded,
	},
	"one more than may wait for a credit": {
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: 1}}, server: dawdles, busy: 2,
		request: engine.Request{Path: "/", Priority: engine.Background}, want: engine.ErrOverloaded,
	},
	"a pre-processor refuses": {
		config:  engine.Config{PreProcessors: []engine.PreProcessor{processor(func(*engine.Request) error { return errOwnCause })}},
		request: engine.Request{Path: "/"}, want: errOwnCause,
	},
	"a pre-processor panics": {
		config:  engine.Config{PreProcessors: []engine.PreProcessor{processor(func(*engine.Request) error { panic(errOwnCause) })}},
		request: engine.Request{Path: "/"}, want: errOwnCause,
	},
	"a post-processor panics": {
		config: engine.Config{
			Limits: oneASecond.Limits, DefaultLimitID: "one",
			PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(_ context.Context, r *engine.Request, _ *engine.Response) error {
				if r.Path == "/own" {
					panic(errOwnCause)
				}
				return nil
			})},
		},
		busy: 1, request: engine.Request{Path: "/own"}, want: errOwnCause,
	},
	"a redirect": {
		config: oneASecond, busy: 1, request: engine.Request{Path: "/from", Redirects: 1},
		server: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/from" {
				http.Redirect(w, r, "/to", http.StatusFound)
				return
			}
			fmt.Fprint(w, r.URL.Path)
		},
	},
	"an authenticator panics": {
		config:  engine.Config{Auth: angry{}, Limits: oneASecond.Limits, DefaultLimitID: "one"},
		busy:    1,
		request: engine.Request{Path: "/", Auth: true}, want: errOwnCause,
	},
	"an account's own limit": {
		config: engine.Config{
			Accounts:       map[string]auth.Authenticator{"other": noSignature{}},
			Limits:         []throttle.Limit{{ID: "each", Quota: 1, Per: time.Second, By: throttle.ByAccount}},
			DefaultLimitID: "each",
		},
		busy: 2, request: engine.Request{Path: "/", Account: "other", Auth: true},
	},
	"an unknown egress": {request: engine.Request{Path: "/", Egress: "other"}, want: engine.ErrUnknownEgress},
	"credentials renewed": {
		config: engine.Config{Auth: stale{new(atomic.Int64)}, Limits: oneASecond.Limits, DefaultLimitID: "one"}, busy: 1,
		server: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Try") == "0" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		},
		request: engine.Request{Path: "/", Auth: true},
	},
	"nobody to dial": {
		config:  engine.Config{Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errOwnCause }}, Retry: engine.Retry{Max: -1}},
		request: engine.Request{Path: "/"}, want: errOwnCause,
	},
}

// angry panics where it is to sign.
type angry struct{}

func (angry) Authenticate(*messages.Call, auth.Clock) error { panic(errOwnCause) }

// stale has other credentials once they were rejected.
type stale struct{ rejected *atomic.Int64 }

func (s stale) Authenticate(call *messages.Call, _ auth.Clock) error {
	n := s.rejected.Load() % 2
	call.SetHeader("X-Try", fmt.Sprint(n))
	s.rejected.Add(n) // the next request is stale again
	return nil
}

func (s stale) Rejected(_ *messages.Call, r *messages.Response) bool {
	if r.StatusCode != http.StatusUnauthorized {
		return false
	}
	s.rejected.Add(1)
	return true
}

var (
	oneASecond    = engine.Config{Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Second}}, DefaultLimitID: "one"}
	oneConnection = engine.Config{Connections: engine.Connections{Max: 1}}
)

func dawdles(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(10 * time.Second):
	case <-r.Context().Done():
	}
	io.WriteString(w, "slow")
}

func echoing(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Header.Get("X-Own"), body)
}

func haltAll(t *testing.T, eng *engine.Engine, _ context.CancelCauseFunc) {
	halt, err := eng.Halt(engine.Filter{Reason: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { halt.Lift() })
}

func TestEveryWayEndsAsDoDoesInEverySituation(t *testing.T) {
	for name, one := range parkedSituations {
		t.Run(name, func(t *testing.T) {
			all := map[string]ended{}
			for way, send := range allWays {
				if !goes(way, &one.config, &one.request) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t, one.server)
					eng := s.newEngine(t, one.config)
					var busy sync.WaitGroup
					for range one.busy {
						busy.Go(func() { _, _ = send(eng, t.Context(), &engine.Request{Path: "/busy"}) })
						synctest.Wait()
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					began := time.Now()
					told := make(chan ended, 1)
					request := one.request
					if body, again := request.Body.(*strings.Reader); again {
						request.Body = strings.NewReader("streamed")
						_ = body
					} else if _, once := request.Body.(io.Reader); once {
						request.Body = io.MultiReader(strings.NewReader("once"))
					}
					go func() {
						response, err := send(eng, ctx, &request)
						require.Equal(t, one.want != nil, err != nil, "%v", err)
						if one.want != nil {
							require.ErrorIs(t, err, one.want)
						}
						told <- endedWith(began, response, err)
					}()
					if one.then != nil {
						time.Sleep(one.after)
						synctest.Wait()
						one.then(t, eng, cancel)
					}
					all[way] = <-told
					busy.Wait()
					synctest.Wait()
					if !errors.Is(one.want, engine.ErrClosed) && name != "a drain" {
						wantNothingHeld(t, eng)
					}
				})
			}
			for way, end := range all {
				require.Equal(t, all["Do"], end, way)
			}
		})
	}
}

func TestPendingOfWhatCannotBeginHasEnded(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: "http://server.test"})
	for name, p := range map[string]*engine.Pending{
		"no engine":  (*engine.Engine)(nil).Submit(t.Context(), &engine.Request{}),
		"no context": eng.Submit(missingContext, &engine.Request{}), // that is the point
		"no request": eng.Submit(t.Context(), nil),
	} {
		<-p.Done()
		_, err := p.Result()
		var failed *engine.Error
		require.ErrorAs(t, err, &failed, name)
		require.Equal(t, engine.Admitting, failed.Stage)
		p.Cancel()
	}
	require.NoError(t, eng.Close())
	p := eng.Submit(t.Context(), &engine.Request{Path: "/"})
	_, err := p.Result()
	require.ErrorIs(t, err, engine.ErrClosed)
}

// parkMany submits requests of which all wait for a limit.
func parkMany(t *testing.T, eng *engine.Engine, ctx context.Context, n int) []*engine.Pending {
	t.Helper()
	all := make([]*engine.Pending, n)
	for i := range all {
		all[i] = eng.Submit(ctx, &engine.Request{Path: "/"})
	}
	return all
}

// fullForADay lets one request pass.
func fullForADay(n int) engine.Config {
	return engine.Config{
		BaseURL: "http://server.test", DefaultLimitID: "full", Limits: []throttle.Limit{{ID: "full", Quota: 1, Per: 24 * time.Hour}},
		Admission: engine.Admission{MaxInFlight: 2 * n},
		Dial:      engine.Dial{DialContext: deaf},
	}
}

// deaf dials a server that never answers.
func deaf(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	return ours, nil
}

func TestManyThatEndTogetherDoNotStartAGoroutineEach(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, eng *engine.Engine, all []*engine.Pending, cancel func()){
		"their context": func(_ *testing.T, _ *engine.Engine, _ []*engine.Pending, cancel func()) { cancel() },
		"Cancel": func(_ *testing.T, _ *engine.Engine, all []*engine.Pending, _ func()) {
			for _, p := range all {
				p.Cancel()
			}
		},
		"a halt": func(t *testing.T, eng *engine.Engine, _ []*engine.Pending, _ func()) {
			_, err := eng.Halt(engine.Filter{})
			require.NoError(t, err)
		},
		"the engine": func(t *testing.T, eng *engine.Engine, _ []*engine.Pending, _ func()) { require.NoError(t, eng.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			const n = 20_000
			eng := newEngine(t, fullForADay(n))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first := eng.Submit(ctx, &engine.Request{Path: "/"})
			all := parkMany(t, eng, ctx, n)
			goroutines := runtime.NumGoroutine()
			var most atomic.Int64
			stop, watched := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(watched)
				for {
					select {
					case <-stop:
						return
					default:
						most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
						runtime.Gosched()
					}
				}
			}()
			end(t, eng, all, cancel)
			for _, p := range all {
				<-p.Done()
			}
			close(stop)
			<-watched
			require.LessOrEqual(t, int(most.Load()), goroutines+50)
			first.Cancel()
			<-first.Done()
		})
	}
}

func TestAnEngineIsNotClosedBeforeEverySubmittedRequestHasEnded(t *testing.T) {
	for range 20 {
		const n = 500
		eng := newEngine(t, fullForADay(n))
		all := parkMany(t, eng, t.Context(), n)
		require.NoError(t, eng.Close())
		for _, p := range all {
			select {
			case <-p.Done():
			default:
				require.Fail(t, "the engine has ended, and a request has not")
			}
		}
	}
}

func TestATimeoutOfMyriadsIsOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		config := oneASecond
		config.Limits = []throttle.Limit{{ID: "one", Quota: 1, Per: time.Second}}
		eng := s.newEngine(t, config)
		began := time.Now()
		var all []*engine.Pending
		for i := range 200 { // in an order that is none, some beside a limit
			timeout := time.Duration(1+(i*37)%100) * 10 * time.Millisecond
			all = append(all, eng.Submit(t.Context(), &engine.Request{Path: "/", Timeout: timeout}))
		}
		for _, p := range all {
			response, err := p.Result()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.LessOrEqual(t, time.Since(began), time.Second+time.Millisecond)
			} else {
				require.Equal(t, 200, response.StatusCode)
			}
		}
		wantNothingHeld(t, eng)
	})
}

func TestGoexitInACallersCodeEndsItsPending(t *testing.T) {
	exits := func(r *engine.Request) error {
		if r.LimitID == "exits" {
			runtime.Goexit()
		}
		return nil
	}
	limits := []throttle.Limit{{ID: "exits", Quota: 100, Per: time.Second}, {ID: "late", Quota: 100, Per: time.Second}}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Limits: limits, PreProcessors: []engine.PreProcessor{processor(exits)},
			PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(_ context.Context, r *engine.Request, _ *engine.Response) error {
				if r.LimitID == "late" {
					runtime.Goexit()
				}
				return nil
			})},
		})
		returned := make(chan bool, 1)
		go func() {
			defer func() { returned <- false }()
			eng.Submit(t.Context(), &engine.Request{Path: "/", LimitID: "exits"})
			returned <- true
		}()
		require.False(t, <-returned, "the goroutine is the submitter's")
		wantNothingHeld(t, eng)

		_, err := eng.Submit(t.Context(), &engine.Request{Path: "/", LimitID: "late"}).Result()
		var panicked *engine.PanicError
		require.ErrorAs(t, err, &panicked)
		var failed *engine.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, engine.SentYes, failed.Sent)
		wantNothingHeld(t, eng)
	})
}

func TestPreProcessorsAndBodiesAreAskedOnceThoughTheRequestIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := newServer(t, echoing)
		config := oneASecond
		config.PreProcessors = []engine.PreProcessor{processor(func(r *engine.Request) error {
			r.Query["n"] = asked.Add(1)
			return nil
		})}
		eng := s.newEngine(t, config)
		var all []*engine.Pending
		for range 3 {
			all = append(all, eng.Submit(t.Context(), &engine.Request{Path: "/", Query: engine.Values{"q": counted{&asked}}}))
		}
		for i, p := range all {
			response, err := p.Result()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("GET /?n=%d&q=%d  ", 2*i+1, 2*i+2), string(response.Body))
		}
	})
}

// counted is another text each time it is asked.
type counted struct{ n *atomic.Int64 }

func (c counted) String() string { return fmt.Sprint(c.n.Add(1)) }

func TestAFirstLookAtTheServersTimeIsWaitedForWithoutAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, echoing)
		known := make(chan struct{})
		eng := s.newEngine(t, engine.Config{
			Auth: noSignature{},
			Time: lateTime{known},
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		var all []*engine.Pending
		for i := range 1000 {
			c := ctx
			if i%2 == 0 {
				c = t.Context()
			}
			all = append(all, eng.Submit(c, &engine.Request{Path: "/", Auth: true}))
		}
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+20)
		cancel()
		for i, p := range all {
			if i%2 == 1 {
				_, err := p.Result()
				require.ErrorIs(t, err, context.Canceled)
			}
		}
		close(known)
		for i, p := range all {
			if i%2 == 0 {
				_, err := p.Result()
				require.NoError(t, err)
			}
		}
		wantNothingHeld(t, eng)
	})
}

// noSignature signs nothing.
type noSignature struct{}

func (noSignature) Authenticate(*messages.Call, auth.Clock) error { return nil }

// lateTime is a source of time that answers when a channel is closed.
type lateTime struct{ known chan struct{} }

func (l lateTime) ServerTime(ctx context.Context, _ *engine.Engine) (engine.TimeReading, error) {
	select {
	case <-l.known:
	case <-ctx.Done():
	}
	now := time.Now()
	return engine.TimeReading{Server: now, Sent: now, Received: now}, ctx.Err()
}

// contexts are one after the other, each cancelled when the next one comes.
type contexts struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *contexts) now() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancel(c.t.Context())
	}
	return c.ctx
}

func (c *contexts) next() {
	if c.ctx != nil {
		c.cancel()
		c.ctx = nil
	}
}

// A soak in real time, for the race detector: whatever crosses, each ends once, and nothing
// is held.
func TestWhateverCrossesEachSubmittedRequestEndsOnce(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{
		Limits: []throttle.Limit{{ID: "many", Quota: 400, Per: 10 * time.Millisecond}}, DefaultLimitID: "many",
		Connections: engine.Connections{Max: 8}, Admission: engine.Admission{MaxInFlight: 300},
	})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			draw := rand.New(rand.NewPCG(uint64(w), 7))
			under := contexts{t: t}
			defer under.next()
			var mine []*engine.Pending
			for i := range 1500 {
				req := &engine.Request{Path: "/", Priority: engine.Priority(draw.IntN(3))}
				if draw.IntN(4) == 0 {
					req.Timeout = time.Duration(1+draw.IntN(20)) * time.Millisecond
				}
				mine = append(mine, eng.Submit(under.now(), req))
				switch draw.IntN(60) {
				case 0:
					under.next()
				case 1:
					halt, err := eng.Halt(engine.Filter{PriorityBelow: 1})
					require.NoError(t, err)
					halt.Lift()
				case 2:
					require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "many", Quota: int64(300 + draw.IntN(200)), Per: 10 * time.Millisecond}}))
				case 3, 4, 5, 6:
					mine[draw.IntN(len(mine))].Cancel()
				case 7:
					for _, p := range mine[max(0, i-50):] {
						p.Cancel()
					}
				}
			}
			for _, p := range mine {
				response, err := p.Result()
				require.True(t, (response == nil) != (err == nil))
			}
		})
	}
	all.Wait()
	wantNothingHeld(t, eng)
}

func TestCancelEndsARequestWhereverItIsAndWaitsForNobody(t *testing.T) {
	for name, one := range map[string]struct {
		config engine.Config
		busy   int
	}{
		"in the queue":      {oneASecond, 1},
		"at a connection":   {oneConnection, 1},
		"in an exchange":    {engine.Config{}, 0},
		"before its credit": {engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, 1},
	} {
		for _, streams := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, dawdles)
				eng := s.newEngine(t, one.config)
				var before []*engine.Pending
				for range one.busy {
					before = append(before, eng.Submit(t.Context(), &engine.Request{Path: "/busy"}))
					synctest.Wait()
				}
				began := time.Now()
				p := eng.Submit(t.Context(), &engine.Request{Path: "/", Stream: streams})
				require.Equal(t, "/", p.Request().Path)
				synctest.Wait()
				p.Cancel()
				_, err := p.Result()
				require.ErrorIs(t, err, context.Canceled, name)
				var failed *engine.Error
				require.ErrorAs(t, err, &failed)
				require.Zero(t, time.Since(began))
				p.Cancel() // which changes nothing
				for _, other := range before {
					response, err := other.Result()
					require.NoError(t, err)
					require.Equal(t, 200, response.StatusCode)
				}
				synctest.Wait()
				wantNothingHeld(t, eng)
			})
		}
	}
}
