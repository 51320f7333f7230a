package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

func TestInHTTP2TheHeadOfAnAnswerWhoseBodyFailsIsHandedOver(t *testing.T) {
	_, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
		case "/cap":
			w.Header().Set("Content-Length", "5000")
		}
		w.WriteHeader(429)
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/late":
			<-r.Context().Done()
		}
	})
	conns.limits.Body = 1000
	for path, want := range map[string]error{
		"/cut": messages.ErrTruncated, "/late": context.DeadlineExceeded, "/cap": messages.ErrBodyTooLarge, "/gzip": messages.ErrMalformedResponse,
	} {
		resp, sent, err := dial(t, conns).Exchange(decoding(path), time.Now().Add(500*time.Millisecond))
		require.ErrorIs(t, err, want)
		require.Equal(t, path == "/cut", isPeerClosed(err), path)
		require.Equal(t, messages.SentYes, sent)
		require.Equal(t, 429, resp.StatusCode)
		require.Equal(t, "7", resp.Header.Get("Retry-After"))
		require.False(t, resp.SentAt.IsZero() || resp.AnsweredAt.Before(resp.SentAt))
		if path == "/cut" || path == "/late" {
			require.Equal(t, "half", resp.Text())
		}
	}
}

func TestInHTTP2ThatThePeerClosedCanBeToldFromGivingUp(t *testing.T) {
	const cancelled, noError = 8, 0
	for name, answer := range map[string]func(stream uint32) []byte{
		"refused":           func(id uint32) []byte { return frame(frameRSTStream, 0, id, codeRefusedStream) },
		"cancelled":         func(id uint32) []byte { return frame(frameRSTStream, 0, id, cancelled) },
		"goodbye before it": func(uint32) []byte { return frame(frameGoaway, 0, 0, 0, noError) },
		"a broken frame":    func(uint32) []byte { return frame(frameRSTStream, 0, 0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := dial(t, frameServer(t, answer)).Exchange(post("an order"), time.Now().Add(10*time.Second))
			require.Error(t, err)
			require.Equal(t, name != "a broken frame", isPeerClosed(err), "%v", err)
		})
	}
	arrived := make(chan struct{}, 10)
	server, conns, _ := listenH2(t, 5, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	_, _, err := dial(t, conns).Exchange(get("/"), time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, isPeerClosed(err))
	<-arrived
	c := dial(t, conns)
	go func() { <-arrived; c.Abort() }()
	_, _, err = c.Exchange(get("/"), never)
	require.ErrorIs(t, err, wire.ErrAborted)
	require.False(t, isPeerClosed(err))

	c = dial(t, conns)
	go func() { <-arrived; server.CloseClientConnections() }()
	_, sent, err := c.Exchange(get("/"), never)
	require.Equal(t, messages.SentMaybe, sent)
	require.True(t, isPeerClosed(err), "%v", err)
}

func isPeerClosed(err error) bool { return errors.Is(err, messages.ErrPeerClosed) }
