package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// inBothProtocols runs a test in fake time over HTTP/1.1 and over HTTP/2. open makes
// a server of the handler, and an engine that speaks to it.
func inBothProtocols(t *testing.T, test func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine))) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(handler http.HandlerFunc, config engine.Config) (*server, *engine.Engine) {
				s := newServer(t, handler)
				return s, s.newEngine(t, config)
			})
		})
	})
	t.Run("HTTP/2.0", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(handler http.HandlerFunc, config engine.Config) (*server, *engine.Engine) {
				s := newHTTP2Server(t, handler, &config)
				return s, s.newEngine(t, config)
			})
		})
	})
}

// newHTTP2Server serves handler in HTTP/2, and lets config reach it.
func newHTTP2Server(t *testing.T, handler http.HandlerFunc, config *engine.Config) *server {
	s := &server{conns: make(chan net.Conn), start: time.Now()}
	served := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serving.Add(1)
		defer s.serving.Done()
		s.note(r.URL.Path)
		if r.ProtoMajor != 2 {
			t.Error("spoken to in " + r.Proto)
		}
		handler(w, r)
	}))
	served.Listener.Close()
	served.Listener = &pipeListener{conns: s.conns, closed: make(chan struct{})}
	served.EnableHTTP2 = true
	served.Config.ErrorLog = discardLog
	// Or both ends of a pipe would write a first word, and neither read it.
	served.TLS = &tls.Config{SessionTicketsDisabled: true}
	served.StartTLS()
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Config.Close()
		served.Close()
		s.serving.Wait()
	})
	config.BaseURL = "https://example.com"
	config.Dial.TLS = served.Client().Transport.(*http.Transport).TLSClientConfig
	served.Client().CloseIdleConnections()
	config.Connections.HTTP2 = func(string) bool { return true }
	return s
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// cutting breaks off its first answers inside the body, and says all of the others.
func cutting(cuts int64, body string, header ...string) http.HandlerFunc {
	var seen atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if seen.Add(1) > cuts {
			io.WriteString(w, body)
			return
		}
		io.WriteString(w, body[:len(body)/2])
		flush(w)
		panic(http.ErrAbortHandler)
	}
}

func compressed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func TestAnAnswerThatIsCutOffIsAskedForAgainUnderAPermitOfItsOwn(t *testing.T) {
	const text = "the whole of it"
	for name, handler := range map[string]func(cuts int64) http.HandlerFunc{
		"of known length": func(cuts int64) http.HandlerFunc {
			return cutting(cuts, text, "Content-Length", fmt.Sprint(len(text)))
		},
		"in chunks":  func(cuts int64) http.HandlerFunc { return cutting(cuts, text) },
		"compressed": func(cuts int64) http.HandlerFunc { return cutting(cuts, compressed(text), "Content-Encoding", "gzip") },
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				s, eng := open(handler(1), engine.Config{DefaultLimitID: "calls", Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}}})
				response, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				require.Equal(t, text, response.Text())
				require.Equal(t, 2, response.Attempts)
				require.Equal(t, engine.SentMaybe, response.Sent, "what was cut off was carried out, for all that is known")
				require.Len(t, s.seen(), 2)
				require.GreaterOrEqual(t, s.seen()[1], time.Minute)
				wantNothingHeld(t, eng)
			})
		})
		t.Run(name+", of an order", func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				s, eng := open(handler(1), engine.Config{})
				_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/"})
				require.ErrorIs(t, err, engine.ErrTruncated)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.NotErrorIs(t, err, io.EOF)
				require.Equal(t, engine.Unknown, engine.OutcomeOf(err))
				require.Len(t, s.seen(), 1)
				wantNothingHeld(t, eng)
			})
		})
		t.Run(name+", of a stream", func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				s, eng := open(handler(1), engine.Config{})
				body, err := io.ReadAll(openStream(t, eng, t.Context(), engine.Request{}).Stream)
				require.ErrorIs(t, err, engine.ErrTruncated)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.Less(t, len(body), len(text))
				require.Len(t, s.seen(), 1, "its beginning was handed over")
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestNoAnswerAtAllIsAnEndOfFile(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, engine.Config{})
		for _, stream := range []bool{false, true} {
			_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Stream: stream})
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("not an end of file: %v", err)
			}
			require.Equal(t, engine.Unknown, engine.OutcomeOf(err))
		}
		require.Len(t, s.seen(), 2)
	})
}

