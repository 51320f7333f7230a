package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
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

// says serves one stream for each connection, in order, and 204 behind the last. A stream
// that ends with "…" goes on in silence.
func says(streams ...string) (handler http.HandlerFunc, heads func() []http.Header) {
	var mu sync.Mutex
	var seen []http.Header
	return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			n := len(seen)
			seen = append(seen, r.Header.Clone())
			mu.Unlock()
			if n >= len(streams) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			text, silent := strings.CutSuffix(streams[n], "…")
			io.WriteString(w, text)
			flush(w)
			if silent {
				<-r.Context().Done()
			}
		}, func() []http.Header {
			mu.Lock()
			defer mu.Unlock()
			return seen
		}
}

// data are what the events of a sequence say, up to its error.
func data(seq func(func(engine.Event, error) bool)) (said []string, err error) {
	events, err := all(seq)
	for _, e := range events {
		said = append(said, fmt.Sprintf("%d %s %s %s", e.Connection, e.ID, e.Type, e.Data))
	}
	return said, err
}

func TestEventsComeAsTheyAreSaidAndGoOnWithTheLastID(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		handler, heads := says(
			"\uFEFF: hello\r\nretry: 5000\r\n\r\nid: 1\ndata: a\ndata: b\n\nevent: add\ndata: c\n\nid: 2\ndata: cut off\n",
			"id: 3\ndata: d\n\nid\ndata: e\n\n",
			"data: f\n\n",
		)
		s, eng := open(handler, engine.Config{})
		var told []engine.Interruption
		began := time.Now()
		got, err := data(engine.Events(t.Context(), eng, &engine.Request{Header: http.Header{"X-Own": {"1"}}}, engine.Subscription{
			LastEventID: "0", Interrupted: func(i engine.Interruption) { told = append(told, i) },
		}))
		require.NoError(t, err, "a 204 is no error")
		require.Equal(t, []string{"1 1 message a\nb", "1 1 add c", "2 3 message d", "2  message e", "3  message f"}, got)
		var ids []string
		for _, h := range heads() {
			require.Equal(t, "text/event-stream", h.Get("Accept"))
			require.Equal(t, "no-store", h.Get("Cache-Control"))
			require.Equal(t, "1", h.Get("X-Own"))
			ids = append(ids, strings.Join(h.Values("Last-Event-Id"), "+"))
		}
		require.Equal(t, []string{"0", "1", "", ""}, ids, "an id of an event that was cut off, or an empty one, is not sent")
		require.Len(t, told, 3)
		require.Equal(t, []string{"1", "", ""}, []string{told[0].LastEventID, told[1].LastEventID, told[2].LastEventID})
		sum := time.Duration(0)
		for i, interruption := range told {
			require.Equal(t, io.EOF, interruption.Err)
			require.Equal(t, i+1, interruption.Connection)
			require.GreaterOrEqual(t, interruption.Pause, 5*time.Second, "the server's own time")
			require.LessOrEqual(t, interruption.Pause, 7500*time.Millisecond)
			sum += interruption.Pause
		}
		require.Equal(t, sum, time.Since(began))
		require.Len(t, s.seen(), 4)
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestTheIDToGoOnBehindIsSentOnceHoweverItsNameIsSpelt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]string
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Header.Values("Last-Event-ID"))
			w.Header().Set("Content-Type", "text/event-stream")
			if len(got) > 1 {
				fmt.Fprint(w, "id: 101\n")
			}
			fmt.Fprint(w, "data: x\n\n")
		}).newEngine(t, engine.Config{})
		n := 0
		for event, err := range engine.Events(t.Context(), eng, &engine.Request{Header: http.Header{"last-event-id": {"5"}}}, engine.Subscription{}) {
			require.NoError(t, err)
			require.Equal(t, []string{"5", "101", "101"}[n], event.ID)
			if n++; n == 3 {
				break
			}
		}
		require.Equal(t, [][]string{{"5"}, {"5"}, {"101"}}, got)
	})
}

