package exchange

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaultsAreReadAsTheyAreWritten(t *testing.T) {
	faults, err := ParseFaults("503:0.01,after-504:0.005,close:0.1,after-close:0.001,truncate:0.25")
	require.NoError(t, err)
	require.Equal(t, []Fault{
		{FaultStatus, 503, 0.01}, {FaultStatusAfter, 504, 0.005}, {FaultClose, 0, 0.1},
		{FaultCloseAfter, 0, 0.001}, {FaultTruncate, 0, 0.25},
	}, faults)
}

func TestAWrongFaultSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"503":               "want WHAT:PROBABILITY",
		"503:often":         `"often" is not a probability`,
		"503:NaN":           "probability must be above 0",
		"503:0":             "probability must be above 0",
		"rest:0.1":          "want a status",
		"503:1%%":           "is not a probability",
		"503:101%":          "probability must be above 0",
		"200:0.1":           "status must be from 400 to 599",
		"503:0.6,close:0.5": "add up to 1.1",
	} {
		_, err := ParseFaults(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestFaultsComeAsOftenAsTheirProbabilitySays(t *testing.T) {
	faults, err := ParseFaults("503:0.2,close:0.05")
	require.NoError(t, err)
	rng, seen := rand.New(rand.NewPCG(7, 7)), map[string]int{}
	for range 20_000 {
		if f := drawFault(faults, rng); f != nil {
			seen[f.name()]++
		}
	}
	require.InEpsilon(t, 4000, seen["503"], 0.05)
	require.InEpsilon(t, 1000, seen["close"], 0.1)
}

func FuzzParseFaults(f *testing.F) {
	for _, seed := range []string{"503:0.01,close:1e-3", "after-504:1", "truncate:0.5", ":,:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil {
			return
		}
		for _, fault := range faults {
			again, err := ParseFaults(fault.String())
			require.NoError(t, err)
			require.Equal(t, fault, again[0])
		}
	})
}