func TestAnswersThatAreCutOffAreRepeatedWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, cutting(1e9, "all of them"))
		eng := s.newEngine(t, engine.Config{Retry: engine.Retry{Max: 5, Base: time.Nanosecond}})
		const n = 400
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.ErrorIs(t, err, engine.ErrTruncated)
			})
		}
		all.Wait()
		require.Greater(t, len(s.seen()), n)
		require.LessOrEqual(t, len(s.seen()), n+n/5+2*10+1)
		wantNothingHeld(t, eng)
	})
}

// silentFirst does not answer its first request to a path, and all the others at once.
func silentFirst(say func(http.ResponseWriter)) http.HandlerFunc {
	var mu sync.Mutex
	asked := map[string]bool{}
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		before := asked[r.URL.Path]
		asked[r.URL.Path] = true
		mu.Unlock()
		if before {
			io.WriteString(w, "here")
			return
		}
		say(w)
		<-r.Context().Done()
	}
}

func sayNothing(http.ResponseWriter) {}

func sayHead(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "4")
	flush(w)
}

func TestASilentConnectionDoesNotEatTheWholeTimeout(t *testing.T) {
	for name, say := range map[string]func(http.ResponseWriter){"no head": sayNothing, "no body": sayHead} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				s, eng := open(silentFirst(say), engine.Config{Retry: engine.Retry{PerAttempt: 2 * time.Second}})
				response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 10 * time.Second})
				require.NoError(t, err)
				require.Equal(t, "here", response.Text())
				require.Equal(t, 2, response.Attempts)
				require.Equal(t, engine.SentMaybe, response.Sent)
				require.Len(t, s.seen(), 2)
				require.InDelta(t, 2*time.Second, s.seen()[1], float64(100*time.Millisecond))
				pools := eng.Stats().Pools[0]
				require.Equal(t, 1, pools.Idle, "of the second attempt")
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestAnAttemptThatTookTooLongIsNoDeadlineOfTheCallers(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(silentFirst(sayNothing), engine.Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second, MaxDelay: 30 * time.Second}}, DefaultLimitID: "calls",
			Retry: engine.Retry{PerAttempt: 2 * time.Second},
		})
		begun := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/order", Timeout: 10 * time.Second})
		require.Equal(t, 2*time.Second, time.Since(begun), "an order is not repeated")
		require.ErrorIs(t, err, engine.ErrAttemptTimeout)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "Retry.PerAttempt of 2s")
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.True(t, failure.Timeout())
		require.Equal(t, engine.Exchanging, failure.Stage)
		require.Equal(t, engine.SentMaybe, failure.Sent)
		require.Equal(t, engine.Unknown, engine.OutcomeOf(err))
		wantNothingHeld(t, eng)

		_, err = eng.Do(t.Context(), &engine.Request{Path: "/order"})
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.seen()[1], 32*time.Second, "it was given up, and may arrive until then")
	})
}

func TestWhatEndsTogetherWithTheCallersTimeIsTheCallersDeadline(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(silentFirst(sayNothing), engine.Config{Retry: engine.Retry{PerAttempt: 2 * time.Second}})
		const n = 20
		for i := range n { // two timers ring at the same instant, in any order
			_, err := eng.Do(t.Context(), &engine.Request{Path: fmt.Sprint("/", i), Timeout: 2 * time.Second})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, engine.ErrAttemptTimeout)
		}

		boom := errors.New("boom")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(boom) })
		_, err := eng.Do(ctx, &engine.Request{Path: "/another"})
		require.ErrorIs(t, err, boom)
		require.NotErrorIs(t, err, engine.ErrAttemptTimeout)
		require.Len(t, s.seen(), n+1)
	})
}

