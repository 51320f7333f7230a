package venue

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

// feedbackEntry is a reader's name, or an object of it and its limits.
type feedbackEntry struct {
	Reader string
	Limits map[string]string
}

func (e *feedbackEntry) UnmarshalJSON(text []byte) error {
	*e = feedbackEntry{}
	if json.Unmarshal(text, &e.Reader) == nil {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var object struct {
		Reader string            `json:"reader"`
		Limits map[string]string `json:"limits"`
	}
	if decoder.Decode(&object) != nil {
		return errors.New(`want the name of a reader, or {"reader": "…", "limits": {"…": "id of a limit"}}`)
	}
	*e = feedbackEntry(object)
	return nil
}

// answers are the readers by their names. Of the limits they know those that are listed, or any
// where the list is nil.
var answers = map[string]struct {
	limits []string
	make   func(limits map[string]string) feedback.Reader
}{
	"retry-after":       plain(feedback.RetryAfter),
	"bybit":             plain(feedback.Bybit()),
	"okx":               plain(feedback.OKX()),
	"kraken":            plain(feedback.Kraken()),
	"kraken-futures":    plain(feedback.KrakenFutures()),
	"coinbase":          plain(feedback.Coinbase()),
	"bitget":            plain(feedback.Bitget()),
	"mexc":              plain(feedback.MEXC()),
	"htx":               plain(feedback.HTX()),
	"deribit":           plain(feedback.Deribit()),
	"gate":              plain(feedback.Gate()),
	"upbit":             {nil, feedback.Upbit},
	"rate-limit-fields": {nil, feedback.RateLimitFields},
	"kucoin":            {[]string{"limit"}, func(l map[string]string) feedback.Reader { return feedback.KuCoin(l["limit"]) }},
	"x-rate-limit": {[]string{"limit"}, func(l map[string]string) feedback.Reader {
		return feedback.XRateLimit(l["limit"], feedback.NoReset)
	}},
	"binance": {[]string{"weight", "orders_10s", "orders_day"}, func(l map[string]string) feedback.Reader {
		return feedback.Binance(l["weight"], l["orders_10s"], l["orders_day"])
	}},
	"binance-futures": {[]string{"weight", "orders_10s", "orders_1m"}, func(l map[string]string) feedback.Reader {
		return feedback.BinanceFutures(l["weight"], l["orders_10s"], l["orders_1m"])
	}},
}

func plain(reader feedback.Reader) struct {
	limits []string
	make   func(map[string]string) feedback.Reader
} {
	return struct {
		limits []string
		make   func(map[string]string) feedback.Reader
	}{[]string{}, func(map[string]string) feedback.Reader { return reader }}
}

// Readers are the names that "feedback" may have, sorted.
func Readers() []string { return slices.Sorted(maps.Keys(answers)) }

func (r *reader) feedback(e *feedbackEntry) feedback.Reader {
	chosen, known := answers[e.Reader]
	if !known {
		r.add("feedback.reader", "%.40q is none of %s", e.Reader, strings.Join(Readers(), ", "))
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.Limits)) {
		if chosen.limits != nil && !slices.Contains(chosen.limits, name) {
			r.add("feedback.limits", "%.40q is nothing that the reader %s speaks of: %q", name, e.Reader, chosen.limits)
		}
	}
	return chosen.make(e.Limits)
}
