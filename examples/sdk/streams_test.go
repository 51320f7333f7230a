package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestEventsAreReadAsTheyArrive(t *testing.T) {
	read := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "data: first\n")
		w.(http.Flusher).Flush()
		<-read
		io.WriteString(w, "data: second\n")
	}))
	defer server.Close()
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := (&http.Client{Transport: eng.RoundTripper(streamed), Timeout: time.Minute}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "data: first", lines.Text(), "before the server has sent the second")
	close(read)
	require.True(t, lines.Scan())
	require.Equal(t, "data: second", lines.Text())
}

// What the guide says of errors of an http.Client.
func TestAnErrorOfAClientIsToldWithoutItsURL(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	eng, err := engine.New(engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour}}, DefaultLimitID: "calls"})
	require.NoError(t, err)
	defer eng.Close()
	client := &http.Client{Transport: eng.RoundTripper()}
	resp, err := client.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/?key=sesame", nil)
	require.NoError(t, err)
	_, err = client.Do(req) // which waits in the queue
	require.ErrorAs(t, err, new(*url.Error))
	require.ErrorContains(t, err, "sesame")
	require.NotContains(t, withoutURL(err).Error(), "sesame")
	require.Equal(t, context.Canceled, withoutURL(err), "to be compared, as net/http has it")
	require.Equal(t, engine.Unknown, engine.OutcomeOf(err), "it says no more")
	require.Nil(t, withoutURL(nil))
	require.False(t, errors.Is(withoutURL(io.EOF), context.Canceled))
}
