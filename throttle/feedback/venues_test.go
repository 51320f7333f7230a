package feedback_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// told is what a venue says and what it means.
type told struct {
	sentence string
	status   int
	body     string
	header   []string
	want     feedback.Feedback
}

var (
	whole = func(pause time.Duration) feedback.Feedback {
		return feedback.Feedback{Refused: true, Whole: true, Pause: pause}
	}
	own = func(pause time.Duration) feedback.Feedback {
		return feedback.Feedback{Refused: true, OwnLimit: true, Pause: pause}
	}
	timestamp = feedback.Feedback{TimestampRefused: true}
	loaded    = busy(200 * time.Millisecond)
	nothing   = feedback.Feedback{}
)

func TestWhatVenuesSay(t *testing.T) {
	const page = "\n<html><head><title>403 Forbidden</title>"
	const ban = `{"code":-1003,"msg":"Way too much request weight used; IP banned until 1795435260000. Please use WebSocket Streams."}`
	binance := []told{
		{"a ban until an instant", 418, ban, nil, whole(time.Minute)},
		{"a ban with Retry-After", 418, ban, []string{"Retry-After", "120"}, whole(2 * time.Minute)},
		{"a ban of unknown length", 418, "", nil, whole(2 * time.Minute)},
		{"too many requests", 429, `{"code":-1003,"msg":"Too many requests"}`, []string{"Retry-After", "7"}, refused(7 * time.Second)},
		{"too many orders", 429, `{"code":-1015}`, nil, refused(time.Second)},
		{"a body that was not read", 429, "", []string{"Retry-After", "5"}, refused(5 * time.Second)},
		{"overloaded", 503, `{"code":-1008}`, nil, loaded},
		{"overloaded, whatever the status", 429, `{"code":-1008}`, nil, loaded},
		{"unavailable", 503, `{"code":-1000,"msg":"Unknown error"}`, []string{"Retry-After", "3600"}, busy(time.Hour)},
		{"the firewall", 403, page, nil, whole(2 * time.Minute)},
		{"the firewall, body unread", 403, "", []string{"Content-Type", "text/html; charset=utf-8"}, whole(2 * time.Minute)},
		{"a 403 of the API's own", 403, `{"code":-1002}`, []string{"Content-Type", "application/json"}, nothing},
		{"a refused timestamp", 400, `{"code":-1021}`, nil, timestamp},
		{"a success is not read", 200, `{"code":-1003}`, nil, nothing},
		{"another error", 400, `{"code":-1121}`, nil, nothing},
	}
	for venue, all := range map[string][]told{
		"binance": binance,
		"futures": binance,
		"bybit": {
			{"one limit refused", 200, `{"retCode":10006}`, nil, own(time.Second)},
			{"until its reset", 200, `{"retCode":10006}`, []string{"X-Bapi-Limit-Reset-Timestamp", "1795435200250"}, own(250 * time.Millisecond)},
			{"the address refused", 403, "access too frequent", nil, whole(10 * time.Minute)},
			{"loaded", 200, `{"retCode":10429}`, nil, loaded},
			{"loaded, by another code", 200, `{"retCode":429}`, nil, loaded},
			{"a 429 alone", 429, ``, nil, refused(time.Second)},
			{"a refused timestamp", 200, `{"retCode":10002}`, nil, timestamp},
			{"no limit of this kind any more", 200, `{"retCode":10018}`, nil, nothing},
			{"a success", 200, `{"retCode":0}`, []string{"X-Bapi-Limit-Reset-Timestamp", "1795435230000"}, nothing},
		},
		"okx": {
			{"one limit refused", 200, `{"code":"50011","data":[]}`, nil, own(2 * time.Second)},
			{"with a status", 429, `{"code":"50011"}`, nil, own(2 * time.Second)},
			{"the sub-account refused", 200, `{"code":"50061"}`, nil, refused(2 * time.Second)},
			{"one order refused", 200, `{"code":"1","data":[{"sCode":"50061"}]}`, nil, refused(2 * time.Second)},
			{"one of several orders refused", 200, `{"code":"2","data":[{"sCode":"50061"},{"sCode":"0"}]}`, nil, nothing},
			{"busy with 429", 429, `{"code":"50013"}`, nil, loaded},
			{"busy with 503", 503, `{"code":"50001"}`, []string{"Retry-After", "2"}, busy(2 * time.Second)},
			{"a refused timestamp", 401, `{"code":"50102"}`, nil, timestamp},
			{"outcome unknown", 400, `{"code":"50004"}`, nil, nothing},
			{"a 429 alone", 429, ``, nil, refused(time.Second)},
			{"a success", 200, `{"code":"0","data":[{"sCode":"0"}]}`, nil, nothing},
		},
		"kraken": {
			{"the counter", 200, `{"error":["EAPI:Rate limit exceeded"]}`, nil, refused(5 * time.Second)},
			{"the pair's counter", 200, `{"error":["EOrder:Rate limit exceeded"]}`, nil, own(time.Second)},
			{"too many at once", 200, `{"error":["EService: Throttled: 1795435260"]}`, nil, refused(time.Minute)},
			{"in another spelling", 200, `{"error":["EService:Throttled: [1795435260]"]}`, nil, refused(time.Minute)},
			{"without an instant", 200, `{"error":["EService:Throttled"]}`, nil, refused(5 * time.Second)},
			{"after a warning", 200, `{"error":["WGeneral:Danger","EAPI:Rate limit exceeded"]}`, nil, refused(5 * time.Second)},
			{"locked out", 200, `{"error":["EGeneral:Temporary lockout"]}`, nil, refused(15 * time.Minute)},
			{"busy", 200, `{"error":["EService:Busy"]}`, nil, loaded},
			{"unavailable", 200, `{"error":["EService:Unavailable"]}`, nil, loaded},
			{"too many open orders is no rate", 200, `{"error":["EOrder:Orders limit exceeded"]}`, nil, nothing},
			{"a nonce is no timestamp", 200, `{"error":["EAPI:Invalid nonce"]}`, nil, nothing},
			{"a success", 200, `{"error":[],"result":{}}`, nil, nothing},
		},
		"krakenfutures": {
			{"refused", 200, `{"result":"error","error":"apiLimitExceeded"}`, nil, refused(time.Second)},
			{"in a list", 200, `{"result":"error","errors":["apiLimitExceeded"]}`, nil, refused(time.Second)},
			{"another error", 200, `{"result":"error","error":"authenticationError"}`, nil, nothing},
		},
		"coinbase": {
			{"refused", 429, `{"message":"rate limit exceeded"}`, nil, refused(time.Second)},
			{"named", 400, `{"errors":[{"id":"rate_limit_exceeded"}]}`, nil, refused(time.Second)},
			{"another error", 400, `{"errors":[{"id":"invalid_token"}]}`, nil, nothing},
		},
		"bitget": {
			{"refused", 429, `{"code":"429"}`, []string{"Retry-After", "3"}, refused(3 * time.Second)},
			{"a refused timestamp", 400, `{"code":"40008"}`, nil, timestamp},
			{"another", 400, `{"code":"40004"}`, nil, timestamp},
		},
		"mexc": {
			{"refused", 429, ``, nil, refused(time.Second)},
			{"by a code", 400, `{"code":429}`, nil, refused(time.Second)},
			{"banned", 418, ``, []string{"Retry-After", "120"}, whole(2 * time.Minute)},
			{"the firewall", 403, page, nil, whole(2 * time.Minute)},
			{"a refused timestamp", 400, `{"code":700003}`, nil, timestamp},
		},
		"htx": {
			{"one limit refused", 429, ``, []string{"X-HB-RateLimit-Requests-Remain", "0", "X-HB-RateLimit-Requests-Expire", "1795435201000"}, own(time.Second)},
			{"refused", 429, ``, nil, refused(time.Second)},
		},
		"deribit": {
			{"refused", 429, `{"error":{"code":10028}}`, nil, refused(time.Second)},
			{"refused with 400", 400, `{"error":{"code":10028}}`, nil, refused(time.Second)},
			{"too many at once", 400, `{"error":{"code":10066}}`, nil, refused(time.Second)},
			{"the engine's queue is full", 400, `{"error":{"code":10047}}`, nil, loaded},
			{"maintenance", 400, `{"error":{"code":11051}}`, nil, busy(time.Second)},
			{"unavailable", 400, `{"error":{"code":13028}}`, nil, loaded},
			{"outcome unknown", 400, `{"error":{"code":13888}}`, nil, nothing},
		},
		"upbit": {
			{"refused", 429, ``, nil, refused(time.Second)},
			{"banned", 418, ``, nil, whole(2 * time.Minute)},
		},
		"kucoin": {
			{"the pool refused", 429, `{"code":"429000"}`, []string{"gw-ratelimit-remaining", "0", "gw-ratelimit-reset", "12500"}, refused(12500 * time.Millisecond)},
			{"overloaded", 429, `{"code":"429000"}`, nil, loaded},
			{"one limit refused", 200, `{"code":"200002"}`, nil, own(10 * time.Second)},
		},
		"gate": {
			{"one limit refused", 429, ``, []string{"X-Gate-RateLimit-Requests-Remain", "0", "X-Gate-RateLimit-Reset-Timestamp", "1795435230"}, own(30 * time.Second)},
			{"refused", 429, ``, nil, refused(time.Second)},
		},
	} {
		for _, c := range all {
			f := everyReader[venue](answer(c.status, c.body, c.header...))
			f.Usage = nil
			require.Equal(t, c.want, f, "%s: %s", venue, c.sentence)
		}
	}
}

