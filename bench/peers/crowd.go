package peers

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
)

// Crowd is what it means to be one of many callers on few connections.
type Crowd struct {
	// Throughput is requests per second; ThroughputRatio is that over the
	// throughput of the few, the median over pairs of neighbouring slices.
	Throughput        float64        `json:"requests_per_second"`
	ThroughputRatio   float64        `json:"throughput_ratio"`
	ThroughputRatioCI gauge.Interval `json:"throughput_ratio_ci95"`
	// P99 is how long all but one request in a hundred took at most, in
	// milliseconds, once every caller has had a first answer; the median over
	// slices. P99Ratio is that over the queueing minimum: with every caller
	// waiting all the time, the mean cannot be below callers ÷ throughput
	// (Little's law).
	P99      float64 `json:"p99_ms"`
	P99Ratio float64 `json:"p99_over_queueing_minimum"`
	// BytesPerCaller is the growth of heap and stacks for each caller that
	// waits for a connection, its goroutine included.
	BytesPerCaller float64 `json:"bytes_per_waiting_caller"`

	few int
}

// String returns a line of the report.
func (c *Crowd) String() string {
	return fmt.Sprintf("%.0f requests/s, %.2f × [%.2f, %.2f] that of %d callers; p99 %.0f ms, %.2f × the queueing minimum; %.1f KB per waiting caller",
		c.Throughput, c.ThroughputRatio, c.ThroughputRatioCI.Low, c.ThroughputRatioCI.High, c.few,
		c.P99, c.P99Ratio, c.BytesPerCaller/1000)
}

// crowdRounds is how many mirrored rounds a crowd has.
const crowdRounds = 2

// crowd is a case with many callers and few of them on the same engine.
type crowd struct {
	load      Case
	client    *engineClient
	many, few *gauge.Callers
	manyCosts []gauge.Cost
	fewCosts  []gauge.Cost
	p99       []float64 // of each slice of the many, in milliseconds
}

// gather measures a crowd.
func gather(ctx context.Context, load Case, at site, cfg Config) (Row, error) {
	eng, open, err := newGatedEngine(at)
	if err != nil {
		return Row{}, err
	}
	c := &crowd{load: load, client: newClientOf(eng)}
	defer c.client.Close()
	before := gauge.MemoryInUse()
	c.many, c.few = gauge.NewCallers(ctx, load.Callers), gauge.NewCallers(ctx, load.Few)
	defer c.many.Stop()
	defer c.few.Stop()
	waiting, err := c.weigh(open)
	if err != nil {
		return Row{}, err
	}
	rounds := crowdRounds
	if cfg.Brief {
		rounds = 1
	}
	for range rounds {
		for _, measure := range []func() error{c.measureMany, c.measureFew, c.measureFew, c.measureMany} {
			if err := measure(); err != nil {
				return Row{}, err
			}
		}
	}
	return c.row(max(0, waiting-before)/float64(load.Callers), cfg.Seed), nil
}

// newGatedEngine returns an engine that connects to nothing until open is
// called.
func newGatedEngine(at site) (eng *engine.Engine, open func(), err error) {
	gate := make(chan struct{})
	config := engineConfig(at)
	config.Dial.Timeout = time.Minute
	config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-gate:
			return new(net.Dialer).DialContext(ctx, network, addr)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	eng, err = engine.New(config)
	return eng, func() { close(gate) }, err
}

// weigh lets every caller wait for a connection, reads the memory in use, and
// lets them go.
func (c *crowd) weigh(open func()) (float64, error) {
	ran := make(chan error, 1)
	go func() { ran <- c.many.Run(c.client, c.load.Callers) }()
	for c.waiting() < c.load.Callers {
		select {
		case err := <-ran:
			open()
			return 0, fmt.Errorf("before all callers waited: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	waiting := gauge.MemoryInUse()
	open()
	return waiting, <-ran
}

func (c *crowd) waiting() int {
	total := 0
	for _, pool := range c.client.engine.Stats().Pools {
		total += pool.Waiting
	}
	return total
}

func (c *crowd) measureFew() error {
	cost, err := c.few.Measure(c.client, c.load.Requests, gauge.RunIn)
	c.fewCosts = append(c.fewCosts, cost)
	return err
}

func (c *crowd) measureMany() error {
	watch := &stopwatch{Client: c.client, took: make([]time.Duration, c.load.Callers+c.load.Requests)}
	cost, err := c.many.Measure(watch, c.load.Requests, 1)
	if err != nil {
		return err
	}
	c.manyCosts = append(c.manyCosts, cost)
	settled := slices.Sorted(slices.Values(watch.took[2*c.load.Callers:]))
	c.p99 = append(c.p99, float64(settled[len(settled)*99/100])/float64(time.Millisecond))
	return nil
}

// stopwatch keeps how long each request took, in the order of their ends.
type stopwatch struct {
	Client
	took  []time.Duration
	ended atomic.Int64
}

// Get is part of Client.
func (s *stopwatch) Get(ctx context.Context) error {
	began := time.Now()
	err := s.Client.Get(ctx)
	s.took[s.ended.Add(1)-1] = time.Since(began)
	return err
}

func (c *crowd) row(bytesPerCaller float64, seed uint64) Row {
	t := &trial{load: c.load, clients: []Client{c.client}, costs: [][]gauge.Cost{c.manyCosts}}
	row := t.row(0, seed)
	throughputs := gauge.Ratios(column(c.fewCosts, wallOf), column(c.manyCosts, wallOf)) // the inverses of times
	minimum := make([]float64, len(c.manyCosts))
	for i, cost := range c.manyCosts {
		minimum[i] = float64(c.load.Callers) * cost.Wall / 1000
	}
	row.Crowd = &Crowd{
		Throughput:        1e6 / row.Wall,
		ThroughputRatio:   gauge.Median(throughputs),
		ThroughputRatioCI: gauge.MedianInterval(throughputs, seed),
		P99:               gauge.Median(c.p99),
		P99Ratio:          gauge.Median(gauge.Ratios(c.p99, minimum)),
		BytesPerCaller:    bytesPerCaller,
		few:               c.load.Few,
	}
	return row
}
