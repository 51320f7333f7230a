package throttle

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAPermitThatIsTakenBackGoesAheadOfWhoCameLater(t *testing.T) {
	for _, park := range []bool{false, true} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec})
		first, second := granted(t, l, 0, "a"), granted(t, l, 0, "a")
		third := queued(t, l, 0, "a")
		require.NoError(t, l.Pause(0, Scope{}, sec))
		back := func(p *Permit) {
			if park {
				l.Park(ms, p)
				require.Equal(t, Idle, p.State())
			}
			require.NoError(t, l.Requeue(ms, p))
			require.Equal(t, Queued, p.State())
		}
		back(second)
		back(first)
		require.Zero(t, limitOf(l, ms, "a").InFlight)
		require.NoError(t, l.Resume(ms, Scope{}))
		require.Equal(t, []*Permit{first, second}, drain(l, ms))
		require.Equal(t, Queued, third.State())
	}
}

func TestAPermitThatIsTakenBackIsGrantedAtOnceIfItCanBe(t *testing.T) {
	l := exact(t, Options{MaxQueued: 1}, Limit{ID: "a", Quota: 1, Per: sec})
	p := granted(t, l, 0, "a")
	q := queued(t, l, 0, "a")
	require.NoError(t, l.Requeue(ms, p), "a full queue takes it back")
	require.Equal(t, Granted, p.State(), "it ranks before whoever waits")
	require.Nil(t, l.Next(ms))
	require.True(t, l.Cancel(ms, q))

	urgent := &Permit{Limit: "a", Priority: Urgent}
	require.NoError(t, l.Acquire(ms, urgent))
	require.NoError(t, l.Requeue(ms, p))
	require.Equal(t, Queued, p.State())
	require.Same(t, urgent, l.Next(ms), "but not before the more urgent")
}

func TestOnlyAPermitThatWasGrantedIsTakenBack(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	require.ErrorIs(t, l.Requeue(0, &Permit{Limit: "a"}), ErrPermitUnused)
	p := granted(t, l, 0, "a")
	q := queued(t, l, 0, "a")
	require.ErrorIs(t, l.Requeue(0, q), ErrPermitUnused)
	l.Park(0, q)
	require.Equal(t, Queued, q.State())
	l.Settle(0, p, Outcome{})
	require.ErrorIs(t, l.Requeue(0, p), ErrPermitUnused)

	p.Deadline = 2 * sec
	require.True(t, l.Cancel(0, q))
	require.Nil(t, l.Next(sec))
	require.NoError(t, l.Acquire(sec, p))
	require.Equal(t, Granted, p.State())
	require.NoError(t, l.Pause(sec, Scope{}, 10*sec))
	require.ErrorIs(t, l.Requeue(sec, p), ErrDeadline)
	require.Equal(t, Idle, p.State())
	require.EqualValues(t, 0, limitOf(l, sec, "a").InFlight, "it was given back all the same")
	require.NoError(t, l.Replace(20*sec, []Limit{{ID: "b", Quota: 1, Per: sec}}))
	p = granted(t, l, 20*sec, "b")
	require.NoError(t, l.Replace(20*sec, []Limit{{ID: "a", Quota: 1, Per: sec}}))
	require.ErrorIs(t, l.Requeue(20*sec, p), ErrUnknownLimit)
	require.Equal(t, Idle, p.State())
}

func TestHoweverManyAreTakenBackTheOrderIsTheOld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New([]Limit{{ID: "a", Quota: 50, Per: sec}}, Options{})
		require.NoError(t, err)
		var all []*Permit
		for range 80 {
			p := &Permit{Limit: "a"}
			require.NoError(t, l.Acquire(0, p))
			all = append(all, p)
		}
		require.NoError(t, l.Pause(0, Scope{}, 2*sec))
		for _, i := range rapid.Permutation([]int{3, 49, 0, 7, 8, 9, 22, 21, 20, 48, 1, 2}).Draw(t, "taken back") {
			require.NoError(t, l.Requeue(0, all[i]))
			if rapid.Bool().Draw(t, "cancel") {
				require.True(t, l.Cancel(0, all[i]))
			}
		}
		require.NoError(t, l.Resume(0, Scope{}))
		var last uint64
		for p := l.Next(0); p != nil; p = l.Next(0) {
			require.Greater(t, p.seq, last)
			last = p.seq
		}
	})
}
