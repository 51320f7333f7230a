package throttle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyedLimitAdmitsNoMissingAndNoMistypedKey(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "any", Quota: 1, Per: sec, Keyed: true},
		Limit{ID: "listed", Quota: 1, Per: sec, Keyed: true, Keys: []string{"BTCUSDT", "ETHUSDT"}},
		Limit{ID: "route", Linked: []Link{{ID: "listed"}}},
		Limit{ID: "plain", Quota: 9, Per: sec},
	)
	for _, c := range []struct {
		limit, key string
		want       error
	}{
		{"any", "", ErrNoKey}, {"any", "x", nil}, {"plain", "", nil}, {"plain", "x", nil},
		{"listed", "", ErrNoKey}, {"listed", "BTCUSD", ErrUnknownKey}, {"listed", "BTCUSDT", nil},
		{"route", "", ErrNoKey}, {"route", "btcusdt", ErrUnknownKey}, {"route", "ETHUSDT", nil},
	} {
		err := l.Acquire(0, &Permit{Limit: c.limit, Key: c.key})
		if c.want == nil {
			require.NoError(t, err, "%s of %s", c.key, c.limit)
			continue
		}
		require.ErrorIs(t, err, c.want, "%s of %s", c.key, c.limit)
		var of *LimitError
		require.ErrorAs(t, err, &of)
		require.NotEqual(t, "route", of.ID, "the limit is named that wants the key")
		if c.limit != "route" {
			require.ErrorIs(t, l.Adjust(0, c.limit, Parts{Key: c.key}, 1), c.want, "nobody would ever be charged for it")
			require.ErrorIs(t, l.Sync(0, c.limit, Parts{Key: c.key}, 1, 0), c.want)
		}
	}
	_, err := New([]Limit{{ID: "a", Quota: 1, Per: sec, Keys: []string{"x"}}}, Options{})
	require.ErrorContains(t, err, "not keyed")
	_, err = New([]Limit{{ID: "a", Quota: 1, Per: sec, Keyed: true, Keys: []string{""}}}, Options{})
	require.ErrorContains(t, err, "empty key")
}
