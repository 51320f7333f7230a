package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// dialer opens the connections of a client.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// verdict is what a client makes of an answer.
type verdict string

const (
	answers verdict = "answer" // it has a status, and a body that is complete
	fails   verdict = "error"  // at once
	waits   verdict = "waits"  // for more, until the deadline
)

// outcome is what came of one request.
type outcome struct {
	verdict verdict
	status  int
	line    string // the status with its reason, as it was told
	beside  string // what an http.Response says beside its header; empty of the engine's own
	body    string
	header  http.Header
	trailer http.Header
	err     error
}

func (o outcome) String() string {
	if o.verdict == answers {
		return fmt.Sprintf("%d %.60q %v (%s)", o.status, o.body, o.header, o.beside)
	}
	return fmt.Sprintf("%s: %v", o.verdict, o.err)
}

func failed(err error) outcome {
	if errors.Is(err, context.DeadlineExceeded) {
		return outcome{verdict: waits, err: err}
	}
	return outcome{verdict: fails, err: err}
}

// patience is how long a client waits for an answer.
const patience = time.Second

// client is net/http's or the engine, by one of its doors.
type client struct {
	name  string
	ask   func(ctx context.Context, method, url string) outcome
	close func()
}

func (c client) get(method, url string) outcome { return c.within(patience, method, url) }

// within asks on a goroutine of its own, which what is hostile may end.
func (c client) within(patience time.Duration, method, url string) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	told := make(chan outcome, 1)
	go func() {
		got := outcome{verdict: fails, err: errEnded}
		defer func() { told <- got }()
		got = c.ask(ctx, method, url)
	}()
	return <-told
}

var errEnded = errors.New("the goroutine was ended")

// netHTTP is the other client. It is asked at run time, whatever its version.
func netHTTP(dial dialer, proxy *url.URL) client {
	transport := &http.Transport{DialContext: dial, Proxy: http.ProxyURL(proxy)}
	return client{"net/http", overHTTP(transport), transport.CloseIdleConnections}
}

// overHTTP asks by an http.RoundTripper, and follows no redirect.
func overHTTP(trip http.RoundTripper) func(ctx context.Context, method, url string) outcome {
	return func(ctx context.Context, method, url string) outcome {
		request, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			return failed(err)
		}
		response, err := trip.RoundTrip(request)
		if err != nil {
			return failed(err)
		}
		defer response.Body.Close()
		body := []byte(nil)
		if response.StatusCode != http.StatusSwitchingProtocols { // then the body is the connection, which no context ends
			body, err = io.ReadAll(response.Body)
		}
		if err != nil {
			return failed(err)
		}
		beside := fmt.Sprintf("%s, length %d, transfer coding %v, close %t, uncompressed %t", response.Proto,
			response.ContentLength, response.TransferEncoding, response.Close, response.Uncompressed)
		return outcome{answers, response.StatusCode, response.Status, beside, string(body), response.Header, response.Trailer, nil}
	}
}

// doors are those of the engine: Do and its RoundTripper, each with bodies that are
// read and with bodies that are streamed.
var doors = []string{"Do", "Do streamed", "RoundTripper", "RoundTripper streamed"}

func newEngine(config engine.Config) *engine.Engine {
	eng, err := engine.New(config)
	if err != nil {
		panic(err)
	}
	return eng
}

func byDoor(eng *engine.Engine, door string) client {
	streamed := strings.HasSuffix(door, "streamed")
	ask := overHTTP(eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Stream = streamed }))
	if strings.HasPrefix(door, "Do") {
		ask = overDo(eng, streamed)
	}
	return client{door, ask, func() {}}
}

func overDo(eng *engine.Engine, streamed bool) func(ctx context.Context, method, url string) outcome {
	return func(ctx context.Context, method, url string) outcome {
		response, err := eng.Do(ctx, &engine.Request{Method: method, URL: url, Stream: streamed})
		if err != nil {
			return failed(err)
		}
		body := response.Body
		if response.Stream != nil {
			body, err = io.ReadAll(response.Stream)
			_ = response.Stream.Close()
			if err != nil {
				return failed(err)
			}
		}
		return outcome{answers, response.StatusCode, response.Status, "", string(body), response.Header.HTTP(), response.Trailer.HTTP(), nil}
	}
}

// differences says in what two outcomes differ; nothing if they are the same.
func differences(theirs, ours outcome) (in []string) {
	if theirs.verdict != ours.verdict {
		return []string{"verdict"}
	}
	if theirs.verdict != answers {
		return nil
	}
	if theirs.status != ours.status {
		in = append(in, "status")
	}
	if theirs.line != ours.line {
		in = append(in, "reason")
	}
	if ours.beside != "" && theirs.beside != ours.beside {
		in = append(in, "what stands beside the header")
	}
	if theirs.body != ours.body {
		in = append(in, "body")
	}
	if !sameHeader(theirs.header, ours.header) {
		in = append(in, "header")
	}
	if !sameHeader(theirs.trailer, ours.trailer) {
		in = append(in, "trailer")
	}
	return in
}

func sameHeader(a, b http.Header) bool {
	return maps.EqualFunc(a, b, func(v, w []string) bool { return slices.Equal(v, w) })
}
