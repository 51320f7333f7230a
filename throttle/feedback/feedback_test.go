package feedback_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

// noon is a clock that stands still.
type noon struct{}

func (noon) Now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func answer(status int, body string, header ...string) feedback.Answer {
	h := make(http.Header)
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return feedback.Answer{Limit: "named", Key: "k", Status: status, Header: h, Body: []byte(body), Clock: noon{}}
}

func TestARefusalPausesForAsLongAsItSays(t *testing.T) {
	for _, c := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{200, "7", 0},
		{429, "7", 7 * time.Second},
		{429, " 7 ", 7 * time.Second},
		{429, "Mon, 23 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{429, "Mon, 23 Nov 2026 11:00:00 GMT", 0},
		{429, "", time.Second},
		{429, "soon", time.Second},
		{429, "-7", time.Second},
		{429, "99999999999999999999", time.Second},
		{418, "86400", 24 * time.Hour},
		{418, "", 2 * time.Minute},
		{503, "5", 5 * time.Second},
		{503, "", 0},
		{403, "", 0},
	} {
		require.Equal(t, c.want, feedback.RetryAfter(answer(c.status, "", "Retry-After", c.header)).Pause, "%d %q", c.status, c.header)
	}
}

func TestBinanceTellsWeightAndOrders(t *testing.T) {
	read := feedback.Binance("weight", "orders", "")
	date := "Mon, 23 Nov 2026 11:59:59 GMT"
	at, _ := http.ParseTime(date)

	f := read(answer(200, `{"orderId":1}`, "X-MBX-USED-WEIGHT-1M", "1190", "X-MBX-ORDER-COUNT-10S", "3", "X-MBX-ORDER-COUNT-1D", "9", "Date", date))
	require.Equal(t, []feedback.Usage{
		{Limit: "weight", Key: "k", Used: 1190, Remaining: -1, At: at},
		{Limit: "orders", Key: "k", Used: 3, Remaining: -1, At: at},
	}, f.Usage)
	require.False(t, f.TimestampRefused)

	f = read(answer(400, `{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}`))
	require.True(t, f.TimestampRefused)
	require.Empty(t, f.Usage)
}

func TestBybitRefusesWithStatus200(t *testing.T) {
	read := feedback.Bybit()
	f := read(answer(200, `{"retCode":10006,"time":1700000000123}`, "X-Bapi-Limit", "10", "X-Bapi-Limit-Status", "0"))
	require.Equal(t, time.Second, f.Pause)
	require.Equal(t, time.UnixMilli(1700000000123), f.ServerTime)
	require.Equal(t, time.Millisecond, f.Resolution)
	require.Equal(t, []feedback.Usage{{Limit: "named", Key: "k", Used: -1, Remaining: 0, Quota: 10}}, f.Usage)

	require.True(t, read(answer(200, `{"retCode":10002}`)).TimestampRefused)
	require.Equal(t, 10*time.Minute, read(answer(403, "")).Pause)
}

func TestKuCoinWithoutHeadersIsOnlyOverloaded(t *testing.T) {
	read := feedback.KuCoin("pool")
	require.Empty(t, read(answer(429, "")).Usage)
	f := read(answer(429, "", "gw-ratelimit-limit", "4000", "gw-ratelimit-remaining", "0", "gw-ratelimit-reset", "12500"))
	require.Equal(t, 12500*time.Millisecond, f.Pause)
	require.Equal(t, int64(4000), f.Usage[0].Quota)
}

func TestResetsAreReadInEveryForm(t *testing.T) {
	in30 := noon{}.Now().Add(30 * time.Second)
	for form, text := range map[feedback.ResetForm]string{
		feedback.DeltaSeconds: "30",
		feedback.DeltaMillis:  "30000",
		feedback.UnixSeconds:  "1795435230",
		feedback.UnixMillis:   "1795435230000",
	} {
		f := feedback.XRateLimit("x", form)(answer(429, "", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", text))
		require.Equal(t, 30*time.Second, f.Pause, "form %d at %d", form, in30.Unix())
	}
	f := feedback.Gate()(answer(429, "", "X-Gate-RateLimit-Requests-Remain", "0", "X-Gate-RateLimit-Reset-Timestamp", "1795435230"))
	require.Equal(t, 30*time.Second, f.Pause)
}

func TestTheDraftsFieldsAreRead(t *testing.T) {
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "daily": "d", "bytes": "x"})
	f := read(answer(429, "",
		"RateLimit-Policy", `"burst";q=100;w=60, "daily";q=1000;w=86400;pk=:YQ==:, "bytes";q=5;qu="content-bytes"`,
		"RateLimit", `"burst";r=0;t=30, "daily";r=900, "bytes";r=1, other;r=1`))
	require.Equal(t, []feedback.Usage{
		{Limit: "b", Key: "k", Used: -1, Remaining: 0, Quota: 100},
		{Limit: "d", Key: "k", Used: -1, Remaining: 900, Quota: 1000},
	}, f.Usage)
	require.Equal(t, 30*time.Second, f.Pause)

	f = read(answer(429, "", "RateLimit", `"burst";r=0;t=30`, "Retry-After", "60"))
	require.Equal(t, time.Minute, f.Pause, "Retry-After takes precedence when longer")

	for _, malformed := range []string{`"burst`, `"burst";r=1,`, `;r=1`, `"burst";=1`, `"burst" "daily"`, "\"b\x00\";r=1"} {
		require.Empty(t, read(answer(200, "", "RateLimit", malformed)).Usage, malformed)
	}
	require.Empty(t, read(answer(200, "", "RateLimit", `"burst";r=1`, "Age", "5")).Usage, "from a cache")
}

