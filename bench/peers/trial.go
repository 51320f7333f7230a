package peers

import (
	"context"
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// trial is one case with everything measured in it.
type trial struct {
	load    Case
	callers *gauge.Callers
	clients []Client
	costs   [][]gauge.Cost // by client, then by half of a round: equal indices are neighbours in time
}

type trials []*trial

func newTrials(ctx context.Context, cases []Case, set *clientSet) (trials, error) {
	var all trials
	for _, load := range cases {
		clients, err := set.of(load)
		if err != nil {
			all.stop()
			return nil, err
		}
		all = append(all, &trial{
			load:    load,
			callers: gauge.NewCallers(ctx, load.Callers),
			clients: clients,
			costs:   make([][]gauge.Cost, len(clients)),
		})
	}
	return all, nil
}

func (all trials) stop() {
	for _, t := range all {
		t.callers.Stop()
	}
}

func (all trials) warmUp() error {
	for _, t := range all {
		for _, client := range t.clients {
			if err := t.callers.Run(client, t.load.Requests); err != nil {
				return t.failed(client, err)
			}
		}
	}
	return nil
}

func (all trials) round(round int) error {
	for _, t := range all {
		if !t.load.due(round) {
			continue
		}
		for _, i := range gauge.Mirrored(t.rounds(), len(t.clients)) {
			cost, err := t.callers.Measure(t.clients[i], t.load.Requests, gauge.RunIn)
			if err != nil {
				return t.failed(t.clients[i], err)
			}
			t.costs[i] = append(t.costs[i], cost)
		}
	}
	return nil
}

// rounds is how many the case has taken part in.
func (t *trial) rounds() int { return len(t.costs[0]) / 2 }

func (t *trial) failed(client Client, err error) error {
	return fmt.Errorf("%s with %s: %w", t.load.Name, client.Name(), err)
}

// Row is the cost of one request in one case with one client: medians over the
// slices.
type Row struct {
	Case   string  `json:"case"`
	Client string  `json:"client"`
	CPU    float64 `json:"cpu_us_per_request"`
	Wall   float64 `json:"wall_us_per_request"`
	Allocs float64 `json:"allocs_per_request"`
	Bytes  float64 `json:"bytes_per_request"`

	// CPURatio is the engine's CPU time over a peer's, by the peer's name: the
	// median over pairs of neighbouring slices, which is not the quotient of the
	// two medians. CPURatioCI is its 95 % interval. Only the engine's rows have
	// them, its RoundTripper's included, and only against peers that ran.
	CPURatio   map[string]float64        `json:"cpu_ratio,omitempty"`
	CPURatioCI map[string]gauge.Interval `json:"cpu_ratio_ci95,omitempty"`

	// Crowd is what only a crowd has.
	Crowd *Crowd `json:"crowd,omitempty"`
}

func (all trials) rows(seed uint64) []Row {
	var rows []Row
	for _, t := range all {
		for i := range t.clients {
			rows = append(rows, t.row(i, seed))
		}
	}
	return rows
}

func (t *trial) row(i int, seed uint64) Row {
	row := Row{
		Case:   t.load.Name,
		Client: t.clients[i].Name(),
		CPU:    gauge.Median(column(t.costs[i], cpuOf)),
		Wall:   gauge.Median(column(t.costs[i], wallOf)),
		Allocs: gauge.Median(column(t.costs[i], func(c gauge.Cost) float64 { return c.Allocs })),
		Bytes:  gauge.Median(column(t.costs[i], func(c gauge.Cost) float64 { return c.Bytes })),
	}
	if !isOurs(row.Client) || len(t.clients) == 1 {
		return row
	}
	row.CPURatio, row.CPURatioCI = make(map[string]float64), make(map[string]gauge.Interval)
	for j, peer := range t.clients {
		if j != i {
			pairs := gauge.Ratios(column(t.costs[i], cpuOf), column(t.costs[j], cpuOf))
			row.CPURatio[peer.Name()] = gauge.Median(pairs)
			row.CPURatioCI[peer.Name()] = gauge.MedianInterval(pairs, seed)
		}
	}
	return row
}

func cpuOf(c gauge.Cost) float64  { return c.CPU }
func wallOf(c gauge.Cost) float64 { return c.Wall }

func column(costs []gauge.Cost, of func(gauge.Cost) float64) []float64 {
	xs := make([]float64, len(costs))
	for i, c := range costs {
		xs[i] = of(c)
	}
	return xs
}
