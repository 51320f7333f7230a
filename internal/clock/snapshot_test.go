package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASnapshotAgreesWithTheEstimatorItCameFrom(t *testing.T) {
	epoch := time.Now()
	e := NewEstimator(Config{Epoch: epoch})
	for i := range 20 {
		e.Add(exchange(time.Duration(i)*time.Second, 5*ms, 7*ms, time.Duration(i)*50*time.Microsecond))
	}
	now := 20 * time.Second
	s := e.Snapshot(now)
	for _, later := range []time.Duration{0, time.Second, time.Hour} {
		local := epoch.Add(now + later)
		est, bound := s.At(local)
		lo, hi := s.Range(local)
		wantLo, wantHi := e.Bounds(now + later)
		require.Equal(t, int64(now+later+wantLo), lo.UnixNano())
		require.Equal(t, int64(now+later+wantHi), hi.UnixNano())
		require.False(t, est.Before(lo) || est.After(hi))
		require.Equal(t, max(hi.Sub(est), est.Sub(lo)), bound)
	}
	require.Equal(t, 20, s.Samples())
}

func TestASnapshotReadsTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEstimator(Config{})
		e.Add(exchange(0, 5*ms, 5*ms, 0))
		s := e.Snapshot(10 * ms)
		time.Sleep(3 * time.Second)
		require.Equal(t, 3*time.Second-10*ms, s.Age())
		require.InDelta(t, float64(unix0+3*time.Second), float64(s.Now().UnixNano()), float64(ms))
		require.InDelta(t, float64(5*ms+1800*time.Microsecond), float64(s.Bound()), float64(ms))
		require.Equal(t, time.Until(s.Now()), s.Offset())
		require.Equal(t, 3*time.Second, e.Since(time.Now()))
	})
}

func TestTheNewestSnapshotIsPublished(t *testing.T) {
	var p Published
	require.Nil(t, p.Load())
	s := NewAfter(t, Config{}).Snapshot(0)
	p.Store(s)
	require.Same(t, s, p.Load())
}

func TestReadingASnapshotAllocatesNothing(t *testing.T) {
	var p Published
	p.Store(NewAfter(t, Config{}).Snapshot(0))
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Load().At(time.Now()) }))
}

func BenchmarkTimeNow(b *testing.B) {
	for b.Loop() {
		_ = time.Now()
	}
}

// What a signer pays on top of time.Now.
func BenchmarkSnapshotAt(b *testing.B) {
	var p Published
	e := NewEstimator(Config{})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	p.Store(e.Snapshot(0))
	local := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Load().At(local)
	}
}

func BenchmarkAddAndSnapshot(b *testing.B) {
	e := NewEstimator(Config{})
	now := time.Duration(0)
	for b.Loop() {
		e.Add(exchange(now, 5*ms, 5*ms, 0))
		_ = e.Snapshot(now + 10*ms)
		now += time.Second
	}
}
