package results

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAMeterTellsOfTheLastSecondsAndOfAll(t *testing.T) {
	h := header()
	h.WarmUp = 2 * time.Second
	m := NewMeter(h, 3)
	require.Equal(t, WarmUp, m.Snapshot(0).Phase)
	for second := range 20 {
		phase, n := WarmUp, 10
		if second >= 2 {
			phase = Main
		}
		if second >= 15 {
			n = 30
		}
		i := Interval{Second: second, Phase: phase, Offered: uint64(n), Sent: uint64(n - 1), Completed: uint64(n - 2), Operations: map[string]*Operation{"a": operation(n, time.Duration(second+1)*time.Millisecond)}}
		m.Add(time.Duration(second+1)*time.Second, i)
	}
	s := m.Snapshot(20 * time.Second)
	require.Equal(t, Main, s.Phase)
	require.Equal(t, uint64(15*10+5*30), s.Offered)
	require.Equal(t, uint64(15*10+5*30-20), s.Sent)
	require.InDelta(t, 30, s.OfferedRate, 1e-9)
	require.InDelta(t, 29, s.SentRate, 1e-9)
	require.InDelta(t, 28, s.CompletedRate, 1e-9)
	require.Equal(t, map[string]uint64{"timeout": 20}, s.Errors)
	require.Equal(t, uint64(20), s.Failed)
	require.Equal(t, 20*time.Second, s.Elapsed)
	require.InDelta(t, 19, float64(s.Service.P50)/1e6, 0.1, "of seconds 18 to 20")
	require.InDelta(t, 20, float64(s.Service.Max)/1e6, 0.1)
	require.InDelta(t, 20.029, float64(s.Total.Max)/1e6, 0.1)
	require.Greater(t, s.Total.P50, s.Total.P50/2)
	s.Errors["timeout"] = 0
	require.Equal(t, uint64(20), m.Snapshot(20 * time.Second).Errors["timeout"], "a snapshot is its owner's")

	quiet := m.Snapshot(24 * time.Second)
	require.Zero(t, quiet.Response, "nothing was told for 3 s")
	require.Zero(t, quiet.OfferedRate)
	require.Equal(t, s.Total, quiet.Total)
}

func TestTheTotalIsOfTheMainPartOnceItHasBegun(t *testing.T) {
	h := header()
	h.WarmUp = time.Second
	m := NewMeter(h, 5)
	m.Add(time.Second, Interval{Phase: WarmUp, Operations: map[string]*Operation{"a": operation(1, time.Minute)}})
	require.InDelta(t, 60, m.Snapshot(time.Second).Total.P50.Seconds(), 0.1)
	m.Add(2*time.Second, Interval{Second: 1, Phase: Main, Operations: map[string]*Operation{"a": operation(1, time.Second)}})
	m.Add(2*time.Second, Interval{Phase: WarmUp, Operations: map[string]*Operation{"a": operation(1, time.Minute), "b": nil}})
	s := m.Snapshot(2 * time.Second)
	require.InDelta(t, 1, s.Total.Max.Seconds(), 0.01, "a late answer to the warm-up does not count")
	require.InDelta(t, 60, s.Response.Max.Seconds(), 0.1, "but it came lately")
}

func TestTheFirstSecondIsToldOfToo(t *testing.T) {
	m := NewMeter(header(), 5)
	require.Zero(t, m.Snapshot(0).OfferedRate)
	m.Add(400*time.Millisecond, Interval{Phase: Main, Offered: 40, Gauges: &Gauges{InFlight: 4, Waiting: 3, Connections: 2, Limits: []LimitUse{{ID: "x", Used: 1}}}})
	s := m.Snapshot(500 * time.Millisecond)
	require.InDelta(t, 80, s.OfferedRate, 1e-9)
	require.Equal(t, []int{4, 3, 2}, []int{s.InFlight, s.Waiting, s.Connections})
	require.Equal(t, []LimitUse{{ID: "x", Used: 1}}, s.Limits)
}

func TestASteadyRunHasASteadyRateHoweverItsIntervalsComeIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMeter(header(), rapid.IntRange(1, 6).Draw(t, "seconds"))
		late := time.Duration(rapid.Int64Range(0, int64(999*time.Millisecond)).Draw(t, "late"))
		last := rapid.IntRange(2, 20).Draw(t, "last")
		for second := range last {
			now := time.Duration(second+1)*time.Second + late
			// An interval may come in pieces, and an old second may be completed late.
			for _, part := range []uint64{60, 40} {
				m.Add(now, Interval{Second: second, Phase: Main, Offered: part, Sent: part})
			}
			m.Add(now, Interval{Second: max(0, second-10), Phase: Main, Completed: 100})
			s := m.Snapshot(now)
			require.InDelta(t, 100, s.OfferedRate, 1e-9)
			require.InDelta(t, 100, s.SentRate, 1e-9)
			require.Equal(t, uint64(second+1)*100, s.Completed)
		}
	})
}
