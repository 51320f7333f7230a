package exchange

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// counted is one admitted request, as a slow referee writes it down.
type counted struct {
	at   time.Duration
	acts []act
}

// usedBy adds up, by definition, what the counted requests and one more cost a limit in
// the fixed window of now, for a symbol if it tells symbols apart.
func usedBy(l Limit, symbol string, now time.Duration, all []counted) (sum int64) {
	for _, c := range all {
		if c.at/l.Per != now/l.Per {
			continue
		}
		var cost int64
		for _, a := range c.acts {
			if l.PerSymbol && a.symbol != symbol {
				continue
			}
			if l.WholeBatch {
				cost = max(cost, min(1, a.orders))
			} else {
				cost += a.orders
			}
		}
		sum += cost
	}
	return sum
}

func TestAGateAdmitsWhatFitsEveryLimitByDefinition(t *testing.T) {
	symbols := []string{"A", "B", "C"}
	rapid.Check(t, func(t *rapid.T) {
		limits := []Limit{
			{Kind: Orders, Quota: rapid.Int64Range(1, 12).Draw(t, "quota"), Per: 10},
			{Kind: Orders, Quota: rapid.Int64Range(1, 8).Draw(t, "quota per symbol"), Per: 10, PerSymbol: true},
			{Kind: Orders, Quota: rapid.Int64Range(1, 5).Draw(t, "batches"), Per: 25, WholeBatch: true},
			{Kind: Orders, Quota: rapid.Int64Range(1, 5).Draw(t, "batches per symbol"), Per: 25, WholeBatch: true, PerSymbol: true},
		}
		g := newGate(limits, "account", Kind.ofAccounts, func(*meter) {})
		var admitted []counted
		now := time.Duration(0)
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			now += time.Duration(rapid.IntRange(0, 4).Draw(t, "gap"))
			var acts []act
			for _, s := range symbols {
				if n := rapid.Int64Range(0, 4).Draw(t, s); n > 0 {
					acts = append(acts, act{symbol: s, orders: n, batch: true})
				}
			}
			next := append(admitted, counted{now, acts})
			fits := true
			for _, l := range limits {
				for _, s := range symbols {
					fits = fits && usedBy(l, s, now, next) <= l.Quota
				}
			}
			_, wait := admitAll(instant{wall: now, elapsed: now}, g.charges(acts...), false)
			require.Equal(t, fits, wait == 0, "%v at %d", acts, now)
			if fits {
				admitted = next
			}
		}
	})
}

func FuzzReadBatch(f *testing.F) {
	for _, text := range []string{"", "[]", `[{"symbol":"BTCUSDT","quantity":1}]`, `[{"a":null,"b":true,"c":1e999}]`, "[[]]", "{"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, failed := readBatch(text)
		if failed == nil {
			require.NotEmpty(t, list)
			require.LessOrEqual(t, len(list), mostInBatch)
		}
	})
}

func FuzzAFrameIsACallOrSaysWhyNot(f *testing.F) {
	for _, text := range []string{`{"id":1,"method":"ping"}`, `{"method":"order.place","params":{"apiKey":"k","timestamp":1700000000000}}`, "", "[1]", "{}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := (&session{}).newCall(text)
		require.NotNil(t, c.route)
		require.NotNil(t, c.params)
	})
}
