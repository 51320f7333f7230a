package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// What the server answers to GET path, and nothing else.
const (
	path   = "/price"
	answer = `{"symbol":"BTCUSDT","price":"97231.84000000","bid":"97231.83000000","ask":"97231.84000000","time":1763900000000,"id":4210998877}`
)

// Serve runs the server side: it listens on a free loopback port, writes its
// origin as one line to out, and answers until in ends. The parent holds the
// other end of in, so the server cannot outlive it, however the parent ends.
func Serve(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt) // Ctrl-C reaches the whole group; the parent decides

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &fasthttp.Server{
		Handler: answerPrice,
		Logger:  log.New(io.Discard, "", 0), // a client that hangs up is no news
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	parentGone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(parentGone)
	}()
	select {
	case err := <-served:
		return err
	case <-parentGone:
		return listener.Close()
	}
}

func answerPrice(ctx *fasthttp.RequestCtx) {
	if !ctx.IsGet() || string(ctx.Path()) != path {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBodyString(answer)
}

// serverProcess is a child that runs Serve.
type serverProcess struct {
	origin string
	cmd    *exec.Cmd
	stdin  io.Closer
}

const serverStart = 10 * time.Second

// startServer runs argv, which must call Serve on its standard streams, and
// waits for the server to listen. When ctx ends the child is killed.
func startServer(ctx context.Context, argv []string) (*serverProcess, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("server process: %w", err)
	}
	p := &serverProcess{cmd: cmd, stdin: stdin}
	if p.origin, err = readOrigin(ctx, stdout); err != nil {
		p.stop()
		return nil, fmt.Errorf("server process: %w", err)
	}
	return p, nil
}

func readOrigin(ctx context.Context, stdout io.Reader) (string, error) {
	type reading struct {
		line string
		err  error
	}
	first := make(chan reading, 1)
	go func() {
		line, err := bufio.NewReader(stdout).ReadString('\n')
		first <- reading{line, err}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, serverStart, errors.New("did not listen in time"))
	defer cancel()
	select {
	case r := <-first:
		if r.err != nil {
			return "", fmt.Errorf("ended before it listened: %w", r.err)
		}
		return strings.TrimSpace(r.line), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// stop ends the child and waits for it. How it ended is of no interest.
func (p *serverProcess) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
