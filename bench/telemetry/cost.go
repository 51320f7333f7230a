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
	Rounds   int // of two slices of each subject; a third of them of the live page
	Requests int // of a slice; twelve times as many of the live page
	Callers  int
	Seed     uint64 // of the intervals
	Progress func(done, rounds int)
}

// Result is what was measured.
type Result struct {
	Config   Config
	Subjects []Subject // the first is the engine without observers, and so is that of the long slices
}

// Subject is one way to observe an engine, and what it costs.
type Subject struct {
	Name     string
	Bar      float64 // what the ratio should not exceed; zero for none
	CPU      float64 // of a request, in µs: the median
	Allocs   float64 // of a request: the median
	Ratio    float64 // of CPU, to an engine without observers: the median of neighbours; zero for that itself
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
	result = &Result{Config: cfg}
	short := part{cfg.Rounds, cfg.Requests}
	long := part{max(1, cfg.Rounds/fewer), longer * cfg.Requests}
	for _, one := range []struct {
		part
		of []subject
	}{{short, subjects}, {long, lookedAt}} {
		done := len(result.Subjects) / len(subjects) * cfg.Rounds
		compared, err := cfg.compare(ctx, to, one.of, one.part, func(round int) {
			if cfg.Progress != nil {
				cfg.Progress(done+round, short.rounds+long.rounds)
			}
		})
		if err != nil {
			return nil, err
		}
		result.Subjects = append(result.Subjects, compared...)
	}
	return result, nil
}

// part is how much is measured of some subjects.
type part struct{ rounds, requests int }

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

// compare measures subjects beside the first of them.
func (cfg Config) compare(ctx context.Context, to server, of []subject, much part, progress func(round int)) (result []Subject, err error) {
	var all []*client
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	for _, s := range of {
		c := &client{subject: s}
		all = append(all, c)
		if err := c.open(to); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	callers := gauge.NewCallers(ctx, cfg.Callers)
	defer callers.Stop()
	cpu, allocs := make([][]float64, len(all)), make([][]float64, len(all))
	for round := range much.rounds {
		for _, i := range gauge.Mirrored(round, len(all)) {
			cost, err := all[i].measure(ctx, callers, much.requests)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			if err := all[i].told(ctx, much.requests+gauge.RunIn*cfg.Callers); err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			cpu[i], allocs[i] = append(cpu[i], cost.CPU), append(allocs[i], cost.Allocs)
		}
		progress(round + 1)
	}
	for i, c := range all {
		one := Subject{Name: c.name, Bar: c.bar, CPU: gauge.Median(cpu[i]), Allocs: gauge.Median(allocs[i])}
		if i > 0 {
			ratios := gauge.Ratios(cpu[i], cpu[0])
			one.Ratio, one.Interval = gauge.Median(ratios), gauge.MedianInterval(ratios, cfg.Seed)
		}
		result = append(result, one)
	}
	return result, nil
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
	for _, s := range r.Subjects {
		if s.Ratio == 0 { // others are compared with it
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
