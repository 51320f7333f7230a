package schedule

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// SyntaxError says which text was not understood, and why.
type SyntaxError struct {
	What string // "rate" or "stage"
	Text string
	Why  string
}

// Error is one line.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s %.60q: %s", e.What, e.Text, e.Why) }

// ParseRate reads a rate such as "500/s", "12.5/s", "30/1m" or "3/250ms": a number of requests,
// and in which time. Without a time it is a second. "0" is no requests. The error is of type
// *SyntaxError.
func ParseRate(text string) (Rate, error) {
	number, per, found := strings.Cut(text, "/")
	if !found {
		per = "s"
	}
	duration, err := parsePer(per)
	if err != nil {
		return Rate{}, &SyntaxError{"rate", text, err.Error()}
	}
	rate, why := newRate(number, duration)
	if why != "" {
		return Rate{}, &SyntaxError{"rate", text, why}
	}
	return rate, nil
}

const wantRate = "want a number of requests and a time, such as 500/s, 12.5/s or 30/1m"

// newRate makes a whole number of requests of a decimal fraction of them, in a longer time.
func newRate(number string, per time.Duration) (r Rate, why string) {
	whole, fraction, dotted := strings.Cut(number, ".")
	fraction = strings.TrimRight(fraction, "0")
	digits := whole + fraction
	if whole == "" || dotted && strings.HasSuffix(number, ".") || strings.Trim(number, "0123456789.") != "" || strings.Contains(fraction, ".") {
		return Rate{}, wantRate
	}
	requests, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(fraction) > 18 {
		return Rate{}, "that is more digits than can be kept"
	}
	if requests == 0 {
		return Rate{Per: per}, ""
	}
	scale := uint64(1)
	for range fraction {
		scale *= 10
	}
	common := gcd(requests, scale)
	requests, scale = requests/common, scale/common
	high, low := bits.Mul64(uint64(per), scale)
	if high != 0 || low > 1<<63-1 {
		return Rate{}, "that is less than one request in 292 years"
	}
	return Rate{requests, time.Duration(low)}, ""
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// parsePer reads a time that may lack its number, which is then 1: "s", "1m", "250ms".
func parsePer(text string) (time.Duration, error) {
	if text == "" || strings.ContainsAny(text, "+- ") {
		return 0, errors.New(wantRate)
	}
	if first := text[0]; (first < '0' || first > '9') && first != '.' {
		text = "1" + text
	}
	per, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(wantRate)
	}
	if per <= 0 {
		return 0, errors.New("the time must be above 0")
	}
	return per, nil
}

// String is what ParseRate reads: "500/s", "30/1m".
func (r Rate) String() string {
	switch r.Per {
	case 0, time.Second:
		return strconv.FormatUint(r.Requests, 10) + "/s"
	}
	return strconv.FormatUint(r.Requests, 10) + "/" + short(r.Per)
}

// short is a duration without the units that are zero: "1m" for "1m0s".
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseStage reads a stage such as "30s:1000/s", or "30s:100/s-1000/s" for a ramp. The first
// rate of a ramp may leave its time to the second: "30s:100-1000/m" begins at 100/m. "0s:1000/s"
// has no end. The error is of type *SyntaxError.
func ParseStage(text string) (Stage, error) {
	length, rates, found := strings.Cut(text, ":")
	if !found {
		return Stage{}, &SyntaxError{"stage", text, "want a time and a rate, such as 30s:1000/s, or a ramp, such as 30s:100/s-1000/s"}
	}
	duration, err := time.ParseDuration(length)
	if err != nil || duration < 0 || strings.ContainsAny(length, "+-") {
		return Stage{}, &SyntaxError{"stage", text, fmt.Sprintf("%.40q is no time such as 30s", length)}
	}
	first, second, ramp := strings.Cut(rates, "-")
	if !ramp {
		second = first
	} else if _, per, found := strings.Cut(second, "/"); found && !strings.Contains(first, "/") {
		first += "/" + per
	}
	from, err := ParseRate(first)
	to, other := ParseRate(second)
	if err == nil {
		err = other
	}
	if err != nil {
		return Stage{}, &SyntaxError{"stage", text, err.Error()}
	}
	if duration == 0 && ramp && !from.equals(to) {
		return Stage{}, &SyntaxError{"stage", text, "a ramp needs a time above 0"}
	}
	return Stage{From: from, To: to, For: duration}, nil
}

// String is what ParseStage reads: "30s:1000/s", "30s:100/s-1000/s".
func (s Stage) String() string {
	if s.From == s.To {
		return short(s.For) + ":" + s.From.String()
	}
	return short(s.For) + ":" + s.From.String() + "-" + s.To.String()
}

// String describes the schedule to people in one line.
func (s Spec) String() string {
	if n := len(s.Recorded); n > 0 {
		text := fmt.Sprintf("%d recorded instants over %s", n, short(s.Length()))
		if s.speed() != 1 {
			text += fmt.Sprintf(", %v times as fast as they were", s.Speed)
		}
		return text
	}
	parts := make([]string, len(s.Stages))
	for i, stage := range s.Stages {
		parts[i] = stage.String()
	}
	text := strings.Join(parts, " ")
	if s.Poisson {
		text += fmt.Sprintf(", Poisson with seed %d", s.Seed)
	}
	return text
}

func (r Rate) equals(other Rate) bool {
	if r.Requests == 0 || other.Requests == 0 {
		return r.Requests == other.Requests
	}
	high, low := bits.Mul64(r.Requests, uint64(other.Per))
	otherHigh, otherLow := bits.Mul64(other.Requests, uint64(r.Per))
	return high == otherHigh && low == otherLow
}

func (s Stage) ramp() bool { return !s.From.equals(s.To) }

// PerSecond is the rate in requests a second; that of a Rate without a time is zero.
func (r Rate) PerSecond() float64 {
	if r.Per <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Per.Seconds()
}

// exact is the rate in requests a nanosecond.
func (r Rate) exact() *big.Rat {
	if r.Requests == 0 {
		return new(big.Rat)
	}
	requests := new(big.Int).SetUint64(r.Requests)
	return new(big.Rat).SetFrac(requests, big.NewInt(int64(r.Per)))
}
