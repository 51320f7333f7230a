package auth

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
)

var _ Ranger = (*clock.Snapshot)(nil)

// network draws the time that one way takes.
type network struct {
	name string
	way  func(r *rand.Rand) time.Duration
}

var networks = []network{
	{"jitter", func(r *rand.Rand) time.Duration {
		return 5*time.Millisecond + time.Duration(r.Float64()*float64(45*time.Millisecond))
	}},
	{"heavy tail", func(r *rand.Rand) time.Duration {
		return 3*time.Millisecond + time.Duration(math.Exp(r.NormFloat64())*float64(7*time.Millisecond))
	}},
}

// venue is a server with Binance's rule, a client whose clock drifts, and a
// network between them, in virtual time. Server time is true time.
type venue struct {
	network network
	random  *rand.Rand
	epoch   time.Time
	drift   float64
	now     time.Duration

	estimator *clock.Estimator
	snapshot  *clock.Snapshot
}

const opened = 1_700_000_000 * time.Second

func newVenue(network network, drift float64) *venue {
	epoch := time.Now()
	return &venue{network: network, random: rand.New(rand.NewPCG(1, 2)), epoch: epoch, drift: drift,
		estimator: clock.NewEstimator(clock.Config{Epoch: epoch})}
}

func (v *venue) local() time.Duration { return v.now + time.Duration(v.drift*float64(v.now)) }

// sample asks for the server's time, in whole milliseconds.
func (v *venue) sample() {
	sent := v.local()
	v.now += v.network.way(v.random)
	stamp := (opened + v.now).Truncate(time.Millisecond)
	v.now += v.network.way(v.random)
	v.estimator.Add(clock.Sample{Sent: sent, Received: v.local(), Server: stamp, Resolution: time.Millisecond})
	v.snapshot = v.estimator.Snapshot(v.local())
}

// frozen is a snapshot read at one local instant, whatever the real time.
type frozen struct {
	*clock.Snapshot
	local time.Time
}

func (f frozen) Now() time.Time {
	est, _ := f.At(f.local)
	return est
}

func (f frozen) Bound() time.Duration {
	_, bound := f.At(f.local)
	return bound
}

// day signs a call a second and takes a sample every 10 s, the default, for so many calls;
// judge sees each on its arrival.
func (v *venue) day(t *testing.T, scheme HMACQuery, calls int, patience time.Duration, judge func(ts, window, arrived, deadline int64)) {
	for i := range calls {
		if i%10 == 0 {
			v.sample()
		}
		local := v.epoch.Add(v.local())
		call := &messages.Call{}
		if patience > 0 {
			call.Deadline = local.Add(patience)
		}
		require.NoError(t, scheme.Authenticate(call, frozen{v.snapshot, local}))
		ts, window := signedWindow(t, call)
		out := v.network.way(v.random)
		judge(ts, window, (opened + v.now + out).Milliseconds(), int64(opened+v.now+patience))
		v.now += time.Second
	}
}

func TestNoTimestampIsRefusedThroughoutADay(t *testing.T) {
	for _, network := range networks {
		for _, drift := range []float64{20e-6, -20e-6} {
			for _, window := range []time.Duration{250 * time.Millisecond, 5 * time.Second} {
				refused := 0
				newVenue(network, drift).day(t, HMACQuery{Key: "k", Secret: "s", Window: window}, 86_400/8, 0,
					func(ts, window, arrived, _ int64) {
						if ts >= arrived+1000 || arrived-ts > window {
							refused++
						}
					})
				require.Zero(t, refused, "%s, %g, %v", network.name, drift, window)
			}
		}
	}
}

func TestNoOrderIsAcceptedAfterItsDeadlineThroughoutADay(t *testing.T) {
	scheme := HMACQuery{Key: "k", Secret: "s", Deadlines: true}
	for _, network := range networks {
		for _, drift := range []float64{20e-6, -20e-6} {
			late, refused, inTime := 0, 0, 0
			newVenue(network, drift).day(t, scheme, 86_400/8, 100*time.Millisecond, func(ts, window, arrived, deadline int64) {
				accepted := ts < arrived+1000 && arrived-ts <= window
				onTime := arrived*int64(time.Millisecond) <= deadline
				switch {
				case accepted && !onTime:
					late++
				case onTime && !accepted:
					refused++
				}
				if onTime {
					inTime++
				}
			})
			require.Zero(t, late, "%s, %g", network.name, drift)
			require.Less(t, refused, inTime/100, "%s, %g: in time, yet refused", network.name, drift)
		}
	}
}
