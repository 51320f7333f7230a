package feedback

import (
	"net/http"
	"strings"
	"time"
)

// RateLimitFields reads the fields RateLimit and RateLimit-Policy of the IETF
// draft "RateLimit header fields for HTTP", and Retry-After; of two pauses the
// longer counts, so that Retry-After never shortens what a policy says. limits maps
// the policies' names to limit ids; a name that is missing is ignored.
//
//	RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000;w=86400
//	RateLimit: "burst";r=50;t=30
//
// t is how long it was, when the server wrote it, until more is made available: the end of the
// window, for a Fixed limit. By it the number of a window that is over is known, where a server
// counts a request when it arrives and answers much later.
//
// Only policies that count requests are understood: where the answer declares
// policies, what is said of any other is ignored. Either field may stand on several
// lines, which are one list. Answers from a cache are ignored, as the draft demands.
func RateLimitFields(limits map[string]string) Reader {
	return Join(RetryAfter, func(a Answer) Feedback { return readRateLimit(a, limits) })
}

func readRateLimit(a Answer, limits map[string]string) Feedback {
	limit := list(a.Header, "Ratelimit")
	age := strings.TrimSpace(a.Header.Get("Age"))
	if limit == "" || age != "" && age != "0" {
		return Feedback{}
	}
	quotas := make(map[string]int64)
	policies := parseList(list(a.Header, "Ratelimit-Policy"))
	for _, item := range policies {
		if unit := item.params["qu"]; unit == "" || unit == "requests" {
			quotas[item.name] = max(0, count(item.params["q"]))
		}
	}
	var f Feedback
	for _, item := range parseList(limit) {
		id, known := limits[item.name]
		remaining := count(item.params["r"])
		quota, counted := quotas[item.name]
		if !known || remaining < 0 || !counted && len(policies) > 0 {
			continue // it counts something else, or nobody knows what
		}
		t, said := wholeUp(item.params["t"])
		u := Usage{Limit: id, Key: a.Key, Used: -1, Remaining: remaining, Quota: quota}
		if said && age == "" { // of one that was kept nobody knows since when it counts down
			u.EndsIn = countingDown(t, time.Second)
		}
		f.Usage = append(f.Usage, u)
		if remaining == 0 && a.Status == http.StatusTooManyRequests {
			f.Refused, f.Pause = true, max(f.Pause, times(t, time.Second))
		}
	}
	return f
}

// list is the value of a field that is a list: its lines are one, as if they were joined by
// commas (RFC 9651, section 4.2).
func list(h Header, name string) string {
	if all, ok := h.(interface{ Values(name string) []string }); ok {
		return strings.Join(all.Values(name), ",")
	}
	return h.Get(name)
}

// item is a member of a structured list: a string or token with parameters.
type item struct {
	name   string
	params map[string]string
}

// parseList reads as much of a structured field's list (RFC 9651) as rate
// limits use: strings or tokens with parameters that are integers, strings or
// tokens. A malformed list is ignored whole.
func parseList(text string) []item {
	var items []item
	rest := strings.TrimSpace(text)
	for rest != "" {
		var it item
		var ok bool
		if it, rest, ok = parseItem(rest); !ok {
			return nil
		}
		items = append(items, it)
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return items
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil
		}
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			return nil // a comma must be followed by a member
		}
	}
	return items
}

func parseItem(text string) (it item, rest string, ok bool) {
	if it.name, rest, ok = parseBare(text); !ok {
		return it, "", false
	}
	it.params = make(map[string]string)
	for {
		after, more := strings.CutPrefix(rest, ";")
		if !more {
			return it, rest, true
		}
		after = strings.TrimLeft(after, " ")
		end := strings.IndexAny(after, "=;, \t")
		if end < 0 {
			end = len(after)
		}
		key := after[:end]
		if key == "" {
			return it, "", false
		}
		rest = after[end:]
		value := "?1" // a name alone is a boolean that is true
		if assigned, has := strings.CutPrefix(rest, "="); has {
			if value, rest, ok = parseBare(assigned); !ok {
				return it, "", false
			}
		}
		it.params[key] = value
	}
}

// parseBare reads a quoted string, or anything up to the next delimiter.
func parseBare(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ";, \t")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c < ' ' || c > '~':
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
