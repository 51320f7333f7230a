package fanout

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
)

func costs(cpu, wall float64) []gauge.Cost {
	return []gauge.Cost{{CPU: cpu, Wall: wall}, {CPU: 2 * cpu, Wall: 2 * wall}, {CPU: cpu, Wall: wall}}
}

// Ratios are of neighbours: a slice in which everything took twice as long changes none.
func TestBarsAreHeldAgainstRatiosOfNeighbours(t *testing.T) {
	verdicts := func(r Result) (met []bool) {
		for _, v := range r.Verdicts() {
			met = append(met, v.Met)
		}
		return met
	}
	good := Result{
		Memory: Memory{Inputs: 10, Peak: 64 << 20},
		Costs:  map[string][]gauge.Cost{Stream: costs(12, 10), Do: costs(10, 10), NetHTTP: costs(30, 19)},
	}
	require.Equal(t, []bool{true, true, true}, verdicts(good))
	require.InDelta(t, 1.9, good.Verdicts()[2].Value, 1e-9)
	bad := Result{
		Memory: Memory{Inputs: 10, Peak: 64<<20 + 1},
		Costs:  map[string][]gauge.Cost{Stream: costs(12.1, 10), Do: costs(10, 10), NetHTTP: costs(30, 18.9)},
	}
	require.Equal(t, []bool{false, false, false}, verdicts(bad))
	bad.Memory = Memory{}
	require.Len(t, bad.Verdicts(), 2, "what was not measured has no bar")
}

func TestAServerThatDoesNotStartIsSaid(t *testing.T) {
	_, err := Run(context.Background(), Config{Server: []string{"/does/not/exist"}})
	require.ErrorContains(t, err, "server: ")
}

func TestAnAnswerIsLookedAt(t *testing.T) {
	require.NoError(t, checkAnswer(200, len(answer)))
	require.ErrorIs(t, checkAnswer(503, len(answer)), errWrongAnswer)
	require.ErrorIs(t, checkAnswer(200, 1), errWrongAnswer)
}
