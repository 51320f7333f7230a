package schedule_test

import (
	"fmt"

	"github.com/sluice-engine/sluice/bench/schedule"
)

func Example() {
	var spec schedule.Spec
	for _, text := range []string{"10s:0/s-2/s", "5s:2/s"} {
		stage, err := schedule.ParseStage(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		spec.Stages = append(spec.Stages, stage)
	}
	spec.WarmUp = spec.Stages[0].For
	due, err := spec.Schedule()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec, "has", spec.Count(), "requests in", spec.Length())
	for _, n := range []uint64{0, 1, 9, 10, 11} {
		at, _ := due.At(n)
		fmt.Println(n, at)
	}
	spec.WarmUp /= 2
	fmt.Println(spec.Check())
	// Output:
	// 10s:0/s-2/s 5s:2/s has 20 requests in 15s
	// 0 0s
	// 1 3.16227766s
	// 9 9.48683298s
	// 10 10s
	// 11 10.5s
	// schedule: a warm-up of 5s ends within the ramp of stage 1 (10s:0/s-2/s): what is reported would begin at a rate that is still on its way; make it 10s, or 0s
}
