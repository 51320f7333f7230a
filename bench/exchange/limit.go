package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is what a limit counts, and for whom.
type Kind uint8

const (
	// Weight counts the weight of every request of one client address.
	Weight Kind = iota
	// Raw counts every request of one client address as one.
	Raw
	// Orders counts the orders one account placed.
	Orders
)

var (
	kindNames     = [...]string{"weight", "raw", "orders"}
	rateLimitType = [...]string{"REQUEST_WEIGHT", "RAW_REQUESTS", "ORDERS"}
)

// String returns "weight", "raw" or "orders".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("unknown kind of limit %q: want weight, raw or orders", text)
}

// Limit is one rate limit of the exchange.
type Limit struct {
	Kind   Kind          `json:"kind"`
	Quota  int64         `json:"quota"`
	Per    time.Duration `json:"per_ns"`
	Policy Policy        `json:"policy"`
	// Burst is the capacity of a TokenBucket or Decaying limit; zero means
	// Quota. Other policies have none.
	Burst int64 `json:"burst,omitempty"`
}

// DefaultLimits returns Binance's: 6,000 weight a minute, 300,000 requests in
// five minutes, 100 orders in ten seconds and 200,000 a day, all Fixed.
func DefaultLimits() []Limit {
	return []Limit{
		{Kind: Weight, Quota: 6_000, Per: time.Minute},
		{Kind: Raw, Quota: 300_000, Per: 5 * time.Minute},
		{Kind: Orders, Quota: 100, Per: 10 * time.Second},
		{Kind: Orders, Quota: 200_000, Per: 24 * time.Hour},
	}
}

// String writes the limit as ParseLimit reads it: "weight=6000/1m,fixed".
func (l Limit) String() string {
	s := fmt.Sprintf("%s=%d/%s,%s", l.Kind, l.Quota, shortDuration(l.Per), l.Policy)
	if l.Burst > 0 {
		s += fmt.Sprintf(",burst=%d", l.Burst)
	}
	return s
}

// ParseLimit reads KIND=QUOTA/PER[,POLICY][,burst=N]: "weight=6000/1m,fixed",
// "orders=100/10s,sliding", "weight=10/1s,bucket,burst=2". The kind is weight,
// raw or orders; the policy fixed (default), sliding, bucket, decaying or
// first.
func ParseLimit(text string) (Limit, error) {
	l, err := parseLimit(text)
	if err != nil {
		return Limit{}, fmt.Errorf("limit %q: %w", text, err)
	}
	if wrong := l.mistakes(); len(wrong) > 0 {
		return Limit{}, wrong[0]
	}
	return l, nil
}

func parseLimit(text string) (l Limit, err error) {
	head, options, _ := strings.Cut(text, ",")
	kind, rate, ok := strings.Cut(head, "=")
	quota, per, ok2 := strings.Cut(rate, "/")
	if !ok || !ok2 {
		return l, fmt.Errorf("want KIND=QUOTA/PER[,POLICY], as in weight=6000/1m,fixed")
	}
	if err := l.Kind.UnmarshalText([]byte(kind)); err != nil {
		return l, err
	}
	if l.Quota, err = strconv.ParseInt(quota, 10, 64); err != nil {
		return l, fmt.Errorf("quota %q is not a whole number", quota)
	}
	if l.Per, err = time.ParseDuration(per); err != nil {
		return l, fmt.Errorf("period %q is not a duration such as 1m or 10s", per)
	}
	for option := range strings.SplitSeq(options, ",") {
		if err := l.option(option); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *Limit) option(text string) (err error) {
	if text == "" {
		return nil
	}
	burst, ok := strings.CutPrefix(text, "burst=")
	if !ok {
		l.Policy, err = ParsePolicy(text)
		return err
	}
	if l.Burst, err = strconv.ParseInt(burst, 10, 64); err != nil || l.Burst < 1 {
		return fmt.Errorf("burst %q is not a whole number above zero", burst)
	}
	return nil
}

// maxFill bounds the time a leaky counter may take to run empty.
const maxFill = 100 * 366 * 24 * time.Hour

func (l Limit) mistakes() (wrong []error) {
	add := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("limit %q: "+format, append([]any{l.String()}, args...)...))
	}
	if int(l.Kind) >= len(kindNames) {
		add("unknown kind")
	}
	if int(l.Policy) >= len(policyNames) {
		add("unknown policy")
	}
	if l.Quota <= 0 {
		add("a quota of %d admits nothing", l.Quota)
	}
	if l.Per <= 0 {
		add("the period must be above zero")
	}
	if l.Burst < 0 {
		add("burst %d is below zero", l.Burst)
	}
	leaky := l.Policy == TokenBucket || l.Policy == Decaying
	if l.Burst > 0 && !leaky {
		add("policy %s has no burst", l.Policy)
	}
	if len(wrong) == 0 && leaky && !l.exact() {
		add("more than one unit a nanosecond, or a capacity that takes over 100 years to run empty")
	}
	return wrong
}

// exact reports whether the leaky counters can count the limit exactly.
func (l Limit) exact() bool {
	return l.Quota <= int64(l.Per) && drainTime(l.capacity(), 0, int64(l.Per), l.Quota) < maxFill
}

// capacity is the most that can count at once.
func (l Limit) capacity() int64 {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Quota
}

// interval splits the period as Binance names it: 10 SECOND, 1 DAY.
func (l Limit) interval() (n int64, unit string) {
	for _, u := range intervalUnits {
		if l.Per%u.size == 0 {
			return int64(l.Per / u.size), u.name
		}
	}
	return int64(l.Per), "NANOSECOND"
}

// label is the interval as it stands in a header name: 1M, 10S, 1D.
func (l Limit) label() string {
	n, unit := l.interval()
	letter := unit[:1]
	if strings.HasSuffix(unit, "ISECOND") || unit == "NANOSECOND" {
		letter += "S"
	}
	return strconv.FormatInt(n, 10) + letter
}

var intervalUnits = []struct {
	size time.Duration
	name string
}{
	{24 * time.Hour, "DAY"},
	{time.Hour, "HOUR"},
	{time.Minute, "MINUTE"},
	{time.Second, "SECOND"},
	{time.Millisecond, "MILLISECOND"},
}

// shortDuration drops the zero units that Duration.String appends: 1m, not
// 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