func TestVenuesTellUsage(t *testing.T) {
	date := "Mon, 23 Nov 2026 11:59:59 GMT"
	at, _ := http.ParseTime(date)
	used := func(limit string, n int64) feedback.Usage {
		return feedback.Usage{Limit: limit, Key: "k", Used: n, Remaining: -1, At: at}
	}
	left := func(limit string, n, quota int64) feedback.Usage {
		return feedback.Usage{Limit: limit, Key: "k", Used: -1, Remaining: n, Quota: quota, At: at}
	}
	for _, c := range []struct {
		venue  string
		header []string
		want   []feedback.Usage
	}{
		{"binance", []string{"X-MBX-USED-WEIGHT-1M", "1190", "X-MBX-ORDER-COUNT-10S", "3", "X-MBX-ORDER-COUNT-1D", "9"},
			[]feedback.Usage{used("w", 1190), used("o", 3), used("d", 9)}},
		{"futures", []string{"X-MBX-USED-WEIGHT-1M", "7", "X-MBX-ORDER-COUNT-10S", "3", "X-MBX-ORDER-COUNT-1M", "9"},
			[]feedback.Usage{used("w", 7), used("o", 3), used("m", 9)}},
		{"bybit", []string{"X-Bapi-Limit", "10", "X-Bapi-Limit-Status", "0"}, []feedback.Usage{left("named", 0, 10)}},
		{"htx", []string{"X-HB-RateLimit-Requests-Remain", "95"}, []feedback.Usage{left("named", 95, 0)}},
		{"upbit", []string{"Remaining-Req", "group=default; min=1800; sec=29"}, []feedback.Usage{left("d", 29, 0)}},
		{"upbit", []string{"Remaining-Req", "group=order; min=1800; sec=7"}, nil},
		{"upbit", []string{"Remaining-Req", "group=default; min=1800"}, nil},
		{"kucoin", []string{"gw-ratelimit-limit", "4000", "gw-ratelimit-remaining", "3998"}, []feedback.Usage{left("p", 3998, 4000)}},
		{"gate", []string{"X-Gate-RateLimit-Limit", "200", "X-Gate-RateLimit-Requests-Remain", "199"}, []feedback.Usage{left("named", 199, 200)}},
		{"x", []string{"X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "59"}, []feedback.Usage{left("x", 59, 60)}},
	} {
		f := everyReader[c.venue](answer(200, "{}", append(c.header, "Date", date)...))
		require.Equal(t, c.want, f.Usage, "%s %v", c.venue, c.header)
	}
	require.Empty(t, feedback.Binance("", "", "")(answer(200, "", "X-MBX-USED-WEIGHT-1M", "1190")).Usage)
}

// looks is a header that counts how often it is looked into.
type looks struct {
	http.Header
	n int
}

func (l *looks) Get(name string) string {
	l.n++
	return l.Header.Get(name)
}

// The number, and whether a date says of which window it is: nothing of what only an
// error says is looked for.
func TestASuccessThatTellsUsageIsLookedIntoThreeTimes(t *testing.T) {
	read := feedback.Binance("weight", "", "")
	header := &looks{Header: http.Header{"X-Mbx-Used-Weight-1m": {"7"}, "Date": {"Mon, 23 Nov 2026 14:00:00 GMT"}}}
	answer := feedback.Answer{Limit: "route", Status: 200, Header: header, Body: []byte(`{"code":-1003}`)}
	want := feedback.Usage{Limit: "weight", Used: 7, Remaining: -1, At: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}
	require.Equal(t, feedback.Feedback{Usage: []feedback.Usage{want}}, read(answer))
	require.Equal(t, 3, header.n)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { read(answer) }), 1.0, "but for the list of usages")
	header.Del("X-Mbx-Used-Weight-1m")
	require.Zero(t, testing.AllocsPerRun(100, func() { read(answer) }))
}

