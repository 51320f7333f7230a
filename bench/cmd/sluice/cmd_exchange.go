package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/page"
)

// exchangeFlags are the flags of the exchange verb as they were typed.
type exchangeFlags struct {
	addr, key, secret         string
	accounts, limits          []string
	weights                   map[string]int64
	skew                      time.Duration
	drift                     float64
	delay, returnDelay, fault string
	seed                      uint64
	ban, banMax, grace        time.Duration
	chargeRefused             bool
	duration                  time.Duration
	report                    string
	page                      string
}

func newExchangeCommand() *cobra.Command {
	var f exchangeFlags
	cmd := &cobra.Command{
		Use:   "exchange",
		Short: "Run a simulated exchange that referees the client under test",
		Long: `Run a simulated spot exchange with Binance's REST endpoints. It counts weight by
arrival, answers 429 with Retry-After and then 418, verifies signatures and
timestamps, knows any number of accounts, takes orders over a WebSocket as well,
and reports every violation when it is interrupted.

Exit codes: 0 no violation, 1 violations, 2 wrong flags or a refusal of the
system.`,
		Example: `  # Binance's limits on port 8080
  sluice exchange

  # ten a second in a sliding window, behind a jittery network, clock 2 s fast
  sluice exchange --limit weight=10/1s,sliding --delay uniform:5ms-50ms --skew 2s

  # a token bucket, one request in a hundred answered 503, one order in a
  # thousand executed but never answered
  sluice exchange --limit weight=100/10s,bucket,burst=20 --fault 503:0.01,after-close:0.001

  # two accounts behind one address; 60 orders in 2 s for each account and symbol, a
  # batch counts as one within the minute; order entry over ws://…/ws-api/v3 as well
  sluice exchange --account alice:key-a:secret-a --account bob:key-b:secret-b \
    --limit orders=60/2s,sliding,symbol --limit orders=1200/1m,batch

  # a budget of 10,000 actions and what is traded, then one every 10 s
  sluice exchange --limit actions=10000/10s,budget --weight "POST /api/v3/order=0"

  # a demo client at it, with the live page about that: open the address it prints
  sluice exchange --addr 127.0.0.1:0 --limit weight=300/5s --limit orders=10/10s,sliding --page

  # a path that freezes for 500 ms every 5 s; stop after a minute, keep the report
  sluice exchange --delay lognormal:3ms,7ms,1+stall:500ms@5s --for 1m --report report.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
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
	flags.DurationVar(&f.skew, "skew", 0, "how far the exchange's clock is ahead")
	flags.Float64Var(&f.drift, "drift", 0, "microseconds its clock gains a second")
	flags.StringVar(&f.delay, "delay", "", `delay before arrival: 5ms, uniform:5ms-50ms, exp:10ms,
lognormal:3ms,7ms,1 (shift, median, sigma), stall:500ms@5s;
join parts with +`)
	flags.StringVar(&f.returnDelay, "return-delay", "", "delay between arrival and answer, as --delay")
	flags.StringVar(&f.fault, "fault", "", `faults as WHAT:PROBABILITY,…; WHAT: a status, after-STATUS (executed
all the same), close, after-close, truncate`)
	flags.Uint64Var(&f.seed, "seed", 1, "seed of delays and faults")
	flags.DurationVar(&f.ban, "ban", 2*time.Minute, "first ban for going on after a 429, and what each offence adds")
	flags.DurationVar(&f.banMax, "ban-max", 72*time.Hour, "longest ban")
	flags.DurationVar(&f.grace, "grace", 0, "how long after a 429 a request may still have been on its way")
	flags.BoolVar(&f.chargeRefused, "charge-refused", false, "count refused requests against the limits too")
	flags.DurationVar(&f.duration, "for", 0, "stop after this time; 0 waits for an interrupt")
	flags.StringVar(&f.page, "page", "", `have a demo client work at the exchange within its limits, and serve the live
page about it on this address; without one on a free port of 127.0.0.1.
Its requests count like anybody's from there: leave it out to test a
client of your own`)
	flags.Lookup("page").NoOptDefVal = "127.0.0.1:0"
	flags.StringVar(&f.report, "report", "", "also write the report as JSON to this file")
}

// config turns the flags into a configuration, or lists every mistake.
func (f *exchangeFlags) config() (exchange.Config, error) {
	limits, err := exchangeLimits(f.limits)
	wrong := []error{err}
	c := exchange.Config{
		Accounts: []exchange.Account{{Key: f.key, Secret: f.secret}},
		Weights:  f.weights,
		Limits:   limits, Skew: f.skew, DriftPPM: f.drift, Seed: f.seed, ChargeRefused: f.chargeRefused,
		Ban: exchange.Ban{Base: f.ban, Max: f.banMax, Grace: f.grace},
	}
	if len(f.accounts) > 0 {
		c.Accounts, err = exchangeAccounts(f.accounts)
		wrong = append(wrong, err)
	}
	if c.Delay, err = exchange.ParseDelay(f.delay); err != nil {
		wrong = append(wrong, fmt.Errorf("--delay: %w", err))
	}
	if c.ReturnDelay, err = exchange.ParseDelay(f.returnDelay); err != nil {
		wrong = append(wrong, fmt.Errorf("--return-delay: %w", err))
	}
	if c.Faults, err = exchange.ParseFaults(f.fault); err != nil {
		wrong = append(wrong, fmt.Errorf("--fault: %w", err))
	}
	if f.ban <= 0 || f.banMax <= 0 {
		wrong = append(wrong, errors.New("--ban and --ban-max must be above zero"))
	}
	if f.duration < 0 {
		wrong = append(wrong, errors.New("--for must not be below zero"))
	}
	return c, errors.Join(wrong...)
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

func (f *exchangeFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	config, err := f.config()
	if err != nil {
		return err
	}
	ex, err := exchange.New(config)
	if err != nil {
		return err
	}
	defer ex.Close()
	url, err := ex.Start(f.addr)
	if err != nil {
		return err
	}
	f.banner(stdout, url, config)
	endDemo, err := f.startDemo(stdout, url, config)
	if err != nil {
		return err
	}
	defer endDemo()
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	if isTerminal(stderr) {
		showProgress(ctx, ex, stderr)
	}
	<-ctx.Done()
	endDemo()
	ex.Close()
	return f.conclude(ex.Report(), stdout)
}

// startDemo has a demo client work at the exchange, if there is to be a page about it. It returns
// what ends both; a second call of that does nothing.
func (f *exchangeFlags) startDemo(stdout io.Writer, url string, c exchange.Config) (end func(), err error) {
	if f.page == "" {
		return func() {}, nil
	}
	demo, err := page.Start(page.Config{Exchange: url, Limits: c.Limits, Accounts: c.Accounts, Addr: f.page})
	if err != nil {
		return nil, fmt.Errorf("--page: %w", err)
	}
	fmt.Fprintf(stdout, "a demo client works at it; its live page is at %s\n", demo.URL)
	return sync.OnceFunc(func() { _ = demo.Close() }), nil // it ends whatever its engine says
}

func (f *exchangeFlags) banner(w io.Writer, url string, c exchange.Config) {
	fmt.Fprintf(w, "simulated exchange at %s\n", url)
	for _, l := range c.Limits {
		fmt.Fprintf(w, "  limit   %s\n", l)
	}
	for _, a := range c.Accounts {
		secret := "(as given)"
		if a.Secret == exchange.DemoSecret {
			secret = a.Secret
		}
		fmt.Fprintf(w, "  account %s\n  key     %s\n  secret  %s\n", a, a.Key, secret)
	}
	fmt.Fprintf(w, "  clock   %+d ms ahead, drift %g ppm\n", f.skew.Milliseconds(), f.drift)
	fmt.Fprintf(w, "  delay   %s, back %s\n  faults  %s\n  seed    %d\n",
		orNone(f.delay), orNone(f.returnDelay), orNone(f.fault), f.seed)
	fmt.Fprintf(w, "try\n  curl -i '%s/api/v3/time'\n  curl -i '%s/api/v3/depth?symbol=BTCUSDT&limit=5'\n", url, url)
	fmt.Fprintln(w, "Ctrl-C ends it and prints the report.")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// showProgress keeps one line up to date, once a second until ctx ends.
func showProgress(ctx context.Context, ex *exchange.Exchange, w io.Writer) {
	defer fmt.Fprint(w, "\r\x1b[K")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := ex.Requests()
			fmt.Fprintf(w, "\r\x1b[K%d requests, %d/s, %d violations", now, now-last, ex.Violations())
			last = now
		}
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// conclude prints the report; violations are a finding.
func (f *exchangeFlags) conclude(r exchange.Report, stdout io.Writer) error {
	fmt.Fprintf(stdout, "\n%s", r)
	if f.report != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.report, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if n := r.Violations(); n > 0 {
		return finding{fmt.Sprintf("%d violations", n)}
	}
	return nil
}
