package clocks

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/bench/clocksim"
	"github.com/sluice-engine/sluice/bench/parallel"
	"github.com/sluice-engine/sluice/internal/clock"
)

// DayConfig says how long a day is. The zero value is one of 24 hours.
type DayConfig struct {
	Seed uint64
	// Requests are signed, one a second; default 86,400.
	Requests int
}

// DayRow is one simulated day of signed requests under the exchange's rule
//
//	timestamp < server time + 1 s   and   server time - timestamp ≤ receive window
//
// applied on arrival in whole milliseconds. Either the window is fixed, or it
// is cut from the deadline of each request.
type DayRow struct {
	Network  string  `json:"network"`
	Signer   string  `json:"signer"`
	DriftPPM float64 `json:"drift_ppm"`
	// ReceiveWindow is zero where Deadline is not, in milliseconds both.
	ReceiveWindow int64 `json:"receive_window_ms"`
	Deadline      int64 `json:"deadline_ms"`

	Requests int `json:"requests"`
	Ahead    int `json:"refused_ahead"`  // the timestamp was too new
	Behind   int `json:"refused_behind"` // or too old
	// NetworkAlone is how many a client with a perfect clock that signs the time
	// of sending would have lost; Beyond counts refusals among the others.
	NetworkAlone int `json:"network_alone"`
	Beyond       int `json:"refused_beyond_network"`

	InTime        int `json:"arrived_in_time"`
	AcceptedLate  int `json:"accepted_late"`   // accepted though past the caller's deadline
	RefusedInTime int `json:"refused_in_time"` // refused though not
}

// RunDay simulates a day for every network, drift, rule and signer.
func RunDay(ctx context.Context, c DayConfig) ([]DayRow, error) {
	if c.Requests <= 0 {
		c.Requests = 86_400
	}
	plans := dayPlans()
	rows := make([]DayRow, len(plans))
	errs := make([]error, len(plans))
	err := parallel.For(ctx, len(plans), func(i int) { rows[i], errs[i] = plans[i].run(c) })
	for _, e := range errs {
		if err == nil {
			err = e
		}
	}
	return rows, err
}

// dayPlan is one row to be.
type dayPlan struct {
	network  clocksim.Network
	signer   signer
	drift    float64
	window   time.Duration
	deadline time.Duration
}

func dayPlans() (all []dayPlan) {
	for _, n := range networks {
		for _, rate := range []float64{drift, -drift} {
			for _, window := range []time.Duration{250 * time.Millisecond, 5 * time.Second} {
				for _, s := range signers {
					all = append(all, dayPlan{network: n.Network, signer: s, drift: rate, window: window})
				}
			}
			for _, deadline := range []time.Duration{40 * time.Millisecond, 100 * time.Millisecond} {
				for _, s := range signers {
					all = append(all, dayPlan{network: n.Network, signer: s, drift: rate, deadline: deadline})
				}
			}
		}
	}
	return all
}

func (p dayPlan) run(c DayConfig) (DayRow, error) {
	d := newDay(p, c.Seed)
	row := DayRow{
		Network: p.network.Name, Signer: p.signer.name, DriftPPM: p.drift * 1e6,
		ReceiveWindow: p.window.Milliseconds(), Deadline: p.deadline.Milliseconds(),
	}
	for i := range c.Requests {
		if err := d.request(time.Duration(i)*time.Second, &row); err != nil {
			return row, err
		}
	}
	return row, nil
}

// day is a client whose clock drifts, an exchange, and the network between
// them, in true time. The client's wall clock is stepped there and back.
type day struct {
	plan      dayPlan
	world     clocksim.World
	epoch     time.Time
	estimator *clock.Estimator
	snapshot  *clock.Snapshot
	reference reference

	samples, requests *rand.Rand // apart, so that all signers meet the same delays

	next     clock.Sample  // under way
	nextDone time.Duration // when its answer is there
}

const openingDay = 1_700_000_000 * time.Second

func newDay(p dayPlan, seed uint64) *day {
	d := &day{
		plan: p, epoch: time.Now(),
		samples: rand.New(rand.NewPCG(seed, 1)), requests: rand.New(rand.NewPCG(seed, 2)),
	}
	d.world = clocksim.World{
		Drift: p.drift, UnixStart: openingDay + time.Duration(d.samples.Int64N(int64(time.Second))),
		WallSteps: []clocksim.Step{{At: 8 * time.Hour, By: 5 * time.Second}, {At: 16 * time.Hour, By: -5 * time.Second}},
	}
	d.estimator = clock.NewEstimator(clock.Config{
		Epoch: d.epoch, Spacing: 250 * time.Millisecond, // spaced as the engine does
	})
	d.look(0)
	return d
}

func (d *day) local(t time.Duration) time.Duration {
	return d.estimator.Since(d.world.Instant(d.epoch, t))
}

// look sends the next sample on its way, now or when the estimator wants it.
func (d *day) look(now time.Duration) {
	sent := max(d.world.When(d.estimator.NextSample(d.local(now))), now)
	out, home := d.plan.network.Delays(d.samples)
	d.nextDone = sent + out + home
	d.next = clock.Sample{
		Sent: d.local(sent), Received: d.local(d.nextDone),
		Server: d.world.Server(sent + out).Truncate(time.Millisecond), Resolution: time.Millisecond,
	}
}

// catchUp takes in every sample that is there at t.
func (d *day) catchUp(t time.Duration) {
	for d.nextDone <= t && !(d.plan.signer.once && d.snapshot != nil) {
		d.estimator.Add(d.next)
		d.reference.Add(d.next)
		d.snapshot = d.estimator.Snapshot(d.local(d.nextDone))
		d.look(d.nextDone)
	}
}

// request signs at t, or as soon as the time is known at all, and judges the
// outcome on arrival.
func (d *day) request(t time.Duration, row *DayRow) error {
	t += time.Duration(d.requests.Float64() * float64(time.Second))
	out, _ := d.plan.network.Delays(d.requests)
	if d.snapshot == nil {
		t = max(t, d.nextDone)
	}
	d.catchUp(t)
	local := d.world.Instant(d.epoch, t)
	s, err := d.plan.signer.sign(d, local)
	if err != nil {
		return err
	}
	deadline := d.world.When(d.estimator.Since(local) + d.plan.deadline)
	d.judge(s, t, t+out, deadline, row)
	return nil
}

func (d *day) judge(s signed, sent, arrived, deadline time.Duration, row *DayRow) {
	row.Requests++
	at := d.world.Server(arrived).Milliseconds()
	ahead, behind := refused(s, at)
	if ahead {
		row.Ahead++
	}
	if behind {
		row.Behind++
	}
	if d.plan.deadline == 0 {
		d.judgeWindow(ahead || behind, sent, at, row)
		return
	}
	switch accepted, inTime := !ahead && !behind, arrived <= deadline; {
	case inTime && !accepted:
		row.RefusedInTime++
	case accepted && !inTime:
		row.AcceptedLate++
	}
	if arrived <= deadline {
		row.InTime++
	}
}

func (d *day) judgeWindow(lost bool, sent time.Duration, at int64, row *DayRow) {
	perfect := signed{time: d.world.Server(sent).Milliseconds(), window: d.plan.window.Milliseconds()}
	_, alone := refused(perfect, at)
	if alone {
		row.NetworkAlone++
	}
	if lost && !alone {
		row.Beyond++
	}
}

// refused is the exchange's rule.
func refused(s signed, at int64) (ahead, behind bool) {
	return s.time >= at+1000, at-s.time > s.window
}
