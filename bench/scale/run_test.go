package scale

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/child"
)

// inside is a worker in this process.
type inside struct{ subject }

func (i inside) end() { i.close() }

// startInside has workers of this process ask a server of this process.
func startInside(t *testing.T) func(context.Context, *Curve, Job) (worker, error) {
	t.Helper()
	in, closes := io.Pipe()
	says, out := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(in, out) }()
	var origin string
	require.NoError(t, json.NewDecoder(says).Decode(&origin))
	t.Cleanup(func() {
		closes.Close()
		require.NoError(t, <-served)
	})
	return func(_ context.Context, _ *Curve, job Job) (worker, error) {
		job.Origin = origin
		s, err := job.open()
		return inside{s}, err
	}
}

func TestEveryCurveIsMeasuredAtItsSmallestPoint(t *testing.T) {
	start := startInside(t)
	for _, curve := range Curves() {
		t.Run(curve.Name, func(t *testing.T) {
			result, err := Run(t.Context(), Config{
				Curves: []Curve{curve}, Rounds: 1, Quick: true, Seed: 1, start: start,
			})
			require.NoError(t, err)
			points := result.Curves[0].Points
			if curve.Base > 0 {
				require.True(t, points[0].Base)
				require.Equal(t, curve.Base, points[0].X)
				points = points[1:]
			}
			require.Len(t, points, len(curve.Quick))
			for _, p := range points {
				require.Empty(t, p.Failure)
				require.Equal(t, 2, p.Pairs)
				require.Positive(t, p.Cost)
				require.Positive(t, p.BaseCost)
				require.Positive(t, p.Ratio)
				require.Positive(t, p.Bytes+1)
				require.Equal(t, curve.takes != nil, p.Rate > 0, "a rate is told where there is one to reach")
				require.Equal(t, curve.peer, p.PeerGrowth > 0)
			}
		})
	}
}

// processes makes the test binary a point's processes.
func processes(t *testing.T, worker string) Processes {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	as := func(role string) []string { return []string{"/usr/bin/env", roleSwitch + "=" + role, self} }
	return Processes{Server: as("server"), Worker: as(worker)}
}

func curveNamed(t *testing.T, name string) Curve {
	t.Helper()
	curves, err := CurvesNamed(name)
	require.NoError(t, err)
	require.Len(t, curves, 1)
	return curves[0]
}

func TestAPointIsMeasuredByProcessesOfItsOwn(t *testing.T) {
	var told []Progress
	result, err := Run(t.Context(), Config{
		Processes: processes(t, "worker"), Curves: []Curve{curveNamed(t, "limits")}, Points: []int{50},
		Rounds: 2, Quick: true, Progress: func(p Progress) { told = append(told, p) },
	})
	require.NoError(t, err)
	points := result.Curves[0].Points
	require.Len(t, points, 2)
	require.Empty(t, points[1].Failure)
	require.Equal(t, 4, points[0].Pairs, "the base has a slice for each of the point's")
	require.Equal(t, 4, points[1].Pairs)
	require.Equal(t, 50, points[1].X)
	require.LessOrEqual(t, points[1].RatioCI.Low, points[1].Ratio)
	require.GreaterOrEqual(t, points[1].RatioCI.High, points[1].Ratio)
	require.Len(t, told, 2, "before the point, and before its second round")
	require.Equal(t, "50", told[1].X)
	require.Equal(t, 1, told[1].Round)
}

func TestACurveOfMemoryStartsAProcessForEverySlice(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Processes: processes(t, "worker"), Curves: []Curve{curveNamed(t, "idle-keys")}, Points: []int{2000}, Rounds: 1,
	})
	require.NoError(t, err)
	require.Empty(t, result.Curves[0].Points[1].Failure)
	require.Equal(t, 2, result.Curves[0].Points[1].Pairs)
}

// failing measures one point with processes that fail in some way.
func failing(t *testing.T, p Processes, limit time.Duration) *Result {
	t.Helper()
	result, err := Run(t.Context(), Config{
		Processes: p, Curves: []Curve{curveNamed(t, "limits")}, Points: []int{100_000}, Rounds: 1, Limit: limit,
	})
	require.NoError(t, err, "a point that fails does not fail the run")
	point := result.Curves[0].Points[1]
	require.Zero(t, point.Pairs)
	require.Equal(t, 1, result.Failures())
	require.Len(t, point.Verdicts, 1)
	require.False(t, point.Verdicts[0].Met, "what was not measured is not met")
	require.Equal(t, "not measured", point.Verdicts[0].outcome())
	return result
}

