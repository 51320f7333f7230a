package feedback_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Noon as a Unix time, and a minute after as a date.
const (
	noonSeconds = 1795435200
	inAMinute   = "Mon, 23 Nov 2026 12:01:00 GMT"
)

func TestARefusalPausesForAsLongAsItSays(t *testing.T) {
	const longest = feedback.MaxPause
	for _, c := range []struct {
		sentence string
		status   int
		header   string
		want     feedback.Feedback
	}{
		{"seconds", 429, "7", refused(7 * time.Second)},
		{"in spaces", 429, " 7 ", refused(7 * time.Second)},
		{"a fraction is rounded up", 429, "2.4", refused(3 * time.Second)},
		{"unless it is none", 429, "2.000", refused(2 * time.Second)},
		{"the least of fractions is a second", 429, ".0001", refused(time.Second)},
		{"zero leaves it to the throttler", 429, "0", refused(0)},
		{"so does zero with a fraction of zero", 429, "0.0", refused(0)},
		{"a date", 429, inAMinute, refused(time.Minute)},
		{"in the older form", 429, "Monday, 23-Nov-26 12:01:00 GMT", refused(time.Minute)},
		{"in the oldest", 429, "Mon Nov 23 12:01:00 2026", refused(time.Minute)},
		{"as in RFC 3339", 429, "2026-11-23T12:01:00Z", refused(time.Minute)},
		{"a date that has passed", 429, "Mon, 23 Nov 2026 11:00:00 GMT", refused(0)},
		{"a date of another century", 429, "Fri, 31 Dec 2500 23:59:59 GMT", refused(longest)},
		{"the last of dates", 429, "Fri, 31 Dec 9999 23:59:59 GMT", refused(longest)},
		{"a Unix time", 429, "1795435260", refused(time.Minute)},
		{"a Unix time in milliseconds", 429, "1795435260000", refused(time.Minute)},
		{"a Unix time that has passed", 429, "1795435199", refused(0)},
		{"what is too large for a Unix time of ours", 429, "99999999999", refused(longest)},
		{"what is too large for an int64", 429, "99999999999999999999", refused(longest)},
		{"what is too large for anything", 429, "1000000000000000000000000000000.5", refused(longest)},
		{"nothing", 429, "", refused(time.Second)},
		{"a negative number is no number", 429, "-7", refused(time.Second)},
		{"nor are words", 429, "soon", refused(time.Second)},
		{"nor is an exponent", 429, "1e3", refused(time.Second)},
		{"nor two points", 429, "1.2.3", refused(time.Second)},
		{"nor a point", 429, ".", refused(time.Second)},
		{"a ban", 418, "86400", feedback.Feedback{Refused: true, Whole: true, Pause: 24 * time.Hour}},
		{"a ban of unknown length", 418, "", feedback.Feedback{Refused: true, Whole: true, Pause: 2 * time.Minute}},
		{"an overload", 503, "3600", busy(time.Hour)},
		{"an overload with a fraction", 503, "2.4", busy(3 * time.Second)},
		{"an overload of unknown length", 503, "", busy(200 * time.Millisecond)},
		{"another", 529, "5", busy(5 * time.Second)},
		{"forbidden", 403, "60", feedback.Feedback{}},
	} {
		got := feedback.RetryAfter(answer(c.status, "", "Retry-After", c.header))
		require.Equal(t, c.want, got, "%s: %d %q", c.sentence, c.status, c.header)
	}
}

