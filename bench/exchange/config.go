package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The account of a zero Config.
const (
	DemoKey    = "demo-key"
	DemoSecret = "demo-secret"
)

// Account is a client the exchange knows.
type Account struct {
	// Name is what reports call the account. Empty means its masked key.
	Name        string
	Key, Secret string
	// Balances are free amounts by asset, as decimal text. Nil means 1,000,000
	// USDT and 100 BTC.
	Balances map[string]string
}

// String returns the account's name, or its masked key, never its secret.
func (a Account) String() string {
	if a.Name != "" {
		return a.Name
	}
	return maskKey(a.Key)
}

// GoString is String, so that %#v shows no secret either.
func (a Account) GoString() string { return a.String() }

// Symbol is a traded pair. Its price never moves.
type Symbol struct {
	Name, Base, Quote string
	Price             float64
}

// Config describes an exchange. The zero value is a polite copy of Binance:
// its limits, a right clock, no delays, no faults, one account (DemoKey,
// DemoSecret).
type Config struct {
	// Accounts by API key; empty means the demo account.
	Accounts []Account
	// Limits replace DefaultLimits when not nil; an empty slice means no
	// limits.
	Limits []Limit
	// Weights override a route's weight, whatever its parameters: "GET
	// /api/v3/depth": 1. See Routes.
	Weights map[string]int64
	// Routes are endpoints of any API; they are looked for before the exchange's own, in
	// their order.
	Routes []Route
	// KeyHeader has the key of the account, alone or behind "Bearer "; empty means
	// X-MBX-APIKEY. SequenceHeader, X-Sequence if it is empty, may number a client's
	// requests, as N or KEY:N, for the report to say in which order they were executed; what
	// PriorityHeader says, X-Priority if it is empty, has orders of its own.
	KeyHeader, SequenceHeader, PriorityHeader string
	// Metrics is a path that answers the report as Prometheus reads it; what asks for it is
	// not counted. Empty means none. See also Exchange.Metrics.
	Metrics string
	// Symbols replace BTCUSDT, ETHUSDT, BNBUSDT, SOLUSDT and LTCBTC.
	Symbols []Symbol

	// Skew is how far the exchange's clock is ahead of this machine's, and
	// DriftPPM how many microseconds it gains a second. SetSkew and SetDrift
	// change them later.
	Skew     time.Duration
	DriftPPM float64

	// Delay passes between reading a request and its arrival, ReturnDelay
	// between arrival and the answer.
	Delay, ReturnDelay Delay
	// Stalls hold up everything that is on its way here for a time.
	Stalls []Stall
	// Faults make a share of the requests fail.
	Faults []Fault
	// SlowBody is how long the body of an answer with FaultSlow takes; zero means five
	// seconds.
	SlowBody time.Duration
	// Seed makes delays and faults repeatable for the same order of requests.
	Seed uint64

	// Ban is the penalty for going on after a 429.
	Ban Ban
	// KeepOrderIDs refuses a newClientOrderId for ever. As zero has it, and Binance, it is free
	// again once its order is filled or cancelled: a market order that is sent twice is
	// executed twice.
	KeepOrderIDs bool
	// ChargeRefused counts refused requests against the limits too, so that
	// going on keeps a sliding or leaky limit full.
	ChargeRefused bool
	// ClientKey tells clients apart for the limits on addresses. Nil means the
	// host of the remote address.
	ClientKey func(*http.Request) string
}

func defaultSymbols() []Symbol {
	return []Symbol{
		{"BTCUSDT", "BTC", "USDT", 60_000},
		{"ETHUSDT", "ETH", "USDT", 3_000},
		{"BNBUSDT", "BNB", "USDT", 600},
		{"SOLUSDT", "SOL", "USDT", 150},
		{"LTCBTC", "LTC", "BTC", 0.0015},
	}
}

func (c Config) withDefaults() Config {
	if len(c.Accounts) == 0 {
		c.Accounts = []Account{{Key: DemoKey, Secret: DemoSecret}}
	}
	if c.Limits == nil {
		c.Limits = DefaultLimits()
	}
	if len(c.Symbols) == 0 {
		c.Symbols = defaultSymbols()
	}
	c.KeyHeader = cmp.Or(c.KeyHeader, "X-MBX-APIKEY")
	c.SequenceHeader = cmp.Or(c.SequenceHeader, "X-Sequence")
	c.PriorityHeader = cmp.Or(c.PriorityHeader, "X-Priority")
	if c.ClientKey == nil {
		c.ClientKey = remoteHost
	}
	if c.SlowBody == 0 {
		c.SlowBody = 5 * time.Second
	}
	c.Ban = c.Ban.withDefaults()
	return c
}

