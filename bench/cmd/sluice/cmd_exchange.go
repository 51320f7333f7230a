package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/page"
)

func newExchangeCommand() *cobra.Command {
	var f exchangeFlags
	cmd := &cobra.Command{
		Use:   "exchange",
		Short: "Run a simulated exchange that referees the client under test",
		Long: `Run a simulated spot exchange with Binance's REST endpoints, or, with --route, a
server of any other API. It counts weight by arrival, answers 429 with Retry-After and
then 418, with bans that grow, verifies signatures and timestamps, knows any number of
accounts, takes orders over a WebSocket as well, and spoils what it is told to spoil, by
a seed.

When it is interrupted it reports every violation, what was sent while the client was
told to wait, how much of each limit was used in its windows, what became of requests
that were executed and not answered, in which order numbered requests were executed, and
how fairly accounts were served.

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

  # any API: two routes beside the exchange's own; keys as bearer tokens; metrics on /metrics
  sluice exchange --route "GET /v1/items=weight 2,body [1,2]" --limit weight=100/1m \
      --route "POST /v1/orders=order,id client_oid" --key-header Authorization --metrics

  # fortio's spelling: 10 % of requests 150 µs late, 5 % 2 ms; 1 % answered 503; a stall
  # of two seconds, five after the first request; bans of 2, 4, 8 minutes
  sluice exchange --delay 150us:10,2ms:5 --status 503:1 --stall 2s@5s --ban-factor 2

  # a path that freezes for 500 ms every 5 s; stop after a minute, keep the report
  sluice exchange --delay lognormal:3ms,7ms,1+stall:500ms@5s --for 1m --report report.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
}

func (f *exchangeFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	config, err := f.config()
	if err != nil {
		return err
	}
	to, err := f.outputs(stdout, stderr)
	if err != nil {
		return err
	}
	ex, err := exchange.New(config)
	if err != nil {
		var wrong mistakes
		wrong.note("", err)
		return wrong.err()
	}
	defer ex.Close()
	url, err := ex.Start(f.addr)
	if err != nil {
		return err
	}
	var beside bytes.Buffer // told behind the banner, which is for an exchange that goes on
	endMetrics, err := f.startMetrics(&beside, url, ex)
	if err != nil {
		return err
	}
	defer endMetrics()
	endDemo, err := f.startDemo(&beside, url, config)
	if err != nil {
		return err
	}
	defer endDemo()
	f.banner(to.people, url, config)
	_, _ = beside.WriteTo(to.people)
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
	return f.conclude(ex.Report(), to)
}

// outputs are where it writes, once its report is known to find its place.
func (f *exchangeFlags) outputs(stdout, stderr io.Writer) (outputs, error) {
	var files namedFiles
	files.writes("--report", f.report)
	return files.outputs(stdout, stderr), files.check()
}

// startMetrics serves the metrics on an address of their own, if there is to be one.
func (f *exchangeFlags) startMetrics(stdout io.Writer, url string, ex *exchange.Exchange) (end func(), err error) {
	switch {
	case f.metrics == "":
		return func() {}, nil
	case strings.HasPrefix(f.metrics, "/"):
		fmt.Fprintf(stdout, "metrics at %s%s\n", url, f.metrics)
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", f.metrics)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	server := &http.Server{Handler: ex.Metrics(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	fmt.Fprintf(stdout, "metrics at http://%s/\n", listener.Addr())
	return func() { _ = server.Close(); <-served }, nil
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
	for _, r := range c.Routes {
		fmt.Fprintf(w, "  route   %s, weight %d\n", r, r.Weight)
	}
	fmt.Fprintf(w, "  clock   %+d ms ahead, drift %g ppm\n", f.skew.Milliseconds(), f.drift)
	fmt.Fprintf(w, "  delay   %s, back %s\n  faults  %s\n  seed    %d\n",
		orNone(f.delay), orNone(f.returnDelay), orNone(faultsOf(c)), f.seed)
	if len(f.stalls) > 0 {
		fmt.Fprintf(w, "  stalls  %s\n", strings.Join(f.stalls, ", "))
	}
	if len(c.Routes) > 0 {
		fmt.Fprintln(w, "Ctrl-C ends it and prints the report.")
		return
	}
	fmt.Fprintf(w, "try\n  curl -i '%s/api/v3/time'\n  curl -i '%s/api/v3/depth?symbol=BTCUSDT&limit=5'\n", url, url)
	fmt.Fprintln(w, "Ctrl-C ends it and prints the report.")
}

// faultsOf writes the faults as --fault reads them.
func faultsOf(c exchange.Config) string {
	var texts []string
	for _, fault := range c.Faults {
		texts = append(texts, fault.String())
	}
	return strings.Join(texts, ",")
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

// conclude prints the report; violations are a finding, whether or not it can be written.
func (f *exchangeFlags) conclude(r exchange.Report, to outputs) error {
	fmt.Fprintf(to.people, "\n%s", r)
	err := to.write("--report", f.report, asJSON(r))
	if n := r.Violations(); n > 0 {
		err = errors.Join(err, finding{fmt.Sprintf("%d violations", n)})
	}
	return err
}
