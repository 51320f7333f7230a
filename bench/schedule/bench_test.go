package schedule

import (
	"testing"
	"time"
)

// BenchmarkAt is what it costs to know when the next request is due.
func BenchmarkAt(b *testing.B) {
	recorded := make([]time.Duration, 1000)
	for name, spec := range map[string]Spec{
		"constant":  Constant(perSecond(20_000), 0),
		"ramp":      {Stages: []Stage{{perSecond(100), perSecond(20_000), time.Hour}}},
		"ramp down": {Stages: []Stage{{perSecond(20_000), perSecond(0), time.Hour}}},
		"poisson":   {Stages: Constant(perSecond(20_000), 0).Stages, Poisson: true},
		"recorded":  {Recorded: recorded},
	} {
		b.Run(name, func(b *testing.B) {
			schedule := mustSchedule(b, spec)
			count := spec.Count()
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				if _, ok := schedule.At(n); !ok {
					b.Fatal("it has ended")
				}
				if n++; n == count {
					n = 0
				}
			}
		})
	}
}