// lines are the header of an answer as an engine hands it to a reader, of a small server
// and of an exchange behind a proxy.
var lines = map[string]string{
	"few": "Server: s\r\nDate: Mon, 23 Nov 2026 14:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n" +
		"X-Mbx-Used-Weight-1m: 7\r\n",
	"many": "Content-Type: application/json;charset=UTF-8\r\nContent-Length: 4096\r\nConnection: keep-alive\r\n" +
		"Date: Mon, 23 Nov 2026 14:00:00 GMT\r\nServer: nginx\r\nx-mbx-uuid: 5d3a1b6e-0d4b-4f49-9c0e-5f1f2b0b6f36\r\n" +
		"x-mbx-used-weight: 9\r\nx-mbx-used-weight-1m: 7\r\nStrict-Transport-Security: max-age=31536000; includeSubdomains\r\n" +
		"X-Frame-Options: SAMEORIGIN\r\nX-Xss-Protection: 1; mode=block\r\nX-Content-Type-Options: nosniff\r\n" +
		"Content-Security-Policy: default-src 'self'\r\nCache-Control: no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\n" +
		"Expires: 0\r\nAccess-Control-Allow-Origin: *\r\nVia: 1.1 proxy.test\r\nX-Cache: Miss from proxy\r\n",
}

