package inspect

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// verdictOf is an engine's state in one sentence: "3 limits full; 214 wait, the next leaves at
// 12:00:03.5; one pause until 12:01:00.0."
func verdictOf(s *engineState) string {
	if s.Ended {
		return "The engine has ended."
	}
	parts := notable(s)
	if len(parts) == 0 {
		if s.Stats.InFlight == 0 {
			return "Nothing waits, and nothing is in flight."
		}
		return fmt.Sprintf("Nothing waits; %d in flight.", s.Stats.InFlight)
	}
	text := strings.Join(parts, "; ") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}

// notable is what there is to say of an engine that has not ended; nil if all is well.
func notable(s *engineState) (parts []string) {
	if n := len(s.Stats.Halts); n > 0 {
		parts = append(parts, counted(n, "halt stands", "halts stand"))
	}
	full, keeping := holdersOf(s)
	if full > 0 {
		parts = append(parts, atLeast(s.Stats.Limits.LeftOut)+counted(full, "limit full", "limits full"))
	}
	parts = append(parts, keepersOf(keeping)...)
	if n := waitingOf(&s.Stats); n > 0 {
		parts = append(parts, counted(n, "waits", "wait")+", "+nextOf(s))
	}
	if text := pausesOf(&s.Stats); text != "" {
		parts = append(parts, text)
	}
	if s.Stats.Memory.Failed {
		parts = append(parts, "the memory cannot be written")
	}
	return parts
}

// atLeast stands before a figure of what is told of, if there is more.
func atLeast(leftOut int) string {
	if leftOut > 0 {
		return "at least "
	}
	return ""
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%s %s", grouped(int64(n)), many)
}

// holdersOf is how many of the limits that were looked at are full, and what those keep that are
// not, and hold somebody all the same. Full is one that has no room for a weight of 1, or not
// enough for one who waits.
func holdersOf(s *engineState) (full int, keeping []throttle.Kept) {
	holds := holding(s)
	for i := range s.Stats.Limits.Limits {
		l := &s.Stats.Limits.Limits[i]
		switch by, held := holds[nameOf(l)]; {
		case held && l.Room >= 1 && by.Kept != throttle.Kept{}:
			keeping = append(keeping, by.Kept)
		case held || l.Room < 1:
			full++
		}
	}
	return full, keeping
}

// keepersOf tells of limits that keep room from who waits.
func keepersOf(keeping []throttle.Kept) []string {
	switch {
	case len(keeping) == 0:
		return nil
	case len(keeping) > 1:
		return []string{counted(len(keeping), "", "limits with room kept for more urgent requests")}
	case keeping[0].Weight > 0:
		return []string{"one limit with " + keptText(keeping[0])}
	}
	return []string{"one limit " + keptText(keeping[0])}
}

// limitName tells one limit, or its instance, from all others.
type limitName struct{ id, account, key, egress string }

func nameOf(l *engine.LimitStats) limitName { return limitName{l.ID, l.Account, l.Key, l.Egress} }

// holding has the limits that hold somebody who waits, with what is said of the first of these,
// who goes before the others.
func holding(s *engineState) map[limitName]*engine.HeldBy {
	holds := map[limitName]*engine.HeldBy{}
	for i := range s.Waiting {
		by := &s.Waiting[i].HeldBy
		name := limitName{by.Limit, by.Account, by.Key, by.Egress}
		if _, met := holds[name]; by.Limit != "" && !by.Paused && !met {
			holds[name] = by
		}
	}
	return holds
}

// nextOf says when the next of those leaves who wait: it is among those that are told of, who come
// in the order in which they go. One with others ahead goes behind them, though there might be
// room for it, and not for them, long before: its instant is that of one with nobody ahead.
func nextOf(s *engineState) string {
	var next time.Time
	for i := range s.Waiting {
		w := &s.Waiting[i]
		if until := w.HeldBy.Until; w.Ahead == 0 && !until.IsZero() && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	switch {
	case next.IsZero():
		return "for an answer, or for somebody to leave"
	case !next.After(s.Stats.At):
		return "the next leaves now"
	}
	return "the next leaves at " + clockText(next, s.Stats.At)
}

func pausesOf(s *engine.Stats) string {
	n, last := 0, time.Time{}
	for _, sc := range s.Limits.Scopes {
		if !sc.PausedUntil.IsZero() {
			n++
			if sc.PausedUntil.After(last) {
				last = sc.PausedUntil
			}
		}
	}
	if n == 0 {
		return ""
	}
	text := atLeast(s.Limits.PausesLeftOut) + counted(n, "pause", "pauses")
	if s.Limits.PausesLeftOut > 0 {
		return text + ", one of them until " + clockText(last, s.At)
	}
	return text + " until " + clockText(last, s.At)
}

// fewest is how many requests must have ended before their answers are judged: one that is not
// found says nothing of its server.
const fewest = 3

// mostly reports whether most of the last requests were error answers.
func (l lately) mostly() bool { return l.of >= fewest && 2*l.errors > l.of }

// answersOf says so if most of the last requests of all engines were answered with an error:
// then nothing waits, and all is not well. It is a sentence of its own, for it is no engine's.
func answersOf(r *recorded) string {
	if r == nil || !r.lately.mostly() {
		return ""
	}
	return fmt.Sprintf("%d of the last %d requests were answered with an error, the last of them with status %d.", r.lately.errors, r.lately.of, r.lately.status)
}

// verdictOfAll is that of all engines: that of its engine, or of those of its engines that have
// something to say.
func verdictOfAll(engines []engineState) string {
	switch len(engines) {
	case 0:
		return "No engine is attached to this page."
	case 1:
		return engines[0].Verdict
	}
	var busy []string
	for i := range engines {
		if s := &engines[i]; s.Ended || len(notable(s)) > 0 {
			busy = append(busy, s.Name+": "+strings.TrimSuffix(s.Verdict, "."))
		}
	}
	if len(busy) == 0 {
		return fmt.Sprintf("Nothing waits at any of %d engines.", len(engines))
	}
	const told = 3
	text := strings.Join(busy[:min(told, len(busy))], " · ")
	if len(busy) > told {
		text += fmt.Sprintf(" · and %d more", len(busy)-told)
	}
	return text + "."
}

// clockText is a time of day, to the tenth of a second, and with its date unless that is the
// day of now.
func clockText(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if y, m, d := t.Date(); d == now.Day() && m == now.Month() && y == now.Year() {
		return t.Format("15:04:05.0")
	}
	return t.Format("2006-01-02 15:04:05")
}

// span is a duration for people: "240 ms", "3.2 s", "2 m 05 s", "3 h 12 m", "4 d 3 h".
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// lengthText is a length of time that was configured: "5 min".
func lengthText(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return grouped(int64(d/time.Minute)) + " min"
	}
	return span(d)
}

// grouped is a number with its thousands apart: "99,900".
func grouped(n int64) string {
	text := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, text = "−", text[1:]
	}
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return sign + text
}
