package clocks

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADayCostsNoTimestampAndAcceptsNothingLate(t *testing.T) {
	rows, err := RunDay(t.Context(), DayConfig{Seed: 1, Requests: 2000})
	require.NoError(t, err)
	for _, v := range DayVerdicts(rows) {
		require.True(t, v.Kept, v)
	}
	var text bytes.Buffer
	require.NoError(t, WriteDay(&text, rows))
	require.Contains(t, text.String(), "accepted late")
	for ; len(rows) > 0; rows = rows[len(signers):] {
		for _, r := range rows[1:len(signers)] { // all signers meet the same delays
			require.InDelta(t, rows[0].NetworkAlone, r.NetworkAlone, 1)
			require.InDelta(t, rows[0].InTime, r.InTime, 1)
		}
	}
}

func TestASeedDecidesADay(t *testing.T) {
	one, err := RunDay(t.Context(), DayConfig{Seed: 2, Requests: 50})
	require.NoError(t, err)
	two, err := RunDay(t.Context(), DayConfig{Seed: 2, Requests: 50})
	require.NoError(t, err)
	require.Equal(t, one, two)
}

// The referee condemns the clocks that the published day shows beside Sluice's.
func TestTheDayCatchesAClockThatIsReadOnce(t *testing.T) {
	p := dayPlan{network: networks[0].Network, signer: signers[2], drift: -drift, window: 250 * time.Millisecond}
	row, err := p.run(DayConfig{Requests: 20_000})
	require.NoError(t, err)
	require.Greater(t, row.Behind, 5000)
	require.Equal(t, row.Behind, row.Beyond)
}

func TestTheDayCatchesAnOrderThatIsAcceptedLate(t *testing.T) {
	p := dayPlan{network: networks[2].Network, signer: signers[1], drift: drift, deadline: 40 * time.Millisecond}
	row, err := p.run(DayConfig{Requests: 4000})
	require.NoError(t, err)
	require.Positive(t, row.AcceptedLate)
	row.Signer = Sluice
	require.Equal(t, 2, Broken(DayVerdicts([]DayRow{row})), "late orders, and no windows measured")
}

func TestTheExchangeRuleIsToTheMillisecond(t *testing.T) {
	for _, c := range []struct {
		time          int64
		ahead, behind bool
	}{{10_999, false, false}, {11_000, true, false}, {9750, false, false}, {9749, false, true}} {
		ahead, behind := refused(signed{time: c.time, window: 250}, 10_000)
		require.Equal(t, c.ahead, ahead, c.time)
		require.Equal(t, c.behind, behind, c.time)
	}
}
