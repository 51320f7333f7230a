package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// heads answers every request of a connection, and says which head each had.
func heads(said chan<- string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			r := bufio.NewReader(far)
			for {
				var head strings.Builder
				for line := ""; line != "\r\n"; {
					var err error
					if line, err = r.ReadString('\n'); err != nil {
						return
					}
					head.WriteString(line)
				}
				said <- head.String()
				io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}()
		return near, nil
	}
}

// What counts requests by their bytes, caches or records them, sees one request as one.
func TestTheSameRequestLeavesTheSameBytes(t *testing.T) {
	said := make(chan string, 1)
	eng := newEngine(t, engine.Config{Header: http.Header{"Z-Own": {"1"}, "B-Own": {"2"}, "A-Own": {"3"}, "C-Own": {"4"}}, Dial: engine.Dial{DialContext: heads(said)}})
	for _, lines := range []int{5, 40} {
		header := http.Header{"X-B": {"2", "1"}, "x-b": {"3"}, "Cookie": {"c=d"}, "Connection": {"b"}, "connection": {"a"}}
		for i := range lines {
			header[fmt.Sprint("N-", i)] = []string{"v"}
		}
		var first, firstTrip string
		for range 30 {
			_, err := eng.Do(t.Context(), &engine.Request{URL: "http://server.test/", Header: header})
			require.NoError(t, err)
			head := <-said
			if first == "" {
				first = head
			}
			require.Equal(t, first, head)
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://server.test/", nil)
			req.Header = header.Clone()
			_, err = eng.RoundTripper().RoundTrip(req)
			require.NoError(t, err)
			head = <-said
			if firstTrip == "" {
				firstTrip = head
			}
			require.Equal(t, firstTrip, head)
		}
		var own []string
		for _, line := range strings.Split(first, "\r\n") {
			if name, _, _ := strings.Cut(line, ":"); header[name] != nil && name != "Connection" {
				own = append(own, line)
			}
		}
		require.Contains(t, first, "Connection: b, a\r\n")
		require.True(t, strings.HasPrefix(strings.Join(own, "|"), "Cookie: c=d|N-0: v|N-1: v|"), own)
		require.True(t, strings.HasSuffix(strings.Join(own, "|"), "|X-B: 2|X-B: 1|x-b: 3"), own)
	}
}
