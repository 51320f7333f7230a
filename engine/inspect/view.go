package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// view is a state as headings, tables and texts: page.html and page.js draw the same of it,
// and neither decides anything.
type view struct {
	Title   string    `json:"title"`
	At      string    `json:"at"`
	Verdict string    `json:"verdict"`
	Tone    string    `json:"tone"` // "calm", "busy" or "stopped"; the colour beside the verdict
	Parts   []section `json:"parts"`
}

// section is one engine, or what an observer saw of all.
type section struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Verdict string  `json:"verdict,omitempty"`
	Facts   []fact  `json:"facts"`
	Tables  []table `json:"tables"`
}

// fact is one figure with its name.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Note  string `json:"note,omitempty"`
	Spark *spark `json:"spark,omitempty"`
}

type table struct {
	ID      string   `json:"id"`
	Caption string   `json:"caption"`
	Legend  []legend `json:"legend,omitempty"`
	Columns []column `json:"columns"`
	Rows    [][]cell `json:"rows"`  // the first cell of each is its heading
	Empty   string   `json:"empty"` // what is said without any rows
	More    string   `json:"more,omitempty"`
}

// legend says what a colour of the bars means.
type legend struct {
	Class string `json:"class"`
	Name  string `json:"name"`
}

type column struct {
	Name   string `json:"name"`
	Number bool   `json:"number,omitempty"`
}

type cell struct {
	Text  string `json:"text"`
	Note  string `json:"note,omitempty"`
	Tone  string `json:"tone,omitempty"` // "full" or "quiet"
	Bar   *bar   `json:"bar,omitempty"`
	Spark *spark `json:"spark,omitempty"`
}

// words are what a view is made with besides the state.
type words struct {
	rows int
	past map[string]*histories // by the name of the engine
	over string                // how far the histories reach: "5 m 00 s"
}

// viewOf makes a view of a state.
func viewOf(s *state, w words) view {
	v := view{Title: valid(s.Title), At: s.At.Local().Format("2006-01-02 15:04:05.0 MST"), Verdict: valid(s.Verdict), Tone: "calm", Parts: []section{}}
	for i := range s.Engines {
		e := &s.Engines[i]
		part := section{ID: fmt.Sprintf("engine-%d", i), Name: valid(e.Name), Verdict: valid(e.Verdict), Facts: factsOf(e, w), Tables: []table{
			limitsTable(e, w), waitingTable(e, w), priorityTable(e), pausesTable(e), poolsTable(e),
		}}
		if len(s.Engines) == 1 {
			part.Verdict = "" // it is the page's
		}
		v.Parts = append(v.Parts, part)
		v.Tone = toneOf(v.Tone, e)
	}
	if s.Requests != nil {
		if s.Requests.lately.mostly() {
			v.Tone = "stopped" // nothing comes of what is sent
		}
		v.Parts = append(v.Parts, requestsSection(s.Requests, s.At))
	}
	for _, part := range v.Parts {
		for i := range part.Tables {
			part.Tables[i].Rows = list(part.Tables[i].Rows)
		}
	}
	return v
}

func toneOf(before string, e *engineState) string {
	full, keeping := holdersOf(e)
	switch {
	case before == "stopped" || e.Ended || len(e.Stats.Halts) > 0 || pausesOf(&e.Stats) != "" || e.Stats.Memory.Failed:
		return "stopped"
	case before == "busy" || waitingOf(&e.Stats) > 0 || full+len(keeping) > 0:
		return "busy"
	}
	return before
}

func factsOf(e *engineState, w words) []fact {
	s, past := &e.Stats, w.past[e.Name]
	line := func(name string) *spark {
		if past == nil {
			return nil
		}
		return sparkOf(past.values(s.At, name), 0, w.over)
	}
	facts := []fact{
		{Name: "In flight", Value: grouped(int64(s.InFlight)), Note: "on their journey, in queues too", Spark: line(pastInFlight)},
		{Name: "Waiting", Value: grouped(int64(waitingOf(s))), Note: waitingNote(s), Spark: line(pastWaiting)},
		{Name: "Lost permits", Value: grouped(int64(s.Limits.Lost)), Note: "held, for they may still arrive"},
		clockFact(e.Clock),
	}
	if s.Permits != (engine.PermitStats{}) {
		facts = append(facts, fact{Name: "Permits held", Value: grouped(int64(s.Permits.Held)), Note: grouped(int64(s.Permits.Waiting)) + " wait"})
	}
	if m := s.Memory; m.Kept {
		one := fact{Name: "Memory", Value: "kept", Note: size(m.Written) + " written"}
		if m.Failed {
			one.Value, one.Note = "failed", "not written any more"
		}
		facts = append(facts, one)
	}
	return facts
}

