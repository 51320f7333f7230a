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
	// Orders counts the orders one account placed, each in a batch as well.
	Orders
	// AccountWeight counts the weight of the requests that one account signed.
	AccountWeight
	// Actions counts what one account asked to be done: each order placed, amended or
	// cancelled as one.
	Actions
	// Matching counts like a matching engine whose price is the haste of its
	// customers: one for an order, half an order for each in a batch (rounded up), and
	// for a cancellation or an amendment the more the younger the order is. See
	// Routes for which requests those are, and CancelCost and AmendCost for the price.
	Matching
	// Connections counts the connections that one client address opens. One too many
	// is closed at once.
	Connections
)

var (
	kindNames     = [...]string{"weight", "raw", "orders", "account", "actions", "matching", "connections"}
	rateLimitType = [...]string{"REQUEST_WEIGHT", "RAW_REQUESTS", "ORDERS", "ACCOUNT_WEIGHT", "ACTIONS", "MATCHING", "CONNECTIONS"}
)

// ofAccounts reports whether every account has its own, and not every client address.
func (k Kind) ofAccounts() bool { return k >= Orders && k <= Matching }

// String returns "weight", "raw", "orders", "account", "actions", "matching" or
// "connections".
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
	return fmt.Errorf("unknown kind of limit %q: want one of %s", text, strings.Join(kindNames[:], ", "))
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
	// PerSymbol gives every symbol a quota of its own within an account. What concerns
	// no symbol is not counted then.
	PerSymbol bool `json:"per_symbol,omitempty"`
	// WholeBatch counts a batch of orders as one order; with PerSymbol as one for each
	// symbol in it.
	WholeBatch bool `json:"whole_batch,omitempty"`
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
	if l.PerSymbol {
		s += ",symbol"
	}
	if l.WholeBatch {
		s += ",batch"
	}
	return s
}

// ParseLimit reads KIND=QUOTA/PER[,POLICY][,burst=N][,symbol][,batch]:
// "weight=6000/1m,fixed", "orders=100/10s,sliding", "orders=60/2s,sliding,symbol",
// "weight=10/1s,bucket,burst=2". The kind is weight, raw, orders, account, actions,
// matching or connections; the policy fixed (default), sliding, bucket, decaying,
// first or budget; "symbol" is PerSymbol and "batch" WholeBatch.
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
	if err := l.Kind.UnmarshalText([]byte(kind)); ok && err != nil {
		return l, err
	}
	if !ok || !ok2 {
		return l, fmt.Errorf("want KIND=QUOTA/PER[,POLICY], as in weight=6000/1m,fixed; a KIND is one of %s", strings.Join(kindNames[:], ", "))
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
	switch text {
	case "":
		return nil
	case "symbol":
		l.PerSymbol = true
		return nil
	case "batch":
		l.WholeBatch = true
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
	if l.PerSymbol && !l.Kind.ofAccounts() {
		add("clients are not told apart by symbol: want a kind that accounts have")
	}
	if l.WholeBatch && l.Kind != Orders && l.Kind != Actions {
		add("there are no batches in what it counts")
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
