package panels

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// made describes a run that is made by arithmetic.
type made struct {
	name     string
	seconds  int
	warm     int
	step     int               // seconds of an interval; 0 means 1
	rate     func(int) float64 // a second, by second
	slower   float64           // how much slower it is than usual; 0 means 1
	stall    int               // the second in which the server stalls; 0 means none
	names    []string          // of operations
	kinds    []string          // of errors
	limits   []string
	knee     float64 // a rate beyond which it becomes slow; 0 means none
	closed   bool
	verdicts []results.Verdict
	invalid  []string
	seed     uint64
}

func steady(rate float64) func(int) float64 { return func(int) float64 { return rate } }

// usual is a run that has something on every panel.
func usual() made {
	return made{
		name: "Checkout, release 42", seconds: 120, warm: 10, rate: func(s int) float64 { return 200 + 1600*math.Min(float64(s)/100, 1) },
		stall: 62, names: []string{"GET /price", "GET /depth", "POST /order", "GET /account"}, kinds: []string{"status 503", "timeout", "reset", "status 429"},
		limits: []string{"weight 1 m", "orders 10 s", "raw 5 m"}, knee: 1500, seed: 7,
		verdicts: []results.Verdict{{Objective: "p50<10ms", Held: true, Measured: "2.84 ms"}, {Objective: "p99<250ms", Measured: "1.42 s"}, {Objective: "errors<1%", Held: true, Measured: "0.21 %"}},
	}
}

func (m made) header() results.Header {
	h := results.Header{
		Format: results.Format, ID: "b6a1f0e2c4d8", Name: m.name, Started: time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC), Model: "open",
		Length: time.Duration(m.seconds) * time.Second, WarmUp: time.Duration(m.warm) * time.Second, Client: "engine", Connections: 64, Targets: m.names,
		Environment: results.Environment{Host: "bench-3", System: "linux/amd64", CPU: "AMD EPYC 7B13", CPUs: 8, Procs: 8, Go: "go1.26.8", Commit: "dd139fe", Load: 0.31, Governor: "performance"},
	}
	if m.closed {
		h.Model, h.Callers, h.Think = "closed", 32, 10*time.Millisecond
		return h
	}
	first, last := schedule.Rate{Requests: uint64(m.rate(0)), Per: time.Second}, schedule.Rate{Requests: uint64(m.rate(m.seconds - 1)), Per: time.Second}
	h.Schedule = schedule.Spec{Stages: []schedule.Stage{{From: first, To: last, For: h.Length}}, Poisson: true, Seed: m.seed, WarmUp: h.WarmUp}
	return h
}

// run makes it.
func (m made) run() *results.Run {
	step := max(m.step, 1)
	run := &results.Run{Header: m.header(), Step: step, Whole: true, Warm: map[string]*results.Operation{}, Total: map[string]*results.Operation{}}
	random := rand.New(rand.NewPCG(m.seed, 1))
	for s := 0; s < m.seconds; s += step {
		in := m.interval(random, s, step)
		into := run.Total
		if in.Phase == results.WarmUp {
			into = run.Warm
		}
		for name, o := range in.Operations {
			for _, to := range []string{name, ""} {
				if into[to] == nil {
					into[to] = &results.Operation{}
				}
				into[to].Add(o)
			}
		}
		run.Series = append(run.Series, in)
	}
	run.End = results.End{Elapsed: time.Duration(m.seconds)*time.Second + 1400*time.Millisecond, Reason: "finished", Verdicts: m.verdicts, Invalid: m.invalid}
	if m.stall > 0 {
		run.End.Unfinished, run.End.NeverSent = 3, 1
	}
	return run
}

