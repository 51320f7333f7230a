package engine_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// unknown is a reader of which nothing is known.
type unknown struct{ io.Reader }

// framedAs says how the body of a request came.
func framedAs(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Framed", strings.TrimSpace(strings.Join(r.TransferEncoding, ",")+" "+strconv.Itoa(int(r.ContentLength))+" "+string(body)))
}

// net/http is asked what it sends.
func TestAnEmptyBodyOfUnknownLengthIsNoneWhereThereIsMostlyNone(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(framedAs))
	defer plain.Close()
	sealed := httptest.NewUnstartedServer(http.HandlerFunc(framedAs))
	sealed.EnableHTTP2 = true
	sealed.StartTLS()
	defer sealed.Close()
	other := sealed.Client().Transport.(*http.Transport)
	eng := newEngine(t, engine.Config{
		Dial:        engine.Dial{TLS: other.TLSClientConfig},
		Connections: engine.Connections{HTTP2: func(string) bool { return true }},
	})
	for _, url := range []string{plain.URL, sealed.URL} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "SEARCH", "POST", "PUT"} {
			for _, text := range []string{"", "x", "text"} {
				for _, length := range []int64{0, -1} {
					name := method + " " + url + " " + text
					var got []string
					for _, client := range []http.RoundTripper{other, eng.RoundTripper()} {
						req, err := http.NewRequest(method, url, unknown{strings.NewReader(text)})
						require.NoError(t, err)
						req.ContentLength = length
						resp, err := client.RoundTrip(req)
						require.NoError(t, err, name)
						require.NoError(t, resp.Body.Close())
						got = append(got, resp.Header.Get("X-Framed"))
					}
					if url == sealed.URL && text == "" && method != "POST" && method != "PUT" {
						got[0] = "0" // net/http opens a body that has nothing in HTTP/2
					}
					require.Equal(t, got[0], got[1], name)
				}
			}
		}
	}
	opened := 0
	resp, err := eng.Do(t.Context(), &engine.Request{Method: "DELETE", URL: plain.URL, Upload: engine.Upload{Stream: true}, Body: func() (io.Reader, error) {
		opened++
		return unknown{strings.NewReader("")}, nil
	}})
	require.NoError(t, err)
	require.Equal(t, "0", resp.Header.Get("X-Framed"))
	require.Equal(t, 1, opened)
}

func TestABodyWhoseFirstByteIsLateIsSentInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, framedAs)
		eng := s.newEngine(t, engine.Config{})
		reader, writer := io.Pipe()
		time.AfterFunc(3*time.Second, func() { io.WriteString(writer, "late"); writer.Close() })
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Body: reader, Upload: engine.Upload{Stream: true}})
		require.NoError(t, err)
		require.Equal(t, "chunked -1 late", resp.Header.Get("X-Framed"))
		require.Equal(t, []time.Duration{200 * time.Millisecond}, s.seen())
	})
}

func TestABodyThatNeverBeginsEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		eng := s.newEngine(t, engine.Config{})
		for _, timeout := range []time.Duration{time.Second, 100 * time.Millisecond} {
			reader, writer := io.Pipe()
			begun := time.Now()
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Body: reader, Timeout: timeout, Upload: engine.Upload{Stream: true}})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, timeout, time.Since(begun))
			synctest.Wait()
			_, err = writer.Write([]byte("x"))
			require.ErrorIs(t, err, io.ErrClosedPipe, "nobody reads it any more")
		}
	})
}

// What was read ahead was not sent.
func TestABodyThatWasLookedAtIsStillSentOverAnotherConnection(t *testing.T) {
	dials := 0
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		dials++
		go func(first bool) {
			defer far.Close()
			r := bufio.NewReader(far)
			for n := 0; ; n++ {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				body, _ := io.ReadAll(req.Body)
				io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+string(body))
				if first {
					return
				}
			}
		}(dials == 1)
		return near, nil
	}
	eng := newEngine(t, engine.Config{BaseURL: "http://h.test", Dial: engine.Dial{DialContext: dial}})
	for range 2 { // the second meets a connection that has ended
		resp, err := eng.Do(t.Context(), &engine.Request{Method: "DELETE", Path: "/", Body: unknown{strings.NewReader("data")}, Upload: engine.Upload{Stream: true}})
		require.NoError(t, err)
		require.Equal(t, "data", resp.Text())
	}
}