func TestAnEventIsYieldedWhenItIsThere(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		_, eng := open(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\r\r", i)
				flush(w)
				time.Sleep(time.Minute)
			}
		}, engine.Config{Timeout: 10 * time.Second})
		began, i := time.Now(), 0
		for event, err := range engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{Once: true}) {
			require.NoError(t, err, "the engine's timeout is not that of the stream")
			require.Equal(t, fmt.Sprint(i), event.Data)
			require.Equal(t, time.Duration(i)*time.Minute, time.Since(began))
			i++
		}
		require.Equal(t, 3, i, "a stream that is wanted once ends without an error")
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestAStreamThatIsSilentForTooLongIsConnectedToAgain(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		handler, heads := says("id: 1\ndata: a\n\n…", "data: b\n\n…")
		_, eng := open(handler, engine.Config{})
		var told []engine.Interruption
		var got []string
		for event, err := range engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{
			Idle: time.Minute, Interrupted: func(i engine.Interruption) { told = append(told, i) },
		}) {
			require.NoError(t, err)
			got = append(got, event.Data)
			time.Sleep(time.Hour) // the consumer's own time is none of the stream's
		}
		require.Equal(t, []string{"a", "b"}, got)
		require.Len(t, told, 2)
		require.Equal(t, engine.ErrIdle, told[0].Err)
		require.Equal(t, "1", heads()[1].Get("Last-Event-Id"))
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestACommentIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 10 {
				io.WriteString(w, ":\n\n")
				flush(w)
				time.Sleep(50 * time.Second)
			}
			io.WriteString(w, "data: a\n\n")
		})
		got, err := data(engine.Events(t.Context(), s.newEngine(t, engine.Config{}), &engine.Request{}, engine.Subscription{Idle: time.Minute, Once: true}))
		require.NoError(t, err)
		require.Len(t, got, 1)
	})
}

func TestARefusalThatSaysWhenIsWaitedForAndAnyOtherEndsTheSequence(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for _, code := range []int{400, 401, 404, 409, 429, 500, 502, 503, 206, 301} {
			_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.WriteHeader(code)
				io.WriteString(w, "why")
			}, engine.Config{})
			got, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{}))
			require.Empty(t, got)
			var status *engine.StatusError
			require.ErrorAs(t, err, &status, "%d", code)
			require.Equal(t, code, status.StatusCode)
			require.Equal(t, "why", string(status.Body))
			var ended *engine.EventsError
			require.ErrorAs(t, err, &ended)
			synctest.Wait()
			wantNothingHeld(t, eng)
		}
		var asked atomic.Int64
		_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) == 1 {
				w.Header().Set("Retry-After", "90")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: a\n\n")
		}, engine.Config{})
		began := time.Now()
		for _, err := range engine.Events(t.Context(), eng, &engine.Request{Method: http.MethodPost, Body: []byte("{}")}, engine.Subscription{}) {
			require.NoError(t, err)
			require.Equal(t, 90*time.Second, time.Since(began).Round(time.Second))
		}
		require.EqualValues(t, 2, asked.Load(), "a POST that was refused is repeated, and one that was answered is not")
	})
}

func TestAPOSTThatMayHaveBeenCarriedOutBeginsNoEventsAgain(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for name, c := range map[string]struct {
			asked engine.Request
			codes []int // of one answer after the other, and of all behind the last; zero breaks off
			sent  int
		}{
			"a 503":                      {engine.Request{Method: http.MethodPost}, []int{503}, 1},
			"a 429 and a 503":            {engine.Request{Method: http.MethodPost}, []int{429, 503}, 2},
			"a 503 to what may go twice": {engine.Request{Method: http.MethodPost, Idempotent: true}, []int{503}, 3},
			"a 503 to a question":        {engine.Request{}, []int{503}, 3},
		} {
			var seen atomic.Int64
			_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
				code := c.codes[min(int(seen.Add(1)), len(c.codes))-1]
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(code)
			}, engine.Config{Retry: engine.Retry{Max: -1}})
			_, err := data(engine.Events(t.Context(), eng, &c.asked, engine.Subscription{Failures: 3}))
			var status *engine.StatusError
			require.ErrorAs(t, err, &status, name)
			require.Equal(t, engine.Unknown, engine.OutcomeOf(err), name)
			require.EqualValues(t, c.sent, seen.Load(), name)
		}
	})
}

func TestNoStreamIsBegunBehindAnIDThatNoHeaderCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heads []string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			heads = append(heads, strings.Join(r.Header.Values("Last-Event-Id"), "+"))
			if len(heads)%2 == 0 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "id: a\x01\ndata: x\n\n")
		})
		eng := s.newEngine(t, engine.Config{})
		how := engine.Subscription{LastEventID: "7"}
		for range 2 {
			_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, how))
			var ended *engine.EventsError
			require.ErrorAs(t, err, &ended)
			var status *engine.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, http.StatusBadGateway, status.StatusCode)
			how.LastEventID = ended.LastEventID
		}
		require.Equal(t, []string{"7", "", "", ""}, heads)
	})
}

