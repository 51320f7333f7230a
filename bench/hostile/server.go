package hostile

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
)

// server runs until its listener and all its connections are closed.
type server struct {
	listener net.Listener
	done     sync.WaitGroup
}

// serveRaw has every connection conversed with.
func serveRaw(l net.Listener, converse func(net.Conn)) *server {
	s := &server{listener: l}
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { converse(c) })
		}
	})
	return s
}

// serve answers every path that begins with /odd as it is told, until that says that
// it does not go on, and every other path truly: with that path.
func serve(l net.Listener, odd func(net.Conn, *http.Request) (goesOn bool)) *server {
	return serveRaw(l, func(c net.Conn) {
		defer c.Close()
		for request := range requests(c) {
			if !strings.HasPrefix(request.URL.Path, "/odd") {
				_, _ = io.WriteString(c, trueAnswer(request.URL.Path)) // whoever has hung up does not hear it
			} else if !odd(c, request) {
				return
			}
		}
	})
}

// stop waits for the connections to be closed by their clients.
func (s *server) stop() {
	_ = s.listener.Close()
	s.done.Wait()
}

// requests yields those that come over a connection, their bodies read.
func requests(c net.Conn) iter.Seq[*http.Request] {
	return func(yield func(*http.Request) bool) {
		r := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil || !yield(request) {
				return
			}
		}
	}
}

func trueBody(path string) string { return "the answer to " + path }

func trueAnswer(path string) string {
	body := trueBody(path)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Path: %s\r\n\r\n%s", len(body), path, body)
}
