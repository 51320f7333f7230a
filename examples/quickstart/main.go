// Quickstart starts a simulated exchange in this process, with tight limits
// and a clock that is two seconds off, and trades on it through Sluice: prices
// in parallel, a signed order, its cancellation. At the end the exchange, which
// counted every arrival, says whether anything was sent too fast or wrongly. A
// client that knows of no limits asks another exchange like it for the same prices.
//
//	go run ./examples/quickstart
//
// With --page it goes on asking for prices until it is interrupted, and serves the live page
// about that at the address that it prints.
//
//	go run ./examples/quickstart --page
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

// What the exchange allows, and how far its clock is ahead.
const (
	quota  = 100
	window = 2 * time.Second
	skew   = 2 * time.Second
	weight = 2 // of a price
)

func main() {
	withPage := flag.Bool("page", false, "go on asking for prices, and show the live page, until an interrupt")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := func(string) {}
	if !*withPage {
		show = nil
	}
	if err := run(ctx, show); err != nil {
		log.Fatal(err)
	}
}

// run trades at an exchange. Unless show is nil, it is told the address of the live page, and
// prices are asked for until ctx ends.
func run(ctx context.Context, show func(url string)) error {
	ex, url, err := startExchange()
	if err != nil {
		return err
	}
	defer ex.Close()
	fmt.Println("a simulated exchange listens on", url)
	fmt.Printf("its limits: %d weight and 5 orders in %v; its clock: %v ahead\n", quota, window, skew)

	page := inspect.New(inspect.Config{Title: "Quickstart"})
	defer page.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:   url,
		Observers: []engine.Observer{page.Observer()},
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: quota, Per: window},
			{ID: "orders", Window: throttle.Fixed, Quota: 5, Per: window},
			// What a request names: routes, each with what it costs.
			{ID: "time", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
			{ID: "price", Linked: []throttle.Link{{ID: "weight", Weight: 2}}},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
			{ID: "cancel", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
		},
		Auth: auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret},
		Time: engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("time"),
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	const wanted = 120
	if err := prices(ctx, eng, wanted); err != nil {
		return err
	}
	if err := pricesWithoutLimits(ctx, wanted); err != nil {
		return err
	}
	if err := placeAndCancel(ctx, eng); err != nil {
		return err
	}
	if show != nil {
		page.Attach("quickstart", eng)
		if err := showPage(ctx, eng, page, show); err != nil {
			return err
		}
	}
	report := ex.Report()
	fmt.Printf("\n%s", report)
	if n := report.Violations(); n != 0 {
		return fmt.Errorf("the exchange counted %d violations", n)
	}
	return nil
}

// showPage serves the live page, and asks for prices meanwhile, until ctx ends.
func showPage(ctx context.Context, eng *engine.Engine, page http.Handler, show func(url string)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
	var all sync.WaitGroup
	all.Go(func() { _ = server.Serve(listener) }) // it ends by Close
	url := "http://" + listener.Addr().String() + "/"
	fmt.Printf("\nthe live page is at %s; Ctrl-C ends it\n", url)
	show(url)
	for range 80 {
		all.Go(func() {
			for ctx.Err() == nil {
				price := &engine.Request{Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"}, LimitID: "price"}
				_, _ = eng.Do(ctx, price) // how it went is what the page shows
			}
		})
	}
	<-ctx.Done()
	err = server.Close()
	all.Wait()
	return err
}

func startExchange() (*exchange.Exchange, string, error) {
	ex, err := exchange.New(exchange.Config{
		Skew: skew,
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: quota, Per: window},
			{Kind: exchange.Orders, Quota: 5, Per: window},
		},
	})
	if err != nil {
		return nil, "", err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return ex, url, nil
}

// prices asks for more than a window allows, all at once: the engine spreads
// the requests, and the exchange refuses none.
func prices(ctx context.Context, eng *engine.Engine, n int) error {
	type ticker struct{ Symbol, Price string }
	start := time.Now()
	errs := make(chan error, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, err := engine.Fetch[ticker](ctx, eng, &engine.Request{
				Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"}, LimitID: "price",
			})
			errs <- err
		})
	}
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for came := 0; came < n; {
		select {
		case err := <-errs:
			if err != nil {
				return fmt.Errorf("price: %w", err)
			}
			came++
		case <-tick.C:
			fmt.Printf("  %3d of %d prices after %.1f s\n", came, n, time.Since(start).Seconds())
		}
	}
	all.Wait()
	fmt.Printf("%d prices of weight %d, asked for at once, took %.2f s; the limits allow no less than %.2f s\n",
		n, weight, time.Since(start).Seconds(), floor(start, n).Seconds())
	return nil
}

// floor is the least time that so many prices take within the limits: the last of
// them cannot leave before its window begins, by the exchange's clock.
func floor(start time.Time, n int) time.Duration {
	windows := (n*weight - 1) / quota // that must pass
	if windows == 0 {
		return 0
	}
	return time.Duration(windows)*window - time.Duration(start.Add(skew).UnixNano())%window
}

// pricesWithoutLimits asks another exchange of the same kind for the same prices
// with net/http alone.
func pricesWithoutLimits(ctx context.Context, n int) error {
	ex, url, err := startExchange()
	if err != nil {
		return err
	}
	defer ex.Close()
	statuses := make(chan int, n)
	for range n {
		go func() {
			status := 0
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v3/ticker/price?symbol=BTCUSDT", nil) // a URL of our own
			if answer, err := http.DefaultClient.Do(req); err == nil {
				status = answer.StatusCode
				_ = answer.Body.Close() // nothing of it is read
			}
			statuses <- status
		}()
	}
	given := 0
	for range n {
		if <-statuses == http.StatusOK {
			given++
		}
	}
	http.DefaultClient.CloseIdleConnections()
	fmt.Printf("a client that knows of no limits gets %d of them and %d refusals, and is banned if it goes on\n", given, n-given)
	return nil
}

func placeAndCancel(ctx context.Context, eng *engine.Engine) error {
	type order struct {
		OrderID int64
		Status  string
	}
	placed, err := engine.Fetch[order](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", LimitID: "order", Auth: true, Priority: engine.High,
		Query: engine.Values{
			"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": 0.01, "price": 50000, "newClientOrderId": "quickstart-1", "icebergQty": nil,
		},
	})
	if err != nil {
		// An order that is "unknown" may have been placed: docs/guide/errors.md.
		return fmt.Errorf("order, %s: %w", engine.OutcomeOf(err), err)
	}
	fmt.Printf("order %d is %s\n", placed.OrderID, placed.Status)

	cancelled, err := engine.Fetch[order](ctx, eng, &engine.Request{
		Method: http.MethodDelete, Path: "/api/v3/order", LimitID: "cancel", Auth: true, Priority: engine.Urgent,
		Query:   engine.Values{"symbol": "BTCUSDT", "orderId": placed.OrderID},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	fmt.Printf("order %d is %s\n", cancelled.OrderID, cancelled.Status)
	return nil
}
