package exchange

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALimitIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]Limit{
		"weight=6000/1m,fixed":             {Quota: 6000, Per: time.Minute},
		"raw=5/5m,first":                   {Kind: Raw, Quota: 5, Per: 5 * time.Minute, Policy: FromFirst},
		"orders=100/10s,sliding":           {Kind: Orders, Quota: 100, Per: 10 * time.Second, Policy: Sliding},
		"orders=200000/24h,decaying":       {Kind: Orders, Quota: 200_000, Per: 24 * time.Hour, Policy: Decaying},
		"weight=10/1s,bucket,burst=2":      {Quota: 10, Per: time.Second, Policy: TokenBucket, Burst: 2},
		"weight=10/1m30s,decaying,burst=3": {Quota: 10, Per: 90 * time.Second, Policy: Decaying, Burst: 3},
	} {
		l, err := ParseLimit(text)
		require.NoError(t, err, text)
		require.Equal(t, want, l)
		require.Equal(t, text, l.String())
	}
	l, err := ParseLimit("weight=1/1s")
	require.NoError(t, err)
	require.Equal(t, Fixed, l.Policy, "the policy may be left out")
}

func TestAWrongLimitSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "want KIND=QUOTA/PER",
		"weight":                      "want KIND=QUOTA/PER",
		"wait=1/1s":                   `unknown kind of limit "wait"`,
		"weight=x/1s":                 `quota "x" is not a whole number`,
		"weight=1/minute":             `period "minute" is not a duration`,
		"weight=1/1s,log":             `unknown policy "log"`,
		"weight=0/1s":                 "a quota of 0 admits nothing",
		"weight=1/0s":                 "period must be above zero",
		"weight=1/1s,burst=4":         "policy fixed has no burst",
		"weight=1/1s,bucket,burst=-1": `burst "-1" is not`,
		"weight=9/1ns,bucket":         "more than one unit a nanosecond",
	} {
		_, err := ParseLimit(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestIntervalsAreNamedAsInBinancesHeaders(t *testing.T) {
	for per, want := range map[time.Duration]string{
		time.Minute: "1M", 10 * time.Second: "10S", 24 * time.Hour: "1D", 5 * time.Minute: "5M",
		time.Hour: "1H", 90 * time.Second: "90S", 500 * time.Millisecond: "500MS",
	} {
		require.Equal(t, want, Limit{Per: per}.label())
	}
}

func FuzzParseLimit(f *testing.F) {
	for _, seed := range []string{"weight=6000/1m,fixed", "orders=10/1s,bucket,burst=2", "raw=9223372036854775807/1ns,decaying", "=/,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLimit(text)
		if err != nil {
			return
		}
		again, err := ParseLimit(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
		c, err := NewCounter(l)
		require.NoError(t, err)
		c.Charge(1<<60, 1<<62)
		require.GreaterOrEqual(t, c.Wait(1<<60+1, 1), time.Duration(0))
	})
}
