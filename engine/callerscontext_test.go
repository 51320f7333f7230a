package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// treacherous is a context of a type of the caller's own, one of whose methods panics
// when it is called for the nth time, or every time from then on.
type treacherous struct {
	context.Context
	method string
	from   int64
	always bool
	calls  *atomic.Int64
	what   any  // it panics with; nil is a text
	exits  bool // it does not panic, but ends the goroutine
}

func (c treacherous) called(method string) {
	if method != c.method {
		return
	}
	if n := c.calls.Add(1); n == c.from || c.always && n > c.from {
		if c.exits {
			runtime.Goexit()
		}
		if c.what != nil {
			panic(c.what)
		}
		panic("the caller's " + method)
	}
}

func (c treacherous) Value(key any) any { c.called("Value"); return c.Context.Value(key) }
func (c treacherous) Err() error        { c.called("Err"); return c.Context.Err() }
func (c treacherous) Deadline() (time.Time, bool) {
	c.called("Deadline")
	return c.Context.Deadline()
}
func (c treacherous) Done() <-chan struct{} { c.called("Done"); return c.Context.Done() }

// A caller's context may be code of his, and every method of it may panic whenever it
// is called: the request ends well, or with an error that does not deny what the server
// has done; and nothing is held any more.
func TestAContextThatPanicsEndsOneRequestAtMost(t *testing.T) {
	for _, method := range []string{"Value", "Err", "Deadline", "Done"} {
		for _, shape := range []string{"plain", "streamed", "uploading", "cancelled", "waiting for a credit", "among many", "cancelled among many", "with an error that cannot be asked"} {
			for _, always := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, always %v", method, shape, always), func(t *testing.T) {
					for from, met := int64(1), true; met; from++ {
						require.Less(t, from, int64(100), "there is no end of calls")
						synctest.Test(t, func(t *testing.T) {
							met = tryTreachery(t, treacherous{method: method, from: from, always: always, calls: new(atomic.Int64)}, shape)
						})
					}
				})
			}
		}
	}
}

// tryTreachery makes one request under the context, and reports whether it panicked.
func tryTreachery(t *testing.T, under treacherous, shape string) bool {
	var carriedOut atomic.Int64
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/order" {
			carriedOut.Add(1)
			if strings.HasPrefix(shape, "cancelled") {
				<-r.Context().Done()
			}
		}
		io.WriteString(w, "placed")
	})
	config := engine.Config{
		BaseURL: "http://example.com", Connections: engine.Connections{Max: 1},
		Limits:         []throttle.Limit{{ID: "all", Window: throttle.Concurrency, Quota: 1}},
		DefaultLimitID: "all",
	}
	config.Dial.DialContext = s.dial
	config.Admission.MaxInFlight, config.Admission.MaxWaiting = 1, 10
	eng, err := engine.New(config)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	under.Context = ctx
	req := &engine.Request{Method: http.MethodPost, Path: "/order", Body: "x", Stream: shape == "streamed", Timeout: 30 * time.Second}
	switch shape {
	case "with an error that cannot be asked":
		under.what = hollow[0]
	case "uploading":
		req.Body, req.Upload.Stream = struct{ io.Reader }{strings.NewReader("x")}, true
	case "cancelled", "cancelled among many":
		time.AfterFunc(time.Second, cancel)
	case "waiting for a credit":
		holder, err := eng.Do(ctx, &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { holder.Stream.Close() })
	}

	do := eng.Do
	if strings.HasSuffix(shape, "among many") {
		do = eng.DoAmongMany
	}
	response, err := do(under, req)

	if err == nil && response.Stream != nil {
		_, _ = io.ReadAll(response.Stream) // which may fail as the request may
		response.Stream.Close()
	}
	if carriedOut.Load() > 0 && err != nil {
		require.Equal(t, engine.Unknown, engine.OutcomeOf(err), "%v", err)
	}
	require.LessOrEqual(t, carriedOut.Load(), int64(1))
	synctest.Wait()
	time.Sleep(2 * time.Second) // a connection given up in the middle is closed, and its place is there again
	require.Zero(t, eng.Stats().InFlight)
	_, err = eng.Do(context.Background(), &engine.Request{Path: "/", Timeout: 20 * time.Second})
	require.NoError(t, err, "the permit, the connection or the credit is lost")
	require.NoError(t, eng.Close())
	return under.calls.Load() >= under.from
}

// panickyBody is a body whose Close panics.
type panickyBody struct{ io.Reader }

func (panickyBody) Close() error { panic("the caller's Close") }

func TestABodyWhoseClosePanicsLeavesNothingBehindItsRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		config := engine.Config{}
		config.Dial.DialContext = s.dial
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()

		req, err := http.NewRequest(http.MethodPost, "http://example.com/", panickyBody{strings.NewReader("x")})
		require.NoError(t, err)
		//lint:ignore SA1019 it has a goroutine wait beside the request
		req.Cancel = make(chan struct{})
		response, err := eng.RoundTripper().RoundTrip(req)

		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		// A goroutine that is left has the test's bubble fail.
	})
}
