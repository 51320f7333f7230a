package feedback

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A venue's reader goes by what the venue has published, which stands with the
// reader by page and date, and by no more: what is not there is read as
// RetryAfter reads it.

// bannedByFirewall is the pause after a firewall's 403, of which nobody says how
// long it lasts: the shortest ban of an address that Binance tells of.
const bannedByFirewall = pauseAfter418

// Binance reads X-MBX-USED-WEIGHT-1M as the usage of the limit named weight,
// X-MBX-ORDER-COUNT-10S and -1D as that of the limits named orders10s and
// ordersDay (empty names are left out). 418 stops the whole origin until the ban
// ends, which its Retry-After tells, or its text; so does, for two minutes, a 403
// with a page of HTML, which is the firewall's. Error -1003 (too many requests)
// and -1015 (too many orders) are refusals, -1008 (overloaded) is none, and -1021
// is a refused timestamp.
//
// (Binance spot API, "Limits", "HTTP return codes" and "Error codes", 2026-06-26.)
func Binance(weight, orders10s, ordersDay string) Reader {
	return binance(
		HeaderUsage{Limit: weight, Used: "X-Mbx-Used-Weight-1m"},
		HeaderUsage{Limit: orders10s, Used: "X-Mbx-Order-Count-10s"},
		HeaderUsage{Limit: ordersDay, Used: "X-Mbx-Order-Count-1d"},
	)
}

// BinanceFutures is Binance for the USD-M futures API, which counts orders in ten
// seconds and in a minute.
//
// (Binance USD-M futures, "General info" 2026-06-27 and "Error codes".)
func BinanceFutures(weight, orders10s, ordersMinute string) Reader {
	return binance(
		HeaderUsage{Limit: weight, Used: "X-Mbx-Used-Weight-1m"},
		HeaderUsage{Limit: orders10s, Used: "X-Mbx-Order-Count-10s"},
		HeaderUsage{Limit: ordersMinute, Used: "X-Mbx-Order-Count-1m"},
	)
}

func binance(usage ...HeaderUsage) Reader {
	codes := BodyCodes{
		Fields: []string{"code"},
		Codes: map[string]Feedback{
			"-1003": {Refused: true, Pause: pauseAfter429},
			"-1015": {Refused: true, Pause: pauseAfter429},
			"-1008": {Busy: true, Pause: pauseWhenBusy},
			"-1021": {TimestampRefused: true},
		},
		Until:      bannedUntil,
		OnlyErrors: true,
	}
	usage = slices.DeleteFunc(usage, func(h HeaderUsage) bool { return h.Limit == "" })
	readers := []Reader{banned, firewall, codes.Read, RetryAfter}
	for _, h := range usage {
		readers = append(readers, h.Read)
	}
	failure, success := Prefer(readers...), countersOf(usage)
	return func(a Answer) (f Feedback) {
		if a.Status >= http.StatusBadRequest {
			return failure(a)
		}
		f.Usage = success.read(&a) // the others have nothing to say of an answer that is no error
		return f
	}
}

// banned is RetryAfter for a 418 alone, which says more than the code that comes
// with it.
func banned(a Answer) Feedback {
	if a.Status != http.StatusTeapot {
		return Feedback{}
	}
	return RetryAfter(a)
}

// firewall takes a 403 with a page of HTML for a ban of the address: an API's own
// 403 comes with JSON.
func firewall(a Answer) Feedback {
	if a.Status != http.StatusForbidden {
		return Feedback{}
	}
	html := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(bytes.TrimLeft(a.Body[:min(len(a.Body), 64)], " \t\r\n"), []byte("<"))
	if !html {
		return Feedback{}
	}
	return Feedback{Refused: true, Whole: true, Pause: a.wait(bannedByFirewall)}
}

// Bybit reads X-Bapi-Limit and X-Bapi-Limit-Status, which speak of the limit the
// request named, and the body's retCode: 10006 is a refusal of that limit alone,
// with status 200, until X-Bapi-Limit-Reset-Timestamp; 429 and 10429 mean that the
// system is loaded, 10002 is a refused timestamp. A 403 means that the address
// went over its own limit, and has to stop everything for ten minutes at least.
//
// (Bybit v5, "Rate limit" and "Error codes", 2026-07-24.)
func Bybit() Reader {
	usage := HeaderUsage{Remaining: "X-Bapi-Limit-Status", Quota: "X-Bapi-Limit"}
	codes := BodyCodes{
		Fields: []string{"retCode"},
		Codes: map[string]Feedback{
			"10006": {Refused: true, OwnLimit: true, Pause: time.Second},
			"429":   {Busy: true, Pause: pauseWhenBusy},
			"10429": {Busy: true, Pause: pauseWhenBusy},
			"10002": {TimestampRefused: true},
		},
		Reset: "X-Bapi-Limit-Reset-Timestamp", Form: UnixMillis,
		TimeField: "time",
	}
	return Prefer(func(a Answer) Feedback {
		if a.Status != http.StatusForbidden {
			return Feedback{}
		}
		return Feedback{Refused: true, Whole: true, Pause: a.wait(10 * time.Minute)}
	}, codes.Read, RetryAfter, usage.Read)
}