func TestAWaitInAQueueIsNoPartOfAnAttempt(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		_, eng := open(slowly(time.Second), engine.Config{
			Retry:       engine.Retry{Max: -1, PerAttempt: 2 * time.Second},
			Connections: engine.Connections{Max: 1},
			Limits:      []throttle.Limit{{ID: "calls", Quota: 4, Per: 10 * time.Second}}, DefaultLimitID: "calls",
		})
		sendAll(t, eng, 8, engine.Request{})
	})
}

// Once its head has come a stream may take its time, and the connection is free
// again when it has ended.
func TestOneAttemptOfAStreamIsBoundedToItsHead(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		quiet := silentFirst(sayNothing)
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				slowBody(5)(w, r)
				return
			}
			quiet(w, r)
		}, engine.Config{Retry: engine.Retry{PerAttempt: 2 * time.Second}})
		body, err := io.ReadAll(openStream(t, eng, t.Context(), engine.Request{Path: "/slow"}).Stream)
		require.NoError(t, err)
		require.Equal(t, "xxxxx", string(body))
		body, err = io.ReadAll(openStream(t, eng, t.Context(), engine.Request{}).Stream)
		require.NoError(t, err)
		require.Equal(t, "here", string(body))
		require.Len(t, s.seen(), 3)
		wantNothingHeld(t, eng)
	})
}

func TestInHTTP2TheConnectionOutlivesAnAttemptThatTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		config := engine.Config{Retry: engine.Retry{PerAttempt: 2 * time.Second}}
		s := newHTTP2Server(t, silentFirst(sayNothing), &config)
		config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return s.dial(ctx, network, addr)
		}
		eng := s.newEngine(t, config)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Len(t, s.seen(), 2)
		require.EqualValues(t, 1, dials.Load())
	})
}

func TestALookAtTheClockIsBoundedAndRepeatedAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/time" && looks.Add(1) == 1 {
				<-r.Context().Done()
				return
			}
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().UnixMilli())
		})
		config := signedConfig()
		config.Connections.Max, config.Feedback = 4, nil
		config.Retry.PerAttempt = time.Second
		eng := s.newEngine(t, config)
		begun := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
		require.NoError(t, err)
		require.InDelta(t, time.Second, time.Since(begun), float64(200*time.Millisecond))
	})
}

func TestRetriesThatMakeNoSenseAreRefused(t *testing.T) {
	_, err := engine.New(engine.Config{Retry: engine.Retry{Max: -1, PerAttempt: -1, Statuses: []int{503, 200, 600, 503}}})
	for _, want := range []string{
		"Retry.PerAttempt is negative", "Retry.Max that nothing is", "Retry.Statuses[1]: 200", "Retry.Statuses[2]: 600", "Retry.Statuses[3]: 503 is there twice",
	} {
		require.ErrorContains(t, err, want)
	}
	statuses := []int{503}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(503, "", 0))
		eng := s.newEngine(t, engine.Config{Retry: engine.Retry{Statuses: statuses}})
		statuses[0] = 500 // New has a copy
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
	})
}

// scripted answers with one status after the other, and the last one from then on.
// A status of 0 breaks the connection off, one of 1 inside the body of a 200.
func scripted(retryAfter string, statuses ...int) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		i := int(min(n.Add(1), int64(len(statuses)))) - 1
		switch status := statuses[i]; status {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			flush(w)
			panic(http.ErrAbortHandler)
		default:
			if retryAfter != "" && status >= 400 {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, "answer %d", i+1)
		}
	}
}

