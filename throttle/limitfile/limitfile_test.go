package limitfile

import (
	"cmp"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle"
)

const goodFile = `{"limits": [
	{"id": "weight", "quota": 6000, "per": "1m", "window": "fixed", "shared": 0.1, "scope": "address", "comment": "by IP"},
	{"id": "orders", "quota": 100, "per": "10s", "keyed": true, "keys": ["BTC", "ETH"], "reserve": [{"priority": 300, "weight": 10}]},
	{"id": "bucket", "quota": 1, "per": "1s", "window": "leaky", "burst": 20, "tick": "1s"},
	{"id": "order", "links": [{"id": "weight", "weight": 1}, {"id": "orders"}]}
]}`

func TestLimitsAreReadFromJSON(t *testing.T) {
	limits, err := Read(strings.NewReader(goodFile))
	require.NoError(t, err)
	require.Equal(t, []throttle.Limit{
		{ID: "weight", Quota: 6000, Per: time.Minute, Window: throttle.Fixed, Shared: 0.1, Scope: "address"},
		{ID: "orders", Quota: 100, Per: 10 * time.Second, Keyed: true, Keys: []string{"BTC", "ETH"}, Reserve: []throttle.Reserve{{Priority: 300, Weight: 10}}},
		{ID: "bucket", Quota: 1, Per: time.Second, Window: throttle.Leaky, Burst: 20, Tick: time.Second},
		{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders"}}},
	}, limits)
}

// A field that no file can set would be missed by whoever keeps limits as data.
func TestAFileCanSayWhateverALimitCan(t *testing.T) {
	known := reflect.TypeFor[entry]()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[throttle.Limit]()) {
		name := map[string]string{"Linked": "Links"}[field.Name]
		_, has := known.FieldByName(cmp.Or(name, field.Name))
		require.True(t, has, field.Name)
	}
}

func TestWhatTellsMetersApartIsReadFromJSON(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [
		{"id": "a", "quota": 5, "per": "1s", "by": ["egress", "account", "key"]},
		{"id": "b", "quota": 5, "per": "1s", "by": ["account"], "keyed": true},
		{"id": "c", "quota": 5, "per": "1s", "by": []}
	]}`))
	require.NoError(t, err)
	require.Equal(t, []throttle.Limit{
		{ID: "a", Quota: 5, Per: time.Second, By: throttle.ByAccount | throttle.ByKey | throttle.ByEgress},
		{ID: "b", Quota: 5, Per: time.Second, By: throttle.ByAccount, Keyed: true},
		{ID: "c", Quota: 5, Per: time.Second},
	}, limits)
}

func TestACalendarIsReadFromJSON(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [
		{"id": "daily", "quota": 5, "per": "24h", "window": "fixed", "location": "America/Los_Angeles", "close_delay": "2s"},
		{"id": "monthly", "quota": 5, "months": 1, "window": "fixed"}
	]}`))
	require.NoError(t, err)
	pacific, err := time.LoadLocation("America/Los_Angeles")
	require.NoError(t, err)
	require.Equal(t, []throttle.Limit{
		{ID: "daily", Quota: 5, Per: 24 * time.Hour, Window: throttle.Fixed, Location: pacific, CloseDelay: 2 * time.Second},
		{ID: "monthly", Quota: 5, Months: 1, Window: throttle.Fixed},
	}, limits)
}

