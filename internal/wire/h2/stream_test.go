package h2

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

func TestAnExchangeOverHTTP2IsLikeAnyOther(t *testing.T) {
	_, conns, _ := listenH2(t, 10, mirrorH2)
	c := dial(t, conns)
	for _, size := range []int{0, 1, 100_000} {
		body := strings.Repeat("x", size)
		call := post(body)
		call.Path, call.Query, call.Fields = "/a%2Fb", "q=%20", []messages.Field{{Name: "X", Value: "y"}}
		resp, sent, err := c.Exchange(call, time.Now().Add(time.Minute))
		require.NoError(t, err)
		require.Equal(t, messages.SentYes, sent)
		require.True(t, body == resp.Text())
		require.Equal(t, "HTTP/2.0", resp.Header.Get("proto"))
		require.Equal(t, "POST api.example.com /a%2Fb?q=%20 y", resp.Header.Get("Seen"))
		require.Equal(t, "1", resp.Trailer.Get("Sum"))
		require.NotNil(t, resp.TLS)
		require.True(t, c.Reusable())
	}
	up := uploading(strings.NewReader("abc"), -1)
	resp, _, err := c.Exchange(streaming(up), never)
	require.NoError(t, err)
	require.False(t, c.Reusable())
	got, err := io.ReadAll(resp.Stream)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
	require.True(t, c.Reusable())

	bad := post("")
	bad.Fields = []messages.Field{{Name: "X", Value: "a\r\nb"}}
	_, sent, err := c.Exchange(bad, never)
	var refused *wire.CallError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, messages.SentNo, sent)
	require.True(t, c.Reusable())
}

func TestStreamsAreLeasedUpToThePeersLimit(t *testing.T) {
	var running, most atomic.Int32
	_, conns, accepted := listenH2(t, 5, func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		running.Add(-1)
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := conns.Dial(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				if _, _, err := c.Exchange(get("/"), never); err != nil {
					t.Error(err)
				}
			}
			t.Cleanup(func() { c.Close() })
		})
	}
	all.Wait()
	require.EqualValues(t, 4, accepted.Load())
	for _, c := range conns.conns {
		require.Equal(t, 5, c.places)
	}
}

func TestAConnectionIsClosedWithItsLastStream(t *testing.T) {
	_, conns, accepted := listenH2(t, 5, mirrorH2)
	one, err := conns.Dial(t.Context())
	require.NoError(t, err)
	two, err := conns.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, one.Close())
	_, _, err = two.Exchange(get("/"), never)
	require.NoError(t, err)
	require.NoError(t, two.Close())
	require.Empty(t, conns.conns)
	dial(t, conns)
	require.EqualValues(t, 2, accepted.Load())
}

func TestAGoodbyeDrainsAConnection(t *testing.T) {
	arrived, leave := make(chan struct{}, 2), make(chan struct{})
	server, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-leave
		io.WriteString(w, "ok")
	})
	busy, idle := dial(t, conns), dial(t, conns)
	answered := make(chan string)
	go func() {
		resp, _, err := busy.Exchange(get("/"), never)
		if err != nil {
			t.Error(err)
		}
		answered <- resp.Text()
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- server.Config.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool { return !idle.Reusable() }, 5*time.Second, time.Millisecond, "the goodbye is seen")
	_, sent, err := idle.Exchange(get("/"), never)
	require.ErrorIs(t, err, messages.ErrStale)
	require.Equal(t, messages.SentNo, sent)
	require.Nil(t, conns.join(), "no new streams")

	close(leave)
	require.Equal(t, "ok", <-answered, "what was running ends well")
	require.False(t, busy.Reusable())
	busy.Close()
	idle.Close()
	require.NoError(t, <-stopped)
}

func TestAnAbortedStreamDisturbsNoOther(t *testing.T) {
	arrived := make(chan struct{}, 3)
	_, conns, accepted := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	})
	one, late, other := dial(t, conns), dial(t, conns), dial(t, conns)
	go func() { <-arrived; one.Abort() }()
	_, sent, err := one.Exchange(get("/slow"), never)
	require.ErrorIs(t, err, wire.ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, one.Reusable())
	_, sent, err = late.Exchange(get("/slow"), time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
	_, _, err = other.Exchange(get("/"), never)
	require.NoError(t, err)
	require.EqualValues(t, 1, accepted.Load())
}

func TestAnHTTP2BodyHasCapsAndCodings(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(make([]byte, 5000))
		case "/gzip":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			io.WriteString(z, "squeezed")
			z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b.Bytes())
		case "/cut":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	conns.limits.Body = 1000
	_, sent, err := dial(t, conns).Exchange(decoding("/large"), never)
	require.ErrorIs(t, err, messages.ErrBodyTooLarge)
	require.Equal(t, messages.SentYes, sent)
	resp, _, err := dial(t, conns).Exchange(streaming(decoding("/large")), never)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, resp.Stream)
	require.NoError(t, err)
	require.EqualValues(t, 5000, n)

	resp, _, err = dial(t, conns).Exchange(decoding("/gzip"), never)
	require.NoError(t, err)
	require.Equal(t, "squeezed", resp.Text())
	require.True(t, resp.Uncompressed)
	require.Empty(t, resp.Header.Get("Content-Encoding"))

	c := dial(t, conns)
	_, _, err = c.Exchange(decoding("/cut"), never)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.False(t, c.Reusable())
}

// The answer may be over while net/http is still sending the body, and the place
// then goes on to the next request.
func TestAnEarlyAnswerLeavesTheNextExchangeAlone(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusNoContent) // and the body is not read
			return
		}
		io.WriteString(w, r.Header.Get("X"))
	})
	large := strings.Repeat("x", 1<<20)
	c := dial(t, conns)
	for range 20 {
		resp, _, err := c.Exchange(post(large), never)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		if !c.Reusable() {
			c = dial(t, conns)
		}
		next := get("/")
		next.Fields = []messages.Field{{Name: "X", Value: "y"}}
		resp, _, err = c.Exchange(next, never)
		require.NoError(t, err)
		require.Equal(t, "y", resp.Text())
	}
}

// The header may leave after the exchange was given up.
func TestAnExchangeThatWasAbortedMayHaveBeenSent(t *testing.T) {
	_, conns, _ := listenH2(t, 5, mirrorH2)
	c := dial(t, conns)
	returned, wrote := make(chan struct{}), make(chan struct{})
	var once, last sync.Once
	call := get("/")
	call.Trace = &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) {
			once.Do(func() {
				c.Abort()
				<-returned
			})
		},
		WroteHeaders: func() { last.Do(func() { close(wrote) }) },
	}
	_, sent, err := c.Exchange(call, never)
	require.ErrorIs(t, err, wire.ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
	close(returned)
	<-wrote
}
