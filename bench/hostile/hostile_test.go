package hostile

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	seed  = flag.Uint64("seed", 1, "of all draws")
	cases = flag.Int("cases", 300, "mutated answers, and a sample of the slow parts; 0 plays all")
	only  = flag.String("part", "", "one alone")
)

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

func TestTheEngineWithstandsHostileServers(t *testing.T) {
	for _, r := range Play(t, Config{Seed: *seed, Cases: *cases, Part: *only, Out: os.Stdout}) {
		require.Zero(t, r.Failed, r.Part)
	}
}