func TestJoinKeepsTheLongestPause(t *testing.T) {
	pause := func(d time.Duration, scope string) feedback.Reader {
		return func(feedback.Answer) feedback.Feedback { return feedback.Feedback{Pause: d, Scope: scope} }
	}
	f := feedback.Join(pause(1, "a"), pause(3, "b"), pause(2, "c"))(answer(200, ""))
	require.Equal(t, time.Duration(3), f.Pause)
	require.Equal(t, "b", f.Scope)
}

func TestNoAnswerMakesAReaderPanicOrPauseBackwards(t *testing.T) {
	readers := map[string]feedback.Reader{
		"binance": feedback.Binance("w", "o", "d"), "bybit": feedback.Bybit(), "kucoin": feedback.KuCoin("p"), "gate": feedback.Gate(),
		"x": feedback.XRateLimit("x", feedback.UnixMillis), "fields": feedback.RateLimitFields(map[string]string{"a": "b"}),
		"time": feedback.BodyTime("a.b"),
	}
	names := []string{
		"Retry-After", "X-MBX-USED-WEIGHT-1M", "X-Bapi-Limit-Status", "gw-ratelimit-remaining", "gw-ratelimit-reset", "Date",
		"X-Gate-RateLimit-Reset-Timestamp", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy",
	}
	rapid.Check(t, func(t *rapid.T) {
		a := answer(rapid.IntRange(100, 599).Draw(t, "status"), rapid.String().Draw(t, "body"))
		for _, n := range names {
			a.Header.(http.Header).Set(n, rapid.OneOf(rapid.String(), rapid.StringMatching(`-?[0-9]{1,25}`), rapid.StringMatching(`"a";[rt]=[0-9]{1,20}`)).Draw(t, n))
		}
		for name, read := range readers {
			f := read(a)
			require.GreaterOrEqual(t, f.Pause, time.Duration(0), name)
			for _, u := range f.Usage {
				require.True(t, u.Used >= 0 || u.Remaining >= 0, name)
			}
		}
	})
}

func TestACodeIsFoundWhereverTheBodyHasIt(t *testing.T) {
	for _, c := range []struct {
		field, body string
		refused     bool
	}{
		{"code", `{"code":50011}`, true},
		{"code", `{"c\u006fde":"50011"}`, true},
		{"error.code", `{"error":{"code":50011}}`, true},
		{"data.1.sCode", `{"data":[{"sCode":"0"},{"sCode":"50011"}]}`, true},
		{"data.2.sCode", `{"data":[{"sCode":"0"},{"sCode":"50011"}]}`, false},
		{"code", `{"code":50012}`, false},
		{"code", `{"code":null}`, false},
		{"code", `{"code":50011`, false},
		{"code", ``, false},
		{"", `{"":50011}`, false},
	} {
		read := feedback.BodyCodes{Field: c.field, Refused: []string{"50011"}, Pause: time.Second}.Read
		require.Equal(t, c.refused, read(answer(200, c.body)).Pause > 0, "%s in %s", c.field, c.body)
	}
}

func FuzzRateLimitFields(f *testing.F) {
	f.Add(`"burst";q=100;w=60`, `"burst";r=50;t=30`)
	f.Add(`a;b;c="d\"e"`, `a;r=1,a;r=2`)
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "a": "a"})
	f.Fuzz(func(t *testing.T, policy, limit string) {
		for _, u := range read(answer(429, "", "RateLimit-Policy", policy, "RateLimit", limit)).Usage {
			if u.Remaining < 0 || u.Quota < 0 {
				t.Fatalf("negative: %+v", u)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7")
	f.Add("Mon, 23 Nov 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := feedback.ParseRetryAfter(text, noon{}); d < 0 || !ok && d != 0 {
			t.Fatalf("%q: %v %v", text, d, ok)
		}
	})
}

func FuzzBodyCodes(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"1"},"t":1700000000000}`))
	read := feedback.BodyCodes{Field: "a.b", Refused: []string{"1"}, Pause: time.Second, TimeField: "t"}.Read
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := read(answer(200, string(body))); !got.ServerTime.IsZero() && got.ServerTime.Unix() < 0 {
			t.Fatalf("%v", got)
		}
	})
}
