package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// server answers every path that begins with /odd as it is told, and every other path
// truly: with that path.
type server struct {
	odd   func(c net.Conn, request *http.Request) (goesOn bool)
	done  sync.WaitGroup
	close func() error
}

// serve runs a server on a listener until stop.
func serve(l net.Listener, odd func(net.Conn, *http.Request) bool) *server {
	s := &server{odd: odd, close: l.Close}
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { s.converse(c) })
		}
	})
	return s
}

// stop waits for the connections to be closed by their clients.
func (s *server) stop() {
	_ = s.close()
	s.done.Wait()
}

func (s *server) converse(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		if strings.HasPrefix(request.URL.Path, "/odd") {
			if !s.odd(c, request) {
				return
			}
			continue
		}
		if _, err := io.WriteString(c, trueAnswer(request.URL.Path)); err != nil {
			return
		}
	}
}

func trueBody(path string) string { return "the answer to " + path }

func trueAnswer(path string) string {
	body := trueBody(path)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Path: %s\r\n\r\n%s", len(body), path, body)
}
