//go:build unix

package journal_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAFullDiskIsSaidOnceAndTheNextStartTakesEverythingForFull(t *testing.T) {
	w := newWard(t)
	limits := []throttle.Limit{tens, {ID: "symbol", Quota: 1, Per: 3600 * sec, Keyed: true}}
	w.start(limits...)
	floor := w.log.Floor("lane")
	require.NoError(t, floor.Store(1000))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	small := was
	small.Cur = 5 << 20
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }()
	long := strings.Repeat("symbol", 100)
	for i := range 12_000 {
		p := &throttle.Permit{Limit: "symbol", Key: fmt.Sprint(long, i)}
		require.NoError(t, w.ledger.Acquire(w.at(), p))
		require.Equal(t, throttle.Granted, p.State(), "it goes on")
		w.ledger.Settle(w.at(), p, throttle.Outcome{})
	}
	count := map[string]int{}
	for _, text := range w.warned {
		count[text]++
	}
	gone := 0
	for text, n := range count {
		if strings.Contains(text, "goes on without it") {
			gone += n
		}
	}
	require.Equal(t, 1, gone, w.warned)
	require.Less(t, len(w.warned), 8, "of what is tried again is told seldom")
	require.True(t, w.log.Lost())
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
	require.ErrorIs(t, floor.Store(5000), memory.ErrGivenUp, "the next process would not know of it")
	require.NoError(t, floor.Store(1000), "that much is remembered")
	stored, err := floor.Load()
	require.NoError(t, err)
	require.EqualValues(t, 1000, stored)
	w.kill()
	w.start(limits...)
	stored, err = w.log.Floor("lane").Load()
	require.NoError(t, err)
	require.EqualValues(t, 1000, stored)
	require.Zero(t, w.room("a"))
	p := &throttle.Permit{Limit: "symbol", Key: "new"}
	require.NoError(t, w.ledger.Acquire(w.at(), p))
	require.Equal(t, throttle.Queued, p.State(), "a key that the memory does not know may have been used")
}
