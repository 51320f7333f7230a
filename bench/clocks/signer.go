package clocks

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
)

// signed is what a request carries, in milliseconds.
type signed struct{ time, window int64 }

// signer chooses timestamp and receive window from what its clock knows.
type signer struct {
	name string
	once bool // the clock is read at the start and never again
	sign func(d *day, local time.Time) (signed, error)
}

var signers = []signer{
	{Sluice, false, signBySluice},
	{Reference, false, signByReference},
	{"reference, read once", true, signByReference},
}

// signBySluice is the scheme as an engine runs it.
func signBySluice(d *day, local time.Time) (signed, error) {
	p := d.plan
	scheme := auth.HMACQuery{Key: "key", Secret: "secret", Window: p.window, Deadlines: p.deadline > 0}
	call := &messages.Call{}
	if p.deadline > 0 {
		call.Deadline = local.Add(p.deadline)
	}
	if err := scheme.Authenticate(call, stopped{d.snapshot, local}); err != nil {
		return signed{}, err
	}
	return readSigned(call.Query)
}

// signByReference takes the clock at its word, and the deadline for the window.
func signByReference(d *day, local time.Time) (signed, error) {
	est := d.estimator.Since(local) + d.reference.Offset()
	return signed{time: est.Milliseconds(), window: (d.plan.window + d.plan.deadline).Milliseconds()}, nil
}

func readSigned(query string) (s signed, err error) {
	params, err := url.ParseQuery(query)
	if err != nil {
		return s, err
	}
	if s.time, err = strconv.ParseInt(params.Get("timestamp"), 10, 64); err != nil {
		return s, fmt.Errorf("timestamp: %w", err)
	}
	if s.window, err = strconv.ParseInt(params.Get("recvWindow"), 10, 64); err != nil {
		return s, fmt.Errorf("recvWindow: %w", err)
	}
	return s, nil
}

// stopped is a snapshot read at one local instant, whatever the real time.
type stopped struct {
	*clock.Snapshot
	local time.Time
}

func (s stopped) Now() time.Time {
	est, _ := s.At(s.local)
	return est
}

func (s stopped) Bound() time.Duration {
	_, bound := s.At(s.local)
	return bound
}
