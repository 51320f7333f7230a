package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/gauge"
)

// Config says how to compare.
type Config struct {
	// Server is the command line of a process that calls peers.Serve on its standard
	// streams.
	Server []string
	// Plain is HTTP without TLS: the request costs less, and so what is told of it weighs
	// more. An exchange takes no such request.
	Plain    bool
	Rounds   int // of two slices of each subject
	Requests int // of a slice
	Callers  int
	Seed     uint64 // of the intervals
	Progress func(done, rounds int)
}

// Result is what was measured.
type Result struct {
	Config   Config
	Subjects []Subject // the first is the engine without observers
}

// Subject is one way to observe an engine, and what it costs.
type Subject struct {
	Name     string
	Bar      float64 // what the ratio should not exceed; zero for none
	CPU      float64 // of a request, in µs: the median
	Allocs   float64 // of a request: the median
	Ratio    float64 // of CPU, to an engine without observers: the median of neighbours
	Interval gauge.Interval
}

// Exceeds reports whether the ratio is above its bar beyond doubt: the whole interval is.
func (s Subject) Exceeds() bool { return s.Bar > 0 && s.Interval.Low > s.Bar }

// Exceeding counts the subjects that do.
func (r *Result) Exceeding() (n int) {
	for _, s := range r.Subjects {
		if s.Exceeds() {
			n++
		}
	}
	return n
}

// Run compares. The error of a subject that did not tell all that it should have is an
// error: then something else was measured.
func Run(ctx context.Context, cfg Config) (result *Result, err error) {
	p, err := child.Start(ctx, cfg.Server)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	to, err := cfg.serverOf(ctx, p)
	if err != nil {
		return nil, err
	}
	var all []*client
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	for _, s := range subjects {
		c := &client{subject: s}
		all = append(all, c)
		if err := c.open(to); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return cfg.compare(ctx, all)
}

// server is where the requests go, and what is trusted there.
type server struct {
	origin string
	tls    *tls.Config
}

func (cfg Config) serverOf(ctx context.Context, p *child.Process) (server, error) {
	var where struct {
		Origins     map[string]string
		Certificate []byte
	}
	if err := p.Receive(ctx, &where); err != nil {
		return server{}, err
	}
	if cfg.Plain {
		return server{origin: where.Origins[""]}, nil
	}
	certificate, err := x509.ParseCertificate(where.Certificate)
	if err != nil {
		return server{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return server{where.Origins["https"], &tls.Config{RootCAs: roots}}, nil
}

func (cfg Config) compare(ctx context.Context, all []*client) (*Result, error) {
	callers := gauge.NewCallers(ctx, cfg.Callers)
	defer callers.Stop()
	cpu, allocs := make([][]float64, len(all)), make([][]float64, len(all))
	for round := range cfg.Rounds {
		for _, i := range gauge.Mirrored(round, len(all)) {
			cost, err := callers.Measure(all[i], cfg.Requests, gauge.RunIn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			if err := all[i].told(ctx, cfg.Requests+gauge.RunIn*cfg.Callers); err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			cpu[i], allocs[i] = append(cpu[i], cost.CPU), append(allocs[i], cost.Allocs)
		}
		if cfg.Progress != nil {
			cfg.Progress(round+1, cfg.Rounds)
		}
	}
	r := &Result{Config: cfg}
	for i, c := range all {
		ratios := gauge.Ratios(cpu[i], cpu[0])
		r.Subjects = append(r.Subjects, Subject{
			Name: c.name, Bar: c.bar, CPU: gauge.Median(cpu[i]), Allocs: gauge.Median(allocs[i]),
			Ratio: gauge.Median(ratios), Interval: gauge.MedianInterval(ratios, cfg.Seed),
		})
	}
	return r, nil
}

// WriteText writes the comparison.
func (r *Result) WriteText(w io.Writer) error {
	over := "TLS"
	if r.Config.Plain {
		over = "no TLS"
	}
	fmt.Fprintf(w, "CPU of a request, %s, %d callers, %d rounds of two slices of %d requests each, in mirrored order\n\n", over, r.Config.Callers, r.Config.Rounds, r.Config.Requests)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "engine\tCPU µs\tallocs\tratio\t95 %\tbar\t")
	for i, s := range r.Subjects {
		if i == 0 {
			fmt.Fprintf(table, "%s\t%.2f\t%.1f\t\t\t\t\n", s.Name, s.CPU, s.Allocs)
			continue
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.1f\t%.3f\t%.3f to %.3f\t%s\t\n", s.Name, s.CPU, s.Allocs, s.Ratio, s.Interval.Low, s.Interval.High, s.verdict())
	}
	return table.Flush()
}

// verdict is the bar, and what became of it.
func (s Subject) verdict() string {
	switch {
	case s.Bar == 0:
		return ""
	case s.Exceeds():
		return fmt.Sprintf("%.2f: exceeded", s.Bar)
	case s.Interval.High > s.Bar:
		return fmt.Sprintf("%.2f: not decided", s.Bar)
	}
	return fmt.Sprintf("%.2f: kept", s.Bar)
}
