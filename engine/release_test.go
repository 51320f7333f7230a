package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/internal/loan"
)

// markedBody is size bytes that all tell whose they are.
func markedBody(mark, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%08d", mark), size/8)
}

// markingServer answers with the marked body that the query asks for, in the framing,
// the coding and with the status that it asks for.
func markingServer(t *testing.T) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		mark, _ := strconv.Atoi(q.Get("mark"))
		size, _ := strconv.Atoi(q.Get("size"))
		status, _ := strconv.Atoi(q.Get("status"))
		w.Header().Set("X-Mark", q.Get("mark"))
		body := io.Writer(w)
		switch q.Get("framing") {
		case "counted":
			w.Header().Set("Content-Length", q.Get("size"))
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
			coder := gzip.NewWriter(w)
			defer coder.Close()
			body = coder
		}
		w.WriteHeader(max(status, 200))
		body.Write(markedBody(mark, size))
	}))
	server.EnableHTTP2 = true
	t.Cleanup(server.Close)
	return server
}

func marked(mark, size, status int, framing string) *engine.Request {
	return &engine.Request{LimitID: engine.Unlimited, Query: engine.Values{"mark": mark, "size": size, "status": status, "framing": framing}}
}

func TestAReleasedResponseIsEmpty(t *testing.T) {
	server := markingServer(t)
	server.Start()
	eng, err := engine.New(engine.Config{BaseURL: server.URL})
	require.NoError(t, err)
	defer eng.Close()
	resp, err := eng.Do(t.Context(), marked(1, 100_000, 200, "counted"))
	require.NoError(t, err)
	copied, text, header := *resp, resp.Text(), resp.Header
	resp.Release()
	require.Zero(t, *resp)
	require.Empty(t, resp.Text())
	require.Empty(t, resp.Bytes())
	require.Empty(t, resp.Header.Get("X-Mark"))
	require.Error(t, resp.JSON(new(any)))
	require.NoError(t, resp.Err())
	resp.Release()
	copied.Release()
	require.Equal(t, string(markedBody(1, 100_000)), text)
	require.Equal(t, "1", header.Get("X-Mark"))

	streamed := marked(1, 100_000, 200, "counted")
	streamed.Stream = true
	resp, err = eng.Do(t.Context(), streamed)
	require.NoError(t, err)
	body := resp.Stream
	resp.Release()
	_, err = body.Read(make([]byte, 1))
	require.Error(t, err, "the connection was given back")
}

func TestAnErrorKeepsTheBodyOfAReleasedResponse(t *testing.T) {
	loan.PoisonEnded(true)
	defer loan.PoisonEnded(false)
	server := markingServer(t)
	server.Start()
	eng, err := engine.New(engine.Config{BaseURL: server.URL})
	require.NoError(t, err)
	defer eng.Close()
	const size = 100_000
	resp, err := eng.Do(t.Context(), marked(7, size, 404, "counted"))
	require.NoError(t, err)
	copied := *resp
	failures := []error{resp.Err(), resp.Require("text/other"), resp.JSON(new(struct{ A int }))}
	copied.Release()
	resp.Release()
	for _, failure := range failures {
		var refused *engine.StatusError
		var other *engine.ContentTypeError
		var undecoded *engine.DecodeError
		var body []byte
		switch {
		case errors.As(failure, &refused):
			body = refused.Body
		case errors.As(failure, &other):
			body = other.Body
		case errors.As(failure, &undecoded):
			body = undecoded.Body
		}
		require.True(t, bytes.Equal(markedBody(7, size), body), "%T", failure)
	}
}

// Many callers hold answers for a while and release some. What anybody holds has to
// stay what the server said, whoever else releases what.
func TestNoResponseEverHoldsAnothersBytes(t *testing.T) {
	loan.PoisonEnded(true)
	defer loan.PoisonEnded(false)
	for name, version2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			server := markingServer(t)
			server.StartTLS()
			config := engine.Config{BaseURL: server.URL}
			config.Dial.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
			config.Connections.HTTP2 = func(string) bool { return version2 }
			eng, err := engine.New(config)
			require.NoError(t, err)
			defer eng.Close()
			resp, err := eng.Do(t.Context(), marked(1, 8, 200, "counted"))
			require.NoError(t, err)
			require.Equal(t, version2, resp.ProtoMajor == 2)
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Go(func() { holdAndRelease(t, eng, server.URL, caller) })
			}
			callers.Wait()
		})
	}
}

// held is what a caller has of an answer, and what that has to be.
type held struct {
	response *engine.Response // nil if the answer came otherwise
	body     []byte
	text     string
	want     []byte
}

func (h *held) check(t *testing.T) {
	if !bytes.Equal(h.body, h.want) || h.text != string(h.want) {
		t.Error("an answer has another's bytes")
	}
}

func holdAndRelease(t *testing.T, eng *engine.Engine, url string, caller int) {
	random := rand.New(rand.NewPCG(1, uint64(caller)))
	var holding []held
	for i := range 150 {
		mark, size := caller*1000+i, 8*random.IntN([]int{100, 4000, 40_000}[random.IntN(3)])
		framing := []string{"counted", "chunked", "gzip"}[random.IntN(3)]
		h, err := obtain(t.Context(), eng, url, marked(mark, size, []int{200, 404}[random.IntN(2)], framing), random.IntN(4))
		if err != nil {
			t.Error(err)
			return
		}
		h.want = markedBody(mark, size)
		holding = append(holding, h)
		for len(holding) > 6 {
			one := random.IntN(len(holding))
			holding[one].check(t)
			if r := holding[one].response; r != nil {
				copied := *r
				r.Release()
				copied.Release()
				if holding[one].text != string(holding[one].want) {
					t.Error("a text has another's bytes")
				}
			}
			holding[one] = holding[len(holding)-1]
			holding = holding[:len(holding)-1]
		}
	}
	for _, h := range holding {
		h.check(t)
	}
}

// obtain asks in one of the ways there are.
func obtain(ctx context.Context, eng *engine.Engine, url string, req *engine.Request, way int) (h held, err error) {
	switch way {
	case 0: // through Fetch, which hands out the body itself
		req.ReturnErrors = true
		h.body, err = engine.Fetch[[]byte](ctx, eng, req)
		h.text = string(h.body)
	case 1: // and so does an error
		h.body, err = engine.Fetch[[]byte](ctx, eng, req)
		if refused, ok := errors.AsType[*engine.StatusError](err); ok {
			h.body, err = refused.Body, nil
		}
		h.text = string(h.body)
	case 2:
		u, _ := req.Query.Encoded()
		client := &http.Client{Transport: eng.RoundTripper()}
		resp, failed := client.Get(url + "/?" + u)
		if failed != nil {
			return h, failed
		}
		h.body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		h.text = string(h.body)
	default:
		h.response, err = eng.Do(ctx, req)
		if err == nil {
			h.body, h.text = h.response.Body, h.response.Text()
		}
	}
	return h, err
}
