package limits

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/parallel"
)

// Row is one cell of the grid.
type Row struct {
	Server      Counting `json:"server"`
	Network     Network  `json:"network"`
	Client      Client   `json:"client"`
	Utilisation float64  `json:"utilisation"`
	Refused     int      `json:"refused"`
	// UrgentWaitP99MS is how long 99 % of the urgent requests waited at most,
	// in milliseconds. They are a tenth of what the limit admits, beside bulk
	// requests without end, of which 60 always wait.
	UrgentWaitP99MS float64 `json:"urgent_wait_p99_ms"`

	played bool // or else nothing of it was measured
}

// Config chooses what to run.
type Config struct {
	Seed    uint64   // decides all chance
	Quick   bool     // short runs, and one of each: too little to rely on
	Clients []Client // none means all
}

// Servers and Networks are the other two sides of the grid.
func Servers() []Counting { return []Counting{Sliding, Fixed, Token, Decaying} }

// Networks returns those of the grid in the order of its rows.
func Networks() []Network { return []Network{Constant, Uniform, Lognormal, Stall} }

// The grid's limit, and the demand on it.
const (
	gridQuota   = 10
	gridPer     = time.Second
	gridBacklog = gridQuota + 50
	gridWindows = 300
	gridRuns    = 5
)

// windowsAndRuns is how long each run is and how many there are of it.
func (c Config) windowsAndRuns() (windows, runs int) {
	if c.Quick {
		return gridWindows / 4, 1
	}
	return gridWindows, gridRuns
}

// gridSetup is 10 requests a second, counted in the given way.
func gridSetup(server Counting, network Network, windows int) *setup {
	return &setup{
		rules: []rule{{id: "weight", counting: server, quota: gridQuota, per: gridPer, burst: burstOf(server, gridQuota)}},
		flows: []flow{
			{name: "bulk", charges: []charge{{0, 1}}, backlog: gridBacklog},
			{name: "urgent", charges: []charge{{0, 1}}, priority: 10, gap: 10 * gridPer / gridQuota},
		},
		network:    network.network(),
		ppb:        -20_000,
		clockError: 10 * time.Millisecond,
		stamp:      time.Millisecond,
		warmUp:     3 * gridPer,
		length:     time.Duration(windows) * gridPer,
	}
}

func burstOf(server Counting, burst int64) int64 {
	if server == Token || server == Decaying {
		return burst
	}
	return 0
}

// Grid plays every client against every server over every network, and returns
// a row for each. If ctx ends first it returns its cause as well, and rows of
// which some were not played.
func Grid(ctx context.Context, cfg Config) ([]Row, error) {
	var rows []Row
	for _, server := range Servers() {
		for _, network := range Networks() {
			for _, client := range cfg.clients() {
				rows = append(rows, Row{Server: server, Network: network, Client: client})
			}
		}
	}
	windows, runs := cfg.windowsAndRuns()
	err := parallel.For(ctx, len(rows), func(i int) {
		r := &rows[i]
		t := playAll(gridSetup(r.Server, r.Network, windows), r.Client, runs, cfg.seed(string(r.Server)+string(r.Network)))
		r.Utilisation, r.Refused = t.utilisation(), t.refused
		r.UrgentWaitP99MS = summarise("urgent", t.waits[1]).P99MS
		r.played = true
	})
	return rows, err
}

// Played are those of a grid's rows that were measured.
func Played(rows []Row) []Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return !r.played })
}

func (c Config) clients() []Client {
	if len(c.Clients) == 0 {
		return Clients()
	}
	return c.Clients
}

// seed makes the seeds of one setup: the same for every client.
func (c Config) seed(setup string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(setup))
	return h.Sum64() + c.Seed*1_000_003
}

// playAll adds up runs of one setup.
func playAll(s *setup, c Client, runs int, seed uint64) tally {
	var sum tally
	for i := range runs {
		sum.add(play(s, c, seed+uint64(i)))
	}
	return sum
}
