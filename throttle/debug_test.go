package throttle

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDebug(t *testing.T) {
	kinds := map[string][]Window{"s": {Sliding}, "f": {Fixed}, "ff": {FixedFromFirst}, "l": {Leaky}, "c": {Concurrency}, "li": {Lifetime}, "m": allKinds()}
	for name, ks := range kinds {
		if o := os.Getenv("KIND"); o != "" && o != name {
			continue
		}
		rng := rand.New(rand.NewPCG(1, 1))
		start := time.Now()
		for i := range 300 {
			p := drawPlan(rng, ks...)
			if err := simulate(p); err != nil {
				t.Errorf("%s world %d: %v", name, i, err)
				var tr strings.Builder
				p.trace = &tr
				simulate(p)
				t.Logf("%+v", p.limits)
				t.Logf("%+v clock %v", p.options, p.clockErr)
				s := tr.String()
				if len(s) > 3000 {
					s = s[len(s)-3000:]
				}
				t.Log(s)
				break
			}
		}
		t.Log(name, time.Since(start))
	}
}