func TestAStatusIsRepeatedAfterThePauseThatItAskedFor(t *testing.T) {
	retry := engine.Retry{Statuses: []int{429, 502, 503, 504}}
	for name, c := range map[string]struct {
		script     []int
		retryAfter string
		request    engine.Request
		status     int
		attempts   int
		least      time.Duration // before the second attempt
		took       time.Duration // at least, of the whole call; and a second more at most
	}{
		"502, and then an answer":             {script: []int{502, 200}, status: 200, attempts: 2},
		"429 pauses what it is charged to":    {script: []int{429, 200}, retryAfter: "5", status: 200, attempts: 2, least: 5 * time.Second, took: 5 * time.Second},
		"503 pauses for as long as it says":   {script: []int{503, 200}, retryAfter: "40", status: 200, attempts: 2, least: 40 * time.Second, took: 40 * time.Second},
		"504 says when, though nobody pauses": {script: []int{504, 200}, retryAfter: "3", status: 200, attempts: 2, least: 3 * time.Second, took: 3 * time.Second},
		"repetitions are used up":             {script: []int{502, 502, 502, 200}, status: 502, attempts: 3},
		"a status of no concern":              {script: []int{500, 200}, status: 500, attempts: 1},
		"an order":                            {script: []int{503, 200}, request: engine.Request{Method: "POST"}, status: 503, attempts: 1},
		"an order with an id of its own":      {script: []int{503, 200}, request: engine.Request{Method: "POST", Idempotent: true}, status: 200, attempts: 2},
		"a body that can be read once": {
			script:  []int{503, 200},
			request: engine.Request{Method: "PUT", Body: io.MultiReader(strings.NewReader("once")), Upload: engine.Upload{Stream: true}},
			status:  503, attempts: 1,
		},
		"429, and no time for the pause": {script: []int{429, 200}, retryAfter: "5", request: engine.Request{Timeout: 4 * time.Second}, status: 429, attempts: 1},
		"503, and no time for the pause": {script: []int{503, 200}, retryAfter: "5", request: engine.Request{Timeout: 4 * time.Second}, status: 503, attempts: 1},
		"504, and no time for the pause": {script: []int{504, 200}, retryAfter: "5", request: engine.Request{Timeout: 4 * time.Second}, status: 504, attempts: 1},
	} {
		for _, stream := range []bool{false, true} {
			for _, limit := range []string{"calls", "open", engine.Unlimited} {
				t.Run(fmt.Sprintf("%s, stream %t, %s", name, stream, limit), func(t *testing.T) {
					inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
						processed := 0
						s, eng := open(scripted(c.retryAfter, c.script...), engine.Config{
							Retry: retry, Connections: engine.Connections{Max: 1},
							Limits: []throttle.Limit{
								{ID: "calls", Quota: 100, Per: time.Second}, {ID: "open", Quota: 1, Window: throttle.Concurrency},
							},
							PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error {
								processed++
								return nil
							})},
						})
						request, begun := c.request, time.Now()
						request.Path, request.Stream, request.LimitID = "/", stream, limit
						if request.Body != nil {
							request.Body = io.MultiReader(strings.NewReader("once")) // the table's is for one request
						}
						response, err := eng.Do(t.Context(), &request)
						require.NoError(t, err)
						took := time.Since(begun)
						require.Equal(t, c.status, response.StatusCode)
						require.Equal(t, c.attempts, response.Attempts)
						require.Equal(t, 1, processed, "post-processors see the last answer alone")
						arrivals := s.seen()
						require.Len(t, arrivals, c.attempts)
						if c.attempts > 1 {
							require.GreaterOrEqual(t, arrivals[1], c.least)
						}
						require.GreaterOrEqual(t, took, c.took)
						require.Less(t, took, c.took+time.Second)
						if c.attempts == 1 {
							require.Zero(t, took, "nothing is waited for in vain")
						}
						text := response.Text()
						if stream {
							body, err := io.ReadAll(response.Stream)
							require.NoError(t, err)
							text = string(body)
						}
						require.Equal(t, fmt.Sprintf("answer %d", c.attempts), text)
						wantNothingHeld(t, eng)
						require.EqualValues(t, 1, eng.Stats().Pools[0].Dialled, "connections of refusals are kept")
					})
				})
			}
		}
	}
}

