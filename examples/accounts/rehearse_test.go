package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestARehearsedOrderIsSignedAndNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, listener := serve(t)
		config := configure(listener.URL(), "")
		config.Memory, config.Dial.DialContext = nil, listener.DialContext
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()
		var out strings.Builder
		require.NoError(t, rehearse(t.Context(), eng, &out))
		require.Equal(t, 3, strings.Count(out.String(), "signature=***"), out.String())
		for _, a := range accounts {
			require.NotContains(t, out.String(), a.Key)
			require.NotContains(t, out.String(), a.Secret)
		}
		require.Zero(t, ex.Report().Orders)
		for _, l := range eng.Stats().Limits.Limits {
			if l.ID == "weight" { // the look at the server's clock, without which nothing is signed
				require.EqualValues(t, 1, l.Used)
				continue
			}
			require.Zero(t, l.Used, "nothing is charged to %s", l.ID)
		}
	})
}

func TestWhatHoldsAnOrderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, listener := serve(t)
		config := configure(listener.URL(), "")
		config.Memory, config.Dial.DialContext = nil, listener.DialContext
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()
		said, err := why(eng, "maker", "BTCUSDT")
		require.NoError(t, err)
		require.Equal(t, "it would leave", said)
		d := &desk{eng: eng}
		for i := range 10 {
			_, err := d.place(t.Context(), "maker", "BTCUSDT", fmt.Sprint("mine-", i))
			require.NoError(t, err)
		}
		said, err = why(eng, "maker", "BTCUSDT")
		require.NoError(t, err)
		require.Regexp(t, `^it would wait for symbol until \d\d:\d\d:\d\d\.\d{3}, behind 0 others$`, said)
		said, err = why(eng, "hedge", "BTCUSDT")
		require.NoError(t, err)
		require.Equal(t, "it would leave", said, "another account has its own")
	})
}