func waitingNote(s *engine.Stats) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{s.Queued, "for permits"}, {s.PoolsWaiting, "for connections"}, {s.Waiting, "for a credit"}} {
		if p.n > 0 {
			parts = append(parts, grouped(int64(p.n))+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

func clockFact(c clockState) fact {
	switch c.Source {
	case "local":
		return fact{Name: "Server's clock", Value: "local", Note: "taken at its word"}
	case "unknown":
		return fact{Name: "Server's clock", Value: "unknown", Note: "not read yet"}
	}
	sign := "+"
	if c.Ahead < 0 {
		sign = "−"
	}
	return fact{Name: "Server's clock", Value: sign + fine(c.Ahead.Abs()), Note: "± " + fine(c.Bound)}
}

// fine is a duration with its milliseconds.
func fine(d time.Duration) string {
	if d < time.Second {
		return number1(float64(d)/1e6) + " ms"
	}
	return number1(float64(d.Round(time.Millisecond))/1e6) + " ms"
}

func size(bytes uint64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if bytes < 1<<10 || unit == "GiB" {
			return grouped(int64(bytes)) + " " + unit
		}
		bytes >>= 10
	}
	return ""
}

func limitsTable(e *engineState, w words) table {
	t := table{
		ID: "limits", Caption: "Limits", Empty: "This engine has no limits.",
		Legend:  []legend{{"used", "used"}, {"flight", "in flight"}, {"over", "above the quota"}},
		Columns: []column{{Name: "Limit"}, {Name: "Fill"}, {Name: "Used", Number: true}, {Name: "Next opening"}, {Name: "Queued", Number: true}, {Name: "Last " + w.over}},
	}
	past, held := w.past[e.Name], holding(e)
	for i := range e.Stats.Limits.Limits {
		l := &e.Stats.Limits.Limits[i]
		name := cell{Text: clip(l.ID), Note: instance(l.Account, l.Key, l.Egress, l.Window.String())}
		used := cell{Text: grouped(l.Used) + " / " + grouped(l.Quota)}
		if l.InFlight > 0 {
			used.Note = grouped(l.InFlight) + " in flight"
		}
		row := []cell{name, {Bar: quotaBar(l.Used, l.InFlight, l.Quota)}, used, openingOf(l, e.Stats.At), queuedCell(l.Queued), {}}
		if by, holds := held[nameOf(l)]; holds && l.Room >= 1 {
			row[3] = holdingOf(l, by, e.Stats.At)
		}
		if past != nil {
			row[5].Spark = sparkOf(past.values(e.Stats.At, limitPast(l)), l.Quota, w.over)
		}
		t.Rows = append(t.Rows, row)
	}
	t.More = more(e.Stats.Limits.LeftOut)
	return t
}

// instance says in small print what the instance of a limit is for.
func instance(account, key, egress, window string) string {
	parts := []string{window}
	for _, p := range []struct{ name, value string }{{"account", account}, {"key", key}, {"egress", egress}} {
		if p.value != "" {
			parts = append(parts, p.name+" "+clip(p.value))
		}
	}
	return strings.Trim(strings.Join(parts, " · "), " ·")
}

func openingOf(l *engine.LimitStats, now time.Time) cell {
	switch {
	case l.Room >= 1 && !l.Next.After(now): // or else it is paused, or a server refused it alone
		note := "room for " + grouped(l.Room)
		for _, kept := range l.Kept {
			note += ", " + keptText(kept)
		}
		return cell{Text: "open", Note: note, Tone: "quiet"}
	case l.Next.IsZero() && l.Window == throttle.Lifetime:
		return cell{Text: "spent", Tone: "full"}
	case l.Next.IsZero():
		return cell{Text: "full", Note: "until an answer comes", Tone: "full"}
	}
	return cell{Text: clockText(l.Next, now), Note: in(l.Next, now), Tone: "full"}
}

// holdingOf says when a limit that holds somebody opens, though it has room, and why it holds.
func holdingOf(l *engine.LimitStats, by *engine.HeldBy, now time.Time) cell {
	why := "too little for who waits"
	switch {
	case by.Kept != throttle.Kept{}:
		why = keptText(by.Kept)
	case l.Next.After(now): // a server refused it alone
		return openingOf(l, now)
	}
	opens := cell{Text: "full", Note: "room for " + grouped(l.Room) + ", " + why, Tone: "full"}
	if !by.Until.IsZero() {
		opens.Text = clockText(by.Until, now)
	}
	return opens
}

// keptText is what a Kept says, with its thousands apart; empty if that is nothing.
func keptText(k throttle.Kept) string {
	return strings.Replace(k.String(), fmt.Sprint(k.Weight), grouped(k.Weight), 1)
}

func in(t, now time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return "in " + span(t.Sub(now))
}

func queuedCell(classes []engine.QueuedStats) cell {
	n, notes := 0, []string{}
	for i, c := range classes {
		n += c.N
		if i < 3 {
			notes = append(notes, fmt.Sprintf("%s × %s", grouped(int64(c.N)), priorityName(c.Priority)))
		}
	}
	if n == 0 {
		return cell{Text: "0", Tone: "quiet"}
	}
	return cell{Text: grouped(int64(n)), Note: strings.Join(notes, ", ")}
}

func priorityName(p engine.Priority) string { return cmp.Or(p.Name(), fmt.Sprint(int(p))) }

func more(n int) string {
	if n == 0 {
		return ""
	}
	return "and " + grouped(int64(n)) + " more"
}

// mostShown is how many rows of those who wait there are at most.
const mostShown = 20

// alike are those who wait for the same in the same way: the first of them, and how many.
type alike struct {
	first *engine.Waiter
	n     int
}

// group puts those together that differ in nothing but their places, in the order of the first.
func group(waiting []engine.Waiter) (groups []alike) {
	at := map[engine.Waiter]int{}
	for i := range waiting {
		same := waiting[i]
		same.Since, same.Ahead, same.Behind = time.Time{}, 0, ""
		if n, found := at[same]; found {
			groups[n].n++
			continue
		}
		at[same] = len(groups)
		groups = append(groups, alike{&waiting[i], 1})
	}
	return groups
}

func waitingTable(e *engineState, w words) table {
	t := table{
		ID: "waiting", Caption: "Who waits", Empty: "Nobody waits.",
		Columns: []column{{Name: "Request"}, {Name: "How many", Number: true}, {Name: "Waits for"}, {Name: "First leaves"}, {Name: "Behind"}, {Name: "Priority"}, {Name: "Longest wait", Number: true}},
	}
	origins, told := len(e.Stats.Pools) > 1, 0
	groups := group(e.Waiting)
	for _, g := range groups[:min(len(groups), w.rows, mostShown)] {
		told += g.n
		behind := cell{Text: "nobody", Tone: "quiet"}
		if g.first.Ahead > 0 {
			behind = cell{Text: grouped(int64(g.first.Ahead)), Note: "next: " + clip(g.first.Behind)}
		}
		t.Rows = append(t.Rows, []cell{
			{Text: clip(g.first.Subject), Note: subjectNote(g.first, origins)}, {Text: grouped(int64(g.n))}, forCell(g.first), untilCell(g.first, e.Stats.At), behind,
			{Text: priorityName(g.first.Priority)}, {Text: span(e.Stats.At.Sub(g.first.Since))},
		})
	}
	t.More = more(max(0, waitingOf(&e.Stats)-told))
	return t
}

// subjectNote says whose it is, and where it goes if that may be to several origins.
func subjectNote(w *engine.Waiter, origins bool) string {
	origin := ""
	if origins {
		origin = clip(w.Origin)
	}
	return instance(w.Account, "", "", origin)
}

func forCell(w *engine.Waiter) cell {
	switch by := &w.HeldBy; {
	case w.For == engine.ForConnection:
		return cell{Text: "a connection", Note: clip(w.LimitID)}
	case w.For == engine.ForCredit:
		return cell{Text: "a credit", Note: clip(w.LimitID)}
	case by.Paused && by.Until.IsZero():
		return cell{Text: "the slow start behind a pause", Note: "scope " + scopeName(by.Scope)}
	case by.Paused:
		return cell{Text: "the end of a pause", Note: "scope " + scopeName(by.Scope)}
	default:
		note := instance(by.Account, by.Key, by.Egress, "")
		if w.LimitID != by.Limit && w.LimitID != "" {
			note = strings.Trim("asked for "+clip(w.LimitID)+" · "+note, " ·")
		}
		note = strings.Trim(note+" · "+keptText(by.Kept), " ·")
		return cell{Text: "limit " + clip(by.Limit), Note: note}
	}
}

func untilCell(w *engine.Waiter, now time.Time) cell {
	if w.HeldBy.Until.IsZero() {
		return cell{Text: "an answer comes", Tone: "quiet"}
	}
	return cell{Text: clockText(w.HeldBy.Until, now), Note: in(w.HeldBy.Until, now)}
}

func scopeName(name string) string {
	switch name {
	case "":
		return "default"
	case throttle.WholeOrigin:
		return "the whole origin"
	}
	return clip(name)
}

func priorityTable(e *engineState) table {
	t := table{
		ID: "priorities", Caption: "Queues for permits by priority", Empty: "The queues are empty.",
		Columns: []column{{Name: "Priority"}, {Name: "Share"}, {Name: "Queued", Number: true}},
	}
	told := 0
	for _, c := range e.Stats.Limits.Queued {
		told += c.N
		t.Rows = append(t.Rows, []cell{
			{Text: priorityName(c.Priority), Note: fmt.Sprint(int(c.Priority))},
			{Bar: shareBar(int64(e.Stats.Queued), share{name: "queued", value: int64(c.N), class: "used"})}, {Text: grouped(int64(c.N))},
		})
	}
	t.More = more(max(0, e.Stats.Queued-told))
	return t
}

func pausesTable(e *engineState) table {
	t := table{
		ID: "pauses", Caption: "Pauses and halts", Empty: "Nothing is paused or halted.",
		Columns: []column{{Name: "What"}, {Name: "By"}, {Name: "Since"}, {Name: "Until"}},
	}
	now := e.Stats.At
	for i := range e.Stats.Halts {
		h := &e.Stats.Halts[i]
		t.Rows = append(t.Rows, []cell{
			{Text: "Halt of " + clip(h.Selects), Note: clip(h.Reason)}, {Text: "hand", Note: grouped(h.Refused) + " refused"},
			{Text: clockText(h.Since, now), Note: span(now.Sub(h.Since)) + " ago"}, {Text: "it is lifted"},
		})
	}
	for i := range e.Stats.Limits.Scopes {
		sc := &e.Stats.Limits.Scopes[i]
		if sc.PausedUntil.IsZero() && sc.Allowance == 0 {
			continue
		}
		name := cell{Text: "Scope " + scopeName(sc.Name), Note: instance(sc.Account, "", sc.Egress, clip(sc.Origin))}
		by := cell{Text: "an answer"}
		if sc.PausedByHand {
			by.Text = "hand"
		}
		row := []cell{name, by, {Text: clockText(sc.PausedSince, now), Note: span(now.Sub(sc.PausedSince)) + " ago"}, {Text: clockText(sc.PausedUntil, now), Note: in(sc.PausedUntil, now)}}
		if sc.PausedUntil.IsZero() {
			row[1].Text, row[2] = "", cell{Text: "over", Tone: "quiet"}
			row[3] = cell{Text: "starts slowly", Note: fmt.Sprintf("%d of %d in flight", sc.InFlight, sc.Allowance)}
		}
		t.Rows = append(t.Rows, row)
	}
	t.More = more(e.Stats.Limits.PausesLeftOut)
	return t
}

func poolsTable(e *engineState) table {
	t := table{
		ID: "pools", Caption: "Connections", Empty: "No connection is open.",
		Legend:  []legend{{"used", "leased"}, {"flight", "being dialled"}, {"idle", "idle"}},
		Columns: []column{{Name: "Origin"}, {Name: "In use"}, {Name: "Leased", Number: true}, {Name: "Idle", Number: true}, {Name: "Waiting", Number: true}, {Name: "Dialled", Number: true}, {Name: "Closed", Number: true}},
	}
	pools := slices.Clone(e.Stats.Pools)
	slices.SortFunc(pools, func(a, b engine.PoolStats) int {
		return cmp.Or(cmp.Compare(a.Origin.String(), b.Origin.String()), cmp.Compare(a.Egress, b.Egress))
	})
	for _, p := range pools {
		leased := cell{Text: grouped(int64(p.Leased))}
		if p.Streams > 0 {
			leased.Note = grouped(int64(p.Streams)) + " by streams"
		}
		dialled := cell{Text: grouped(p.Dialled)}
		switch {
		case p.AtLimit > 0:
			dialled.Note = grouped(int64(p.AtLimit)) + " wait for their limit"
		case p.DialsFailed > 0:
			dialled.Note = grouped(p.DialsFailed) + " failed"
		}
		waiting := cell{Text: grouped(int64(p.Waiting))}
		if p.Refused > 0 {
			waiting.Note = grouped(p.Refused) + " refused"
		}
		name := cell{Text: clip(p.Origin.String())}
		if p.Egress != "" {
			name.Note = "by " + clip(p.Egress)
		}
		t.Rows = append(t.Rows, []cell{
			name, {Bar: shareBar(0, share{name: "leased", value: int64(p.Leased), class: "used"}, share{name: "dialling", value: int64(p.Dialling), class: "flight"}, share{name: "idle", value: int64(p.Idle), class: "idle"})},
			leased, {Text: grouped(int64(p.Idle))}, waiting, dialled, {Text: grouped(p.Retired + p.Broken), Note: brokenNote(p.Broken)},
		})
	}
	t.More = more(e.Stats.PoolsLeftOut)
	return t
}

func brokenNote(n int64) string {
	if n == 0 {
		return ""
	}
	return grouped(n) + " broken"
}

func requestsSection(r *recorded, now time.Time) section {
	return section{
		ID: "requests", Name: "Requests", Facts: []fact{
			{Name: "Ended", Value: grouped(r.Ended)}, {Name: "Failed", Value: grouped(r.Failed)},
			{Name: "Error answers", Value: grouped(r.ErrorAnswers), Note: "of status 400 and above"},
			{Name: "Retries", Value: grouped(r.Retried), Note: "attempts that another was meant to follow"},
		},
		Tables: []table{slowTable(r, now), failedTable(r, now)},
	}
}

func slowTable(r *recorded, now time.Time) table {
	t := table{
		ID: "slowest", Caption: "Slowest requests", Empty: "No request has ended lately.",
		Legend: []legend{
			{"t1", "for a credit"}, {"t2", "queued"}, {"t3", "for a connection"}, {"t4", "signing"}, {"t5", "to the first byte"}, {"t6", "body"}, {"t7", "between attempts"},
		},
		Columns: []column{{Name: "Request"}, {Name: "Took", Number: true}, {Name: "Where its time went"}, {Name: "Status", Number: true}, {Name: "Attempts", Number: true}, {Name: "Ended"}},
	}
	for i := range r.Slowest {
		s := &r.Slowest[i]
		status := cell{Text: "none", Tone: "full"}
		if s.Status != 0 {
			status = cell{Text: fmt.Sprint(s.Status)}
		}
		b, note := timingBar(&s.Timing)
		t.Rows = append(t.Rows, []cell{
			{Text: s.Request, Note: strings.Trim(clip(s.Limit)+" · "+s.Origin, " ·")}, {Text: span(s.Timing.Total)},
			{Bar: b, Note: note}, status, {Text: fmt.Sprint(s.Attempts)}, {Text: clockText(s.At, now)},
		})
	}
	return t
}

// timingBar shows where a request's time went, and says so of what took a hundredth of it at
// least.
func timingBar(t *engine.Timing) (b *bar, note string) {
	var words []string
	part := func(name string, d time.Duration, class string) share {
		if d > 0 && d >= t.Total/100 {
			words = append(words, span(d)+" "+name)
		}
		return share{name, int64(d), class, span(d)}
	}
	b = shareBar(int64(t.Total),
		part("for a credit", t.Admitted, "t1"), part("queued", t.Queued, "t2"), part("for a connection", t.Leased, "t3"), part("signing", t.Signed, "t4"),
		part("to the first byte", t.FirstByte, "t5"), part("body", t.Body, "t6"), part("between attempts", t.Paused, "t7"))
	return b, strings.Join(words, ", ")
}

func failedTable(r *recorded, now time.Time) table {
	t := table{
		ID: "failed", Caption: "Last failed requests and error answers", Empty: "No request has failed.",
		Columns: []column{{Name: "Request"}, {Name: "Error"}, {Name: "Took", Number: true}, {Name: "Attempts", Number: true}, {Name: "Ended"}},
	}
	for i := range r.Last {
		f := &r.Last[i]
		t.Rows = append(t.Rows, []cell{
			{Text: f.Request, Note: f.Origin}, {Text: f.Error, Note: "outcome " + f.Outcome.String()}, {Text: span(f.Took)}, {Text: fmt.Sprint(f.Attempts)}, {Text: clockText(f.At, now)},
		})
	}
	return t
}
