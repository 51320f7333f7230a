package journal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/memory"
	"github.com/sluice-engine/sluice/throttle"
)

// roomOf is what a part of a limit has room for.
func (w *ward) roomOf(limit string, of throttle.Parts) int64 {
	f, err := w.ledger.Foresee(w.at(), throttle.Permit{Limit: limit, Account: of.Account, Key: of.Key})
	require.NoError(w.t, err)
	return f.Charges[0].Room
}

func (w *ward) spend(limit string, of throttle.Parts, weight int64) {
	p := &throttle.Permit{Limit: limit, Account: of.Account, Key: of.Key, Weight: weight}
	require.NoError(w.t, w.ledger.Acquire(w.at(), p))
	require.Equal(w.t, throttle.Granted, p.State())
	w.ledger.Settle(w.at(), p, throttle.Outcome{})
}

var (
	noPart  = throttle.Parts{Key: "k"}
	accOfX  = throttle.Parts{Account: "x", Key: "k"}
	accOfY  = throttle.Parts{Account: "y", Key: "k"}
	hundred = throttle.Limit{ID: "a", Quota: 100, Per: 100 * sec}
)

func by(l throttle.Limit, by throttle.By) throttle.Limit {
	l.By = by
	return l
}

func TestALimitThatIsToldApartByMoreChargesEachPartWithAllThatWasSpent(t *testing.T) {
	for _, kind := range []throttle.Window{throttle.Sliding, throttle.Fixed, throttle.FixedFromFirst, throttle.Lifetime} {
		limit := hundred
		if limit.Window = kind; kind == throttle.Lifetime {
			limit.Per = 0
		}
		w := newWard(t)
		w.start(limit)
		w.spend("a", noPart, 60)
		for range 3 { // and no more for being restarted again
			w.kill()
			w.now += sec
			w.start(by(limit, throttle.ByAccount))
			require.Equal(t, throttle.Restored{Apart: []throttle.Apart{{Limit: "a", Was: 0, Is: throttle.ByAccount}}}, w.restored)
			require.EqualValues(t, 40, w.roomOf("a", accOfX), kind)
		}
		w.spend("a", accOfX, 10)
		w.kill()
		w.start(by(limit, throttle.ByAccount))
		require.EqualValues(t, 30, w.roomOf("a", accOfX), kind)
		require.EqualValues(t, 40, w.roomOf("a", accOfY), kind)
		w.kill()
		w.start(limit)
		require.EqualValues(t, 30, w.roomOf("a", noPart), "%v: and nothing is counted twice", kind)
		w.now += 101 * sec
		w.ledger.Snapshot(w.at())
		if kind != throttle.Lifetime {
			require.EqualValues(t, 100, w.roomOf("a", noPart), kind)
		}
	}
}

func TestALimitThatIsToldApartByLessCountsWhatAllPartsSpent(t *testing.T) {
	w := newWard(t)
	w.start(by(hundred, throttle.ByAccount|throttle.ByKey))
	w.spend("a", accOfX, 20)
	w.now += 10 * sec
	w.spend("a", accOfY, 30)
	w.spend("a", throttle.Parts{Account: "y", Key: "l"}, 5)
	w.kill()
	w.start(by(hundred, throttle.ByKey))
	require.EqualValues(t, 50, w.roomOf("a", noPart))
	require.EqualValues(t, 95, w.roomOf("a", throttle.Parts{Key: "l"}))
	require.EqualValues(t, 100, w.roomOf("a", throttle.Parts{Key: "m"}))
	w.now += 91 * sec
	require.EqualValues(t, 70, w.roomOf("a", noPart))
}

func TestACounterThatIsToldApartBySomethingElseIsFull(t *testing.T) {
	leaky := throttle.Limit{ID: "a", Quota: 10, Per: sec, Burst: 100, Window: throttle.Leaky}
	w := newWard(t)
	w.start(leaky)
	w.spend("a", noPart, 60)
	for range 3 {
		w.kill()
		w.start(by(leaky, throttle.ByAccount))
		require.Zero(t, w.roomOf("a", accOfX))
	}
	w.now += 5 * sec
	require.InDelta(t, 50, w.roomOf("a", accOfX), 1)
	w.now += 6 * sec
	require.EqualValues(t, 100, w.roomOf("a", accOfY))
}

func TestWhatWasOnItsWayHoldsEveryPartThatItMayHaveBeenOf(t *testing.T) {
	w := newWard(t)
	w.start(hundred)
	w.acquire("a", 70)
	w.kill()
	w.start(by(hundred, throttle.ByAccount))
	require.EqualValues(t, 30, w.roomOf("a", accOfX))
	w.spend("a", accOfY, 30)
	w.now += 105 * sec // it may have arrived within 10 s, and counts for 100 from there
	require.EqualValues(t, 30, w.roomOf("a", accOfX))
	w.spend("a", accOfX, 30)
	w.now += 6 * sec
	require.EqualValues(t, 70, w.roomOf("a", accOfX))
}

func TestALimitThatIsKeptLongerAfterwardsIsRememberedForAsLong(t *testing.T) {
	w := newWard(t)
	w.start(tens)
	w.spend("a", noPart, 6)
	w.kill()
	longer := by(hundred, throttle.ByAccount)
	w.start(longer)
	w.now += 50 * sec
	w.kill()
	w.start(longer)
	require.EqualValues(t, 94, w.roomOf("a", accOfX))
}

func TestATableThatIsReplacedLaterKeepsWhatWasSpentUnderAnotherBy(t *testing.T) {
	w := newWard(t)
	w.start(hundred)
	w.spend("a", noPart, 60)
	w.kill()
	w.start(by(hundred, throttle.ByAccount))
	require.NoError(t, w.ledger.Replace(w.at(), nil))
	larger := by(hundred, throttle.ByAccount)
	larger.Quota = 200
	require.NoError(t, w.ledger.Replace(w.at(), []throttle.Limit{larger}))
	require.EqualValues(t, 140, w.roomOf("a", accOfX))
}

// older makes the file one of a journal that did not say yet what limits are told apart by.
func (w *ward) older() {
	store, held, err := memory.FileAt(w.path, memory.Clock{Boot: w.boot, Now: func() time.Duration { return w.now }}).Open()
	require.NoError(w.t, err)
	var frames []byte
	for record, err := range memory.Frames(held.Records) {
		require.NoError(w.t, err)
		if record[0] == 2 { // a meter
			record = record[:len(record)-1]
		}
		frames = memory.AppendFrame(frames, record)
	}
	require.NoError(w.t, store.Replace(frames))
	require.NoError(w.t, store.Close())
}

func TestAnOlderJournalMayHaveSpentForEveryAccountWhatItHasOfNone(t *testing.T) {
	w := newWard(t)
	keyed := by(throttle.Limit{ID: "k", Quota: 100, Per: 100 * sec}, throttle.ByKey)
	limits := []throttle.Limit{by(hundred, throttle.ByAccount), keyed}
	w.start(limits...)
	w.spend("a", noPart, 10)
	w.spend("a", accOfX, 20)
	w.spend("k", noPart, 30)
	w.kill()
	w.older()
	w.start(limits...)
	require.EqualValues(t, 90, w.roomOf("a", noPart))
	require.EqualValues(t, 70, w.roomOf("a", accOfX))
	require.EqualValues(t, 90, w.roomOf("a", accOfY))
	require.EqualValues(t, 70, w.roomOf("k", noPart), "a key that is there tells")
	require.EqualValues(t, 100, w.roomOf("k", throttle.Parts{Key: "l"}))
	require.Empty(t, w.warned)
}
