package peers

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// trial is one case with everything measured in it.
type trial struct {
	load    Case
	callers *gauge.Callers
	clients []Client // guests last
	// costs are by client, then by half of a round: equal indices are neighbours in time. A
	// half that a guest was not there for is zero, which no measurement is.
	costs [][]gauge.Cost
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
			if err := t.callers.Run(t.load.asks(client), t.load.Requests); err != nil {
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
		there := len(t.clients)
		if !t.load.guestsAt(t.rounds()) {
			there -= len(t.load.Guests)
		}
		for _, i := range gauge.Mirrored(t.rounds(), there) {
			cost, err := t.callers.Measure(t.load.asks(t.clients[i]), t.load.Requests, gauge.RunIn)
			if err != nil {
				return t.failed(t.clients[i], err)
			}
			t.costs[i] = append(t.costs[i], cost)
		}
		for i := there; i < len(t.clients); i++ {
			t.costs[i] = append(t.costs[i], gauge.Cost{}, gauge.Cost{})
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

	// Cannot is why the client has no figures.
	Cannot string `json:"cannot,omitempty"`

	// Crowd is what only a crowd has.
	Crowd *Crowd `json:"crowd,omitempty"`
}

func (all trials) rows(seed uint64) []Row {
	var rows []Row
	for _, t := range all {
		for i := range t.clients {
			rows = append(rows, t.row(i, seed))
		}
		for _, name := range slices.Sorted(maps.Keys(t.load.Cannot)) {
			rows = append(rows, Row{Case: t.load.Name, Client: name, Cannot: t.load.Cannot[name]})
		}
	}
	return rows
}

func (t *trial) row(i int, seed uint64) Row {
	measured, _ := together(t.costs[i], t.costs[i])
	row := Row{
		Case:   t.load.Name,
		Client: t.clients[i].Name(),
		CPU:    gauge.Median(column(measured, cpuOf)),
		Wall:   gauge.Median(column(measured, wallOf)),
		Allocs: gauge.Median(column(measured, func(c gauge.Cost) float64 { return c.Allocs })),
		Bytes:  gauge.Median(column(measured, func(c gauge.Cost) float64 { return c.Bytes })),
	}
	if !isOurs(row.Client) || len(t.clients) == 1 {
		return row
	}
	row.CPURatio, row.CPURatioCI = make(map[string]float64), make(map[string]gauge.Interval)
	for j, peer := range t.clients {
		if j != i {
			mine, theirs := together(t.costs[i], t.costs[j])
			pairs := gauge.Ratios(column(mine, cpuOf), column(theirs, cpuOf))
			row.CPURatio[peer.Name()] = gauge.Median(pairs)
			row.CPURatioCI[peer.Name()] = gauge.MedianInterval(pairs, seed)
		}
	}
	return row
}

// together are the halves that both were there for.
func together(a, b []gauge.Cost) (both, too []gauge.Cost) {
	for i := range min(len(a), len(b)) {
		if a[i].CPU > 0 && b[i].CPU > 0 {
			both, too = append(both, a[i]), append(too, b[i])
		}
	}
	return both, too
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
