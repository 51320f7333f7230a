package throttle

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listener counts what a Recorder is told.
type listener struct{ told int }

func (r *listener) Granted(time.Duration, *Permit) uint32      { r.told++; return 0 }
func (r *listener) Settled(time.Duration, *Permit, Outcome)    { r.told++ }
func (r *listener) Spent(time.Duration, *Note, int64)          { r.told++ }
func (r *listener) Told(time.Duration, *Note, int64)           { r.told++ }
func (r *listener) Budgeted(time.Duration, *Note, int64, bool) { r.told++ }
func (r *listener) Filled(time.Duration, bool)                 { r.told++ }
func (r *listener) Paused(time.Duration, Scope, time.Duration) { r.told++ }
func (r *listener) Resumed(time.Duration, Scope)               { r.told++ }

func TestANameThatNoRecordCouldHoldIsRefusedBeforeAnybodyIsToldOfIt(t *testing.T) {
	most, long := strings.Repeat("k", MostName), strings.Repeat("k", MostName+1)
	l := exact(t, Options{},
		Limit{ID: "a", Quota: 9, Per: sec, By: byAll, Scope: "s"},
		Limit{ID: "budget", Quota: 9, Window: Lifetime, Fallback: "keyed"},
		Limit{ID: "keyed", Quota: 9, Per: sec, Keyed: true},
		Limit{ID: "slow", Quota: 9, Per: sec},
	)
	told := &listener{}
	l.Record(told)
	for name, p := range map[string]*Permit{
		"account": {Limit: "a", Key: "k", Account: long}, "key": {Limit: "a", Key: long},
		"egress": {Limit: "a", Key: "k", Egress: long}, "origin": {Limit: "a", Key: "k", Origin: long},
		"without a limit": {Limit: NoLimit, Origin: long}, "before it falls": {Limit: "budget", Key: long},
	} {
		require.ErrorIs(t, l.Acquire(0, p), ErrLongName, name)
		require.NotEqual(t, Granted, p.State(), name)
	}
	for _, of := range []Parts{{Key: long}, {Key: "k", Account: long}, {Key: "k", Egress: long}} {
		require.ErrorIs(t, l.Adjust(0, "a", of, 1), ErrLongName)
		require.ErrorIs(t, l.Sync(0, "a", of, 1, 0), ErrLongName)
		_, _, err := l.Announce(0, "a", of, 8)
		require.ErrorIs(t, err, ErrLongName)
	}
	for _, s := range []Scope{{Name: "s", Origin: long}, {Name: "s", Account: long}, {Name: "s", Egress: long}} {
		require.ErrorIs(t, l.Pause(0, s, sec), ErrLongName)
		require.ErrorIs(t, l.Resume(0, s), ErrLongName)
		_, err := l.Refused(0, 0, s, sec)
		require.ErrorIs(t, err, ErrLongName)
	}
	require.Zero(t, told.told)
	require.NoError(t, l.Acquire(0, &Permit{Limit: "slow", Key: long}), "a limit that is not told apart by key ignores it")
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Account: most, Key: most, Egress: most, Origin: most}))
	require.Equal(t, 2, told.told)

	for _, bad := range []Limit{
		{ID: long, Quota: 1, Per: sec}, {ID: "a", Quota: 1, Per: sec, Scope: long}, {ID: "a", Quota: 1, Per: sec, Keyed: true, Keys: []string{long}},
	} {
		_, err := New([]Limit{bad}, Options{})
		require.ErrorContains(t, err, "more than 65536 bytes")
		require.Less(t, len(err.Error()), 200)
	}
}
