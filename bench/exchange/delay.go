package exchange

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// maxDelay bounds every delay, parsed or drawn.
const maxDelay = time.Hour

// Delay is how long one direction of the network takes. The zero value takes
// no time. A Delay is immutable and safe for concurrent use.
type Delay struct{ parts []delayPart }

// delayPart draws the time a request that sets out at the given instant since
// the start of the exchange spends in this part of the path.
type delayPart interface {
	draw(rng *rand.Rand, at time.Duration) time.Duration
	String() string
}

// ParseDelay reads a delay; parts joined by "+" are passed one after the
// other. Durations are Go's, from 0 to 1h.
//
//	5ms                   always
//	uniform:5ms-50ms      between the two, equally likely
//	exp:10ms              exponential, by its mean
//	normal:10ms,3ms       normal, by its mean and standard deviation, at least zero
//	lognormal:3ms,7ms,1   3 ms and a log-normal of median 7 ms and sigma 1
//	pareto:2ms,1.5        Pareto, by its least value and its shape: the smaller that
//	                      is, the heavier the tail
//	150us:10,2ms:5        150 µs in 10 % of cases, 2 ms in 5 %, else none
//	stall:500ms@5s        every 5 s the path freezes for 500 ms, and then
//	                      delivers at once what has gathered
//
// Empty text means no delay.
func ParseDelay(text string) (Delay, error) {
	var d Delay
	if text == "" {
		return d, nil
	}
	for part := range strings.SplitSeq(text, "+") {
		p, err := parseDelayPart(part)
		if err != nil {
			return Delay{}, fmt.Errorf("delay %q: %w", text, err)
		}
		d.parts = append(d.parts, p)
	}
	return d, nil
}

// String writes the delay as ParseDelay reads it.
func (d Delay) String() string {
	texts := make([]string, len(d.parts))
	for i, p := range d.parts {
		texts[i] = p.String()
	}
	return strings.Join(texts, "+")
}

// Draw returns one delay, from 0 to 1h, of a request that sets out at the
// given time since the start.
func (d Delay) Draw(rng *rand.Rand, at time.Duration) time.Duration {
	var total time.Duration
	for _, p := range d.parts {
		total += p.draw(rng, at+total)
	}
	return min(total, maxDelay)
}

type constantDelay time.Duration

func (c constantDelay) draw(*rand.Rand, time.Duration) time.Duration { return time.Duration(c) }
func (c constantDelay) String() string                               { return time.Duration(c).String() }

type uniformDelay struct{ low, high time.Duration }

func (u uniformDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	return u.low + time.Duration(rng.Int64N(int64(u.high-u.low)+1))
}
func (u uniformDelay) String() string { return fmt.Sprintf("uniform:%s-%s", u.low, u.high) }

type exponentialDelay struct{ mean time.Duration }

func (e exponentialDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	return bounded(rng.ExpFloat64() * float64(e.mean))
}
func (e exponentialDelay) String() string { return "exp:" + e.mean.String() }

type lognormalDelay struct {
	shift, median time.Duration
	sigma         float64
}

func (l lognormalDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	return bounded(float64(l.shift) + float64(l.median)*math.Exp(l.sigma*rng.NormFloat64()))
}
func (l lognormalDelay) String() string {
	return fmt.Sprintf("lognormal:%s,%s,%s", l.shift, l.median, strconv.FormatFloat(l.sigma, 'g', -1, 64))
}

// stallDelay freezes the path in [k·every, k·every+length) for k ≥ 1.
type stallDelay struct{ length, every time.Duration }

func (s stallDelay) draw(_ *rand.Rand, at time.Duration) time.Duration {
	into := at % s.every
	if at < s.every || into >= s.length {
		return 0
	}
	return s.length - into
}
func (s stallDelay) String() string { return fmt.Sprintf("stall:%s@%s", s.length, s.every) }

func bounded(ns float64) time.Duration { return time.Duration(min(ns, float64(maxDelay))) }

func parseDelayPart(text string) (delayPart, error) {
	name, args, ok := strings.Cut(text, ":")
	if !ok {
		d, err := parseSpan(text)
		return constantDelay(d), err
	}
	if strings.Trim(name[:min(1, len(name))], "0123456789.") == "" {
		return parseMixed(text)
	}
	switch name {
	case "normal":
		mean, deviation, err := parseSpans(args, ",")
		return normalDelay{mean, deviation}, err
	case "pareto":
		return parsePareto(args)
	case "uniform":
		low, high, err := parseSpans(args, "-")
		if err == nil && low > high {
			err = fmt.Errorf("uniform: %s is above %s", low, high)
		}
		return uniformDelay{low, high}, err
	case "exp":
		mean, err := parseSpan(args)
		return exponentialDelay{mean}, err
	case "lognormal":
		return parseLognormal(args)
	case "stall":
		length, every, err := parseSpans(args, "@")
		if err == nil && (length <= 0 || length >= every) {
			err = fmt.Errorf("stall: want LENGTH@EVERY with 0 < LENGTH < EVERY")
		}
		return stallDelay{length, every}, err
	}
	return nil, fmt.Errorf("unknown shape %q: want a duration, durations with percentages, uniform, exp, normal, lognormal, pareto or stall", name)
}

func parseLognormal(args string) (l lognormalDelay, err error) {
	spans, sigma, ok := cutLast(args, ",")
	if !ok {
		return l, fmt.Errorf("lognormal: want SHIFT,MEDIAN,SIGMA")
	}
	if l.shift, l.median, err = parseSpans(spans, ","); err != nil {
		return l, err
	}
	l.sigma, err = strconv.ParseFloat(sigma, 64)
	if err != nil || !(l.sigma >= 0 && l.sigma <= 5) {
		return l, fmt.Errorf("lognormal: sigma %q is not a number from 0 to 5", sigma)
	}
	return l, nil
}

func parseSpans(text, separator string) (a, b time.Duration, err error) {
	first, second, ok := strings.Cut(text, separator)
	if !ok {
		return 0, 0, fmt.Errorf("want two durations with %q between, not %q", separator, text)
	}
	if a, err = parseSpan(first); err == nil {
		b, err = parseSpan(second)
	}
	return a, b, err
}

func parseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 5ms", text)
	}
	if d < 0 || d > maxDelay {
		return 0, fmt.Errorf("%s is not between 0 and %s", d, shortDuration(maxDelay))
	}
	return d, nil
}

func cutLast(s, separator string) (before, after string, ok bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