// A repetition that finds no time or room in the queue leaves the caller the answer
// that there is.
func TestTheLastAnswerIsTheResponseIfThereIsNoRoomForAnother(t *testing.T) {
	for _, stream := range []bool{false, true} {
		inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
			s, eng := open(scripted("", 503, 200), engine.Config{
				Retry: engine.Retry{Statuses: []int{503}}, DefaultLimitID: "calls",
				Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}},
			})
			begun := time.Now()
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 10 * time.Second, Stream: stream})
			require.NoError(t, err)
			require.Less(t, time.Since(begun), time.Second, "the window is full for a minute")
			require.Equal(t, 503, response.StatusCode)
			require.Equal(t, 1, response.Attempts)
			require.Equal(t, engine.SentYes, response.Sent)
			if stream {
				body, err := io.ReadAll(response.Stream)
				require.NoError(t, err)
				require.Equal(t, "answer 1", string(body))
			}
			require.Len(t, s.seen(), 1)
			wantNothingHeld(t, eng)
		})
	}
}

func TestWhoeverLeavesDuringAPauseIsToldOfTheAnswerBeforeIt(t *testing.T) {
	for status, want := range map[int]engine.Outcome{429: engine.Refused, 503: engine.Unknown} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, scripted("60", status))
			eng := s.newEngine(t, engine.Config{Retry: engine.Retry{Statuses: []int{429, 503}}})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := eng.Do(ctx, &engine.Request{Path: "/"})
			require.ErrorIs(t, err, context.Canceled)
			var refused *engine.StatusError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, status, refused.StatusCode)
			require.Equal(t, want, engine.OutcomeOf(err))
			wantNothingHeld(t, eng)
		})
	}
}

// What a later answer says of a request is not true of an earlier attempt that may
// have been carried out.
func TestAnAnswerThatLeavesItOpenIsNotForgottenOverTheNext(t *testing.T) {
	for name, c := range map[string]struct {
		script []int
		sent   engine.Sent
		want   engine.Outcome
	}{
		"busy, then refused":       {[]int{502, 429}, engine.SentMaybe, engine.Unknown},
		"busy, then gone":          {[]int{503, 404}, engine.SentMaybe, engine.Unknown},
		"cut off, then gone":       {[]int{1, 404}, engine.SentMaybe, engine.Unknown},
		"broken off, then refused": {[]int{0, 429}, engine.SentMaybe, engine.Unknown},
		"refused, then refused":    {[]int{429, 429}, engine.SentYes, engine.Refused},
		"refused, then rejected":   {[]int{429, 400}, engine.SentYes, engine.Rejected},
		"refused, then done":       {[]int{429, 200}, engine.SentYes, engine.Done},
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				s, eng := open(scripted("", c.script...), engine.Config{Retry: engine.Retry{Max: 1, Statuses: []int{429, 502, 503}}})
				response, err := eng.Do(t.Context(), &engine.Request{Method: "DELETE", Path: "/"})
				require.NoError(t, err)
				require.Equal(t, 2, response.Attempts)
				require.Equal(t, c.sent, response.Sent)
				require.Equal(t, c.want, engine.OutcomeOf(response.Err()))
				require.Len(t, s.seen(), 2)
			})
		})
	}
}