func TestAnErrorWhoseBodyStallsIsToldByEvents(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for name, wrap := range map[string]func(io.ReadCloser) io.ReadCloser{
			"as it came":               func(r io.ReadCloser) io.ReadCloser { return r },
			"read by a post-processor": func(r io.ReadCloser) io.ReadCloser { return struct{ io.ReadCloser }{r} },
		} {
			_, eng := open(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				io.WriteString(w, "why")
				flush(w)
				<-r.Context().Done()
			}, engine.Config{PostProcessors: []engine.PostProcessor{wrapping(wrap)}})
			began := time.Now()
			_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{Idle: time.Minute}))
			var status *engine.StatusError
			require.ErrorAs(t, err, &status, name)
			require.Equal(t, "why", string(status.Body), "what has come is kept")
			require.LessOrEqual(t, time.Since(began), 2*time.Second, name)
			synctest.Wait()
			wantNothingHeld(t, eng)
		}
	})
}

// wrapping has an answer's stream be another one.
func wrapping(another func(io.ReadCloser) io.ReadCloser) engine.PostProcessor {
	return engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, r *engine.Response) error {
		r.Stream = another(r.Stream)
		return nil
	})
}

func TestWhatIsNoStreamOfEventsEndsTheSequence(t *testing.T) {
	for _, kind := range []string{"text/html", "text/event-stream2", "application/json"} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, "data: a\n\n")
		})
		eng := s.newEngine(t, engine.Config{})
		got, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{}))
		require.Empty(t, got)
		var wrong *engine.ContentTypeError
		require.ErrorAs(t, err, &wrong)
		require.Len(t, s.seen(), 1)
		wantNothingHeld(t, eng)
	}
}

func TestAnEventThatIsTooLargeEndsTheSequence(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		handler, _ := says("id: 7\ndata: a\n\n:" + strings.Repeat("x", 2000) + "…")
		_, eng := open(handler, engine.Config{})
		got, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{MaxEvent: 1000}))
		require.Equal(t, []string{"1 7 message a"}, got)
		require.ErrorIs(t, err, engine.ErrEventTooLarge)
		var ended *engine.EventsError
		require.ErrorAs(t, err, &ended)
		require.Equal(t, "7", ended.LastEventID)
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestConnectingAgainTakesLongerEachTimeAndHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := errors.New("nobody is there")
		eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Retry: engine.Retry{Max: -1}, Dial: engine.Dial{
			DialContext: func(context.Context, string, string) (netConn, error) { return nil, refuse },
		}})
		var pauses []time.Duration
		_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{
			Pause: time.Second, LongestPause: 10 * time.Second, Failures: 7, Interrupted: func(i engine.Interruption) { pauses = append(pauses, i.Pause) },
		}))
		require.ErrorIs(t, err, refuse)
		require.Len(t, pauses, 6)
		for i, least := range []time.Duration{1, 2, 4, 8, 10, 10} {
			require.GreaterOrEqual(t, pauses[i], least*time.Second)
			require.LessOrEqual(t, pauses[i], max(least*3/2*time.Second, least*1500*time.Millisecond))
		}
		wantNothingHeld(t, eng)
	})
}

func TestAServerThatEndsEveryStreamAtOnceIsNotHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, heads := says("retry: 0\n\n", "", ":\n", "", "", "", "")
		s := newServer(t, handler)
		began := time.Now()
		got, err := data(engine.Events(t.Context(), s.newEngine(t, engine.Config{}), &engine.Request{}, engine.Subscription{LongestPause: time.Second}))
		require.NoError(t, err)
		require.Empty(t, got)
		require.Len(t, heads(), 8)
		require.Greater(t, time.Since(began), (100+200+400+800+1000+1000+1000)*time.Millisecond)
	})
}

func TestConnectingIsBoundByTheTimeoutAndCountsAsAFailure(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		_, eng := open(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, engine.Config{})
		began := time.Now()
		var pauses time.Duration
		_, err := data(engine.Events(t.Context(), eng, &engine.Request{Timeout: 3 * time.Second}, engine.Subscription{
			Failures: 2, Interrupted: func(i engine.Interruption) { pauses += i.Pause },
		}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 6*time.Second, time.Since(began)-pauses)
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestEventsKeepToTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := says("data: a\n\n", "data: b\n\n", "data: c\n\n")
		s := newServer(t, handler)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l"})
		got, err := data(engine.Events(t.Context(), eng, &engine.Request{Timeout: -1}, engine.Subscription{}))
		require.NoError(t, err)
		require.Len(t, got, 3)
		seen := s.seen()
		for i := 1; i < len(seen); i++ {
			require.GreaterOrEqual(t, seen[i]-seen[i-1], time.Minute)
		}
	})
}

