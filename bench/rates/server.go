package rates

import (
	"bytes"
	"encoding/json"
	"io"
	"net"

	"github.com/sluice-engine/sluice/bench/child"
)

// answer is what the server says to everything.
const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"

// Serve is the server: on a free port of the loopback interface, which it writes to out as a
// line of JSON, until in ends. It answers requests without a body, and knows of HTTP only where
// they end, so that it is never what is measured.
func Serve(in io.Reader, out io.Writer) error {
	child.LeaveInterrupts()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := json.NewEncoder(out).Encode("http://" + listener.Addr().String() + "/"); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- accept(listener) }()
	return child.Serving(in, served)
}

func accept(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

// serve answers each request of a connection, also of those that come several at once.
func serve(conn net.Conn) {
	defer conn.Close()
	in := make([]byte, 16<<10)
	held := 0
	for {
		n, err := conn.Read(in[held:])
		if err != nil || held+n == len(in) {
			return
		}
		held += n
		rest, requests := in[:held], 0
		for {
			end := bytes.Index(rest, []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			rest = rest[end+4:]
			requests++
		}
		held = copy(in, rest)
		for range requests {
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}
