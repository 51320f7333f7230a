package exchange

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

type normalDelay struct{ mean, deviation time.Duration }

func (n normalDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	return bounded(max(0, float64(n.mean)+float64(n.deviation)*rng.NormFloat64()))
}
func (n normalDelay) String() string { return fmt.Sprintf("normal:%s,%s", n.mean, n.deviation) }

type paretoDelay struct {
	least time.Duration
	shape float64
}

func (p paretoDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	return bounded(float64(p.least) * math.Pow(1-rng.Float64(), -1/p.shape))
}
func (p paretoDelay) String() string { return fmt.Sprintf("pareto:%s,%s", p.least, exactly(p.shape)) }

func parsePareto(args string) (p paretoDelay, err error) {
	least, shape, ok := strings.Cut(args, ",")
	if !ok {
		return p, fmt.Errorf("pareto: want LEAST,SHAPE")
	}
	if p.least, err = parseSpan(least); err != nil {
		return p, err
	}
	p.shape, err = strconv.ParseFloat(shape, 64)
	if err != nil || !(p.shape >= 0.1 && p.shape <= 100) {
		return p, fmt.Errorf("pareto: shape %q is not a number from 0.1 to 100", shape)
	}
	return p, nil
}

// mixedDelay is each of its delays in so many of a hundred cases, and none in the others.
type mixedDelay []share

type share struct {
	delay   time.Duration
	percent float64
}

func (m mixedDelay) draw(rng *rand.Rand, _ time.Duration) time.Duration {
	u := 100 * rng.Float64()
	for _, s := range m {
		if u -= s.percent; u < 0 {
			return s.delay
		}
	}
	return 0
}

func (m mixedDelay) String() string {
	texts := make([]string, len(m))
	for i, s := range m {
		texts[i] = s.delay.String() + ":" + exactly(s.percent)
	}
	return strings.Join(texts, ",")
}

func parseMixed(text string) (m mixedDelay, err error) {
	total := 0.0
	for item := range strings.SplitSeq(text, ",") {
		delay, percent, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("want DURATION:PERCENT,…, not %q", item)
		}
		var s share
		if s.delay, err = parseSpan(delay); err != nil {
			return nil, err
		}
		s.percent, err = strconv.ParseFloat(percent, 64)
		if err != nil || !(s.percent > 0 && s.percent <= 100) {
			return nil, fmt.Errorf("%q is not a percentage above 0 and at most 100", percent)
		}
		total += s.percent
		m = append(m, s)
	}
	if total > 100+1e-7 {
		return nil, fmt.Errorf("the percentages add up to %g", total)
	}
	return m, nil
}

// exactly writes a number so that it is read as the same.
func exactly(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
