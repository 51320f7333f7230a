package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/exchange"
)

// exchangeFlags are the flags of the exchange verb as they were typed.
type exchangeFlags struct {
	addr, key, secret         string
	accounts, limits, routes  []string
	weights                   map[string]int64
	keyHeader                 string
	sequenceHeader            string
	priorityHeader            string
	skew                      time.Duration
	drift                     float64
	delay, returnDelay, fault string
	status                    string
	stalls                    []string
	slow                      time.Duration
	seed                      uint64
	ban, banMax, grace        time.Duration
	banFactor                 float64
	chargeRefused, keepIDs    bool
	duration                  time.Duration
	report, page, metrics     string
}

func (f *exchangeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 picks a free one")
	flags.StringVar(&f.key, "key", exchange.DemoKey, "API key of the one account")
	flags.StringVar(&f.secret, "secret", exchange.DemoSecret, "its secret")
	flags.StringArrayVar(&f.accounts, "account", nil, `account as NAME:KEY:SECRET, repeatable; in place of --key and --secret`)
	flags.StringArrayVar(&f.limits, "limit", nil, `limit as KIND=QUOTA/PER[,POLICY][,burst=N][,symbol][,batch], repeatable;
replaces the default limits of its kind. KIND: weight, raw, connections
(of an address); orders, account, actions, matching (of an account, with
"symbol" of a symbol within it; "batch" counts a batch as one). POLICY:
fixed (default), sliding, bucket, decaying, first, budget. "none" drops
all defaults`)
	flags.StringToInt64Var(&f.weights, "weight", nil, `weight of a route, zero included: "POST /api/v3/order=0"`)
	flags.StringArrayVar(&f.routes, "route", nil, `endpoint of any API as METHOD PATH[=OPTION,…], repeatable; * is any
method, a path that ends in * any that begins so. OPTION: weight N,
keyed (charges an account), signed, order, id NAME (header, parameter or
JSON member that is not to come twice), status N, type TYPE, body TEXT`)
	flags.StringVar(&f.keyHeader, "key-header", "X-MBX-APIKEY", `header with the key of the account, alone or behind "Bearer "`)
	flags.StringVar(&f.sequenceHeader, "sequence-header", "X-Sequence", "header with N or KEY:N: the report says whether they were executed in\norder")
	flags.StringVar(&f.priorityHeader, "priority-header", "X-Priority", "header with a priority, which has an order of its own")
	flags.DurationVar(&f.skew, "skew", 0, "how far the exchange's clock is ahead")
	flags.Float64Var(&f.drift, "drift", 0, "microseconds its clock gains a second")
	flags.StringVar(&f.delay, "delay", "", `delay before arrival: 5ms, uniform:5ms-50ms, exp:10ms,
normal:10ms,3ms (mean, deviation), lognormal:3ms,7ms,1 (shift, median,
sigma), pareto:2ms,1.5 (least, shape), stall:500ms@5s (every 5s);
150us:10,2ms:5 is 150 µs in 10 % of cases, 2 ms in 5 %, else none;
join parts with +`)
	flags.StringVar(&f.returnDelay, "return-delay", "", "delay between arrival and answer, as --delay")
	flags.StringArrayVar(&f.stalls, "stall", nil, "hold up what is on its way: 2s@5s for two seconds, five after the first\nrequest; repeatable")
	flags.StringVar(&f.fault, "fault", "", `faults as WHAT:PROBABILITY,…, with a % or up to 1; WHAT: a status,
after-STATUS (executed all the same), close, after-close, reset,
after-reset, truncate, half-close, slow, short-length, long-length`)
	flags.StringVar(&f.status, "status", "", "faults as STATUS:PERCENT,…: 503:1,429:0.5")
	flags.DurationVar(&f.slow, "slow", 5*time.Second, "how long the body takes with the fault slow")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of delays and faults")
	flags.DurationVar(&f.ban, "ban", 2*time.Minute, "first ban for going on after a 429, and what each offence adds")
	flags.Float64Var(&f.banFactor, "ban-factor", 0, "what each offence multiplies the ban by instead: 2 makes 2, 4, 8 minutes …")
	flags.DurationVar(&f.banMax, "ban-max", 72*time.Hour, "longest ban")
	flags.DurationVar(&f.grace, "grace", 0, "how long after a 429 a request may still have been on its way")
	flags.BoolVar(&f.chargeRefused, "charge-refused", false, "count refused requests against the limits too")
	flags.BoolVar(&f.keepIDs, "keep-order-ids", false, "refuse a newClientOrderId for ever, and not only while its order is open")
	flags.DurationVar(&f.duration, "for", 0, "stop after this time; 0 waits for an interrupt")
	flags.StringVar(&f.page, "page", "", `have a demo client work at the exchange within its limits, and serve the live
page about it on this address; without one on a free port of 127.0.0.1.
Its requests count like anybody's from there: leave it out to test a
client of your own`)
	flags.Lookup("page").NoOptDefVal = "127.0.0.1:0"
	flags.StringVar(&f.metrics, "metrics", "", "serve the books as Prometheus reads them, on an address of its own or on\nthis `path` of the exchange")
	flags.Lookup("metrics").NoOptDefVal = "/metrics"
	flags.StringVar(&f.report, "report", "", "also write the report as JSON to this `file`"+orOutput)
}

