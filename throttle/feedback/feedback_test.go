package feedback_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/throttle"
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

// says is a reader that says the same of every answer.
func says(f feedback.Feedback) feedback.Reader {
	return func(feedback.Answer) feedback.Feedback { return f }
}

func refused(pause time.Duration) feedback.Feedback {
	return feedback.Feedback{Refused: true, Pause: pause}
}

func busy(pause time.Duration) feedback.Feedback {
	return feedback.Feedback{Busy: true, Pause: pause}
}

func TestJoinBelievesTheGravest(t *testing.T) {
	scoped := func(pause time.Duration, scope string) feedback.Feedback {
		return feedback.Feedback{Refused: true, Pause: pause, Scope: scope}
	}
	for _, c := range []struct {
		sentence string
		all      []feedback.Feedback
		want     feedback.Feedback
	}{
		{"the longest pause", []feedback.Feedback{scoped(1, "a"), scoped(3, "b"), scoped(2, "c")}, scoped(3, "b")},
		{"of two alike the first", []feedback.Feedback{scoped(1, "a"), scoped(1, "b")}, scoped(1, "a")},
		{"a refusal more than a longer overload", []feedback.Feedback{busy(9), refused(1)}, refused(1)},
		{"a refusal without a pause more than none", []feedback.Feedback{{}, refused(0)}, refused(0)},
		{"an overload more than nothing", []feedback.Feedback{{Pause: 9}, busy(0)}, busy(0)},
		{"a refusal where both are said at once", []feedback.Feedback{{Refused: true, Busy: true, Pause: 2}}, refused(2)},
		{"a pause is never negative", []feedback.Feedback{refused(-1)}, refused(0)},
		{"nor without end", []feedback.Feedback{refused(1<<63 - 1)}, refused(feedback.MaxPause)},
	} {
		var readers []feedback.Reader
		for _, f := range c.all {
			readers = append(readers, says(f))
		}
		require.Equal(t, c.want, feedback.Join(readers...)(answer(200, "")), c.sentence)
	}
}

func TestPreferBelievesTheFirstThatSpeaks(t *testing.T) {
	read := feedback.Prefer(says(feedback.Feedback{}), says(busy(1)), says(refused(9)))
	require.Equal(t, busy(1), read(answer(429, "")))
}

func TestWhatIsNoVerdictIsTakenFromAllReaders(t *testing.T) {
	at := noon{}.Now()
	shared := make([]feedback.Usage, 1, 4)
	shared[0] = feedback.Usage{Limit: "a"}
	readers := []feedback.Reader{
		says(feedback.Feedback{Refused: true, Usage: shared, Costs: []throttle.Cost{{}}}),
		says(feedback.Feedback{Usage: []feedback.Usage{{Limit: "b"}}, ServerTime: at, Resolution: 1}),
		says(feedback.Feedback{ServerTime: at.Add(1), TimestampRefused: true, Costs: []throttle.Cost{{}}}),
	}
	for _, put := range []func(...feedback.Reader) feedback.Reader{feedback.Join, feedback.Prefer} {
		f := put(readers...)(answer(200, ""))
		require.Equal(t, []feedback.Usage{{Limit: "a"}, {Limit: "b"}}, f.Usage)
		require.Len(t, f.Costs, 2)
		require.Equal(t, at, f.ServerTime)
		require.True(t, f.TimestampRefused)
		require.Empty(t, shared[:2][1].Limit, "a reader's own list is not written to")
	}
}

