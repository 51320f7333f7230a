package feedback_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestTheDraftsFieldsAreRead(t *testing.T) {
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "daily": "d", "bytes": "x"})
	f := read(answer(429, "",
		"RateLimit-Policy", `"burst";q=100;w=60, "daily";q=1000;w=86400;pk=:YQ==:, "bytes";q=5;qu="content-bytes"`,
		"RateLimit", `"burst";r=0;t=30, "daily";r=900, "bytes";r=1, other;r=1`))
	require.Equal(t, []feedback.Usage{
		{Limit: "b", Key: "k", Used: -1, Remaining: 0, Quota: 100, EndsIn: 31 * time.Second},
		{Limit: "d", Key: "k", Used: -1, Remaining: 900, Quota: 1000},
	}, f.Usage)
	f.Usage = nil
	require.Equal(t, refused(30*time.Second), f)

	f = read(answer(429, "", "RateLimit", `"burst";r=0;t=30`, "Retry-After", "60"))
	require.Equal(t, time.Minute, f.Pause, "Retry-After takes precedence when longer")
	f = read(answer(429, "", "RateLimit", `"burst";r=0;t=1000000000000000000000000000000`))
	require.Equal(t, feedback.MaxPause, f.Pause)

	for said, want := range map[string]time.Duration{
		`"burst";r=1;t=0`: time.Second, `"burst";r=1`: 0, `"burst";r=1;t=-1`: 0, `"burst";r=1;t=soon`: 0,
		`"burst";r=1;t=1000000000000000000000000000000`: feedback.MaxPause + time.Second,
	} {
		require.Equal(t, want, read(answer(200, "", "RateLimit", said)).Usage[0].EndsIn, said)
	}
	require.Zero(t, read(answer(200, "", "RateLimit", `"burst";r=1;t=3`, "Age", "0")).Usage[0].EndsIn, "a cache has kept it, however short")
	for _, malformed := range []string{`"burst`, `"burst";r=1,`, `;r=1`, `"burst";=1`, `"burst" "daily"`, "\"b\x00\";r=1"} {
		require.Empty(t, read(answer(200, "", "RateLimit", malformed)).Usage, malformed)
	}
	require.Empty(t, read(answer(200, "", "RateLimit", `"burst";r=1`, "Age", "5")).Usage, "from a cache")
}

// of is what an answer of that status says whose fields stand on these lines.
func of(read feedback.Reader, status int, policies, limits []string) feedback.Feedback {
	a := answer(status, "")
	a.Header = http.Header{"Ratelimit-Policy": policies, "Ratelimit": limits}
	return read(a)
}

func TestAListIsReadWhole(t *testing.T) {
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "daily": "d"})
	burst, daily := `"burst";r=10;t=1`, `"daily";r=0;t=3600`
	joined := of(read, 429, nil, []string{burst + ", " + daily})
	require.Equal(t, time.Hour, joined.Pause)
	require.Equal(t, joined, of(read, 429, nil, []string{burst, daily}), "on several lines")
	require.Equal(t, joined.Usage[1], of(read, 429, nil, []string{daily, burst}).Usage[0], "in their order")

	policies := []string{`"burst";q=100;w=1`, `"daily";q=1000;w=86400`}
	f := of(read, 429, policies, []string{burst, daily})
	require.Equal(t, []int64{100, 1000}, []int64{f.Usage[0].Quota, f.Usage[1].Quota}, "policies as well")
	require.Equal(t, time.Hour, f.Pause)

	require.Empty(t, of(read, 200, nil, []string{burst, `"daily`}).Usage, "malformed on one line is malformed as a whole")
	require.Empty(t, of(read, 200, nil, nil).Usage)
	alone := answer(429, "")
	alone.Header = firstLines{http.Header{"Ratelimit": {daily, burst}}}
	require.Equal(t, time.Hour, read(alone).Pause, "a Header without Values has its first line read")
}

// firstLines is a Header that has nothing but Get.
type firstLines struct{ lines http.Header }

func (f firstLines) Get(name string) string { return f.lines.Get(name) }

func TestWhatIsSaidOfAPolicyThatCountsNoRequestsIsIgnored(t *testing.T) {
	read := feedback.RateLimitFields(map[string]string{"default": "calls"})
	of := func(policies ...string) feedback.Feedback {
		return of(read, 429, policies, []string{`"default";r=0;t=30`})
	}
	bytes := `"default";q=1000000;qu="content-bytes"`
	for _, policies := range [][]string{{bytes}, {bytes, `"other";q=1`}, {bytes + `, "more";q=1;qu="concurrent-requests"`}, {`"other";q=1`}} {
		f := of(policies...)
		require.Empty(t, f.Usage, policies)
		require.Equal(t, refused(time.Second), f, "the status alone counts")
	}
	for _, policies := range [][]string{nil, {`"default";q=5`}, {`"default";q=5;qu="requests"`}, {`"default`}} {
		f := of(policies...)
		require.Len(t, f.Usage, 1, policies)
		require.Equal(t, 30*time.Second, f.Pause)
	}
}

func FuzzRateLimitFields(f *testing.F) {
	f.Add(`"burst";q=100;w=60`, `"burst";r=50;t=30`)
	f.Add(`a;b;c="d\"e"`, `a;r=1,a;r=2`)
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "a": "a"})
	f.Fuzz(func(t *testing.T, policy, limit string) {
		wantSane(t, read(answer(429, "", "RateLimit-Policy", policy, "RateLimit", limit)), limit)
	})
}