// config turns the flags into a configuration, or lists every mistake.
func (f *exchangeFlags) config() (exchange.Config, error) {
	var wrong mistakes
	c := exchange.Config{
		Accounts: []exchange.Account{{Key: f.key, Secret: f.secret}},
		Weights:  f.weights,
		Skew:     f.skew, DriftPPM: f.drift, Seed: f.seed, ChargeRefused: f.chargeRefused, KeepOrderIDs: f.keepIDs, SlowBody: f.slow,
		Ban:       exchange.Ban{Base: f.ban, Max: f.banMax, Grace: f.grace, Factor: f.banFactor},
		KeyHeader: f.keyHeader, SequenceHeader: f.sequenceHeader, PriorityHeader: f.priorityHeader,
	}
	if strings.HasPrefix(f.metrics, "/") {
		c.Metrics = f.metrics
	}
	c.Limits = noted(&wrong, "", f.limits, exchangeLimits)
	if len(f.accounts) > 0 {
		c.Accounts = noted(&wrong, "", f.accounts, exchangeAccounts)
	}
	c.Delay = noted(&wrong, "--delay", f.delay, exchange.ParseDelay)
	c.ReturnDelay = noted(&wrong, "--return-delay", f.returnDelay, exchange.ParseDelay)
	c.Faults = noted(&wrong, "--fault", f.fault, exchange.ParseFaults)
	c.Faults = append(c.Faults, noted(&wrong, "--status", f.status, exchange.ParseStatuses)...)
	for _, text := range f.stalls {
		c.Stalls = append(c.Stalls, noted(&wrong, "--stall", text, exchange.ParseStall))
	}
	for _, text := range f.routes {
		c.Routes = append(c.Routes, noted(&wrong, "--route", text, exchange.ParseRoute))
	}
	if f.ban <= 0 || f.banMax <= 0 {
		wrong.add("--ban and --ban-max must be above zero")
	}
	if f.duration < 0 {
		wrong.add("--for must not be below zero")
	}
	return c, wrong.err()
}

// noted reads what stands behind a flag, and notes what is wrong with it.
func noted[From, To any](wrong *mistakes, flag string, text From, read func(From) (To, error)) To {
	value, err := read(text)
	wrong.note(flag, err)
	return value
}

// exchangeAccounts reads what stands between colons. An error does not repeat it: it
// may be a secret.
func exchangeAccounts(texts []string) (list []exchange.Account, err error) {
	for i, text := range texts {
		parts := strings.SplitN(text, ":", 3)
		if len(parts) < 3 || parts[0] == "" {
			return nil, fmt.Errorf("--account number %d: want NAME:KEY:SECRET", i+1)
		}
		list = append(list, exchange.Account{Name: parts[0], Key: parts[1], Secret: parts[2]})
	}
	return list, nil
}

// exchangeLimits replaces the default limits of every kind that is named.
func exchangeLimits(texts []string) ([]exchange.Limit, error) {
	limits, wrong := exchange.DefaultLimits(), []error(nil)
	var named []exchange.Limit
	for _, text := range texts {
		if text == "none" {
			limits = []exchange.Limit{}
			continue
		}
		l, err := exchange.ParseLimit(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--limit: %w", err))
			continue
		}
		limits = slices.DeleteFunc(limits, func(d exchange.Limit) bool { return d.Kind == l.Kind })
		named = append(named, l)
	}
	return append(limits, named...), errors.Join(wrong...)
}