// everyReader is each that the package has.
var everyReader = map[string]feedback.Reader{
	"default": feedback.RetryAfter,
	"binance": feedback.Binance("w", "o", "d"), "futures": feedback.BinanceFutures("w", "o", "m"),
	"bybit": feedback.Bybit(), "okx": feedback.OKX(), "kraken": feedback.Kraken(), "krakenfutures": feedback.KrakenFutures(),
	"coinbase": feedback.Coinbase(), "bitget": feedback.Bitget(), "mexc": feedback.MEXC(), "htx": feedback.HTX(),
	"deribit": feedback.Deribit(), "upbit": feedback.Upbit(map[string]string{"default": "d"}),
	"kucoin": feedback.KuCoin("p"), "gate": feedback.Gate(),
	"x": feedback.XRateLimit("x", feedback.UnixMillis), "fields": feedback.RateLimitFields(map[string]string{"a": "b"}),
	"time": feedback.BodyTime("a.b"),
}

// wantSane checks what holds for every feedback.
func wantSane(t require.TestingT, f feedback.Feedback, name string) {
	require.False(t, f.Refused && f.Busy, name)
	require.GreaterOrEqual(t, f.Pause, time.Duration(0), name)
	require.LessOrEqual(t, f.Pause, feedback.MaxPause, name)
	for _, u := range f.Usage {
		require.True(t, u.Used >= 0 || u.Remaining >= 0, name)
		require.GreaterOrEqual(t, u.Quota, int64(0), name)
	}
}

func TestNoAnswerMakesAReaderPanicOrPauseBackwards(t *testing.T) {
	names := []string{
		"Retry-After", "X-MBX-USED-WEIGHT-1M", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp", "gw-ratelimit-remaining",
		"gw-ratelimit-reset", "Date", "Age", "X-Gate-RateLimit-Reset-Timestamp", "X-RateLimit-Remaining", "X-RateLimit-Reset",
		"RateLimit", "RateLimit-Policy", "Remaining-Req", "X-HB-RateLimit-Requests-Remain", "X-HB-RateLimit-Requests-Expire",
	}
	value := rapid.OneOf(
		rapid.String(), rapid.StringMatching(`-?[0-9]{0,25}\.?[0-9]{0,3}`), rapid.StringMatching(`"a";[rt]=[0-9]{1,20}`),
		rapid.SampledFrom([]string{"0", "Mon, 23 Nov 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "group=default; sec=1"}),
	)
	body := rapid.OneOf(rapid.String(), rapid.StringMatching(`{"code":"?-?[0-9]{3,5}"?,"msg":"banned until [0-9]{1,25}"}`))
	status := rapid.OneOf(rapid.IntRange(100, 599), rapid.SampledFrom([]int{200, 403, 418, 429, 503, 529}))
	rapid.Check(t, func(t *rapid.T) {
		a := answer(status.Draw(t, "status"), body.Draw(t, "body"))
		for _, n := range names {
			a.Header.(http.Header).Set(n, value.Draw(t, n))
		}
		if rapid.Bool().Draw(t, "clock") {
			a.Clock = nil
		}
		for name, read := range everyReader {
			wantSane(t, read(a), name)
		}
	})
}

func TestOnlyRefusalsAndOverloadsPause(t *testing.T) {
	retry := []string{"Retry-After", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "60"}
	for _, status := range []int{200, 201, 301, 400, 401, 404, 408, 413, 500, 502, 504} {
		for name, read := range everyReader {
			f := read(answer(status, `{"code":1}`, retry...))
			require.False(t, f.Refused || f.Busy, "%s %d", name, status)
			require.Zero(t, f.Pause, "%s %d", name, status)
		}
	}
}

func TestReadingASuccessAllocatesNothing(t *testing.T) {
	bodies := []string{
		`{"retCode":0,"retMsg":"OK","result":{"list":[{"a":1},{"a":2}]},"time":1672211918471}`,
		`{"code":"0","data":[{"sCode":"0"}]}`, `{"error":[],"result":{"unixtime":1616336594}}`,
		`{"jsonrpc":"2.0","result":{},"usIn":1704153600000000,"usOut":1704153600001234}`,
	}
	for name, read := range everyReader {
		for _, body := range bodies {
			a := answer(200, body)
			require.Zero(t, testing.AllocsPerRun(20, func() { read(a) }), "%s %s", name, body)
		}
	}
}