func TestAStreamThatBreaksIsConnectedToAgainIfThatDoesNoHarm(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			var asked atomic.Int64
			_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 3 {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: a\n\ndata: cut")
				flush(w)
				panic(http.ErrAbortHandler)
			}, engine.Config{})
			got, err := data(engine.Events(t.Context(), eng, &engine.Request{Method: method}, engine.Subscription{}))
			if method == http.MethodGet {
				require.NoError(t, err)
				require.Equal(t, []string{"1  message a", "2  message a"}, got)
				continue
			}
			require.Error(t, err, "what was cut off is not taken for the end")
			require.Equal(t, []string{"1  message a"}, got)
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, engine.SentYes, failure.Sent)
		}
	})
}

func TestWhoeverBreaksOffAStreamOfEventsLeavesNothingRunning(t *testing.T) {
	for name, off := range map[string]func(func(func(engine.Event, error) bool)){
		"break": func(seq func(func(engine.Event, error) bool)) {
			for range seq {
				break
			}
		},
		"panic": func(seq func(func(engine.Event, error) bool)) {
			defer func() { _ = recover() }()
			for range seq {
				panic("the body's own")
			}
		},
		"goexit": func(seq func(func(engine.Event, error) bool)) {
			var ended sync.WaitGroup
			ended.Go(func() {
				for range seq {
					runtime.Goexit()
				}
			})
			ended.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				handler, _ := says("data: a\n\ndata: b\n\n…")
				s, eng := open(handler, engine.Config{})
				off(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{Idle: time.Hour}))
				require.Zero(t, eng.Stats().InFlight)
				synctest.Wait()
				wantNothingHeld(t, eng)
				require.Len(t, s.seen(), 1)
			})
		})
	}
}

func TestTheEndOfTheContextOrOfTheEngineEndsTheEvents(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		handler, _ := says("id: 9\ndata: a\n\n…", "…")
		_, eng := open(handler, engine.Config{})
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		got, err := data(engine.Events(ctx, eng, &engine.Request{}, engine.Subscription{}))
		require.Len(t, got, 1)
		require.ErrorIs(t, err, why)
		var ended *engine.EventsError
		var failure *engine.Error
		require.ErrorAs(t, err, &ended)
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "9", ended.LastEventID)
		require.NotContains(t, err.Error(), "9")

		time.AfterFunc(time.Minute, func() { _ = eng.Close() })
		_, err = data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{}))
		require.ErrorIs(t, err, engine.ErrClosed)
		_, err = data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{}))
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}

func TestAPauseThatTheContextDoesNotOutliveIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := says("retry: 60000\ndata: a\n\n")
		s := newServer(t, handler)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		_, err := data(engine.Events(ctx, s.newEngine(t, engine.Config{}), &engine.Request{}, engine.Subscription{}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), time.Second)

		handler, _ = says("data: a\n\n")
		s = newServer(t, handler)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, stop)
		_, err = data(engine.Events(ctx, s.newEngine(t, engine.Config{}), &engine.Request{}, engine.Subscription{Pause: time.Hour}))
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, time.Since(began), time.Second)
	})
}

func TestAnInterruptionIsToldOnlyIfConnectingAgainFollows(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: x\n\n")
			flush(w)
			panic(http.ErrAbortHandler)
		}, engine.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var told []engine.Interruption
		how := engine.Subscription{Pause: 12 * time.Second, Interrupted: func(i engine.Interruption) { told = append(told, i) }}
		got, err := data(engine.Events(ctx, eng, &engine.Request{}, how))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, got, 2)
		require.Len(t, told, 1, "for the second pause there is no time")
		failure, is := errors.AsType[*engine.Error](told[0].Err)
		require.True(t, is, "%T", told[0].Err)
		require.Equal(t, engine.SentYes, failure.Sent)
	})
}

