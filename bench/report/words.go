package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/bench/results"
)

// Printable returns a text of somebody else's with everything that a terminal could obey, or
// that is no character, written out as Go does: a line's end becomes \n, an escape \x1b. No
// two texts become the same.
func Printable(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// word returns a text with only what may stand in a name without quotes.
func word(s string) string {
	var w strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._:~-", r)) {
			w.WriteRune(r)
		} else if text := w.String(); text != "" && !strings.HasSuffix(text, "_") {
			w.WriteByte('_')
		}
	}
	return cmp.Or(strings.TrimRight(w.String(), "_"), "_")
}

// words gives each name a word of its own.
func words(names []string) map[string]string {
	all, taken := map[string]string{}, map[string]bool{}
	for _, name := range names {
		w := word(name)
		for n := 2; taken[w]; n++ {
			w = fmt.Sprintf("%s.%d", word(name), n)
		}
		all[name], taken[w] = w, true
	}
	return all
}

// operationsOf are the names in the order of the targets, and then of the alphabet.
func operationsOf(run *results.Run) []string {
	var names []string
	seen := map[string]bool{"": true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, name := range run.Header.Targets {
		if run.Total[name] != nil || run.Warm[name] != nil {
			add(name)
		}
	}
	for _, operations := range []map[string]*results.Operation{run.Total, run.Warm} {
		for _, name := range slices.Sorted(maps.Keys(operations)) {
			add(name)
		}
	}
	return names
}

// operation returns one that is not nil.
func operation(of map[string]*results.Operation, name string) *results.Operation {
	if o := of[name]; o != nil {
		return o
	}
	return &results.Operation{}
}

// Microseconds is Duration for a number of them.
func Microseconds(us float64) string { return Duration(time.Duration(us * 1e3)) }

// Duration writes three digits and a unit.
func Duration(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 0:
		return "-" + Duration(-max(d, -math.MaxInt64))
	case d < time.Microsecond:
		return fmt.Sprintf("%dns", d)
	case d < time.Millisecond-500*time.Nanosecond:
		return digits(float64(d)/1e3) + "µs"
	case d < time.Second-500*time.Microsecond:
		return digits(float64(d)/1e6) + "ms"
	case d < 10*time.Minute:
		return digits(d.Seconds()) + "s"
	}
	return d.Round(time.Second).String()
}

func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// thousands writes a count with commas.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	var w strings.Builder
	for i, digit := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			w.WriteByte(',')
		}
		w.WriteRune(digit)
	}
	return w.String()
}

// Rate writes requests a second.
func Rate(r float64) string {
	if r >= 99.95 {
		return thousands(uint64(r+0.5)) + "/s"
	}
	return digits(r) + "/s"
}

// scheduleOf describes a schedule in a line.
func scheduleOf(h results.Header) string {
	if h.Model == "closed" {
		return closedOf(h)
	}
	var parts []string
	for _, s := range h.Schedule.Stages {
		from, to := Rate(s.From.PerSecond()), Rate(s.To.PerSecond())
		if s.From != s.To {
			from += " to " + to
		}
		parts = append(parts, Duration(s.For)+" at "+from)
	}
	if len(parts) == 0 {
		parts = append(parts, "as it was recorded")
		if h.Schedule.Speed > 0 && h.Schedule.Speed != 1 {
			parts[0] += fmt.Sprintf(", %g times as fast", h.Schedule.Speed)
		}
	}
	text := strings.Join(parts, ", then ")
	if h.Schedule.Poisson {
		text += fmt.Sprintf("; Poisson arrivals, seed %d", h.Schedule.Seed)
	}
	return text
}

func closedOf(h results.Header) string {
	var parts []string
	if h.Planned > 0 {
		parts = append(parts, thousands(h.Planned)+" requests")
	}
	if h.Length > 0 {
		parts = append(parts, Duration(h.Length))
	}
	if h.Think > 0 {
		parts = append(parts, "thinking "+Duration(h.Think)+" between")
	}
	return cmp.Or(strings.Join(parts, ", "), "until it is ended")
}