func (m made) interval(random *rand.Rand, s, step int) results.Interval {
	rate := m.rate(s)
	n := uint64(rate * float64(step))
	in := results.Interval{Second: s, Phase: results.Main, Offered: n, Sent: n, Completed: n, Operations: map[string]*results.Operation{}}
	if s < m.warm {
		in.Phase = results.WarmUp
	}
	slow := max(m.slower, 1)
	if m.knee > 0 && rate > m.knee {
		slow *= 1 + 12*(rate-m.knee)/m.knee
	}
	stalled := m.stall > 0 && s >= m.stall && s < m.stall+2
	if stalled {
		in.Completed, in.Sent = n/50, n/2
	} else if m.stall > 0 && s == m.stall+2 {
		in.Completed, in.Sent = 2*n, 2*n
	}
	for i, name := range m.names {
		in.Operations[name] = m.operation(random, s, i, n/uint64(len(m.names)), slow*(1+0.4*float64(i)), stalled)
	}
	in.Gauges = m.gauges(random, s, step, n, stalled)
	return in
}

// operation has n requests with lognormal service times, in forty strokes.
func (m made) operation(random *rand.Rand, s, i int, n uint64, slow float64, stalled bool) *results.Operation {
	o := &results.Operation{Count: n, In: n * 900, Out: n * 60, Statuses: map[int]uint64{}, Response: results.NewHistogram(), Service: results.NewHistogram(), Lag: results.NewHistogram(), Wait: results.NewHistogram(), Success: results.NewHistogram(), Connect: results.NewHistogram()}
	strokes := min(n, 40)
	noise := 1 + 0.05*random.NormFloat64()
	for k := range strokes {
		share := n / strokes
		if k < n%strokes {
			share++
		}
		at := (float64(k) + 0.2 + 0.6*random.Float64()) / float64(strokes)
		service := time.Duration(2e6 * slow * noise * math.Exp(0.5*math.Sqrt2*math.Erfinv(2*min(at, 0.9995)-1)))
		lag := time.Duration(9e4 * random.ExpFloat64())
		wait := time.Duration(3e5 * slow * random.ExpFloat64())
		if stalled {
			wait += time.Duration(float64(m.stall+2-s) * 1e9 * (1 - at))
		}
		o.Service.RecordN(service, share)
		o.Lag.RecordN(lag, share)
		o.Wait.RecordN(wait, share)
		o.Response.RecordN(lag+wait+service, share)
		o.Success.RecordN(lag+wait+service, share)
		times := time.Duration(share)
		o.Stages.Queue += wait * times * 7 / 10
		o.Stages.Lease += wait * times * 3 / 10
		o.Stages.Send += service * times / 20
		o.Stages.Wait += service * times * 3 / 4
		o.Stages.Receive += service * times / 5
	}
	if s%20 == 0 {
		o.Connect.RecordN(1800*time.Microsecond, 4)
		o.Stages.Connect, o.Stages.TLS = 4*600*time.Microsecond, 4*1200*time.Microsecond
	}
	failed := uint64(0)
	for k, kind := range m.kinds {
		if f := n / 40 / uint64(k+1); f > 0 && (s+7*k+i)%11 == 0 || stalled && k == 1 {
			o.Errors = map[string]uint64{kind: max(f, 1)}
			failed = max(f, 1)
			if kind == "status 429" {
				o.Statuses[429] = failed
			}
		}
	}
	o.Statuses[200] = n - min(failed, n)
	return o
}

func (m made) gauges(random *rand.Rand, s, step int, n uint64, stalled bool) *results.Gauges {
	g := &results.Gauges{InFlight: int(n)/200 + random.IntN(4), Connections: 12 + s/8, CPU: time.Duration(float64(n) * 40e3), Heap: uint64(2.2e7 + 6e6*float64(s%9)), GC: time.Duration(random.IntN(300)) * time.Microsecond, GCs: uint32(step)}
	if stalled {
		g.InFlight, g.Waiting = 64, int(n)
	}
	for i, id := range m.limits {
		use := results.LimitUse{ID: id, Quota: 6000 / int64(i+1)}
		use.Used = int64(float64(use.Quota) * math.Mod(float64(s)/float64(20+13*i), 1) * 0.98)
		if s%31 == 30 {
			use.Refusals = 2
		}
		g.Limits = append(g.Limits, use)
	}
	return g
}
