//go:build unix

package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	corpusDeadline = 50 * time.Millisecond
	nextAnswer     = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
)

// speak plays the case to the first request on c, answers those that follow,
// and returns how many there were.
func (r recording) speak(c net.Conn) (requests int) {
	defer c.Close()
	in := bufio.NewReader(c)
	if !takeRequest(in) {
		return 0
	}
	if err := r.say(c); err != nil || r.closes {
		return 1
	}
	for requests = 1; takeRequest(in); requests++ {
		io.WriteString(c, nextAnswer)
	}
	return requests
}

func (r recording) say(c io.Writer) error {
	piece := len(r.response)
	if r.drip > 0 {
		piece = 1
	}
	for text := r.response; text != ""; text = text[piece:] {
		if _, err := io.WriteString(c, text[:piece]); err != nil {
			return err
		}
		time.Sleep(r.drip)
	}
	time.Sleep(r.late)
	_, err := io.WriteString(c, r.rest)
	return err
}

// Over TCP a second request after a verdict other than "kept" is refused before
// its first byte, and after "kept" gets the answer to itself.
func TestEveryRecordedResponseGetsItsVerdictOverTCP(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan int, 1)
			o := listen(t, func(c net.Conn) { requests <- r.speak(c) })
			c := NewConn(connect(t, nil, o), hostileLimits)
			defer c.Close()
			deadline := time.Now().Add(time.Minute)
			if r.verdict == "waits" {
				deadline = time.Now().Add(corpusDeadline)
			}
			resp, _, err := c.Exchange(r.call(), deadline)
			require.Equal(t, r.verdict, verdict(resp, err))

			want := 1
			if r.kept {
				want = 2
				require.Equal(t, "next", exchange(t, c, get("/second")).Text())
				require.True(t, c.Reusable())
			} else {
				if c.Reusable() {
					awaitReadable(t, c)
				}
				requireStale(t, c)
			}
			require.NoError(t, c.Close())
			require.Equal(t, want, <-requests)
		})
	}
}

// The table cannot lie about net/http either: http.Transport is asked.
func TestTheOtherVerdictsAreThoseOfNetHTTP(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { require.Equal(t, r.netHTTP, r.netHTTPVerdict()) })
		})
	}
}

// netHTTPVerdict has http.Transport make two requests, the second some time
// after the first, and tells what came of the first, and on which connection the
// second went.
func (r recording) netHTTPVerdict() string {
	var servers sync.WaitGroup
	var dialled []net.Conn
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		mood := r
		if len(dialled) > 0 {
			mood = recording{response: nextAnswer}
		}
		dialled = append(dialled, far)
		servers.Go(func() { mood.speak(far) })
		return near, nil
	}}
	defer func() {
		transport.CloseIdleConnections()
		for _, far := range dialled {
			far.Close()
		}
		servers.Wait()
	}()
	first, err := fetch(transport, r.method)
	if err != nil {
		return netHTTPError(err)
	}
	time.Sleep(time.Second)
	next, err := fetch(transport, http.MethodGet)
	switch {
	case len(dialled) > 1:
		return first + " spent"
	case err != nil || next != `answer 200 "next"`:
		return first + " deceived"
	}
	return first + " kept"
}

func fetch(transport *http.Transport, method string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), corpusDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://h/", nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return `answer 101 ""`, nil // its body is the connection, which no context ends
	}
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("answer %d %q", resp.StatusCode, body), err
}

func netHTTPError(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "waits"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated"
	}
	return "refused"
}
