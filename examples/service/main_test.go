package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
)

// start starts the service, and returns where it is, what stops it, and how it ended.
func start(t *testing.T, venue string, patience time.Duration, out io.Writer) (url string, stop func(), ended chan error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- serve(ctx, listener, venue, patience, out) }()
	return "http://" + listener.Addr().String() + "/price?symbol=BTCUSDT", stop, ended
}

func get(t *testing.T, url string) (status int, text string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestTheServiceAnswersAndStopsWithNothingLeft(t *testing.T) {
	ex, err := exchange.New(exchange.Config{})
	require.NoError(t, err)
	venue, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	defer ex.Close()
	var out strings.Builder
	url, stop, ended := start(t, venue, time.Minute, &out)
	status, text := get(t, url)
	require.Equal(t, http.StatusOK, status)
	require.Regexp(t, `^BTCUSDT [0-9.]+\n$`, text)
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, out.String(), "stopping: 0 requests are on their way")
	require.Contains(t, out.String(), "stopped: nothing was left")
}

func TestWhatRunsMayFinish(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	venue := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		_, _ = io.WriteString(w, `{"symbol":"BTCUSDT","price":"1"}`)
	}))
	defer venue.Close()
	out := &notified{until: "stopping", met: make(chan struct{})}
	url, stop, ended := start(t, venue.URL, time.Minute, out)
	status := make(chan int, 1)
	go func() {
		got, _ := get(t, url)
		status <- got
	}()
	<-asked
	stop()
	<-out.met // the door is being shut
	close(answer)
	require.NoError(t, <-ended)
	require.Equal(t, http.StatusOK, <-status)
	require.Contains(t, out.text.String(), "stopping: 1 requests are on their way")
}

func TestWhatDoesNotFinishIsGivenUpAndTold(t *testing.T) {
	asked := make(chan struct{})
	venue := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer venue.Close()
	var out strings.Builder
	url, stop, ended := start(t, venue.URL, 50*time.Millisecond, &out)
	failed := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
		}
		failed <- err
	}()
	<-asked
	stop()
	require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	require.Contains(t, out.String(), "given up at the deadline: 1 requests; each caller is told whether his was sent")
	<-failed // answered, or cut off: it does not hang
}

func TestOnlyWhatWasNotSentIsToComeAgain(t *testing.T) {
	asked := make(chan struct{})
	venue := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer venue.Close()
	eng, err := engine.New(engine.Config{BaseURL: venue.URL, DefaultLimitID: engine.Unlimited})
	require.NoError(t, err)
	ask := func() *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		service{eng}.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/price?symbol=BTCUSDT", nil))
		return answer
	}
	onItsWay := make(chan *httptest.ResponseRecorder)
	go func() { onItsWay <- ask() }()
	<-asked
	require.NoError(t, eng.Close())
	aborted, late := <-onItsWay, ask()
	require.Equal(t, http.StatusGatewayTimeout, aborted.Code, "the venue had it")
	require.Empty(t, aborted.Header().Get("Retry-After"))
	require.Equal(t, http.StatusServiceUnavailable, late.Code)
	require.Equal(t, "1", late.Header().Get("Retry-After"))
}

// notified is written to until it has a text.
type notified struct {
	text  strings.Builder
	until string
	met   chan struct{}
}

func (n *notified) Write(p []byte) (int, error) {
	if strings.Contains(string(p), n.until) {
		close(n.met)
	}
	return n.text.Write(p)
}