// check returns every mistake in one error.
func (c Config) check() error {
	wrong := slices.Concat(accountMistakes(c.Accounts), limitMistakes(c.Limits), c.weightMistakes(), routeMistakes(c.Routes),
		symbolMistakes(c.Symbols), faultMistakes(c.Faults), stallMistakes(c.Stalls), c.Ban.mistakes(),
		headerMistakes(c.KeyHeader, c.SequenceHeader, c.PriorityHeader), c.metricsMistakes())
	if c.SlowBody < 0 || c.SlowBody > maxDelay {
		wrong = append(wrong, fmt.Errorf("a slow body of %s: want at most an hour", c.SlowBody))
	}
	if !(math.Abs(c.DriftPPM) <= 100_000) {
		wrong = append(wrong, fmt.Errorf("drift of %g ppm: want at most 100000 either way", c.DriftPPM))
	}
	if c.Skew.Abs() > 10*366*24*time.Hour {
		wrong = append(wrong, fmt.Errorf("skew of %s: want at most ten years either way", c.Skew))
	}
	return errors.Join(wrong...)
}

func accountMistakes(accounts []Account) (wrong []error) {
	seen, named := map[string]bool{}, map[string]bool{}
	for i, a := range accounts {
		switch {
		case a.Name != "" && named[a.Name]:
			wrong = append(wrong, fmt.Errorf("account %d: there is another of the name %q", i, a.Name))
		case a.Key == "" || a.Secret == "":
			wrong = append(wrong, fmt.Errorf("account %d: key and secret must not be empty", i))
		case seen[a.Key]:
			wrong = append(wrong, fmt.Errorf("account %d: key %s is there twice", i, a))
		}
		seen[a.Key], named[a.Name] = true, true
	}
	return wrong
}

func limitMistakes(limits []Limit) (wrong []error) {
	type identity struct {
		kind      Kind
		per       time.Duration
		perSymbol bool
	}
	seen := map[identity]bool{}
	for _, l := range limits {
		wrong = append(wrong, l.mistakes()...)
		id := identity{l.Kind, l.Per, l.PerSymbol}
		if seen[id] {
			wrong = append(wrong, fmt.Errorf("limit %q: there is another for %s in %s", l, l.Kind, shortDuration(l.Per)))
		}
		seen[id] = true
	}
	return wrong
}

func (c Config) weightMistakes() (wrong []error) {
	for _, name := range slices.Sorted(maps.Keys(c.Weights)) {
		given := slices.ContainsFunc(c.Routes, func(r Route) bool { return r.String() == name })
		if _, known := routes[name]; !known && !given {
			wrong = append(wrong, fmt.Errorf("weight of unknown route %q", name))
		}
		if c.Weights[name] < 0 {
			wrong = append(wrong, fmt.Errorf("weight %d of route %q is below zero", c.Weights[name], name))
		}
	}
	return wrong
}

// metricsMistakes looks for routes that the path of the metrics would hide. One that ends in "*"
// may be hidden in part.
func (c Config) metricsMistakes() (wrong []error) {
	if c.Metrics == "" {
		return nil
	}
	if !strings.HasPrefix(c.Metrics, "/") {
		wrong = append(wrong, fmt.Errorf("metrics: path %q must begin with /", c.Metrics))
	}
	_, own := routes["GET "+c.Metrics]
	for _, r := range c.Routes {
		own = own || r.Path == c.Metrics
	}
	if own {
		wrong = append(wrong, fmt.Errorf("metrics: path %q is that of a route", c.Metrics))
	}
	return wrong
}

func symbolMistakes(symbols []Symbol) (wrong []error) {
	seen := map[string]bool{}
	for _, s := range symbols {
		if s.Name == "" || seen[s.Name] || !(s.Price > 0) || math.IsInf(s.Price, 1) {
			wrong = append(wrong, fmt.Errorf("symbol %q: want a name of its own and a price above zero", s.Name))
		}
		seen[s.Name] = true
	}
	return wrong
}

func (b Ban) mistakes() (wrong []error) {
	if b.Base < 0 || b.Max < b.Base {
		wrong = append(wrong, fmt.Errorf("ban: want 0 < base %s ≤ max %s", b.Base, b.Max))
	}
	if b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= 1000) {
		wrong = append(wrong, fmt.Errorf("ban: a factor of %g, want one from 1 to 1000, or 0", b.Factor))
	}
	if b.Grace < 0 {
		wrong = append(wrong, fmt.Errorf("ban: grace %s is below zero", b.Grace))
	}
	return wrong
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// maskKey shows enough of an API key to tell accounts apart.
func maskKey(key string) string {
	if len(key) <= 8 {
		return key[:len(key)/2] + "…"
	}
	return key[:4] + "…"
}
