package actors

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// dice are as many independent sequences as are asked for, from one seed.
type dice struct {
	seed   uint64
	handed atomic.Uint64
}

func (d *dice) next() *rand.Rand { return rand.New(rand.NewPCG(d.seed, d.handed.Add(1))) }

// fickleServer answers a request with its path, mostly.
type fickleServer struct {
	listener net.Listener
	dice     dice
	all      sync.WaitGroup
}

func startFickleServer(t *testing.T, seed uint64) *fickleServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &fickleServer{listener: listener, dice: dice{seed: seed ^ 1}}
	s.all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				defer c.Close()
				s.serve(c.(*net.TCPConn))
			})
		}
	})
	return s
}

func (s *fickleServer) origin() messages.Origin {
	return messages.Origin{Scheme: "http", Addr: s.listener.Addr().String()}
}

func (s *fickleServer) close() {
	s.listener.Close()
	s.all.Wait()
}

func (s *fickleServer) serve(c *net.TCPConn) {
	random := s.dice.next()
	r := bufio.NewReader(c)
	for {
		if random.IntN(20) == 0 { // closes what is idle for longer
			c.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(5000)) * time.Microsecond))
		}
		req, err := http.ReadRequest(r)
		if err != nil || !answerOrFail(c, random, req.URL.Path) {
			return
		}
	}
}

// answerOrFail reports whether the connection is to go on.
func answerOrFail(c *net.TCPConn, random *rand.Rand, path string) bool {
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
	switch random.IntN(300) {
	case 0, 1:
		return false
	case 2:
		return c.SetLinger(0) != nil
	case 3:
		io.WriteString(c, answer[:random.IntN(len(answer))])
		return false
	case 4:
		io.WriteString(c, answer+strings.Replace(answer, path, strings.Repeat("x", len(path)), 1))
		return true
	case 5:
		io.WriteString(c, answer)
		time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
		io.WriteString(c, "x")
		return true
	case 6:
		c.Read(make([]byte, 1)) // says nothing until the client gives up
		return false
	case 7:
		io.WriteString(c, strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1))
		return false
	case 8, 9:
		io.WriteString(c, answer)
		return false
	case 10:
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
	}
	_, err := io.WriteString(c, answer)
	return err == nil
}
