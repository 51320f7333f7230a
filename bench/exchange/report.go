package exchange

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Violation is something a polite client does not do.
type Violation string

// The violations. A request, or a connection, counts as at most one of them.
const (
	OverLimit       Violation = "over limit"      // answered 429: the weight or order limit was full
	ToldToWait      Violation = "told to wait"    // sent before Retry-After was over: answered 418, or 429 within the grace
	WhileBanned     Violation = "while banned"    // sent during a ban: answered 418
	DuplicateOrder  Violation = "duplicate order" // newClientOrderId used a second time, and refused
	ExecutedTwice   Violation = "executed twice"  // newClientOrderId used a second time, when its first order was filled or cancelled: accepted
	DuplicateID     Violation = "duplicate id"    // that of a request which was executed, and answered so, before
	BadSignature    Violation = "signature"       // answered -1022
	TimestampAhead  Violation = "timestamp ahead" // answered -1021
	TimestampBehind Violation = "timestamp behind"
	BadKey          Violation = "api key"        // missing or unknown: answered 401
	NewConnection   Violation = "new connection" // one more than an address may open: closed at once
)

// ViolationKinds lists every kind, in the order of a report.
func ViolationKinds() []Violation {
	return []Violation{OverLimit, ToldToWait, WhileBanned, DuplicateOrder, ExecutedTwice, DuplicateID, BadSignature, TimestampAhead, TimestampBehind, BadKey, NewConnection}
}

// Window is one period of a limit as the exchange's clock counts them.
type Window struct {
	Start   time.Time `json:"start"`   // by the exchange's clock
	Weight  int64     `json:"weight"`  // accepted
	Peak    int64     `json:"peak"`    // the most that counted at once
	Refused int64     `json:"refused"` // requests
	Overrun int64     `json:"overrun"` // weight that arrived beyond the limit
	Share   float64   `json:"share"`   // accepted over the quota
}

// LimitReport is what became of one limit for one client or account.
type LimitReport struct {
	Limit         string   `json:"limit"`
	Scope         string   `json:"scope"`
	Quota         int64    `json:"quota"`
	Weight        int64    `json:"weight"`         // accepted in all
	Peak          int64    `json:"peak"`           // the most that counted at once
	PeakFill      float64  `json:"peak_fill"`      // peak over what may count at once
	Utilisation   float64  `json:"utilisation"`    // accepted over allowed, first and last window left out
	Refused       int64    `json:"refused"`        // requests this limit refused
	RefusedWeight int64    `json:"refused_weight"` // their weight: the overrun
	Seen          int64    `json:"windows_seen"`   // windows with an arrival
	Windows       []Window `json:"windows"`        // the last 1,000 of them
}

// RouteReport is the traffic of one route.
type RouteReport struct {
	Route    string         `json:"route"`
	Requests int64          `json:"requests"`
	Weight   int64          `json:"weight"`   // charged
	Statuses map[string]int `json:"statuses"` // by status; "none" is a connection closed without an answer
}

// AccountReport is what one account did.
type AccountReport struct {
	Account    string              `json:"account"`
	Requests   int64               `json:"requests"` // that its key was right for
	Executed   int64               `json:"executed"` // of all that had its key
	Orders     int64               `json:"orders"`   // accepted
	Open       int64               `json:"open"`     // of them, those that are neither filled nor cancelled
	Violations map[Violation]int64 `json:"violations"`
}

// Event is one violation.
type Event struct {
	At        time.Duration `json:"at_ns"` // since the exchange started
	Client    string        `json:"client"`
	Route     string        `json:"route"`
	Violation Violation     `json:"violation"`
	Detail    string        `json:"detail"`
}

// Report is the referee's book. It holds no secret.
type Report struct {
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration_ns"`
	Seed     uint64        `json:"seed"`
	Requests int64         `json:"requests"`
	Banned   int64         `json:"banned"` // answers 418
	Orders   int64         `json:"orders"` // accepted

	Outcomes  Outcomes         `json:"outcomes"`
	Fairness  float64          `json:"fairness"`            // JainIndex of what was executed for each account
	Sequences []SequenceReport `json:"sequences,omitempty"` // of the first 1,000 keys

	Counts   map[Violation]int64 `json:"counts"`
	Faults   map[string]int64    `json:"faults"` // injected, by kind
	Routes   []RouteReport       `json:"routes"`
	Limits   []LimitReport       `json:"limits"`
	Accounts []AccountReport     `json:"accounts"`
	Events   []Event             `json:"events"` // the first 100 violations
}

// Violations returns how many requests a polite client would not have sent as they
// were, and connections it would not have opened; it keeps this at zero.
func (r Report) Violations() int64 {
	var n int64
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// Headline is the report in one line: how well a client keeps to limits is how much of them it
// uses without a violation. The share is that of the limit that was used most.
func (r Report) Headline() string {
	windows, used := r.Windows(), 0.0
	for _, l := range r.Limits {
		used = max(used, l.Utilisation)
	}
	return fmt.Sprintf("%d violations in %d windows, used %.1f %% of the allowance", r.Violations(), windows, 100*used)
}

// Windows returns how many windows of limits had an arrival.
func (r Report) Windows() (n int64) {
	for _, l := range r.Limits {
		n += l.Seen
	}
	return n
}

// WaitsBroken returns how many requests were sent while their client was told to wait: before
// Retry-After was over, or during a ban.
func (r Report) WaitsBroken() int64 { return r.Counts[ToldToWait] + r.Counts[WhileBanned] }

// MarshalJSON writes the report with its headline.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		Headline    string `json:"headline"`
		Violations  int64  `json:"violations"`
		WaitsBroken int64  `json:"sent_while_told_to_wait"`
		plain
	}{r.Headline(), r.Violations(), r.WaitsBroken(), plain(r)})
}

