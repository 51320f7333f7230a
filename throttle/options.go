package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Options shape a Ledger. The zero value is ready to use.
type Options struct {
	// Share is the part of every quota this process may use, in (0, 1];
	// 0 means 1.
	Share float64
	// SafetyMargin is the part of the share left unused, in [0, 1); default 0,
	// because no window here needs one.
	SafetyMargin float64
	// MaxQueued bounds the queue; default 1,000,000. Of one more the least urgent, by
	// priority alone, is refused with ErrQueueFull: of several that are, the newcomer, or
	// else the last to come on one of their routes.
	MaxQueued int
	// Aging is how much waiting makes up for one step of priority: a request
	// ranks by the instant it was queued minus Priority times Aging. 0 means
	// strict priority, under which the lowest class may wait without end.
	Aging time.Duration
	// ClockRate bounds how fast our clock and the server's may drift apart,
	// in seconds per second; default 200e-6, at most 0.01.
	ClockRate float64
	// MaxPause caps a pause, whoever asks for it; default 72 h, the longest
	// ban that exchanges announce.
	MaxPause time.Duration
	// LeastPause is the shortest pause after a refusal, whatever the server says,
	// and doubles while refusals go on; see Ledger.Refused. Default 1 s, at most
	// a minute.
	LeastPause time.Duration
	// StartFull has a new ledger begin as if every window were full, because
	// another one may have spent from the quotas just before: a restart can
	// delay, but not burst. They count as full from the first instant that the ledger is
	// told of, until time disproves it: what the other one still had on the wire then is
	// not allowed for. A Lifetime budget counts as spent until Sync brings a number that
	// the server read after that instant, by a clock that SetClock has made known. What is
	// seen later, such as another key, begins as full too.
	StartFull bool
	// MaxBusyPause caps a pause that a server asks for because it is overloaded,
	// and not because a limit was reached; default DefaultMaxBusyPause.
	MaxBusyPause time.Duration
	// Pacing spreads bulk work while urgent work is about. Nil means that
	// bulk work takes all it can get at once.
	Pacing *Pacing
}

// Pacing keeps room for urgent requests from a backlog of bulk ones. While
// urgent requests come at a rate of u (an average over several windows), bulk
// requests are spread over the window and leave z·sqrt(u·t) of the quota
// free, beyond the u·t that urgent requests are expected to need in the rest t
// of the window. Without urgent traffic nothing is held back.
type Pacing struct {
	// Bulk is the highest priority that counts as bulk work; zero is Normal.
	Bulk Priority
	// Z is the number of standard deviations kept free: 1 for throughput,
	// 3 for latency; default 2.
	Z float64
}

// DefaultMaxBusyPause is how long a server that is overloaded is left alone at
// most.
const DefaultMaxBusyPause = 30 * time.Second

const (
	defaultMaxQueued = 1_000_000
	defaultClockRate = 200e-6
	defaultMaxPause  = 72 * time.Hour
	defaultZ         = 2

	defaultLeastPause = time.Second
)

// withDefaults returns o with its zero values filled in, and every mistake.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	complain := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	// The negation of what is right, not what is wrong, so that NaN is wrong too.
	complain(!(o.Share >= 0 && o.Share <= 1), "share %v is not in (0, 1]", o.Share)
	complain(!(o.SafetyMargin >= 0 && o.SafetyMargin < 1), "safety margin %v is not in [0, 1)", o.SafetyMargin)
	complain(o.MaxQueued < 0, "max queued %d is negative", o.MaxQueued)
	complain(o.Aging < 0, "aging %v is negative", o.Aging)
	complain(!(o.ClockRate >= 0 && o.ClockRate <= 0.01), "clock rate %v is not in [0, 0.01]", o.ClockRate)
	complain(o.LeastPause < 0 || o.LeastPause > mostLeastPause, "least pause %v is not in [0, %v]", o.LeastPause, mostLeastPause)
	complain(o.MaxPause < 0 || o.MaxPause > maxPer, "max pause %v is not in [0, %v]", o.MaxPause, maxPer)
	complain(o.MaxBusyPause < 0 || o.MaxBusyPause > maxPer, "max busy pause %v is not in [0, %v]", o.MaxBusyPause, maxPer)

	o.Share = cmp.Or(o.Share, 1)
	o.MaxQueued = cmp.Or(o.MaxQueued, defaultMaxQueued)
	o.ClockRate = cmp.Or(o.ClockRate, defaultClockRate)
	o.MaxPause = cmp.Or(o.MaxPause, defaultMaxPause)
	o.LeastPause = cmp.Or(o.LeastPause, defaultLeastPause)
	if o.Pacing != nil {
		complain(!(o.Pacing.Z >= 0 && o.Pacing.Z <= 100), "pacing z %v is not in [0, 100]", o.Pacing.Z)
		o.Pacing = &Pacing{Bulk: o.Pacing.Bulk, Z: cmp.Or(o.Pacing.Z, defaultZ)}
	}
	return o, errors.Join(errs...)
}
