package secrets

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// lookAtLife looks at what an engine hands out while it carries requests with secrets:
// types that have no name outside, with whatever they point to.
func (r *Report) lookAtLife() error {
	listener := memnet.Listen()
	var server sync.WaitGroup
	server.Go(func() { serveSecrets(listener) })
	eng, err := engine.New(engine.Config{
		BaseURL: listener.URL(), Header: http.Header{"X-Key": {marker}}, Auth: auth.Bearer{Token: marker},
		Dial: engine.Dial{DialContext: listener.DialContext},
	})
	if err != nil {
		return err
	}
	defer func() {
		_ = eng.Close()
		_ = listener.Close()
		server.Wait()
	}()
	request := &engine.Request{Path: "/a?key=" + marker, Auth: true, Stream: true, Query: engine.Values{"key": marker}}
	response, err := eng.Do(context.Background(), request)
	if err != nil {
		return err
	}
	trip := eng.RoundTripper()
	whole, err := (&http.Client{Transport: trip}).Get(listener.URL() + "/b")
	if err != nil {
		return err
	}
	streaming := eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Stream = true })
	streamed, err := (&http.Client{Transport: streaming}).Get(listener.URL() + "/c")
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		"the streamed body of a round trip": streamed.Body,
		"an engine at work":                 eng, "a request": request, "a request of parts": &engine.Request{Method: "POST", Path: "/", Body: multipartBody()}, "a response": response, "a stream": response.Stream,
		"a round-tripper": trip, "the body of a round trip": whole.Body, "statistics": eng.Stats(), "a status error": response.Err(),
	} {
		r.look(value, name, true)
	}
	for _, body := range []io.ReadCloser{response.Stream, streamed.Body} {
		_, _ = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	return nil
}

// serveSecrets answers every request with a refusal that has secrets in it.
func serveSecrets(listener *memnet.Listener) {
	var conversations sync.WaitGroup
	defer conversations.Wait()
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		conversations.Go(func() {
			defer c.Close()
			reader := bufio.NewReader(c)
			for {
				if _, err := http.ReadRequest(reader); err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 400 Bad\r\nSet-Cookie: %s\r\nContent-Length: %d\r\n\r\n%s", marker, len(marker), marker)
			}
		})
	}
}
