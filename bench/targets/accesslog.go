package targets

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logLine has the time and the request of a line of the common or the combined format. What
// comes before the time, the host, the identity and the user, is not looked at, and neither is
// what comes behind the request.
var logLine = regexp.MustCompile(`^\S+ \S+ .*?\[(\d{1,2}/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4})\] "((?:[^"\\]|\\.)*)"`)

// logged is what of a log line is sent again: lines that are alike share one.
type logged struct{ method, target string }

type logReader struct {
	recording
	chains map[logged]int
	read   Read
	times  []time.Time // of arrivals, as in read.Plan.Order
	whole  bool        // all times so far are whole seconds
}

func (s *source) accessLog() (*Read, error) {
	if len(s.Methods) == 0 {
		s.Methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	}
	r := &logReader{recording: recording{source: s}, chains: map[logged]int{}, whole: true}
	number := 0
	for line := range bytes.Lines(s.text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := r.line(line, number); err != nil {
			return nil, err
		}
	}
	r.arrange()
	r.read.Notes = append(r.notes(), r.read.Notes...)
	return &r.read, nil
}

func (r *logReader) line(line []byte, number int) error {
	found := logLine.FindSubmatch(line)
	if found == nil {
		return r.fail(number, "it is no line of the common log format: want host, identity, user, [time] and \"request\"")
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(found[1])) // with a fraction or without
	if err != nil {
		return r.fail(number, "%.40q is no time", found[1])
	}
	request := unescapeLog(string(found[2]))
	fields := strings.Fields(request)
	if len(fields) < 2 || len(fields) > 3 || strings.Trim(fields[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		r.leave("that are none, such as those that broke off") // "-", or what a port scan sent
		return nil
	}
	key := logged{fields[0], fields[1]}
	switch {
	case !slices.Contains(r.Methods, key.method):
		r.leave("with the method " + key.method)
		return nil
	case key.target[0] != '/' && checkURL(escape(key.target)) != nil:
		r.leave("that name no path")
		return nil
	case key.target[0] == '/' && r.Base == "":
		return r.fail(number, "%.60q has no host, and there is no base to join it to", pathOf(key.target))
	}
	index, known := r.chains[key]
	if !known {
		index = len(r.read.Plan.Chains)
		r.chains[key] = index
		step := Step{Method: key.method, URL: key.target, Literal: true}
		r.read.Plan.Chains = append(r.read.Plan.Chains, Chain{Steps: []Step{step}})
	}
	r.read.Plan.Order = append(r.read.Plan.Order, index)
	r.times = append(r.times, at)
	r.whole = r.whole && at.Nanosecond() == 0
	return nil
}

// arrange brings arrivals into the order of their times. Lines are written when requests end,
// and so are not quite in order. Where there are whole seconds alone, those of one second are
// spread evenly over it.
func (r *logReader) arrange() {
	sorted := make([]int, len(r.times))
	for i := range sorted {
		sorted[i] = i
	}
	slices.SortStableFunc(sorted, func(a, b int) int { return r.times[a].Compare(r.times[b]) })
	order := make([]int, len(sorted))
	r.read.Recorded = make([]time.Duration, len(sorted))
	for begin := 0; begin < len(sorted); {
		end := begin + 1
		for end < len(sorted) && r.times[sorted[end]].Equal(r.times[sorted[begin]]) {
			end++
		}
		for i := begin; i < end; i++ {
			order[i] = r.read.Plan.Order[sorted[i]]
			r.read.Recorded[i] = r.times[sorted[i]].Sub(r.times[sorted[0]])
			if r.whole {
				r.read.Recorded[i] += time.Duration(i-begin) * time.Second / time.Duration(end-begin)
			}
		}
		begin = end
	}
	r.read.Plan.Order = order
	if r.whole && len(order) > 0 {
		r.read.Notes = append(r.read.Notes, fmt.Sprintf("times are whole seconds: the requests of each are spread evenly over it (%d in all)", len(order)))
	}
}

// unescapeLog undoes what servers do to quotes and to bytes that are not printable.
func unescapeLog(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if text[i] == 'x' && i+2 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(code))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
