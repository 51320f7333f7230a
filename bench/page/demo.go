package page

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

// Config says at which exchange a demo works, and how.
type Config struct {
	Exchange string             // its URL
	Limits   []exchange.Limit   // that it keeps; nil means exchange.DefaultLimits
	Accounts []exchange.Account // that it knows: the first ones trade; none means the demo account
	Addr     string             // where the page listens; empty means a free port of 127.0.0.1
	Callers  int                // that ask at once, again and again; zero means 120
}

// Demo is an engine at work, and the page about it. Close ends both.
type Demo struct {
	URL string // of the page

	engine *engine.Engine
	page   *inspect.Page
	server *http.Server
	cancel context.CancelFunc
	work   sync.WaitGroup
}

const (
	patience = 20 * time.Second // of a request of the load
	trades   = 2                // accounts that do
)

// Start has an engine work at an exchange: prices, depths and now and then an account, more than
// its limits allow, and orders, which go first. It keeps every limit. The error is that of the
// configuration, or of the listener.
func Start(c Config) (*Demo, error) {
	if c.Limits == nil {
		c.Limits = exchange.DefaultLimits()
	}
	limits, err := limitsOf(c.Limits)
	if err != nil {
		return nil, err
	}
	if len(c.Accounts) == 0 {
		c.Accounts = []exchange.Account{{Name: "demo", Key: exchange.DemoKey, Secret: exchange.DemoSecret}}
	}
	accounts := map[string]auth.Authenticator{}
	var names []string
	for _, a := range c.Accounts[:min(trades, len(c.Accounts))] {
		accounts[a.String()] = auth.HMACQuery{Key: auth.Secret(a.Key), Secret: auth.Secret(a.Secret)}
		names = append(names, a.String())
	}
	limit := limitedBy(limits)
	d := &Demo{page: inspect.New(inspect.Config{Title: "Sluice at a simulated exchange", Background: 5 * time.Second})}
	d.engine, err = engine.New(engine.Config{
		BaseURL: c.Exchange, Limits: limits, Accounts: accounts, DefaultLimitID: engine.Unlimited, Timeout: patience,
		Time:      engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo(limit("time")),
		Observers: []engine.Observer{d.page.Observer()},
	})
	if err != nil {
		return nil, err
	}
	if err := d.serve(c.Addr); err != nil {
		return nil, errors.Join(err, d.engine.Close())
	}
	d.page.Attach("demo client", d.engine)
	d.trade(limit, names, c.Callers)
	return d, nil
}

// limitedBy returns which limit a request of the load names.
func limitedBy(limits []throttle.Limit) func(id string) string {
	known := map[string]bool{}
	for _, l := range limits {
		known[l.ID] = true
	}
	return func(id string) string {
		if known[id] {
			return id
		}
		return engine.Unlimited
	}
}

func (d *Demo) serve(addr string) error {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	d.URL = "http://" + listener.Addr().String() + "/"
	d.server = &http.Server{Handler: d.page, ReadHeaderTimeout: 10 * time.Second}
	d.work.Go(func() { _ = d.server.Serve(listener) }) // it ends by Close
	return nil
}

// trade begins the load.
func (d *Demo) trade(limit func(string) string, accounts []string, callers int) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	symbols := []string{"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "LTCBTC"}
	if callers == 0 {
		callers = 120
	}
	ask := func(i, n int) *engine.Request {
		symbol := symbols[(i+n)%len(symbols)]
		switch {
		case i%10 == 0:
			return &engine.Request{
				Method: http.MethodPost, Path: "/api/v3/order", LimitID: limit("order"), Priority: engine.High, Auth: true,
				Account: accounts[i/10%len(accounts)], Key: symbol,
				Query: engine.Values{"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": 0.01, "price": 10},
			}
		case i%29 == 1:
			account := accounts[i%len(accounts)]
			return &engine.Request{Path: "/api/v3/account", LimitID: limit("account"), Priority: engine.Account, Auth: true, Account: account}
		case i%4 == 1:
			return &engine.Request{Path: "/api/v3/depth", Query: engine.Values{"symbol": symbol, "limit": 100}, LimitID: limit("depth"), Priority: engine.Background}
		}
		return &engine.Request{Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": symbol}, LimitID: limit("price")}
	}
	for i := range callers {
		d.work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = d.engine.Do(ctx, ask(i, n)) // how it went is what the page shows
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(1+(i*7+n*3)%10) * 100 * time.Millisecond):
				}
			}
		})
	}
}

// Close ends the load, the engine and the page, and waits for them.
func (d *Demo) Close() error {
	d.cancel()
	d.page.Close()
	err := errors.Join(d.engine.Close(), d.server.Close())
	d.work.Wait()
	return err
}