// OKX reads the body's code, for there are no headers: 50011, with status 200 or
// 429, and 50040 are refusals of the limit the request named; 50061 is one of the
// sub-account, and so of all limits the request is charged to. Their windows last
// two seconds. 50013, with status 429, and 50001 mean that the system is busy.
// 50102 is a refused timestamp. What one order of a batch was told counts only if
// none was executed.
//
// (OKX API v5, "Error codes", 2026-06-15.)
func OKX() Reader {
	const window = 2 * time.Second
	return Prefer(BodyCodes{
		Fields: []string{"code", "data.0.sCode"},
		Codes: map[string]Feedback{
			"2":     {}, // some orders of the batch were executed
			"50011": {Refused: true, OwnLimit: true, Pause: window},
			"50040": {Refused: true, OwnLimit: true, Pause: window},
			"50061": {Refused: true, Pause: window},
			"50013": {Busy: true, Pause: pauseWhenBusy},
			"50001": {Busy: true, Pause: pauseWhenBusy},
			"50102": {TimestampRefused: true},
		},
	}.Read, RetryAfter)
}

// Kraken reads the texts in the body's list of errors, which comes with status
// 200. "EAPI:Rate limit exceeded" is a refusal for some seconds, here five;
// "EService:Throttled" one until the instant it tells; "EOrder:Rate limit exceeded"
// one of the limit the request named, the pair's. "EGeneral:Temporary lockout"
// follows on too many failed calls and lasts fifteen minutes. "EService:Busy" and
// "EService:Unavailable" are no refusals.
//
// (Kraken, "Spot REST rate limits" 2026-06-09 and "API error messages", undated.)
func Kraken() Reader {
	throttled := Feedback{Refused: true, Pause: 5 * time.Second}
	return Prefer(BodyCodes{
		Fields: []string{"error.0", "error.1", "error.2"}, // warnings may come first
		Codes: map[string]Feedback{
			"EAPI:Rate limit exceeded":   throttled,
			"EOrder:Rate limit exceeded": {Refused: true, OwnLimit: true, Pause: time.Second},
			"EGeneral:Temporary lockout": {Refused: true, Pause: 15 * time.Minute},
			"EService:Busy":              {Busy: true, Pause: pauseWhenBusy},
			"EService:Unavailable":       {Busy: true, Pause: pauseWhenBusy},
		},
		Prefixes: map[string]Feedback{"EService:Throttled": throttled, "EService: Throttled": throttled},
		Until:    []string{"Throttled:"},
	}.Read, RetryAfter)
}

// KrakenFutures reads the body's error, which comes with status 200:
// apiLimitExceeded is a refusal. How long it lasts is not told; here it is a
// second, a tenth of the window.
//
// (Kraken Futures API, "Rate limits" and "Get wallets", 2026-05-27.)
func KrakenFutures() Reader {
	return Prefer(BodyCodes{
		Fields:    []string{"error", "errors.0"},
		Codes:     map[string]Feedback{"apiLimitExceeded": {Refused: true, Pause: time.Second}},
		TimeField: "serverTime",
	}.Read, RetryAfter)
}

// Coinbase is for Coinbase Exchange and Advanced Trade, which refuse with a 429,
// and for what else names the error rate_limit_exceeded in the body.
//
// (Coinbase Exchange, "Rate limits", and Coinbase App, "Rate limiting", undated.)
func Coinbase() Reader {
	return Prefer(RetryAfter, BodyCodes{
		Fields:     []string{"errors.0.id"},
		Codes:      map[string]Feedback{"rate_limit_exceeded": {Refused: true, Pause: pauseAfter429}},
		OnlyErrors: true,
	}.Read)
}

// Bitget refuses with a 429. Errors 40004 and 40008 are refused timestamps.
//
// (Bitget API, "Access restriction" and "RestAPI error codes", 2024-08-13.)
func Bitget() Reader {
	return Prefer(RetryAfter, BodyCodes{
		Fields:     []string{"code"},
		Codes:      map[string]Feedback{"40004": {TimestampRefused: true}, "40008": {TimestampRefused: true}},
		OnlyErrors: true,
	}.Read)
}

// MEXC refuses with a 429, or with that number in the body, bans with a 418, and
// has a firewall as Binance has. Error 700003 is a refused timestamp.
//
// (MEXC spot v3, "General info" and "Error codes", undated.)
func MEXC() Reader {
	return Prefer(firewall, RetryAfter, BodyCodes{
		Fields: []string{"code"},
		Codes: map[string]Feedback{
			"429":    {Refused: true, Pause: pauseAfter429},
			"700003": {TimestampRefused: true},
		},
		OnlyErrors: true,
	}.Read)
}