func TestADateIsMeasuredAgainstTheAnswersOwn(t *testing.T) {
	const retry, date = "Mon, 23 Nov 2026 15:01:00 GMT", "Mon, 23 Nov 2026 15:00:00 GMT" // the clock here says noon
	f := feedback.RetryAfter(answer(429, "", "Retry-After", retry, "Date", date))
	require.Equal(t, time.Minute, f.Pause)
	f = feedback.RetryAfter(answer(429, "", "Retry-After", retry, "Date", date, "Age", "20"))
	require.Equal(t, 40*time.Second, f.Pause, "the answer lay in a cache meanwhile")
	f = feedback.RetryAfter(answer(429, "", "Retry-After", retry, "Date", "tomorrow"))
	require.Equal(t, 3*time.Hour+time.Minute, f.Pause, "a date that is none is no help")
	f = feedback.XRateLimit("x", feedback.UnixSeconds)(
		answer(429, "", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795446060", "Date", date))
	require.Equal(t, time.Minute, f.Pause, "a reset as well")
	f = feedback.RetryAfter(answer(418, `{"code":-1003,"msg":"IP banned until 1795446060000."}`, "Date", date))
	require.Equal(t, time.Minute, f.Pause, "and an instant in a body")

	unknown := answer(429, "", "Retry-After", retry)
	unknown.Clock = nil
	require.Equal(t, refused(time.Second), feedback.RetryAfter(unknown), "nobody knows what time it is")
	unknown.Header.(http.Header).Set("Retry-After", "7")
	require.Equal(t, refused(7*time.Second), feedback.RetryAfter(unknown), "which seconds do not mind")
}

func TestResetsAreReadInEveryForm(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	const longest = feedback.MaxPause
	all := []feedback.ResetForm{feedback.DeltaSeconds, feedback.DeltaMillis, feedback.UnixSeconds, feedback.UnixMillis}
	seconds := []feedback.ResetForm{feedback.DeltaSeconds, feedback.UnixSeconds}
	millis := []feedback.ResetForm{feedback.DeltaMillis, feedback.UnixMillis}
	unix := []feedback.ResetForm{feedback.DeltaSeconds, feedback.UnixSeconds, feedback.UnixMillis}
	for _, c := range []struct {
		sentence string
		text     string
		forms    []feedback.ResetForm
		want     time.Duration
	}{
		{"a number of seconds", "30", seconds, 30 * s},
		{"with a fraction", "29.25", seconds, 30 * s},
		{"a number of milliseconds", "12500", millis, 12500 * ms},
		{"with a fraction", "12499.5", millis, 12500 * ms},
		{"a Unix time", "1795435230", unix, 30 * s},
		{"in milliseconds", "1795435230000", all, 30 * s},
		{"in microseconds", "1795435230000000", all, 30 * s},
		{"in nanoseconds", "1795435230000000000", all, 30 * s},
		{"with a fraction", "1795435229.25", unix, 30 * s},
		{"of the past", "1795435170", unix, 0},
		{"as RFC 3339", "2026-11-23T12:00:30Z", all, 30 * s},
		{"elsewhere", "2026-11-23 13:00:30.5+01:00", all, 30500 * ms},
		{"as a date of HTTP", "Mon, 23 Nov 2026 12:00:30 GMT", all, 30 * s},
		{"of the far future", "Fri, 31 Dec 9999 23:59:59 GMT", all, longest},
		{"of the farther", "9223372036854775807", all, longest},
		{"of the farthest", "1000000000000000000000000000000", all, longest},
		{"now", "0", all, 0},
		{"garbage", "soon", all, 0},
		{"something negative", "-30", all, 0},
		{"nothing", "", all, 0},
	} {
		for _, form := range c.forms {
			usage := feedback.HeaderUsage{Remaining: "Left", Reset: "Reset", Form: form, Exhausted: true}
			f := usage.Read(answer(429, "", "Left", "0", "Reset", c.text))
			require.True(t, f.Refused)
			require.Equal(t, c.want, f.Pause, "%s: %q, form %d", c.sentence, c.text, form)
		}
	}
	none := feedback.HeaderUsage{Remaining: "Left", Reset: "Reset", Exhausted: true}
	require.Zero(t, none.Read(answer(429, "", "Left", "0", "Reset", "30")).Pause, "it is not to be trusted")
}

func TestAnExhaustedLimitIsRefusedUntilItsReset(t *testing.T) {
	usage := feedback.HeaderUsage{Remaining: "Left", Reset: "Reset", Form: feedback.DeltaSeconds, Exhausted: true}
	for _, c := range []struct {
		sentence string
		status   int
		left     string
		want     feedback.Feedback
	}{
		{"refused", 429, "0", feedback.Feedback{Refused: true, OwnLimit: true, Pause: 30 * time.Second}},
		{"refused with a 403", 403, "0", feedback.Feedback{Refused: true, OwnLimit: true, Pause: 30 * time.Second}},
		{"used up, but not refused", 200, "0", feedback.Feedback{}},
		{"refused for something else", 429, "1", feedback.Feedback{}},
		{"failed for something else", 503, "0", feedback.Feedback{}},
	} {
		f := usage.Read(answer(c.status, "", "Left", c.left, "Reset", "30"))
		f.Usage = nil
		require.Equal(t, c.want, f, c.sentence)
	}
	f := usage.Read(answer(429, "", "Left", "0", "Reset", "30", "Retry-After", "31"))
	require.Equal(t, 31*time.Second, f.Pause, "the longer of the two")
	usage.Limit = "linked"
	require.False(t, usage.Read(answer(429, "", "Left", "0")).OwnLimit, "it is another limit's")
}

func TestNumbersInHeadersAreReadAsFarAsTheyGo(t *testing.T) {
	const most = 1<<63 - 1
	usage := feedback.HeaderUsage{Used: "Used", Remaining: "Left", Quota: "Quota"}
	for _, c := range []struct {
		sentence          string
		used, left, quota string
		want              []feedback.Usage
	}{
		{"what remains counts", "90", "5", "100", []feedback.Usage{{Used: -1, Remaining: 5, Quota: 100}}},
		{"or else what is used", "90", "", "100", []feedback.Usage{{Used: 90, Remaining: -1, Quota: 100}}},
		{"or what remains is not understood", "90", "-5", "", []feedback.Usage{{Used: 90, Remaining: -1}}},
		{"a fraction does not remain", "", "4.9", "10.5", []feedback.Usage{{Used: -1, Remaining: 4, Quota: 10}}},
		{"no number is too large", "1000000000000000000000", "", "9999999999999999999", []feedback.Usage{{Used: most, Remaining: -1, Quota: most}}},
		{"a quota alone says nothing", "", "", "100", nil},
		{"neither does garbage", "many", "few", "some", nil},
	} {
		f := usage.Read(answer(200, "", "Used", c.used, "Left", c.left, "Quota", c.quota))
		for i := range c.want {
			c.want[i].Limit, c.want[i].Key = "named", "k"
		}
		require.Equal(t, c.want, f.Usage, c.sentence)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"7", "2.4", inAMinute, "1795435260", "2026-11-23T12:01:00Z", "99999999999999999999"} {
		f.Add(text, "Mon, 23 Nov 2026 11:59:59 GMT", "3")
	}
	f.Fuzz(func(t *testing.T, text, date, age string) {
		d, ok := feedback.ParseRetryAfter(text, noon{})
		if d < 0 || d > feedback.MaxPause || !ok && d != 0 {
			t.Fatalf("%q: %v %v", text, d, ok)
		}
		for _, status := range []int{418, 429, 503} {
			wantSane(t, feedback.RetryAfter(answer(status, text, "Retry-After", text, "Date", date, "Age", age)), text)
		}
	})
}

func FuzzReset(f *testing.F) {
	for form, text := range []string{"", "30", "12500.5", "1795435230.25", "1795435230000", "2026-11-23T12:00:30Z"} {
		f.Add(text, uint8(form), "0")
	}
	f.Fuzz(func(t *testing.T, text string, form uint8, left string) {
		usage := feedback.HeaderUsage{
			Used: "Left", Remaining: "Left", Quota: "Reset", Reset: "Reset", Form: feedback.ResetForm(form), Exhausted: true,
		}
		wantSane(t, usage.Read(answer(429, "", "Left", left, "Reset", text)), text)
	})
}

func TestAResetTellsWhichWindowANumberIsAbout(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	type told struct {
		at time.Time
		in time.Duration
	}
	for _, c := range []struct {
		form  feedback.ResetForm
		reset string
		want  told
	}{
		{feedback.UnixSeconds, fmt.Sprint(at.Unix()), told{at: at}},
		{feedback.DeltaSeconds, fmt.Sprint(at.Unix()), told{at: at}},
		{feedback.UnixMillis, fmt.Sprint(at.UnixMilli()), told{at: at}},
		{feedback.UnixSeconds, at.Format(time.RFC3339), told{at: at}},
		{feedback.DeltaSeconds, "0", told{in: time.Second}},
		{feedback.DeltaSeconds, "2.5", told{in: 4 * time.Second}},
		{feedback.UnixSeconds, "30", told{in: 31 * time.Second}},
		{feedback.DeltaMillis, "1500", told{in: 2500 * time.Millisecond}},
		{feedback.DeltaSeconds, "899999999", told{in: feedback.MaxPause + time.Second}},
		{feedback.DeltaSeconds, "-1", told{}},
		{feedback.UnixSeconds, "tomorrow", told{}},
		{feedback.UnixSeconds, "", told{}},
		{feedback.NoReset, "30", told{}},
	} {
		read := feedback.HeaderUsage{Remaining: "Left", Reset: "Reset", Form: c.form}.Read
		u := read(answer(200, "", "Left", "5", "Reset", c.reset)).Usage[0]
		require.True(t, c.want.at.Equal(u.Ends), "%v %s: %v", c.form, c.reset, u.Ends)
		require.Equal(t, c.want.in, u.EndsIn, "%v %s", c.form, c.reset)
		kept := read(answer(200, "", "Left", "5", "Reset", c.reset, "Age", "3")).Usage[0]
		require.True(t, kept.Ends.IsZero() && kept.EndsIn == 0, "a cache has kept it")
	}
	gate := feedback.Gate()(answer(200, "{}", "X-Gate-RateLimit-Requests-Remain", "5", "X-Gate-RateLimit-Reset-Timestamp", fmt.Sprint(at.Unix())))
	require.True(t, gate.Usage[0].Ends.IsZero(), "it is the present instant where nothing was refused")
}
