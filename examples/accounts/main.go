// Accounts is a desk of three accounts and five symbols behind one address, against a
// simulated exchange that now and then keeps an answer to itself. Ctrl-C, or SIGTERM, halts
// whatever is less than urgent, takes every order back, and ends. What was spent is remembered:
// started again at once, the desk begins where the windows stand.
//
//	go run ./examples/accounts
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Every account has a key and a secret of its own.
var accounts = []exchange.Account{
	{Name: "maker", Key: "key-maker", Secret: "secret-maker"},
	{Name: "taker", Key: "key-taker", Secret: "secret-taker"},
	{Name: "hedge", Key: "key-hedge", Secret: "secret-hedge"},
}

var symbols = []string{"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "LTCBTC"}

// grace is how long the desk may take to end after the signal. Whoever sends that kills what
// is still there later: Docker after 10 s, Kubernetes after 30, systemd after 90, unless they
// are told otherwise.
const grace = 8 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ex, err := newExchange(exchange.Delay{})
	if err != nil {
		log.Fatal(err)
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	fmt.Println("three accounts trade; Ctrl-C takes all orders back and ends")
	if _, err := run(ctx, configure(url, filepath.Join(os.TempDir(), "sluice-desk.journal")), grace, os.Stdout); err != nil {
		log.Fatal(err)
	}
	fmt.Print(ex.Report())
}

// newExchange refuses what is above its limits, and breaks one connection in a hundred
// after the order has been placed.
func newExchange(way exchange.Delay) (*exchange.Exchange, error) {
	faults, err := exchange.ParseFaults("after-close:0.01,close:0.002")
	if err != nil {
		return nil, err
	}
	return exchange.New(exchange.Config{
		Accounts: accounts, Faults: faults, Delay: way, ReturnDelay: way,
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: 1200, Per: time.Minute},
			{Kind: exchange.Orders, Quota: 40, Per: 10 * time.Second, Policy: exchange.Sliding},
			{Kind: exchange.Orders, Quota: 10, Per: 10 * time.Second, Policy: exchange.Sliding, PerSymbol: true},
		},
	})
}

func configure(url, journal string) engine.Config {
	signers := map[string]auth.Authenticator{}
	for _, a := range accounts {
		signers[a.Name] = auth.Binance(auth.Secret(a.Key), auth.Secret(a.Secret))
	}
	return engine.Config{
		BaseURL:  url,
		Accounts: signers,
		Time:     engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("weight"),
		Limits:   limits(),
		Memory:   engine.MemoryFile(journal),
		Timeout:  30 * time.Second,
	}
}

// limits says what the exchange counts, and for whom.
func limits() []throttle.Limit {
	return []throttle.Limit{
		// The address: all accounts together. 50 of it wait for cancellations alone, and 50
		// for look-ups and cancellations.
		{ID: "weight", Quota: 1200, Per: time.Minute, Window: throttle.Fixed, Scope: "address",
			Reserve: []throttle.Reserve{{Priority: cancelling, Weight: 50}, {Priority: lookingUp, Weight: 50}}},
		// Each account, and each symbol within it.
		{ID: "orders", Quota: 40, Per: 10 * time.Second, By: throttle.ByAccount, Scope: "account"},
		{ID: "symbol", Quota: 10, Per: 10 * time.Second, By: throttle.ByAccount | throttle.ByKey, Scope: "account"},
		// What a request names, and what it is charged.
		{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders"}, {ID: "symbol"}}},
		{ID: "cancel", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
		{ID: "query", Linked: []throttle.Link{{ID: "weight", Weight: 6}}},
	}
}

// run trades until ctx ends, and takes every order back then, within grace.
func run(ctx context.Context, config engine.Config, grace time.Duration, out io.Writer) (*desk, error) {
	eng, err := engine.New(config)
	if err != nil {
		return nil, err
	}
	defer eng.Close()
	if err := rehearse(ctx, eng, out); err != nil {
		return nil, err
	}
	d := &desk{eng: eng}
	d.doubts, d.giveUp = context.WithCancel(context.Background())
	defer d.giveUp()
	for _, a := range accounts {
		for _, symbol := range symbols {
			d.quotes.Go(func() { d.quote(a.Name, symbol) })
		}
	}
	<-ctx.Done()
	err = errors.Join(d.stop(grace), eng.Close()) // whoever still waits for an answer gets one, and ends
	d.quotes.Wait()
	fmt.Fprintf(out, "%d orders placed, %d of them found after their answer was lost\n", d.placed.Load(), d.found.Load())
	return d, err
}
