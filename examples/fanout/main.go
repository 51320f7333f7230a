// Fanout asks for 10,000 pieces of market data of 500 symbols as one piece of work, from a
// server that counts each symbol by itself. It shows how far it is, and ends at Ctrl-C with
// an account of what was done, what was not sent and what is in doubt.
//
//	go run ./examples/fanout
//	go run ./examples/fanout --cancel-after 2s
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

const usage = `usage: fanout [flags]

Asks a local server for market data, as one piece of work. Ctrl-C ends it cleanly.

	go run ./examples/fanout --requests 20000 --symbols 1000 --cancel-after 2s

`

// work is what is to be done.
type work struct {
	requests, symbols int
	cancelAfter       time.Duration
	bar               bool // drawn over itself, on a terminal
}

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

func start(args []string, out, wrong io.Writer) int {
	flags := flag.NewFlagSet("fanout", flag.ContinueOnError)
	flags.SetOutput(wrong)
	flags.Usage = func() { fmt.Fprint(wrong, usage); flags.PrintDefaults() }
	w := work{bar: isTerminal(out)}
	flags.IntVar(&w.requests, "requests", 10_000, "how many requests to send")
	flags.IntVar(&w.symbols, "symbols", 500, "how many symbols they are about")
	flags.DurationVar(&w.cancelAfter, "cancel-after", 0, "when to do what Ctrl-C does, such as 2s; 0 is never")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case w.requests < 1 || w.symbols < 1 || w.cancelAfter < 0:
		fmt.Fprintln(wrong, "fanout: requests and symbols must be above zero, and cancel-after not below it")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	api := httptest.NewServer(&market{})
	defer api.Close()
	did, err := run(ctx, engine.Config{BaseURL: api.URL}, w, out)
	fmt.Fprint(out, did)
	if err != nil {
		fmt.Fprintln(wrong, "fanout:", err)
		return 1
	}
	return 0
}

// limits are what the documentation of the market says.
var limits = []throttle.Limit{
	{ID: "symbol", Quota: perSymbol, Per: time.Second, By: throttle.ByKey, Linked: []throttle.Link{{ID: "address", Weight: 1}}},
	{ID: "address", Quota: 4000, Per: time.Second},
}

// run does the work, and returns how far it came. The error is nil if that is to the end.
func run(ctx context.Context, config engine.Config, w work, out io.Writer) (did account, err error) {
	config.Limits, config.DefaultLimitID = limits, "symbol"
	eng, err := engine.New(config)
	if err != nil {
		return did, err
	}
	defer eng.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.cancelAfter > 0 {
		// As Ctrl-C, this comes as a surprise. A deadline would be known to the queues, which
		// refuse at once what can not have its turn before it.
		defer time.AfterFunc(w.cancelAfter, cancel).Stop()
	}
	show := &progress{out: out, bar: w.bar}
	how := engine.FanOut{
		Each: time.Minute, FailStatuses: true, RetryLater: 3,
		OnProgress: show.tell, ProgressEvery: show.every(), Total: int64(w.requests),
	}
	for _, result := range eng.Stream(ctx, w.input(), how) {
		if result.Index < 0 {
			err = result.Err // Ctrl-C: the rest of the input was not read
			continue
		}
		did.add(result)
	}
	show.end()
	did.unread = w.requests - did.read()
	if err == nil && did.unsent+did.doubt > 0 {
		err = ctx.Err() // it came when all of the input had been read
	}
	return did, err
}

// input makes the requests while they are sent: of all symbols in turn, so that there is
// always one whose limit has room.
func (w work) input() iter.Seq[*engine.Request] {
	return func(yield func(*engine.Request) bool) {
		for n := range w.requests {
			symbol := fmt.Sprintf("COIN%03d", n%w.symbols)
			if !yield(&engine.Request{
				Path: "/candles", Query: engine.Values{"symbol": symbol, "page": n / w.symbols},
				Key: symbol,
			}) {
				return
			}
		}
	}
}

// account is what became of the requests. Each is one of done, failed, unsent, doubt and unread.
type account struct {
	done, failed  int
	unsent, doubt int   // cancelled: before it was sent, and on its way
	unread        int   // of the input
	refused       int   // at first, and sent again
	candles       int   // in the answers
	first         error // of the failures
}

func (a *account) add(result engine.Result) {
	var page struct{ Candles int }
	err := result.Err
	if err == nil {
		err = result.Response.JSON(&page)
	}
	if result.Tries > 1 {
		a.refused++
	}
	switch {
	case err == nil:
		a.done++
		a.candles += page.Candles
	case !errors.Is(err, context.Canceled):
		a.failed++
		a.first = cmp.Or(a.first, err)
	case engine.OutcomeOf(err) == engine.NotSent:
		a.unsent++
	default:
		a.doubt++
	}
}
