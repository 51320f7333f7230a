// Prometheus serves what an engine tells of itself under /metrics, makes some requests to the
// simulated exchange, and scrapes itself once to show what a Prometheus server would read.
//
//	go run ./examples/prometheus
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return err
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer func() { err = errors.Join(err, meters.Shutdown(ctx)) }()
	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters})
	if err != nil {
		return err
	}
	ex, err := exchange.New(exchange.Config{})
	if err != nil {
		return err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ex.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:        url,
		Limits:         []throttle.Limit{{ID: "weight", Quota: 1200, Per: time.Minute, Weight: 2}},
		DefaultLimitID: "weight",
		Observers:      []engine.Observer{tel.Observer()},
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	stop, err := tel.Watch(eng)
	if err != nil {
		return err
	}
	defer stop()

	address, shut, err := serve(registry)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	for range 10 {
		request := &engine.Request{Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"}}
		if _, err := engine.Fetch[any](ctx, eng, request); err != nil {
			return err
		}
	}
	return scrape(ctx, address, out)
}

// serve serves /metrics until shut is called.
func serve(registry *prometheus.Registry) (address string, shut func() error, err error) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return "http://" + listener.Addr().String() + "/metrics", func() error {
		err := server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	}, nil
}

// scrape prints what is served, but for the buckets.
func scrape(ctx context.Context, address string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if line := lines.Text(); !strings.Contains(line, "_bucket{") && !strings.HasPrefix(line, "# ") {
			fmt.Fprintln(out, line)
		}
	}
	return lines.Err()
}