func TestQuotasAndWhatBecomesOfThemAreReadFromJSON(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [
		{"id": "ever", "quota": 10000, "window": "lifetime", "fallback": "trickle", "adopt": "both"},
		{"id": "trickle", "quota": 1, "per": "10s", "adopt": "lower"},
		{"id": "calls", "quota": 1200, "per": "1m", "share": 0.5, "safety_margin": 0, "adopt": "nothing"},
		{"id": "careful", "quota": 1200, "per": "1m", "safety_margin": 0.1}
	]}`))
	require.NoError(t, err)
	require.Equal(t, []throttle.Limit{
		{ID: "ever", Quota: 10000, Window: throttle.Lifetime, Fallback: "trickle", Adopt: throttle.AdoptBoth},
		{ID: "trickle", Quota: 1, Per: 10 * time.Second},
		{ID: "calls", Quota: 1200, Per: time.Minute, Share: 0.5, SafetyMargin: throttle.NoMargin, Adopt: throttle.AdoptNothing},
		{ID: "careful", Quota: 1200, Per: time.Minute, SafetyMargin: 0.1},
	}, limits)
	for _, name := range adoptNames {
		require.NotContains(t, name, "unknown")
	}
	require.Equal(t, "unknown adopt", throttle.Adopt(len(adoptNames)).String(), "there are no more of them")
}

// Clocks in New York are set back on the first Sunday of November, so that day has
// twenty-five hours, and the second Sunday of March twenty-three.
func TestADayOfAFileEndsAtMidnightThoughClocksAreSet(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [{"id": "daily", "quota": 1, "per": "24h", "window": "fixed", "location": "America/New_York"}]}`))
	require.NoError(t, err)
	for begin, hours := range map[string]int{"2026-11-01T00:00:00-04:00": 25, "2026-03-08T00:00:00-05:00": 23, "2026-06-01T00:00:00-04:00": 24} {
		at, err := time.Parse(time.RFC3339, begin)
		require.NoError(t, err)
		l, err := throttle.New(limits, throttle.Options{})
		require.NoError(t, err)
		now := time.Minute // after midnight
		ahead := time.Duration(at.UnixNano())
		l.SetClock(now, ahead, ahead)
		p := &throttle.Permit{Limit: "daily"}
		require.NoError(t, l.Acquire(now, p))
		l.Settle(now, p, throttle.Outcome{})
		next := l.Snapshot(now).Limits[0].Next
		require.InDelta(t, (time.Duration(hours) * time.Hour).Seconds(), next.Seconds(), 60, begin)
	}
}