func TestTheEndOfTheEngineEndsThePauseOfEventsAtOnce(t *testing.T) {
	for name, end := range map[string]func(*engine.Engine) error{
		"close":    (*engine.Engine).Close,
		"shutdown": func(eng *engine.Engine) error { return eng.Shutdown(context.Background()) },
	} {
		for cause, answer := range map[string]func(http.ResponseWriter){
			"refused": func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusServiceUnavailable)
			},
			"ended": func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "retry: 3600000\ndata: x\n\n")
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { answer(w) }).newEngine(t, engine.Config{})
				began := time.Now()
				time.AfterFunc(time.Second, func() { require.NoError(t, end(eng)) })
				_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{}))
				require.ErrorIs(t, err, engine.ErrClosed, name)
				require.Equal(t, time.Second, time.Since(began), name)
				_, refused := errors.AsType[*engine.StatusError](err)
				require.Equal(t, cause == "refused", refused)
			})
		}
	}
}

func TestMistakesOfEventsAreToldBeforeAnythingIsSent(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{})
	for _, how := range []engine.Subscription{{Idle: -1}, {Pause: -1}, {LongestPause: -1}, {MaxEvent: -1}} {
		_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, how))
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
	}
	_, err := data(engine.Events(t.Context(), nil, &engine.Request{}, engine.Subscription{}))
	require.ErrorIs(t, err, engine.ErrNoEngine)
	_, err = data(engine.Events(t.Context(), eng, nil, engine.Subscription{}))
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	_, err = data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{LastEventID: "a\nb"}))
	require.ErrorIs(t, err, engine.ErrInvalidRequest, "and is not repeated")
	require.Empty(t, s.seen())
}

func TestEventsConnectAgainWhereARefusalSaysToComeBackAtOnceAndDoNotSpin(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for _, code := range []int{http.StatusTooManyRequests, http.StatusTeapot, http.StatusServiceUnavailable} {
			for name, when := range map[string]func() string{
				"zero":              func() string { return "0" },
				"the answer's Date": func() string { return time.Now().UTC().Format(http.TimeFormat) },
				"long ago":          func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) },
			} {
				var asked []time.Time
				_, eng := open(func(w http.ResponseWriter, _ *http.Request) {
					switch asked = append(asked, time.Now()); len(asked) {
					case 1, 2, 3:
						w.Header().Set("Retry-After", when())
						w.WriteHeader(code)
					case 4:
						w.WriteHeader(http.StatusNoContent)
					}
				}, engine.Config{Retry: engine.Retry{Max: -1}})
				_, err := data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{Pause: time.Nanosecond}))
				require.NoError(t, err, "%d, %s", code, name)
				require.Len(t, asked, 4)
				for i := range 3 {
					require.GreaterOrEqual(t, asked[i+1].Sub(asked[i]), 100*time.Millisecond, "%d, %s", code, name)
				}
				asked = nil
				_, err = data(engine.Events(t.Context(), eng, &engine.Request{}, engine.Subscription{Failures: 2}))
				var status *engine.StatusError
				require.ErrorAs(t, err, &status, "%d, %s: too many in a row", code, name)
				require.Len(t, asked, 2)
			}
		}
	})
}

func TestTheIDThatIsHandedOutIsTheOneThatIsSent(t *testing.T) {
	for id, sent := range map[string]string{"a": "a", "a ": "a", "  a b\t ": "a b", "  ": "", "\t": "", "\xff": "\uFFFD"} {
		synctest.Test(t, func(t *testing.T) {
			var heads [][]string
			eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				heads = append(heads, r.Header["Last-Event-Id"])
				if len(heads) == 3 {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "id: "+id+"\ndata: x\n\n")
			}).newEngine(t, engine.Config{})
			want := []string{sent}
			if sent == "" {
				want = nil
			}
			how := engine.Subscription{LastEventID: " 0 ", Interrupted: func(i engine.Interruption) { require.Equal(t, sent, i.LastEventID) }}
			var ended *engine.EventsError
			for event, err := range engine.Events(t.Context(), eng, &engine.Request{}, how) {
				if err == nil {
					require.Equal(t, strings.ToValidUTF8(id, "\uFFFD"), event.ID, "as the stream has it")
					continue
				}
				require.ErrorAs(t, err, &ended)
			}
			require.Equal(t, sent, ended.LastEventID)
			require.Equal(t, [][]string{{"0"}, want, want}, heads, "%q", id)
		})
	}
	for _, err := range engine.Events(t.Context(), nil, &engine.Request{}, engine.Subscription{LastEventID: " 0 "}) {
		var ended *engine.EventsError
		require.ErrorAs(t, err, &ended)
		require.Equal(t, "0", ended.LastEventID)
	}
}