func TestASuccessIsReadInOnePassAsItIsNameByName(t *testing.T) {
	read := feedback.Binance("weight", "orders", "day")
	for name, text := range lines {
		for _, more := range []string{"", "Age: 0\r\n", "X-Mbx-Order-Count-10s: 3\r\n", "x-mbx-order-count-1d: 4.5\r\nX-MBX-ORDER-COUNT-10S: -1\r\n"} {
			header := messages.NewHeader(text + more)
			answer := feedback.Answer{Limit: "route", Key: "k", Status: 200, Header: &header}
			together := read(answer)
			answer.Header = header.HTTP()
			require.Equal(t, read(answer), together, "%s, and %q", name, more)
			require.NotEmpty(t, together.Usage)
		}
	}
	header := messages.NewHeader(lines["many"] + "X-MBX-ORDER-COUNT-10S: 3\r\n")
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	require.Equal(t, feedback.Feedback{Usage: []feedback.Usage{
		{Limit: "weight", Used: 7, Remaining: -1, At: at}, {Limit: "orders", Used: 3, Remaining: -1, At: at},
	}}, read(feedback.Answer{Status: 200, Header: &header}))
}

// looksAlone is a header of an engine's answer that counts how often one name is asked for
// by itself.
type looksAlone struct {
	*messages.Header
	n int
}

func (l *looksAlone) Get(name string) string {
	l.n++
	return l.Header.Get(name)
}

func TestAnEnginesHeaderIsNotAskedForOneNameAtATimeOfASuccess(t *testing.T) {
	text := messages.NewHeader(lines["many"])
	header := &looksAlone{Header: &text}
	require.Len(t, feedback.Binance("weight", "orders", "day")(feedback.Answer{Status: 200, Header: header}).Usage, 1)
	require.Zero(t, header.n)
}

func TestASuccessCostsItsListOfUsageAndNothingElse(t *testing.T) {
	read := feedback.Binance("weight", "orders", "day")
	for name, text := range lines {
		header := messages.NewHeader(text)
		answer := feedback.Answer{Limit: "route", Status: 200, Header: &header}
		require.Len(t, read(answer).Usage, 1, name)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { read(answer) }), 1.0, name)
	}
	header := messages.NewHeader("Server: s\r\nDate: Mon, 23 Nov 2026 14:00:00 GMT\r\n")
	answer := feedback.Answer{Limit: "route", Status: 200, Header: &header}
	require.Zero(t, testing.AllocsPerRun(100, func() { read(answer) }))
}

func BenchmarkASuccess(b *testing.B) {
	for name, text := range lines {
		b.Run(name, func(b *testing.B) {
			read := feedback.Binance("weight", "", "")
			header := messages.NewHeader(text)
			b.ReportAllocs()
			for b.Loop() {
				read(feedback.Answer{Limit: "route", Status: 200, Header: &header})
			}
		})
	}
}

func TestVenuesTellTheTime(t *testing.T) {
	for venue, c := range map[string]struct {
		body string
		want time.Time
	}{
		"bybit":         {`{"retCode":0,"time":1700000000123}`, time.UnixMilli(1700000000123)},
		"deribit":       {`{"usIn":1704153600000000,"usOut":1704153600001234}`, time.UnixMicro(1704153600001234)},
		"krakenfutures": {`{"serverTime":"2020-08-27T17:03:33.196Z"}`, time.UnixMilli(1598547813196)},
	} {
		f := everyReader[venue](answer(200, c.body))
		require.True(t, c.want.Equal(f.ServerTime), venue)
	}
}
