// Hosts crawls the data of several vendors with one engine: each host within a limit of its
// own, all at once, following the links of what comes. When one vendor refuses, requests to
// its host wait for as long as it says, and the others go on.
//
//	go run ./examples/hosts
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// limits are by host. What a vendor's documentation says is a limit with his name; any other
// host has a modest one. A refusal pauses the limit at the one host that refused.
var limits = []throttle.Limit{
	{ID: "alpha.test", Quota: 20, Per: time.Second},
	{ID: "beta.test", Quota: 10, Per: time.Second},
	{ID: "any host", Quota: 4, Per: time.Second, By: throttle.ByKey},
}

// byHost charges a request to the limit of the host that it goes to.
func byHost(_ context.Context, req *engine.Request) error {
	req.Key, req.LimitID = hostOf(req.URL), "any host"
	for _, limit := range limits {
		if limit.ID == req.Key {
			req.LimitID = limit.ID
		}
	}
	return nil
}

func hostOf(page string) string {
	target, err := url.Parse(page)
	if err != nil {
		return "" // the engine says what is wrong with it
	}
	return target.Host
}

// starts are where the crawl begins. Nothing but these hosts is visited.
var starts = []string{"http://alpha.test/index", "http://beta.test/index", "http://gamma.test/index"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	places := map[string]string{}
	for host, v := range vendors() {
		api := httptest.NewServer(v)
		defer api.Close()
		places[host+":80"] = api.Listener.Addr().String()
	}
	if err := run(ctx, engine.Dial{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, places[address])
	}}, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dial engine.Dial, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		Limits: limits, PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(byHost)}, Dial: dial,
		Header:      http.Header{"User-Agent": {"hosts-example/1 (ops@example.com)"}}, // who it is that asks
		Connections: engine.Connections{Max: 2},                                       // to each host
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	todo := newFrontier(starts)
	began, read, failed := time.Now(), map[string]int{}, 0
	how := engine.FanOut{FailStatuses: true, RetryLater: 5, Each: time.Minute}
	for req, result := range eng.Stream(ctx, todo.requests(ctx), how) {
		if result.Index < 0 {
			return result.Err
		}
		var page struct {
			Rows  int
			Links []string
		}
		err := result.Err
		if err == nil {
			err = result.Response.JSON(&page)
		}
		todo.finished(req, page.Links)
		if err != nil {
			failed++
			fmt.Fprintf(out, "%4.1f s  %v: %v\n", time.Since(began).Seconds(), req, err)
			continue
		}
		read[hostOf(req.URL)] += page.Rows
		fmt.Fprintf(out, "%4.1f s  %s, %d rows, at try %d\n", time.Since(began).Seconds(), req.URL, page.Rows, result.Tries)
	}
	fmt.Fprintf(out, "%d requests failed; rows by host: %v\n", failed, read)
	return nil
}
