package feedback_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestACodeIsFoundWhereverTheBodyHasIt(t *testing.T) {
	for _, c := range []struct {
		fields  string
		body    string
		refused bool
	}{
		{"code", `{"code":50011}`, true},
		{"code", `{"c\u006fde":"50011"}`, true},
		{"code", `{"code":"500\u00311"}`, true},
		{"error.code", `{"error":{"code":50011}}`, true},
		{"error.0", `{"error":["50011"]}`, true},
		{"error.0", `{"error":[]}`, false},
		{"data.1.sCode", `{"data":[{"sCode":"0"},{"sCode":"50011"}]}`, true},
		{"data.2.sCode", `{"data":[{"sCode":"0"},{"sCode":"50011"}]}`, false},
		{"code error.code", `{"code":1,"error":{"code":50011}}`, true},
		{"code error.code", `{"code":50012,"error":{"code":50011}}`, false}, // described, and no refusal
		{"a b c d e f code", `{"code":50011}`, true},
		{"a b c d e f g code", `{"code":50011}`, false}, // one too many
		{"code", `{"code":500110}`, false},
		{"code", `{"code":null}`, false},
		{"code", `{"code":50011`, false},
		{"code", ``, false},
		{"", `{"":50011}`, false},
	} {
		read := feedback.BodyCodes{
			Fields: strings.Split(c.fields, " "),
			Codes:  map[string]feedback.Feedback{"50011": {Refused: true, Pause: time.Second}, "50012": {}},
		}.Read
		require.Equal(t, c.refused, read(answer(200, c.body)).Refused, "%s in %s", c.fields, c.body)
	}
}

func TestACodeMeansWhatItIsDescribedToMean(t *testing.T) {
	read := feedback.BodyCodes{
		Fields: []string{"error"},
		Codes: map[string]feedback.Feedback{
			"limit": {Refused: true, OwnLimit: true, Pause: time.Second}, "address": {Refused: true, Scope: "ip", Pause: time.Hour},
			"load": {Busy: true, Pause: time.Second}, "clock": {TimestampRefused: true},
		},
		Prefixes: map[string]feedback.Feedback{"lim": busy(2), "limit of": refused(3), "l": busy(1)},
	}.Read
	for code, want := range map[string]feedback.Feedback{
		"limit":      {Refused: true, OwnLimit: true, Pause: time.Second},
		"address":    {Refused: true, Scope: "ip", Pause: time.Hour},
		"load":       busy(time.Second),
		"clock":      {TimestampRefused: true},
		"limit of 5": refused(3),
		"limits":     busy(2),
		"later":      busy(1),
		"other":      {},
	} {
		require.Equal(t, want, read(answer(200, `{"error":"`+code+`"}`)), code)
	}
}

func TestHowLongACodePausesIsToldByTheAnswerFirst(t *testing.T) {
	read := feedback.BodyCodes{
		Fields: []string{"code"}, Codes: map[string]feedback.Feedback{"1": refused(9 * time.Second), "2": busy(9 * time.Second), "3": {}},
		Until: []string{"banned until ", "try again at"}, Reset: "Reset", Form: feedback.UnixMillis,
	}.Read
	for _, c := range []struct {
		sentence, body string
		header         []string
		want           time.Duration
	}{
		{"Retry-After", `{"code":1,"msg":"banned until 1795435260000"}`, []string{"Retry-After", "5"}, 5 * time.Second},
		{"an instant in the text", `{"code":1,"msg":"banned until 1795435260000."}`, []string{"Reset", "1795435230000"}, time.Minute},
		{"after another text", `{"code":1,"msg":"try again at [1795435260]"}`, nil, time.Minute},
		{"with a fraction", `{"code":1,"msg":"try again at: 1, or banned until 1795435259.5"}`, nil, time.Minute},
		{"of the past", `{"code":1,"msg":"banned until 1795435199000"}`, nil, 0},
		{"of the far future", `{"code":1,"msg":"banned until 99999999999999999999999"}`, nil, feedback.MaxPause},
		{"a header", `{"code":1,"msg":"banned until tomorrow"}`, []string{"Reset", "1795435230000"}, 30 * time.Second},
		{"a header, of an overload too", `{"code":2}`, []string{"Reset", "1795435230000"}, 30 * time.Second},
		{"nothing", `{"code":1,"msg":"banned until 5 o'clock"}`, nil, 9 * time.Second},
		{"what is no refusal does not pause", `{"code":3,"msg":"banned until 1795435260000"}`, []string{"Reset", "1795435230000"}, 0},
	} {
		require.Equal(t, c.want, read(answer(200, c.body, c.header...)).Pause, c.sentence)
	}
}