// HTX reads X-HB-RateLimit-Requests-Remain and -Expire, which speak of the limit
// the request named.
//
// (HTX spot API, "Rate limiting rule", undated.)
func HTX() Reader {
	return Prefer(HeaderUsage{
		Remaining: "X-Hb-Ratelimit-Requests-Remain", Reset: "X-Hb-Ratelimit-Requests-Expire",
		Form: UnixMillis, Exhausted: true,
	}.Read, RetryAfter)
}

// Deribit reads the code of JSON-RPC's error: 10028 (too many requests) and 10066
// (too many concurrent requests) are refusals; 10047 (the matching engine's queue
// is full), 11051 (maintenance) and 13028 (temporarily unavailable) are not. It
// reads usOut as the server's clock.
//
// (Deribit, "Rate limits" and "Error codes", API v2.1.1, undated.)
func Deribit() Reader {
	return Prefer(BodyCodes{
		Fields: []string{"error.code"},
		Codes: map[string]Feedback{
			"10028": {Refused: true, Pause: pauseAfter429},
			"10066": {Refused: true, Pause: pauseAfter429},
			"10047": {Busy: true, Pause: pauseWhenBusy},
			"11051": {Busy: true, Pause: time.Second},
			"13028": {Busy: true, Pause: pauseWhenBusy},
		},
		TimeField: "usOut",
	}.Read, RetryAfter)
}

// Upbit reads Remaining-Req, as in "group=default; min=1800; sec=29", where sec is
// what remains of the second. limits maps the groups' names to limit ids; a group
// that is missing is ignored. 429 is a refusal, 418 a ban.
//
// (Upbit, "Rate limits", 2026-10-07.)
func Upbit(limits map[string]string) Reader {
	return Prefer(RetryAfter, func(a Answer) Feedback {
		group, remaining := remainingReq(a.Header.Get("Remaining-Req"))
		id, known := limits[group]
		if !known || remaining < 0 {
			return Feedback{}
		}
		return Feedback{Usage: []Usage{{Limit: id, Key: a.Key, Used: -1, Remaining: remaining, At: dateOf(&a)}}}
	})
}

func remainingReq(text string) (group string, remaining int64) {
	remaining = -1
	for part := range strings.SplitSeq(text, ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "group":
			group = value
		case "sec":
			remaining = count(value)
		}
	}
	return group, remaining
}

// KuCoin reads gw-ratelimit-limit, -remaining and -reset, the last counting
// down in milliseconds. A 429 without these headers is an overload of the
// server's, and counts for nothing. Code 200002 refuses the limit the request
// named for ten seconds.
//
// (KuCoin, "Rate limit", undated.)
func KuCoin(limit string) Reader {
	usage := HeaderUsage{
		Limit: limit, Remaining: "Gw-Ratelimit-Remaining", Quota: "Gw-Ratelimit-Limit",
		Reset: "Gw-Ratelimit-Reset", Form: DeltaMillis, Exhausted: true,
	}
	codes := BodyCodes{
		Fields: []string{"code"},
		Codes:  map[string]Feedback{"200002": {Refused: true, OwnLimit: true, Pause: 10 * time.Second}},
	}
	return Prefer(usage.Read, codes.Read, func(a Answer) Feedback {
		if a.Status == http.StatusTooManyRequests && a.Header.Get(usage.Remaining) == "" {
			return Feedback{Busy: true, Pause: a.wait(pauseWhenBusy)}
		}
		return RetryAfter(a)
	})
}

// Gate reads X-Gate-RateLimit-Requests-Remain and its companions, which speak
// of the limit the request named. The reset is the present instant where nothing was
// refused.
//
// (Gate API v4, "Frequency limit rule", undated.)
func Gate() Reader {
	return Prefer(HeaderUsage{
		Remaining: "X-Gate-Ratelimit-Requests-Remain", Quota: "X-Gate-Ratelimit-Limit",
		Reset: "X-Gate-Ratelimit-Reset-Timestamp", Form: UnixSeconds, Exhausted: true, resetOnlyIfFull: true,
	}.Read, RetryAfter)
}

// XRateLimit reads the widespread X-RateLimit-Limit, -Remaining and -Reset. The
// form of the last differs between servers and should be told.
func XRateLimit(limit string, form ResetForm) Reader {
	return Join(RetryAfter, HeaderUsage{
		Limit: limit, Remaining: "X-Ratelimit-Remaining", Quota: "X-Ratelimit-Limit",
		Reset: "X-Ratelimit-Reset", Form: form, Exhausted: true,
	}.Read)
}
