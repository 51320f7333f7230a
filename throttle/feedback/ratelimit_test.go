package feedback_test

import (
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
		{Limit: "b", Key: "k", Used: -1, Remaining: 0, Quota: 100},
		{Limit: "d", Key: "k", Used: -1, Remaining: 900, Quota: 1000},
	}, f.Usage)
	f.Usage = nil
	require.Equal(t, refused(30*time.Second), f)

	f = read(answer(429, "", "RateLimit", `"burst";r=0;t=30`, "Retry-After", "60"))
	require.Equal(t, time.Minute, f.Pause, "Retry-After takes precedence when longer")
	f = read(answer(429, "", "RateLimit", `"burst";r=0;t=1000000000000000000000000000000`))
	require.Equal(t, feedback.MaxPause, f.Pause)

	for _, malformed := range []string{`"burst`, `"burst";r=1,`, `;r=1`, `"burst";=1`, `"burst" "daily"`, "\"b\x00\";r=1"} {
		require.Empty(t, read(answer(200, "", "RateLimit", malformed)).Usage, malformed)
	}
	require.Empty(t, read(answer(200, "", "RateLimit", `"burst";r=1`, "Age", "5")).Usage, "from a cache")
}

func FuzzRateLimitFields(f *testing.F) {
	f.Add(`"burst";q=100;w=60`, `"burst";r=50;t=30`)
	f.Add(`a;b;c="d\"e"`, `a;r=1,a;r=2`)
	read := feedback.RateLimitFields(map[string]string{"burst": "b", "a": "a"})
	f.Fuzz(func(t *testing.T, policy, limit string) {
		wantSane(t, read(answer(429, "", "RateLimit-Policy", policy, "RateLimit", limit)), limit)
	})
}
