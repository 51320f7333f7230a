package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRatesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Rate{
		"500/s": {500, time.Second}, "500": {500, time.Second}, "500/1s": {500, time.Second}, "12.5/s": {25, 2 * time.Second},
		"30/1m": {30, time.Minute}, "30/m": {30, time.Minute}, "3/250ms": {3, 250 * time.Millisecond}, "0": {0, time.Second}, "0.0/m": {0, time.Minute},
		"0.001/s": {1, 1000 * time.Second}, "2.50/s": {5, 2 * time.Second}, "1000/1h30m": {1000, 90 * time.Minute}, "007": {7, time.Second},
		"18446744073709551615/s": {math.MaxUint64, time.Second}, "5/.5s": {5, 500 * time.Millisecond},
	} {
		rate, err := ParseRate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, rate, text)
		again, err := ParseRate(rate.String())
		require.NoError(t, err)
		require.Equal(t, rate, again)
	}
	require.Equal(t, "30/1m", Rate{30, time.Minute}.String())
	require.Equal(t, "5/1h", Rate{5, time.Hour}.String())
	require.Equal(t, "0/s", Rate{}.String())
}

func TestWhatIsNoRateIsRefused(t *testing.T) {
	for _, text := range []string{"", "/s", "x", "-5/s", "+5", "5/", "5/0s", "5/-1s", "5/s/s", "1e3/s", "1_000", "5.", ".5", "5..5", "1.2.3", "5/x", "5 /s", "5/ s",
		"18446744073709551616", "0.0000000000000000001/s", "0.000000000000000001/100000h", "5/9999999999h", "٣/s"} {
		_, err := ParseRate(text)
		var typed *SyntaxError
		require.ErrorAs(t, err, &typed, text)
		require.Equal(t, text, typed.Text)
	}
}

func TestStagesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Stage{
		"30s:1000/s":       {perSecond(1000), perSecond(1000), 30 * time.Second},
		"30s:100/s-1000/s": {perSecond(100), perSecond(1000), 30 * time.Second},
		"1m:100-1000/m":    {Rate{100, time.Minute}, Rate{1000, time.Minute}, time.Minute},
		"1m:100/s-1000":    {perSecond(100), perSecond(1000), time.Minute},
		"0s:5/s":           {perSecond(5), perSecond(5), 0},
		"0:5/s":            {perSecond(5), perSecond(5), 0},
		"1h30m:0-12.5/s":   {perSecond(0), Rate{25, 2 * time.Second}, 90 * time.Minute},
	} {
		stage, err := ParseStage(text)
		require.NoError(t, err, text)
		require.Equal(t, want, stage, text)
		again, err := ParseStage(stage.String())
		require.NoError(t, err, stage.String())
		require.Equal(t, stage, again)
	}
	for _, text := range []string{"", "30s", "30s:", ":5/s", "30:5/s", "-30s:5/s", "30s:5/s-", "30s:-5/s", "30s:5/s-6/s-7/s", "0s:1/s-2/s", "30s:5/s:1", "+5s:5/s"} {
		_, err := ParseStage(text)
		var typed *SyntaxError
		require.ErrorAs(t, err, &typed, text)
		require.Equal(t, "stage", typed.What)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"500/s", "12.5/s", "30/1m", "500", "1/1ns", "0.1/0.1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := ParseRate(text)
		if err != nil {
			return
		}
		require.Positive(t, rate.Per)
		again, err := ParseRate(rate.String())
		require.NoError(t, err)
		require.Equal(t, rate, again)
	})
}

func FuzzParseStage(f *testing.F) {
	for _, text := range []string{"30s:1000/s", "30s:100/s-1000/s", "1m:100-1000/m", "0s:5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stage, err := ParseStage(text)
		if err != nil {
			return
		}
		again, err := ParseStage(stage.String())
		require.NoError(t, err)
		require.Equal(t, stage, again)
		if schedule, err := (Spec{Stages: []Stage{stage}}).Schedule(); err == nil {
			_, ok := schedule.At(0)
			require.True(t, ok)
		}
	})
}
