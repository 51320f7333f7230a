package fanout

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/child"
)

// What the server answers to every request.
const answer = `{"symbol":"BTCUSDT","price":"97231.84000000","bid":"97231.83000000","ask":"97231.84000000","time":1763900000000,"id":4210998877}`

// Serve is the server process: it listens on a free loopback port, writes its origin as
// a line of JSON to out, and answers until in ends.
func Serve(in io.Reader, out io.Writer) error {
	child.LeaveInterrupts()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := json.NewEncoder(out).Encode("http://" + listener.Addr().String()); err != nil {
		return err
	}
	server := &fasthttp.Server{
		Logger: log.New(io.Discard, "", 0), // a client that hangs up is no news
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("application/json")
			ctx.SetBodyString(answer)
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return child.Serving(in, served)
}

const serverStart = 10 * time.Second

// startServer starts the server process, and returns its origin.
func startServer(ctx context.Context, argv []string) (*child.Process, string, error) {
	process, err := child.Start(ctx, argv)
	if err != nil {
		return nil, "", err
	}
	wait, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	var origin string
	if err := process.Receive(wait, &origin); err != nil {
		_ = process.Stop()
		return nil, "", err
	}
	return process, origin, nil
}
