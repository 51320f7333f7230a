package scale

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/child"
)

// What the server is asked for: a body of JSON of so many bytes, behind answerPath,
// or that it takes whatever is sent to sinkPath, which it answers like the smallest.
const (
	answerPath = "/answer/"
	sinkPath   = "/sink"
)

// smallest is the answer that most curves ask for.
const smallest = `{"symbol":"BTCUSDT","price":"97231.84000000","bid":"97231.83000000","ask":"97231.84000000","time":1763900000000,"id":4210998877}`

const largestBody = 64 << 20

// Serve is the server process: it listens on a free loopback port, writes its origin
// as a line of JSON to out, and answers until in ends.
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
	served := make(chan error, 1)
	go func() { served <- answering().Serve(listener) }()
	return child.Serving(in, served)
}

func answering() *fasthttp.Server {
	var bodies sync.Map // of int to []byte
	return &fasthttp.Server{
		MaxRequestBodySize: largestBody,
		Logger:             log.New(io.Discard, "", 0), // a client that hangs up is no news
		Handler: func(ctx *fasthttp.RequestCtx) {
			path := string(ctx.Path())
			bytes, asked := strings.CutPrefix(path, answerPath)
			n, err := strconv.Atoi(bytes)
			switch {
			case path == sinkPath:
				n = len(smallest)
			case !asked || err != nil || n < len(smallest) || n > largestBody:
				ctx.SetStatusCode(fasthttp.StatusNotFound)
				return
			}
			body, ok := bodies.Load(n)
			if !ok {
				body, _ = bodies.LoadOrStore(n, answer(n))
			}
			ctx.SetContentType("application/json")
			ctx.Response.Header.Set("X-Mbx-Used-Weight-1m", "1")
			ctx.Response.SetBodyRaw(body.([]byte))
		},
	}
}

// answer is JSON of n bytes, at least as long as the smallest: an order book, as
// venues send it.
func answer(n int) []byte {
	if n == len(smallest) {
		return []byte(smallest)
	}
	const opens, closes = `{"lastUpdateId":1027024,"asks":[`, `["9.0","1"]],"note":"%s"}`
	var b strings.Builder
	b.WriteString(opens)
	for i := 0; ; i++ {
		level := fmt.Sprintf(`["%d.%08d","%d.00000000"],`, 97_000+i/1000, i*997%100_000_000, 1+i%431)
		if b.Len()+len(level)+len(closes) > n {
			break
		}
		b.WriteString(level)
	}
	filler := n - b.Len() - (len(closes) - len("%s"))
	fmt.Fprintf(&b, closes, strings.Repeat("x", filler))
	return []byte(b.String())
}