// Whoever balances load may send it elsewhere the second time.
func TestARepetitionCarriesTheCookiesOfTheAnswerBefore(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		_, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if _, err := r.Cookie("node"); err != nil {
				http.SetCookie(w, &http.Cookie{Name: "node", Value: "2"})
				w.WriteHeader(503)
			}
			io.WriteString(w, r.Header.Get("X-Own")+r.Header.Get("Cookie"))
		}, engine.Config{Cookies: jar, Retry: engine.Retry{Statuses: []int{503}}})
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Header: http.Header{"X-Own": {"mine;"}}})
		require.NoError(t, err)
		require.Equal(t, "mine;node=2", response.Text())
	})
}

func TestStatusesAreRepeatedWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, scripted("", 502))
		eng := s.newEngine(t, engine.Config{Retry: engine.Retry{Max: 5, Base: time.Nanosecond, Statuses: []int{502}}})
		const n = 400
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				response, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				require.Equal(t, 502, response.StatusCode)
			})
		}
		all.Wait()
		require.Greater(t, len(s.seen()), n)
		require.LessOrEqual(t, len(s.seen()), n+n/5+2*10+1)
	})
}

// A refusal whose body drips, or has no end, holds up no repetition, and what is kept
// of it does not pass for the whole.
func TestABodyThatIsNotWaitedForHoldsUpNoRepetition(t *testing.T) {
	for name, say := range map[string]func(http.ResponseWriter, *http.Request){
		"that does not come": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"that is long":       func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 200<<10)) },
	} {
		for _, room := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, room %t", name, room), func(t *testing.T) {
				inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
					var seen atomic.Int64
					quota := int64(1)
					if room {
						quota = 2
					}
					_, eng := open(func(w http.ResponseWriter, r *http.Request) {
						if seen.Add(1) > 1 {
							return
						}
						w.WriteHeader(503)
						io.WriteString(w, "busy")
						flush(w)
						say(w, r)
					}, engine.Config{
						Retry: engine.Retry{Statuses: []int{503}}, DefaultLimitID: "calls",
						Limits: []throttle.Limit{{ID: "calls", Quota: quota, Per: time.Minute}},
					})
					begun := time.Now()
					response := openStream(t, eng, t.Context(), engine.Request{Timeout: 30 * time.Second})
					require.Less(t, time.Since(begun), 2*time.Second)
					body, err := io.ReadAll(response.Stream)
					if room {
						require.NoError(t, err)
						require.Equal(t, 200, response.StatusCode)
					} else {
						require.ErrorIs(t, err, engine.ErrTruncated)
						require.Equal(t, 503, response.StatusCode)
						require.True(t, bytes.HasPrefix(body, []byte("busy")))
					}
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

// What is waited for the body counts as a part of the pause.
func TestAPauseBeginsWhenItsAnswerHasCome(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		var seen atomic.Int64
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1) == 1 {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(503)
				flush(w)
				<-r.Context().Done()
			}
		}, engine.Config{Retry: engine.Retry{Statuses: []int{503}}})
		response := openStream(t, eng, t.Context(), engine.Request{Timeout: 2500 * time.Millisecond})
		require.Equal(t, 200, response.StatusCode)
		require.NoError(t, response.Stream.Close())
		require.Equal(t, 2*time.Second, s.seen()[1])
	})
}

func TestAClientOverTheRoundTripperIsRepeatedForAsWell(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(func() http.HandlerFunc {
			quiet, busy := silentFirst(sayNothing), scripted("", 503, 200)
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/quiet" {
					quiet(w, r)
					return
				}
				busy(w, r)
			}
		}(), engine.Config{Retry: engine.Retry{PerAttempt: time.Second, Statuses: []int{503}}})
		// The engine's own base: the protocols differ in it.
		client := &http.Client{Transport: eng.RoundTripper(func(r *http.Request, asked *engine.Request) {
			asked.URL, asked.Path = "", r.URL.Path
		})}
		for _, path := range []string{"/quiet", "/busy"} {
			response, err := client.Get("http://server.test" + path)
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
			require.NoError(t, response.Body.Close())
		}
		require.Len(t, s.seen(), 4)
	})
}
