package rates

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Config says what is compared.
type Config struct {
	// Server is a command line that calls Serve on its standard streams.
	Server []string
	// Callers are as many connections, in every program; at least 1.
	Callers int
	// Turn is how long each program runs at a time, and Rounds how many turns each has.
	Turn   time.Duration
	Rounds int
	// Clients are those of the harness that take part: see load.ClientNames.
	Clients []string
	// Progress is told what runs; nil tells nobody.
	Progress io.Writer
}

// Result is what was found.
type Result struct {
	Rows        []Row               `json:"rows"`
	Missing     []string            `json:"missing,omitempty"` // programs that are not installed
	Environment results.Environment `json:"environment"`
	Callers     int                 `json:"callers"`
	Turn        time.Duration       `json:"turn"`
}

// Turns is how many were had, by all programs together: none if there is no result.
func (r *Result) Turns() int {
	turns := 0
	if r != nil {
		for _, row := range r.Rows {
			turns += len(row.Rates)
		}
	}
	return turns
}

// Row is what one program made, in requests a second, in each of its turns.
type Row struct {
	Name  string    `json:"name"`
	Rates []float64 `json:"rates"`
}

// Median is that of the turns.
func (r Row) Median() float64 { return gauge.Median(r.Rates) }

// racer makes as many requests as it can for a time, and says how many a second.
type racer struct {
	name string
	run  func(ctx context.Context, url string, callers int, turn time.Duration) (float64, error)
}

// Run has every program make as many requests as it can, in turns: each round goes through
// all of them, every other one backwards, so that what disturbs the machine for longer than a
// turn disturbs all. Beside the error of a turn is what the turns before it have made.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.Callers < 1 || cfg.Rounds < 1 || cfg.Turn <= 0 {
		return nil, errors.New("rates: callers, rounds and a turn above zero are needed")
	}
	racers, missing := gather(cfg.Clients)
	process, err := child.Start(ctx, cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("server process: %w", err)
	}
	defer process.Kill()
	var url string
	if err := process.Receive(ctx, &url); err != nil {
		return nil, fmt.Errorf("server process: %w", err)
	}
	result := &Result{Missing: missing, Environment: results.ReadEnvironment(), Callers: cfg.Callers, Turn: cfg.Turn}
	for _, racer := range racers {
		result.Rows = append(result.Rows, Row{Name: racer.name})
	}
	for round := range cfg.Rounds {
		for i := range racers {
			if round%2 == 1 {
				i = len(racers) - 1 - i
			}
			rate, err := racers[i].run(ctx, url, cfg.Callers, cfg.Turn)
			if err != nil {
				return result, fmt.Errorf("%s: %w", racers[i].name, err)
			}
			if cfg.Progress != nil {
				fmt.Fprintf(cfg.Progress, "round %d of %d: %s made %.0f/s\n", round+1, cfg.Rounds, racers[i].name, rate)
			}
			result.Rows[i].Rates = append(result.Rows[i].Rates, rate)
		}
	}
	return result, nil
}

// gather is who takes part: the harness with each client, and the programs that there are.
func gather(clients []string) (racers []racer, missing []string) {
	for _, client := range clients {
		racers = append(racers, racer{"sluice run --client " + client, harness(client)})
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			missing = append(missing, tool.name)
			continue
		}
		racers = append(racers, tool)
	}
	return racers, missing
}

func harness(name string) func(context.Context, string, int, time.Duration) (float64, error) {
	return func(ctx context.Context, url string, callers int, turn time.Duration) (float64, error) {
		client, err := load.Open(load.ClientConfig{Client: name, Connections: callers})
		if err != nil {
			return 0, err
		}
		defer client.Close()
		run, err := load.Run(ctx, load.Config{
			Closed: &load.Closed{Callers: callers, For: turn}, Plan: targets.OneTarget("GET", url, nil, nil), Client: client,
		})
		if err != nil {
			return 0, err
		}
		if failed := run.Total[""].Failed(); failed > 0 {
			return 0, fmt.Errorf("%d of %d requests failed: %v", failed, run.Total[""].Count, run.Total[""].Errors)
		}
		return float64(run.Total[""].Count) / run.End.Elapsed.Seconds(), ctx.Err()
	}
}

// tools are the programs that the harness is compared with.
var tools = []racer{
	{"wrk", func(ctx context.Context, url string, callers int, turn time.Duration) (float64, error) {
		out, err := output(ctx, nil, "wrk", "-t"+strconv.Itoa(min(callers, 2)), "-c"+strconv.Itoa(callers), "-d"+seconds(turn)+"s", url)
		return rateIn(out, err)
	}},
	{"hey", func(ctx context.Context, url string, callers int, turn time.Duration) (float64, error) {
		out, err := output(ctx, nil, "hey", "-z", turn.String(), "-c", strconv.Itoa(callers), url)
		return rateIn(out, err)
	}},
	{"vegeta", func(ctx context.Context, url string, callers int, turn time.Duration) (float64, error) {
		n := strconv.Itoa(callers)
		shots, err := output(ctx, strings.NewReader("GET "+url+"\n"),
			"vegeta", "attack", "-rate=0", "-workers="+n, "-max-workers="+n, "-connections="+n, "-duration="+turn.String())
		if err != nil {
			return 0, err
		}
		out, err := output(ctx, bytes.NewReader(shots), "vegeta", "report", "-type=json")
		if err != nil {
			return 0, err
		}
		var report struct {
			Throughput float64 `json:"throughput"`
		}
		err = json.Unmarshal(out, &report)
		return report.Throughput, err
	}},
}

// seconds rounds up, for a program that knows whole ones only.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func output(ctx context.Context, in io.Reader, name string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Stdin = in
	return command.Output()
}

var rateLine = regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`)

// rateIn finds what wrk and hey say at their ends.
func rateIn(out []byte, err error) (float64, error) {
	if err != nil {
		return 0, err
	}
	found := rateLine.FindSubmatch(out)
	if found == nil {
		return 0, errors.New("it does not say how many requests it made a second")
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// WriteText writes a table. The ratios are medians of those within each round.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d callers, turns of %v, in turns, a server in a process of its own; %s, %d CPUs, %s, load %.2f before\n\n",
		r.Callers, r.Turn, r.Environment.CPU, r.Environment.CPUs, r.Environment.Go, r.Environment.Load)
	fmt.Fprintf(&b, "%-32s %12s", "", "requests/s")
	for _, other := range r.Rows {
		if !strings.HasPrefix(other.Name, "sluice") {
			fmt.Fprintf(&b, " %10s", "÷ "+other.Name)
		}
	}
	fmt.Fprintln(&b)
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "%-32s %12.0f", row.Name, row.Median())
		for _, other := range r.Rows {
			if !strings.HasPrefix(other.Name, "sluice") {
				fmt.Fprintf(&b, " %10.2f", gauge.Median(gauge.Ratios(row.Rates, other.Rates)))
			}
		}
		fmt.Fprintln(&b)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(&b, "\nnot found, and so not compared: %s\n", strings.Join(r.Missing, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the result as JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
