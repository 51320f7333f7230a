package panels

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// digits is a number with three significant digits, without an exponent.
func digits(x float64) string {
	switch a := math.Abs(x); {
	case x == 0 || math.IsNaN(x) || math.IsInf(x, 0):
		return "0"
	case a >= 99.95:
		return grouped(x)
	case a >= 9.995:
		return trimmed(x, 1)
	case a >= 0.9995:
		return trimmed(x, 2)
	default:
		return trimmed(x, min(2-int(math.Floor(math.Log10(a))), 9))
	}
}

func trimmed(x float64, decimals int) string {
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grouped is a number without decimals, and with its thousands apart.
func grouped(x float64) string {
	text := strconv.FormatFloat(math.Round(math.Abs(x)), 'f', 0, 64)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	if x < 0 && text != "0" {
		text = "-" + text
	}
	return text
}

func count[N int | int64 | uint64](n N) string { return grouped(float64(n)) }

// many is a count with its noun, which has an s unless there is one.
func many[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// latency is a duration in the unit that suits it, with three digits.
func latency(d time.Duration) string { return millis(float64(d) / 1e6) }

func millis(ms float64) string {
	switch {
	case math.IsNaN(ms):
		return "–"
	case ms == 0:
		return "0 ms"
	case ms < 0.0009995:
		return digits(ms*1e6) + " ns"
	case ms < 0.9995:
		return digits(ms*1000) + " µs"
	case ms < 999.5:
		return digits(ms) + " ms"
	default:
		return digits(ms/1000) + " s"
	}
}

// length is how long a part of a run is: exact, in hours, minutes and seconds.
func length(d time.Duration) string {
	if d < time.Minute {
		return trimmed(d.Seconds(), 3) + " s"
	}
	var parts []string
	for _, unit := range []struct {
		d    time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}} {
		if n := d / unit.d; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.name))
			d -= n * unit.d
		}
	}
	if d > 0 {
		parts = append(parts, trimmed(d.Seconds(), 1)+" s")
	}
	return strings.Join(parts, " ")
}

// moment is a time since the start of a run, in whole seconds.
func moment(s float64) string {
	switch {
	case s < 180:
		return digits(s) + " s"
	case s < 10800 && math.Mod(s, 60) == 0:
		return digits(s/60) + " min"
	}
	return length(time.Duration(math.Round(s)) * time.Second)
}

func rate(perSecond float64) string { return digits(perSecond) + "/s" }

// perTime is a rate over so many seconds; there is none over no time.
func perTime(n, seconds float64) string {
	if seconds <= 0 {
		return "–"
	}
	return rate(n / seconds)
}

// share is a part of a whole in percent.
func share(part, whole float64) string {
	if whole == 0 {
		return "–"
	}
	return percent(part / whole)
}

func percent(x float64) string { return digits(100*x) + " %" }

func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 999.5 {
			return digits(n) + " " + unit
		}
		n /= 1000
	}
	return digits(n) + " TB"
}

// clipped bounds what a name from outside may take of the page.
func clipped(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// listed joins words as a sentence does.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

var numberWithUnit = regexp.MustCompile(`(\d) (ns|µs|ms|s|min|h|B|kB|MB|GB|TB)\b|(\d) (%|×)`)

// tied keeps numbers on one line with their units.
func tied(sentence string) string {
	return numberWithUnit.ReplaceAllString(sentence, "$1$3\u00a0$2$4")
}