func TestAFileWithAMistakeSaysWhich(t *testing.T) {
	for file, want := range map[string]string{
		`{"limits": [{"id": "a", "qouta": 1}]}`:                                                                  "qouta",
		`{"limits": [{"id": "a", "quota": 1, "per": 60}]}`:                                                       "1m30s",
		`{"limits": [{"id": "a", "quota": 1, "per": "1 minute"}]}`:                                               "1 minute",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "window": "rolling"}]}`:                                "sliding, fixed",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s"}]} {}`:                                                  "follows",
		`{"limits": [{"id": "a", "per": "1s"}, {"id": "b", "links": [{"id":"c"}]}]}`:                             `"c"`,
		`{"limits": [{"id": "a", "quota": 1, "per": "24h", "location": "Middle/Earth"}]}`:                        "Middle/Earth",
		`{"limits": [{"id": "a", "quota": 1, "per": "24h", "location": 7}]}`:                                     "America/Los_Angeles",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "by": ["acount"]}]}`:                                   `by ["acount"]: want a list of "account", "key" and "egress"`,
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "by": ["key", "key"]}]}`:                               "each at most once",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "by": "key"}]}`:                                        `by "key": want a list`,
		`{"limits": [{"id": "a", "links": [{"id": "b"}], "by": ["key"]}, {"id": "b", "quota": 1, "per": "1s"}]}`: "by means nothing",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "share": 0}]}`:                                         "share 0: want a number above 0",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "share": 1.5}]}`:                                       "share 1.5",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "share": "half"}]}`:                                    "share",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "safety_margin": -1}]}`:                                "safety_margin -1: want",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "safety_margin": 1}]}`:                                 "below 1",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "share": 2}, {"id": "b"}]}`:                            `limit "b"`,
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "adopt": "higher"}]}`:                                  "want one of lower, both, nothing",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "adopt": 1}]}`:                                         "want one of lower, both, nothing",
		`{"limits": [{"id": "a", "quota": 1, "window": "lifetime", "fallback": "b"}]}`:                           `unknown limit "b"`,
		`{"limits": [{"id": "a", "quota": 1, "window": "lifetime", "fallback": "a"}]}`:                           "itself",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "fallback": "a"}]}`:                                    "lifetime windows only",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s"}, {"id": "b", "quota": 1, "per": "1 min"}]}`:            `limit "b": per: duration "1 min"`,
		`{"limits": [{"id": "a", "qouta": 1}, {"quota": 1, "per": 5}]}`:                                          "limit \"a\": qouta: unknown name; want one of id, quota",
		`{"limits": [{"id": "a", "QUOTA": 1, "per": "1s"}]}`:                                                     `limit "a": QUOTA: unknown name; want one of id, quota`,
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "ſhare": 1}]}`:                                         `limit "a": "ſhare": unknown name`,
		`{"limits": [{"id": "a", "quota": 1, "quota": 9, "per": "1s"}]}`:                                         `limit "a": quota: it is given twice`,
		`{"limits": [{"id": "a", "links": [{"id": "b", "id": "c"}]}]}`:                                           `limit "a": links[0].id: it is given twice`,
		`{"limits": [{"id": "a", "quota": 1, "per": "1s"}], "limits": []}`:                                       `limits: it is given twice`,
		`{"Limits": []}`:  `Limits: unknown name; want one of limits`,
		`{"limits": [7]}`: "limits: entry 1: want an object",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s"}, null]}`:                         "limits: entry 2: want an object",
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "reserve": [null]}]}`:            `limit "a": reserve[0]: null stands for nothing`,
		`{"limits": [{"id": "a", "quota": 1, "per": "1s", "tariff": [null]}]}`:             `limit "a": tariff[0]: null stands for nothing`,
		`{"limits": [{"id": "a", "per": "1s"` + strings.Repeat(`, "qouta": 1`, 30) + `}]}`: `limit "a": and 10 more`,
		`[]`:              "limits",
		`{}`:              `no list "limits"`,
		`null`:            `no list "limits"`,
		`{"limits":null}`: `no list "limits"`,
		``:                "EOF",
	} {
		_, err := Read(strings.NewReader(file))
		require.ErrorContains(t, err, want, file)
	}
}

func TestEveryMistakeOfAFileIsNamedAtOnce(t *testing.T) {
	_, err := Read(strings.NewReader(`{"limits": [{"id": "a", "qouta": 1, "per": "1 min", "window": 3}, {"quota": "x", "per": 5}]}`))
	for _, says := range []string{
		`limits: limit "a": qouta: unknown name`, `limits: limit "a": per: duration "1 min"`, `limits: limit "a": window: `,
		`limits: entry 2: quota: string where a whole number is wanted`, "limits: entry 2: per: duration 5",
	} {
		require.ErrorContains(t, err, says)
	}
}

// What is left out of an entry because it cannot be read might suit all that was read.
func TestWhatCannotBeReadHidesNoOtherMistakeAndMakesNone(t *testing.T) {
	for entries, want := range map[string][]string{
		`{"id":"a","quota":1,"per":"1s","share":5,"safety_margin":7}`: {
			`limit "a": share 5: want a number above 0, and at most 1`, `limit "a": safety_margin 7: want a number of at least 0, and below 1`},
		`{"id":"a","quota":5,"per":"1s","shared":2,"share":-1,"adopt":"yes","window":"tumbling"}`: {
			`limits: limit "a": adopt: adopt "yes": want one of lower, both, nothing`,
			`limits: limit "a": window: window "tumbling": want one of sliding, fixed, fixed-from-first, leaky, concurrency, lifetime`,
			`limit "a": share -1: want a number above 0, and at most 1`, `limit "a": shared 2 is not in [0, 1), or the window is not fixed`},
		`{"id":"a","qouta":5,"per":"1s","weight":-1},{"id":"r","links":[{"id":"a","weight":9},{"id":"x"}]}`: {
			"limits: limit \"a\": qouta: unknown name; want one of " + strings.Join(entryNames, ", "),
			`limit "a": weight -1 is not in [0, 1099511627776]`, `limit "r": is linked to unknown limit "x"`},
		`{"id":"a","quota":5,"per":5,"rtt_floor":"-1s"}`: {
			`limits: limit "a": per: duration 5: want a text such as "1m30s"`, `limit "a": rtt floor -1s is not in [0, 87840h0m0s]`},
		`{"id":7,"quota":-5,"per":"1s"},{"id":"r","links":[{"id":"whoever"}]},{"quota":-6,"per":"1s"}`: {
			`limits: entry 1: id: number where a text is wanted`, `limits: entry 3: has no id`,
			`limits: entry 1: quota -5 is not in [0, 1099511627776]`, `limits: entry 3: quota -6 is not in [0, 1099511627776]`},
		`null,{"id":"b","quota":0,"per":"1s"}`: {`limits: entry 1: want an object`, `limit "b": quota 0 admits nothing`},
		`{"id":"a","links":[{"id":"b","weight":"x"}]},{"id":"b","links":[{"id":"a"}]},{"id":"c","quota":-1,"per":"1s"}`: {
			`limits: limit "a": links[0].weight: string where a whole number is wanted`,
			`limit "c": quota -1 is not in [0, 1099511627776]`, `limit "a": is linked to itself: a → b → a`},
		`{"id":"a","links":["b",{"weight":-1}],"per":"-1s"}`: {
			`limits: limit "a": links[0]: want an object`, `limit "a": is linked to unknown limit ""`, `limit "a": link to "": weight -1 is not in [0, 1099511627776]`,
			`limit "a": is a route, for it has links and no quota, and so per means nothing: give it to what it is linked to, or give it a quota`},
	} {
		_, err := Read(strings.NewReader(`{"limits": [` + entries + `]}`))
		require.Error(t, err, entries)
		require.ElementsMatch(t, want, strings.Split(err.Error(), "\n"), entries)
	}
}

func TestAMistakeBesideTheListHidesNoneInIt(t *testing.T) {
	_, err := Read(strings.NewReader(`{"limit": 1, "limits": [{"id": "a", "quota": -1, "per": "1s"}]} {}`))
	for _, says := range []string{"limits: limit: unknown name", "something follows the document", `limit "a": quota -1`} {
		require.ErrorContains(t, err, says)
	}
}

// Whatever cannot be read of a limit without a mistake, that alone is a mistake.
func TestOfAGoodLimitNothingIsWrongButWhatCannotBeRead(t *testing.T) {
	good := []string{
		`{"id":"a","quota":9,"per":"24h","window":"fixed","location":"Europe/Berlin","offset":"1h","shared":0.5,"weight":2}`,
		`{"id":"a","quota":9,"months":1,"window":"fixed","scope":"s"}`,
		`{"id":"a","quota":1,"per":"1s","window":"leaky","burst":20,"tick":"1s","weight":5,"reserve":[{"priority":1,"weight":2}]}`,
		`{"id":"a","quota":9,"window":"lifetime","fallback":"b","adopt":"both"}`,
		`{"id":"a","quota":9,"window":"concurrency","by":["key"],"keys":["x"]}`,
		`{"id":"a","quota":9,"per":"1s","keyed":true,"keys":["x"],"rtt_floor":"10ms","tariff":[{"param":"n","up_to":3,"weight":2},{"weight":4}]}`,
		`{"id":"a","links":[{"id":"b","weight":1,"tariff":[{"param":"n","weight":2},{"weight":3}]}]}`,
	}
	for _, text := range good {
		file := `{"limits": [` + text + `, {"id":"b","quota":9,"per":"1s"}, {"id":"r","links":[{"id":"a"}]}]}`
		_, err := Read(strings.NewReader(file))
		require.NoError(t, err, file)
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &fields))
		for name, value := range fields {
			for _, wrong := range []any{struct{}{}, []any{5}, "no such thing"} {
				if _, isText := value.(string); isText && wrong == "no such thing" && (name == "id" || name == "fallback" || name == "scope") {
					continue // it is a name like any other
				}
				fields[name] = wrong
				broken, err := json.Marshal(fields)
				require.NoError(t, err)
				_, err = Read(strings.NewReader(strings.Replace(file, text, string(broken), 1)))
				wantOnly(t, err, ": "+name, string(broken))
			}
			delete(fields, name)
			fields["_"+name] = value
			broken, err := json.Marshal(fields)
			require.NoError(t, err)
			_, err = Read(strings.NewReader(strings.Replace(file, text, string(broken), 1)))
			wantOnly(t, err, ": _"+name, string(broken))
			delete(fields, "_"+name)
			fields[name] = value
		}
	}
}

// wantOnly checks that every line of an error is about one name.
func wantOnly(t *testing.T, err error, name, file string) {
	t.Helper()
	require.Error(t, err, file)
	for _, line := range strings.Split(err.Error(), "\n") {
		require.Contains(t, line, name, file)
		require.True(t, strings.HasPrefix(line, "limits: "), "%s in %s", line, file)
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	limits, err := Read(strings.NewReader("\ufeff" + goodFile))
	require.NoError(t, err)
	require.Len(t, limits, 4)
	limits, err = ReadExchangeInfo(strings.NewReader("\ufeff" + `{"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50}]}`))
	require.NoError(t, err)
	require.Len(t, limits, 1)
	for _, begin := range []string{"\xff\xfe{\x00", "\xfe\xff\x00{"} {
		_, err = Read(strings.NewReader(begin))
		require.EqualError(t, err, "limits: it is written in UTF-16: save it as UTF-8")
	}
}