func TestABanIsReadFromTheTextByDefault(t *testing.T) {
	const text = `{"code":-1003,"msg":"Way too much request weight used; IP banned until 1795435260000. Please use WebSocket Streams."}`
	require.Equal(t, time.Minute, feedback.RetryAfter(answer(418, text)).Pause)
	require.Equal(t, time.Minute, feedback.RetryAfter(answer(429, text)).Pause)
	require.Equal(t, 5*time.Second, feedback.RetryAfter(answer(418, text, "Retry-After", "5")).Pause, "the header counts")
	require.Zero(t, feedback.RetryAfter(answer(400, text)))
}

func TestOfALargeBodyTheBeginningIsRead(t *testing.T) {
	read := feedback.BodyCodes{
		Fields: []string{"code"}, Codes: map[string]feedback.Feedback{"1": refused(time.Second)}, Until: []string{"until "},
	}.Read
	large := func(from, to string) string { return from + strings.Repeat(" ", 64<<10) + to }

	require.True(t, read(answer(400, large(`{"code":1,"msg":"`, `"}`))).Refused, "the beginning is enough")
	require.False(t, read(answer(400, large(`{"msg":"`, `","code":1}`))).Refused, "the end is not read")
	require.True(t, read(answer(200, large(`{"code":1,"msg":"`, `"}`))).Refused)
	require.True(t, read(answer(200, large(`{"msg":"`, `","code":1}`))).Refused, "the last fields of a success are")
	require.False(t, read(answer(200, large(`{"msg":"`, `","code":1,"more":{}}`))).Refused, "and nothing between")
	require.False(t, read(answer(400, `{"code":1,"msg":"`)).Refused, "what ends before its end is no JSON")
	require.Equal(t, time.Minute, read(answer(400, large(`{"code":1,"msg":"until 1795435260`, `"}`))).Pause)

	onlyErrors := feedback.BodyCodes{
		Fields: []string{"code"}, Codes: map[string]feedback.Feedback{"1": refused(time.Second)}, OnlyErrors: true,
	}.Read
	require.False(t, onlyErrors(answer(200, `{"code":1}`)).Refused)
	require.True(t, onlyErrors(answer(400, `{"code":1}`)).Refused)
}

func TestTheServersTimeIsReadInEveryForm(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`1672211918471`: time.Millisecond, `"1672211918471"`: time.Millisecond, `1672211918`: time.Second,
		`1672211918471000`: time.Microsecond, `1672211918471000000`: time.Nanosecond, `1672211918.471`: time.Millisecond,
		`"2022-12-28T07:18:38.471Z"`: time.Millisecond,
	} {
		f := feedback.BodyTime("a.t")(answer(200, `{"a":{"t":`+text+`}}`))
		require.Equal(t, want, f.Resolution, text)
		require.WithinRange(t, f.ServerTime, time.Unix(1672211918, 0), time.UnixMilli(1672211918471), text)
	}
	for _, text := range []string{`0`, `-1`, `17`, `null`, `""`, `"noon"`, `1e12`, `99999999999999999999`} {
		require.Zero(t, feedback.BodyTime("a.t")(answer(200, `{"a":{"t":`+text+`}}`)), text)
	}
}

func FuzzBodyCodes(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"1"},"t":1700000000000}`), 200)
	f.Add([]byte(`{"error":["EService:Throttled: 1795435260.5"]}`), 200)
	f.Add([]byte(`{"code":-1003,"msg":"banned until 1795435260000."}`), 418)
	read := feedback.BodyCodes{
		Fields: []string{"a.b", "error.0", "code"}, Codes: map[string]feedback.Feedback{"1": refused(time.Second), "-1003": refused(1)},
		Prefixes: map[string]feedback.Feedback{"EService:": busy(1)}, Until: []string{"until", "Throttled:"}, TimeField: "t",
	}.Read
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		got := read(answer(status, string(body)))
		wantSane(t, got, string(body))
		if !got.ServerTime.IsZero() && got.ServerTime.Unix() < 0 {
			t.Fatalf("%v", got)
		}
		for name, read := range everyReader {
			wantSane(t, read(answer(status, string(body))), name)
		}
	})
}

func TestACodeThatEndsInWhatIsReadOfABodyIsNotHalfOfIt(t *testing.T) {
	codes := feedback.BodyCodes{Fields: []string{"code"}, Codes: map[string]feedback.Feedback{"1000": {Refused: true}}, TimeField: "at"}
	for short := range 30 {
		body := `{"msg":"` + strings.Repeat("x", 64<<10-short) + `","at":1700000000000,"code":100065}`
		said := codes.Read(feedback.Answer{Status: 400, Header: http.Header{}, Body: []byte(body)})
		require.False(t, said.Refused, short)
		if !said.ServerTime.IsZero() {
			require.EqualValues(t, 1700000000000, said.ServerTime.UnixMilli(), short)
		}
	}
}
