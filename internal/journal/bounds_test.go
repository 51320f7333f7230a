package journal_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

func TestTheLongestNamesAreRememberedAndLongerOnesAreRefused(t *testing.T) {
	w := newWard(t)
	most := strings.Repeat("k", throttle.MostName)
	limit := throttle.Limit{ID: most[1:] + "i", Quota: 5, Per: 3600 * sec, By: throttle.ByAccount | throttle.ByKey | throttle.ByEgress, Scope: most}
	w.start(limit)
	permit := func() *throttle.Permit {
		return &throttle.Permit{Limit: limit.ID, Account: most, Key: most, Egress: most, Origin: most}
	}
	p := permit()
	require.NoError(t, w.ledger.Acquire(w.at(), p))
	w.ledger.Settle(w.at(), p, throttle.Outcome{})
	scope := throttle.Scope{Name: most, Origin: most, Account: most, Egress: most}
	require.NoError(t, w.ledger.Pause(w.at(), scope, w.at()+sec))
	p = permit()
	p.Key += "k"
	require.ErrorIs(t, w.ledger.Acquire(w.at(), p), throttle.ErrLongName)
	for range 2 {
		w.kill()
		w.start(limit)
		require.Empty(t, w.warned)
		require.EqualValues(t, 4, w.room(limit.ID))
		require.Len(t, w.past.Pauses, 1)
	}
}

func TestAfterARecordThatNobodyCouldReadTheNextStartTakesEverythingForFull(t *testing.T) {
	long := throttle.Scope{Origin: strings.Repeat("o", memory.MostRecord)}
	w := newWard(t)
	w.start(tens)
	w.answered("a", 1)
	w.log.Paused(w.at(), long, w.at()+sec)
	require.True(t, w.log.Lost())
	w.answered("a", 1)
	require.Len(t, w.warned, 1)
	w.kill()
	w.start(tens)
	require.True(t, w.past.Unknown)
	require.Empty(t, w.past.Pauses)

	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: ms}
		l, j := openSlow(t, s)
		p := &throttle.Permit{Limit: "a"}
		require.NoError(t, l.Acquire(0, p))
		j.Paused(0, long, sec)
		require.True(t, j.Lost())
		l.Settle(0, p, throttle.Outcome{})
		left := make(chan bool, 1)
		j.After(func(remembered bool) { left <- remembered })
		require.True(t, <-left)
		require.ErrorIs(t, j.Floor("lane").Store(5), memory.ErrGivenUp)
		require.NoError(t, j.Close())
		l, j = openSlow(t, s)
		require.Zero(t, l.Snapshot(0).Limits[0].Room)
		require.NoError(t, j.Close())
	})
}

func TestAFloorOfAnEngineThatIsClosedIsNotStored(t *testing.T) {
	w := newWard(t)
	w.start()
	f := w.log.Floor("lane")
	require.NoError(t, w.log.Close())
	require.ErrorIs(t, f.Store(5), memory.ErrGivenUp)
}
