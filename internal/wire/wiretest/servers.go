package wiretest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// Listen runs serve for every connection to a loopback listener, which is
// closed with its connections when the test ends.
func Listen(t testing.TB, serve func(net.Conn)) messages.Origin {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return messages.Origin{Scheme: "http", Addr: listener.Addr().String()}
}

// TakeRequest reads one request head and reports whether there was one.
func TakeRequest(r *bufio.Reader) bool {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == "\r\n" {
			return true
		}
	}
}

// Answering serves answer to every request, and then whatever is sent on more.
// "" on more, or closing it, ends the connection.
func Answering(answer string, more <-chan string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for TakeRequest(r) {
			io.WriteString(c, answer)
			if more == nil {
				continue
			}
			text := <-more
			if text == "" {
				return
			}
			io.WriteString(c, text)
		}
	}
}

// Joiner lets several writes leave as one.
type Joiner struct {
	net.Conn
	Hold bool
	held []byte
}

// Write is part of net.Conn.
func (j *Joiner) Write(p []byte) (int, error) {
	if !j.Hold {
		return j.Conn.Write(p)
	}
	j.held = append(j.held, p...)
	return len(p), nil
}

// Release writes what was held.
func (j *Joiner) Release() { j.Conn.Write(j.held) }

// ListenTLS is Listen with a handshake done. serve also gets the connection
// under TLS. The configuration trusts the server, whose certificate is for
// example.com.
func ListenTLS(t testing.TB, serve func(sealed *tls.Conn, under *Joiner)) (*tls.Config, messages.Origin) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	o := Listen(t, func(c net.Conn) {
		under := &Joiner{Conn: c}
		sealed := tls.Server(under, &tls.Config{
			Certificates: lender.TLS.Certificates,
			NextProtos:   []string{"http/1.1"},
			ClientAuth:   tls.RequestClientCert, // makes tickets follow the handshake, in a flight of their own
		})
		if sealed.Handshake() == nil {
			serve(sealed, under)
		}
	})
	o.Scheme = "https"
	return &tls.Config{RootCAs: roots, ServerName: "example.com"}, o
}

// AnsweringTLS is Answering for ListenTLS, with a goodbye.
func AnsweringTLS(answer string, more <-chan string) func(*tls.Conn, *Joiner) {
	return func(sealed *tls.Conn, _ *Joiner) {
		Answering(answer, more)(sealed)
		sealed.Close()
	}
}

// Echo answers with what it was sent, and how that was framed. The configuration
// is nil unless the server speaks TLS.
func Echo(t testing.TB, sealed bool) (*tls.Config, messages.Origin) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Framing", strings.Join(r.TransferEncoding, ","))
		w.Write(body)
	}))
	t.Cleanup(server.Close)
	if !sealed {
		server.Start()
		return nil, messages.Origin{Scheme: "http", Addr: server.Listener.Addr().String()}
	}
	server.StartTLS()
	return trusting(server), messages.Origin{Scheme: "https", Addr: server.Listener.Addr().String()}
}

// ListenH2 serves handler over HTTP/2, with so many streams a connection, or
// over HTTP/1.1 if that is none, and counts the connections.
func ListenH2(t testing.TB, streams int, handler http.HandlerFunc) (*httptest.Server, *tls.Config, messages.Origin, *atomic.Int32) {
	var conns atomic.Int32
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = streams > 0
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, trusting(server), messages.Origin{Scheme: "https", Addr: server.Listener.Addr().String()}, &conns
}

// trusting is the configuration of the server's own client.
func trusting(server *httptest.Server) *tls.Config {
	return server.Client().Transport.(*http.Transport).TLSClientConfig
}

// MirrorH2 tells of the request, sends its body back, and a trailer.
func MirrorH2(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Proto", r.Proto)
	w.Header().Set("Seen", r.Method+" "+r.Host+" "+r.RequestURI+" "+r.Header.Get("X"))
	w.Header().Set("Trailer", "Sum")
	w.Write(body)
	w.Header().Set("Sum", "1")
}
