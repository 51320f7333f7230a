package feedback_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

// clock stands for what an engine knows of the server's time.
type clock struct{}

func (clock) Now() time.Time { return time.Unix(1_700_000_000, 0) }

func (clock) Bound() time.Duration { return 10 * time.Millisecond }

// answered is an answer with these lines, name and value in turn.
func answered(status int, body string, lines ...string) feedback.Answer {
	header := http.Header{}
	for i := 0; i < len(lines); i += 2 {
		header.Add(lines[i], lines[i+1])
	}
	return feedback.Answer{Limit: "calls", Status: status, Header: header, Body: []byte(body), Clock: clock{}}
}

func ExampleRetryAfter() {
	said := feedback.RetryAfter(answered(429, "", "Retry-After", "7"))
	fmt.Println(said.Refused, said.Pause)
	// Output: true 7s
}

func ExampleParseRetryAfter() {
	fmt.Println(feedback.ParseRetryAfter("Tue, 14 Nov 2023 22:14:20 GMT", clock{}))
	fmt.Println(feedback.ParseRetryAfter("soon", clock{}))
	// Output:
	// 1m0s true
	// 0s false
}

// Two ways of saying how much is left.
func ExampleXRateLimit() {
	read := feedback.XRateLimit("calls", feedback.UnixSeconds)
	said := read(answered(200, "", "X-RateLimit-Limit", "100", "X-RateLimit-Remaining", "40", "X-RateLimit-Reset", "1700000030"))
	fmt.Println(said.Usage[0].Limit, said.Usage[0].Used, said.Usage[0].Remaining)
	// Output: calls -1 40
}

func ExampleRateLimitFields() {
	read := feedback.RateLimitFields(map[string]string{"burst": "calls"})
	said := read(answered(200, "", "RateLimit-Policy", `"burst";q=100;w=60`, "RateLimit", `"burst";r=50;t=30`))
	fmt.Println(said.Usage[0].Limit, said.Usage[0].Remaining, said.Usage[0].Quota)
	// Output: calls 50 100
}

// Most exchanges are there by name.
func ExampleBinance() {
	read := feedback.Binance("weight", "orders10s", "ordersDay")
	said := read(answered(200, "", "X-MBX-USED-WEIGHT-1M", "1100", "X-MBX-ORDER-COUNT-10S", "3"))
	for _, usage := range said.Usage {
		fmt.Println(usage.Limit, usage.Used)
	}
	// Output:
	// weight 1100
	// orders10s 3
}

// A server of your own, in a table: it says in the body what went wrong, whatever the status.
func ExampleBodyCodes() {
	read := feedback.BodyCodes{
		Fields: []string{"error.code"},
		Codes:  map[string]feedback.Feedback{"TOO_FAST": {Refused: true, Pause: time.Second}},
	}.Read
	said := read(answered(200, `{"error":{"code":"TOO_FAST"}}`))
	fmt.Println(said.Refused, said.Pause)
	// Output: true 1s
}

func ExampleHeaderUsage() {
	read := feedback.HeaderUsage{Limit: "calls", Used: "X-Used", Quota: "X-Allowed"}.Read
	said := read(answered(200, "", "X-Used", "12", "X-Allowed", "20"))
	fmt.Println(said.Usage[0].Used, said.Usage[0].Quota)
	// Output: 12 20
}

// Several readers of one answer: all are asked, and what they say is put together.
func ExampleJoin() {
	read := feedback.Join(feedback.RetryAfter, feedback.BodyTime("serverTime"))
	said := read(answered(429, `{"serverTime":1700000000123}`, "Retry-After", "2"))
	fmt.Println(said.Refused, said.Pause, said.ServerTime.UnixMilli())
	// Output: true 2s 1700000000123
}

// The code says that it is the request's own limit alone, and that is stronger than the
// status, by which everything would pause.
func ExamplePrefer() {
	exact := feedback.BodyCodes{Fields: []string{"code"}, Codes: map[string]feedback.Feedback{"7": {Refused: true, OwnLimit: true}}}
	read := feedback.Prefer(exact.Read, feedback.RetryAfter)
	said := read(answered(429, `{"code":7}`, "Retry-After", "1"))
	fmt.Println(said.OwnLimit, said.Pause)
	// Output: true 1s
}

func ExampleBodyTime() {
	said := feedback.BodyTime("data.0.ts")(answered(200, `{"data":[{"ts":1700000000123}]}`))
	fmt.Println(said.ServerTime.UnixMilli())
	// Output: 1700000000123
}

// Exchanges of which more is known than Retry-After: each reads what that one says.
func Example_exchanges() {
	readers := map[string]feedback.Reader{
		"binance futures": feedback.BinanceFutures("weight", "orders10s", "ordersMinute"), "bitget": feedback.Bitget(),
		"bybit": feedback.Bybit(), "coinbase": feedback.Coinbase(), "deribit": feedback.Deribit(), "gate": feedback.Gate(),
		"htx": feedback.HTX(), "kraken": feedback.Kraken(), "kraken futures": feedback.KrakenFutures(), "kucoin": feedback.KuCoin("pool"),
		"mexc": feedback.MEXC(), "okx": feedback.OKX(), "upbit": feedback.Upbit(map[string]string{"default": "calls"}),
	}
	unmoved := 0
	for _, read := range readers {
		if said := read(answered(200, `{}`)); !said.Refused && len(said.Usage) == 0 {
			unmoved++
		}
	}
	fmt.Println(unmoved == len(readers))
	fmt.Println(readers["bybit"](answered(200, `{"retCode":10006,"retMsg":"Too many visits!"}`)).Refused)
	// Output:
	// true
	// true
}