// String is the report as text, its last line "violations: N".
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "exchange: %d requests in %s, %d orders, seed %d\n", r.Requests, r.Duration.Round(time.Millisecond), r.Orders, r.Seed)
	r.writeRoutes(&b)
	r.writeLimits(&b)
	r.writeAccounts(&b)
	r.writeSequences(&b)
	r.writeOutcomes(&b)
	r.writeFaults(&b)
	r.writeEvents(&b)
	fmt.Fprintf(&b, "\n%s\nviolations: %d\n", r.Headline(), r.Violations())
	return b.String()
}

func (r Report) writeRoutes(b *strings.Builder) {
	if len(r.Routes) == 0 {
		return
	}
	w := newTable(b, "route\trequests\tweight\tanswers")
	for _, route := range r.Routes {
		var statuses []string
		for _, s := range slices.Sorted(maps.Keys(route.Statuses)) {
			statuses = append(statuses, fmt.Sprintf("%s: %d", s, route.Statuses[s]))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", route.Route, route.Requests, route.Weight, strings.Join(statuses, ", "))
	}
	w.Flush()
}

func (r Report) writeLimits(b *strings.Builder) {
	if len(r.Limits) == 0 {
		return
	}
	w := newTable(b, "limit\tof\tused\tpeak\tpeak fill\tutilisation\twindows\trefused\toverrun")
	for _, l := range r.Limits {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.1f %%\t%.1f %%\t%d\t%d\t%d\n", l.Limit, l.Scope, l.Weight, l.Peak,
			100*l.PeakFill, 100*l.Utilisation, l.Seen, l.Refused, l.RefusedWeight)
	}
	w.Flush()
}

// writeAccounts says nothing of an account that is the only one.
func (r Report) writeAccounts(b *strings.Builder) {
	if len(r.Accounts) < 2 {
		return
	}
	w := newTable(b, "account\trequests\texecuted\torders\topen\tviolations")
	for _, a := range r.Accounts {
		var n int64
		for _, count := range a.Violations {
			n += count
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", a.Account, a.Requests, a.Executed, a.Orders, a.Open, n)
	}
	w.Flush()
	if !slices.ContainsFunc(r.Accounts, func(a AccountReport) bool { return a.Executed > 0 }) {
		return
	}
	fmt.Fprintf(b, "fairness among accounts: %.3f (Jain's index: 1 is even, %.3f if one has everything)\n", r.Fairness, 1/float64(len(r.Accounts)))
}

// mostSequences is how many of them the text shows: those with something to say first.
const mostSequences = 10

func (r Report) writeSequences(b *strings.Builder) {
	if len(r.Sequences) == 0 {
		return
	}
	w := newTable(b, "order of\tkey\tpriority\texecuted\tlate\trepeated\tmissing")
	list := slices.Clone(r.Sequences)
	slices.SortStableFunc(list, func(a, b SequenceReport) int {
		return cmp.Compare(b.Late+b.Repeated+b.Missing, a.Late+a.Repeated+a.Missing)
	})
	for _, s := range list[:min(len(list), mostSequences)] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", s.Of, s.Key, s.Priority, s.Requests, s.Late, s.Repeated, s.Missing)
	}
	w.Flush()
	if more := len(list) - mostSequences; more > 0 {
		fmt.Fprintf(b, "and %d more\n", more)
	}
}

func (r Report) writeOutcomes(b *strings.Builder) {
	if o := r.Outcomes; o.Unknown > 0 {
		fmt.Fprintf(b, "\nexecuted and not answered: %d; of them looked up afterwards: %d, sent again: %d\n", o.Unknown, o.Asked, o.Repeated)
	}
}

func (r Report) writeFaults(b *strings.Builder) {
	if len(r.Faults) == 0 {
		return
	}
	w := newTable(b, "injected fault\ttimes")
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(w, "%s\t%d\n", name, r.Faults[name])
	}
	w.Flush()
}

func (r Report) writeEvents(b *strings.Builder) {
	if r.Violations() == 0 {
		return
	}
	w := newTable(b, "violation\ttimes")
	for _, v := range ViolationKinds() {
		if r.Counts[v] > 0 {
			fmt.Fprintf(w, "%s\t%d\n", v, r.Counts[v])
		}
	}
	w.Flush()
	fmt.Fprintf(b, "\nfirst of them:\n")
	for _, e := range r.Events[:min(len(r.Events), 10)] {
		fmt.Fprintf(b, "  %8.3f s  %-16s %s from %s: %s\n", e.At.Seconds(), e.Violation, e.Route, e.Client, e.Detail)
	}
}

func newTable(b *strings.Builder, head string) *tabwriter.Writer {
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	return w
}