func TestAProcessThatDiesIsToldWithItsPointAndWhatItSaid(t *testing.T) {
	for role, when := range map[string]string{
		"crash":            "the point, while it was made ready",
		"crash in a slice": "in round 1 of 1",
	} {
		failure := failing(t, processes(t, role), 0).Curves[0].Points[1].Failure
		require.Contains(t, failure, when)
		require.Contains(t, failure, "exit status 2")
		require.Contains(t, failure, "panic: out of")
	}
}

func TestAPointThatDoesNotEndIsGivenUp(t *testing.T) {
	failure := failing(t, processes(t, "silent"), 300*time.Millisecond).Curves[0].Points[1].Failure
	require.Equal(t, "did not end within 300ms: the point, while it was made ready", failure)
}

// A slice of so many keys lasts longer than a child may take to end when it is asked
// to; Stop would kill it and say so.
func TestAWorkerEndsWithItsParentWhateverItIsDoing(t *testing.T) {
	p, err := child.Start(t.Context(), processes(t, "worker").Worker)
	require.NoError(t, err)
	require.NoError(t, p.Send(Job{Curve: "keys", Role: AtPoint, X: 50_000, Origin: "http://127.0.0.1:1"}))
	require.NoError(t, p.Receive(t.Context(), &word{}))
	require.NoError(t, p.Send(measure))
	require.NoError(t, p.Stop(), "it ends by itself, with success")
}

func TestAServerThatCannotStartIsTold(t *testing.T) {
	p := processes(t, "worker")
	p.Server = []string{filepath.Join(t.TempDir(), "missing")}
	require.Contains(t, failing(t, p, 0).Curves[0].Points[1].Failure, "its server: ")
}

func TestAnErrorOfAWorkerIsToldInItsOwnWords(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Processes: processes(t, "worker"), Curves: []Curve{curveNamed(t, "heavy")}, Points: []int{heavyQuota + 1}, Rounds: 1,
	})
	require.NoError(t, err)
	require.Contains(t, result.Curves[0].Points[1].Failure, "a weight of 32001, and the window's quota is 32000")
}

func TestAPointBelowTheLeastIsNoOther(t *testing.T) {
	for _, c := range Curves() {
		if c.least() > 1 {
			_, err := c.job(AtPoint, c.least()-1, true).open()
			require.ErrorContains(t, err, "want at least", c.Name)
		}
	}
	_, err := Job{Curve: "nonsense"}.open()
	require.ErrorContains(t, err, "is unknown")
}

// What was measured before a failure is kept, as far as there are pairs of it.
func TestAPointKeepsThePairsThatItHadBeforeItFailed(t *testing.T) {
	broken := errors.New("broken")
	slices := 0
	result, err := Run(t.Context(), Config{
		Curves: []Curve{curveNamed(t, "limits")}, Points: []int{1000}, Rounds: 3,
		start: func(context.Context, *Curve, Job) (worker, error) {
			return scripted(func() (Sample, error) {
				if slices++; slices > 7 {
					return Sample{}, broken
				}
				return sample(float64(slices)), nil
			}), nil
		},
	})
	require.NoError(t, err)
	p := result.Curves[0].Points[1]
	require.Equal(t, 3, p.Pairs)
	require.Equal(t, "broken: the base, in round 2 of 3", p.Failure)
}

type scripted func() (Sample, error)

func (s scripted) slice(context.Context) (Sample, error) { return s() }
func (scripted) end()                                    {}

func TestAnInterruptedRunSaysWhy(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := Run(ctx, Config{
		Processes: processes(t, "silent"), Curves: []Curve{curveNamed(t, "limits")},
		Progress: func(Progress) { cancel(enough) },
	})
	require.ErrorIs(t, err, enough)
}

func TestARunNeedsProcessesAndNothingBelowZero(t *testing.T) {
	_, err := Run(t.Context(), Config{})
	require.ErrorContains(t, err, "no command")
	_, err = Run(t.Context(), Config{Processes: processes(t, "worker"), Limit: -1})
	require.ErrorContains(t, err, "below zero")
}

func TestTheTimeBoundOfAPointEndsItAfterAWholeRound(t *testing.T) {
	rounds := func(name string) int {
		result, err := Run(t.Context(), Config{
			Curves: []Curve{curveNamed(t, name)}, Points: []int{100}, Rounds: 50, Within: 1,
			start: func(context.Context, *Curve, Job) (worker, error) {
				return scripted(func() (Sample, error) { return sample(1), nil }), nil
			},
		})
		require.NoError(t, err)
		points := result.Curves[0].Points
		return points[len(points)-1].Pairs / 2
	}
	require.Equal(t, 1, rounds("limits"))
	require.Equal(t, 2, rounds("keys"), "whose slices take long by themselves")
}