func TestEveryMistakeOfAnExchangeIsNamedAtOnce(t *testing.T) {
	_, err := ReadExchangeInfo(strings.NewReader(`{"rateLimits":[
		{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":-50},
		{"rateLimitType":"ORDERS","interval":"FORTNIGHT","intervalNum":1,"limit":50}]}`))
	require.ErrorContains(t, err, "rateLimits[1] is not understood")
	require.ErrorContains(t, err, `limit "ORDERS_10S": quota -50`)
}

func TestACommentMayHoldAnything(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [{"id": "a", "quota": 1, "per": "1s", "comment": {"Seen": 1, "Seen": [{"Ü": 2}]}}]}`))
	require.NoError(t, err)
	require.Len(t, limits, 1)
}

func TestLimitsAreReadFromExchangeInfo(t *testing.T) {
	limits, err := ReadExchangeInfo(strings.NewReader(`{"timezone":"UTC","rateLimits":[
		{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},
		{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50},
		{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000}],"symbols":[]}`))
	require.NoError(t, err)
	require.Equal(t, []throttle.Limit{
		{ID: "REQUEST_WEIGHT_1M", Quota: 6000, Per: time.Minute, Window: throttle.Fixed, Scope: "address"},
		{ID: "ORDERS_10S", Quota: 50, Per: 10 * time.Second, Window: throttle.Fixed, Scope: "account", By: throttle.ByAccount},
		{ID: "ORDERS_1D", Quota: 160000, Per: 24 * time.Hour, Window: throttle.Fixed, Scope: "account", By: throttle.ByAccount},
	}, limits)

	for _, bad := range []string{
		`{}`, `{"rateLimits":[{"rateLimitType":"X","interval":"FORTNIGHT","intervalNum":1,"limit":1}]}`,
		`{"rateLimits":[{"rateLimitType":"X","interval":"DAY","intervalNum":1,"limit":0}]}`, `nothing`,
	} {
		_, err := ReadExchangeInfo(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
}

// A wrong limit may be a ban, so that none is chosen of two.
func TestALimitOfAnExchangeThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	for document, want := range map[string]string{
		`{"rateLimits":[{"rateLimitType":"A","interval":"DAY","intervalNum":1,"limit":5,"limit":500}]}`: "exchangeInfo: rateLimits[0].limit: it is given twice",
		`{"rateLimits":[{"RATELIMITTYPE":"A","interval":"DAY","intervalNum":1,"limit":5}]}`:             "exchangeInfo: rateLimits[0].RATELIMITTYPE: it is spelt rateLimitType",
		`{"rateLimits":[{"rateLimitType":"A","interval":"DAY","intervalNum":1,"limit":5,"Limit":9}]}`:   "exchangeInfo: rateLimits[0].Limit: it is spelt limit",
		`{"RateLimits":[],"rateLimits":[]}`: `exchangeInfo: "RateLimits": it is spelt rateLimits`,
		`{"rateLimits":[null]}`:             "exchangeInfo: rateLimits[0]: null",
		`{"rateLimits":[{"rateLimitType":"A","interval":"DAY","intervalNum":1,"limit":"5"}]}`: "exchangeInfo: rateLimits[0].limit: string where a whole number is wanted",
	} {
		_, err := ReadExchangeInfo(strings.NewReader(document))
		require.ErrorContains(t, err, want, document)
	}
	limits, err := ReadExchangeInfo(strings.NewReader(`{"other":1,"other":2,"rateLimits":[
		{"rateLimitType":"A","interval":"DAY","intervalNum":1,"limit":5,"count":1,"count":2,"note":null,"Note":[null]}]}`))
	require.NoError(t, err, "what is not read may be anything")
	require.Len(t, limits, 1)
}

// endless is a document that goes on for ever behind its beginning.
type endless struct {
	begin io.Reader
	again string
	read  int
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.begin.Read(p)
	if err == io.EOF {
		e.begin = strings.NewReader(e.again)
		n, err = e.begin.Read(p)
	}
	e.read += n
	return n, err
}

func TestAnExchangeInfoIsReadAsFarAsItsLimits(t *testing.T) {
	const limits = `"rateLimits":[{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":9}]`
	symbols := `"symbols":[` + strings.Repeat(`{"symbol":"BTCUSDT","filters":[{"a":[1,null,"]"]}]},`, 200_000) + `{}]`
	require.Greater(t, len(symbols), 8<<20)
	for name, document := range map[string]string{
		"in front of the symbols": "{" + limits + "," + symbols + "}",
		"behind them":             "{" + symbols + "," + limits + "}",
	} {
		found, err := ReadExchangeInfo(strings.NewReader(document))
		require.NoError(t, err, name)
		require.Len(t, found, 1, name)
	}
	tail := &endless{begin: strings.NewReader("{" + limits + `,"symbols":[`), again: `{"symbol":"BTCUSDT"},`}
	_, err := ReadExchangeInfo(tail)
	require.NoError(t, err)
	require.Less(t, tail.read, 100_000, "what stands behind them is left alone")
}

func TestADocumentWithoutAnEndIsEndedByACapThatIsNamed(t *testing.T) {
	_, err := ReadExchangeInfo(&endless{begin: strings.NewReader(`{"symbols":[1`), again: `,"` + strings.Repeat("x", 1<<16) + `"`})
	require.ErrorContains(t, err, "more than 64 MiB")
	_, err = Read(&endless{begin: strings.NewReader(`{"limits":[`), again: strings.Repeat(" ", 1<<16)})
	require.ErrorContains(t, err, "more than 64 MiB")
	_, err = ReadExchangeInfo(&endless{begin: strings.NewReader(`{"symbols":`), again: "[["})
	require.ErrorContains(t, err, "nested too deep")
}

func FuzzReadLimits(f *testing.F) {
	f.Add(goodFile)
	f.Add(`{"limits":[{"id":"a","quota":-1,"per":"-1s","links":[{"id":"a"}]}]}`)
	f.Fuzz(func(t *testing.T, file string) {
		limits, err := Read(strings.NewReader(file))
		if err != nil {
			return
		}
		if _, err := throttle.New(limits, throttle.Options{}); err != nil {
			t.Fatalf("accepted, and refused by New: %v", err)
		}
	})
}

func FuzzReadExchangeInfo(f *testing.F) {
	f.Add(`{"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		limits, err := ReadExchangeInfo(strings.NewReader(document))
		if err == nil && len(limits) == 0 {
			t.Fatal("no limits, and no error")
		}
	})
}

func TestLimitsOfOnePlaceHaveOneLocation(t *testing.T) {
	limits, err := Read(strings.NewReader(`{"limits": [
		{"id": "a", "quota": 5, "per": "24h", "window": "fixed", "location": "America/Los_Angeles"},
		{"id": "b", "quota": 5, "months": 1, "window": "fixed", "location": "America/Los_Angeles"},
		{"id": "c", "quota": 5, "months": 1, "window": "fixed"}]}`))
	require.NoError(t, err)
	require.NotNil(t, limits[0].Location)
	require.Same(t, limits[0].Location, limits[1].Location)
	require.Nil(t, limits[2].Location)
}
