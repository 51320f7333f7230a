package exchange

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBansGrowFromMinutesToDaysForWhoeverGoesOn(t *testing.T) {
	c := one(Limit{Quota: 1, Per: time.Hour, Policy: Sliding})
	c.Ban = Ban{Factor: 4}
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		for _, want := range []string{"120", "480", "1920", "7680", "30720", "122880", "259200", "259200"} {
			r := v.get("/api/v3/ping")
			r.is(t, 418, -1003)
			require.Equal(t, want, r.header.Get("Retry-After"), "going on during a ban makes it longer")
		}
		time.Sleep(72*time.Hour - time.Second)
		require.Equal(t, "259200", v.get("/api/v3/ping").header.Get("Retry-After"), "offences are not forgotten")
		time.Sleep(72 * time.Hour)
		v.get("/api/v3/ping").is(t, 200, 0)
		r := v.Report()
		require.EqualValues(t, 1, r.Counts[ToldToWait])
		require.EqualValues(t, 8, r.Counts[WhileBanned])
		require.EqualValues(t, 9, r.WaitsBroken())
	})
}

func TestABanIsNeverShorterThanTheOneBeforeNorLongerThanTheLongest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ban := Ban{
			Base:   time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "base")),
			Factor: rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 1000)).Draw(t, "factor"),
		}
		ban.Max = ban.Base + time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "more"))
		exact := float64(ban.Base)
		for n := int64(1); n < 200; n++ {
			length := ban.length(n)
			require.InDelta(t, min(exact, float64(ban.Max)), float64(length), 1+1e-9*float64(ban.Max))
			require.LessOrEqual(t, length, ban.Max)
			require.GreaterOrEqual(t, length, ban.length(max(1, n-1)))
			if ban.Factor > 0 {
				exact *= ban.Factor
			} else {
				exact += float64(ban.Base)
			}
		}
		require.Equal(t, ban.Max, Ban{Base: ban.Base, Max: ban.Max, Factor: 2}.length(math.MaxInt64))
	})
}

func TestDelaysOfOtherShapesAreAsTheirTextSays(t *testing.T) {
	const n = 20_000
	normal := sample(t, "normal:10ms,3ms", n)
	require.InEpsilon(t, 10e6, float64(normal[n/2]), 0.02)
	require.InEpsilon(t, 13e6, float64(normal[n*8413/10_000]), 0.02)
	require.Zero(t, sample(t, "normal:1ms,5ms", n)[0], "time does not go back")

	pareto := sample(t, "pareto:2ms,1.5", n)
	require.GreaterOrEqual(t, pareto[0], 2*time.Millisecond)
	require.InEpsilon(t, 2e6*math.Pow(2, 1/1.5), float64(pareto[n/2]), 0.02)
	require.InEpsilon(t, 2e6*math.Pow(100, 1/1.5), float64(pareto[n*99/100]), 0.15)
	require.LessOrEqual(t, sample(t, "pareto:1h,0.1", n)[n-1], time.Hour)

	mixed := sample(t, "150us:10,2ms:5", n)
	require.Zero(t, mixed[n*84/100])
	require.Equal(t, 150*time.Microsecond, mixed[n*86/100])
	require.Equal(t, 150*time.Microsecond, mixed[n*94/100])
	require.Equal(t, 2*time.Millisecond, mixed[n*96/100])
	require.Equal(t, 2*time.Millisecond, mixed[n-1])
	require.Equal(t, "5ms+150µs:10,2ms:5+normal:1ms,2ms", mustDelay(t, "5ms+150us:10,2ms:5+normal:1ms,2ms").String())
}

func TestAStallEndsForAllAtOnceWhateverItsNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stalls []Stall
		for range rapid.IntRange(0, 5).Draw(t, "stalls") {
			stalls = append(stalls, Stall{
				For: time.Duration(rapid.IntRange(1, 20).Draw(t, "for")), After: time.Duration(rapid.IntRange(0, 40).Draw(t, "after")),
			})
		}
		at := time.Duration(rapid.IntRange(0, 80).Draw(t, "at"))
		free := at // the first instant from then on that is in none of them
		for in := true; in; {
			in = false
			for _, s := range stalls {
				in = in || free >= s.After && free < s.After+s.For
			}
			if in {
				free++
			}
		}
		require.Equal(t, free-at, stalled(stalls, at))
	})
}

func TestStallsCountFromTheFirstRequest(t *testing.T) {
	stall, err := ParseStall("2s@5s")
	require.NoError(t, err)
	inFakeTime(t, Config{Stalls: []Stall{stall, {For: time.Second, After: 9 * time.Second}}}, func(t *testing.T, v *venue) {
		time.Sleep(time.Hour)
		began := time.Now()
		for _, c := range []struct{ sent, took time.Duration }{
			{0, 0}, {4999 * time.Millisecond, 0}, {5500 * time.Millisecond, 1500 * time.Millisecond}, {7 * time.Second, 0}, {9 * time.Second, time.Second}, {11 * time.Second, 0},
		} {
			time.Sleep(c.sent - time.Since(began))
			sent := time.Now()
			v.get("/api/v3/ping").is(t, 200, 0)
			require.Equal(t, c.took, time.Since(sent), "sent at %s", c.sent)
		}
	})
}

func TestAWrongStallSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"2s": "want FOR@AFTER", "x@5s": "want durations", "2s@": "want durations", "0s@5s": "above 0", "2s@-1s": "above 0", "1s@9999h": "within 30 days",
	} {
		_, err := ParseStall(text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParseStall(f *testing.F) {
	for _, seed := range []string{"2s@5s", "1ms@0s", "@", "1h@1h@1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStall(text)
		if err != nil {
			return
		}
		again, err := ParseStall(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}

func FuzzParseStatuses(f *testing.F) {
	for _, seed := range []string{"503:1,429:0.5", "500:100%", "after-500:1", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseStatuses(text)
		if err != nil {
			return
		}
		for _, fault := range faults {
			require.Equal(t, FaultStatus, fault.Kind)
			require.LessOrEqual(t, fault.Probability, 1.0)
		}
		drawFault(faults, rand.New(rand.NewPCG(1, 1)))
	})
}

func TestStatusesAreReadAsFortioWritesThem(t *testing.T) {
	faults, err := ParseStatuses("503:20,404:0.5%")
	require.NoError(t, err)
	require.Equal(t, []Fault{{FaultStatus, 503, 0.2}, {FaultStatus, 404, 0.005}}, faults)
	for _, text := range []string{"503", "close:1", "after-503:1", "503:60,404:41", "200:1", "503:0"} {
		_, err := ParseStatuses(text)
		require.Error(t, err, text)
	}
}
