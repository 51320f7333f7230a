package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/child"
)

// What the server answers to GET path, and to a POST that is signed; see signing.go.
const (
	path   = "/price"
	answer = `{"symbol":"BTCUSDT","price":"97231.84000000","bid":"97231.83000000","ask":"97231.84000000","time":1763900000000,"id":4210998877}`
)

// Serve runs the server side: it listens on free loopback ports, one for each
// protocol, writes where they are as one line to out, and answers until in ends.
// The parent holds the other end of in, so the server cannot outlive it, however
// the parent ends.
func Serve(in io.Reader, out io.Writer) error {
	child.LeaveInterrupts()
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	where := whereabouts{Certificate: certificate.Certificate[0], Origins: make(map[Protocol]string)}
	served := make(chan error, len(listening))
	for protocol, serve := range listening {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer listener.Close()
		where.Origins[protocol] = protocol.scheme() + "://" + listener.Addr().String()
		go func() { served <- serve(listener, certificate) }()
	}
	if err := json.NewEncoder(out).Encode(where); err != nil {
		return err
	}
	return child.Serving(in, served)
}

func (p Protocol) scheme() string {
	if p == HTTP {
		return "http"
	}
	return "https"
}

// listening is how the server serves each protocol.
var listening = map[Protocol]func(net.Listener, tls.Certificate) error{
	HTTP: func(l net.Listener, _ tls.Certificate) error { return lean().Serve(l) },
	HTTPS: func(l net.Listener, c tls.Certificate) error {
		return lean().Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{c}}))
	},
	HTTP2: serveHTTP2,
}

func lean() *fasthttp.Server {
	return &fasthttp.Server{Handler: answerAll, Logger: silent()}
}

// silent drops what is logged: a client that hangs up is no news.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// serveHTTP2 answers nothing that came in another protocol, so that no client
// can fall back unnoticed.
func serveHTTP2(listener net.Listener, certificate tls.Certificate) error {
	server := &http.Server{
		ErrorLog:  silent(),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 || r.URL.Path != path {
				w.WriteHeader(http.StatusHTTPVersionNotSupported)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		}),
	}
	return server.ServeTLS(listener, "", "")
}

func answerAll(ctx *fasthttp.RequestCtx) {
	switch {
	case ctx.IsGet() && string(ctx.Path()) == path:
	case ctx.IsPost() && string(ctx.Path()) == orderPath:
		if !verified(ctx.PostBody(), ctx.Request.Header.Peek(signatureHeader)) {
			ctx.SetStatusCode(fasthttp.StatusUnauthorized)
			return
		}
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBodyString(answer)
}

// serverProcess is a child that runs Serve.
type serverProcess struct {
	*child.Process
	sites map[Protocol]site
}

// whereabouts is what the server says about itself.
type whereabouts struct {
	Origins     map[Protocol]string
	Certificate []byte // DER
}

func (w whereabouts) sites() (map[Protocol]site, error) {
	certificate, err := x509.ParseCertificate(w.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	sites := make(map[Protocol]site)
	for protocol, origin := range w.Origins {
		sites[protocol] = site{origin, protocol, roots}
	}
	return sites, nil
}

const serverStart = 10 * time.Second

// startServer runs argv, which must call Serve on its standard streams, and
// waits for the server to listen. When ctx ends the child is killed.
func startServer(ctx context.Context, argv []string) (*serverProcess, error) {
	process, err := child.Start(ctx, argv)
	if err != nil {
		return nil, fmt.Errorf("server process: %w", err)
	}
	p := &serverProcess{Process: process}
	if p.sites, err = p.readSites(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("server process: %w", err)
	}
	return p, nil
}

func (p *serverProcess) readSites(ctx context.Context) (map[Protocol]site, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, serverStart, errors.New("did not listen in time"))
	defer cancel()
	var where whereabouts
	switch err := p.Receive(ctx, &where); {
	case errors.Is(err, child.ErrGone):
		return nil, fmt.Errorf("ended before it listened: %w", err)
	case err != nil:
		return nil, err
	}
	return where.sites()
}

// stop ends the child and waits for it. How it ended is of no interest.
func (p *serverProcess) stop() { p.Kill() }
