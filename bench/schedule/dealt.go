package schedule

import (
	"fmt"
	"math/bits"
	"time"
)

// Dealt is what one of several machines has of a schedule that all of them make from the same
// Spec: every of-th instant, from number worker on, counted from 0. Each instant is dealt to
// exactly one machine. Of 1 has all, and so has 0 of 0. A worker that is not below of panics.
func Dealt(s Schedule, worker, of int) Schedule {
	if of == 0 && worker == 0 {
		return s
	}
	if worker < 0 || worker >= of {
		panic(fmt.Sprintf("schedule: worker %d of %d", worker, of))
	}
	if of == 1 {
		return s
	}
	return &dealt{s, worker, of}
}

// DealtNumber is the number, in the whole schedule, of instant k of what is dealt to a worker:
// arrivals are told apart by it on all machines together. False if there is no such number.
func DealtNumber(k uint64, worker, of int) (n uint64, ok bool) {
	high, low := bits.Mul64(k, uint64(max(of, 1)))
	n, carry := bits.Add64(low, uint64(worker), 0)
	return n, high == 0 && carry == 0
}

type dealt struct {
	whole      Schedule
	worker, of int
}

// At is part of Schedule.
func (d *dealt) At(k uint64) (time.Duration, bool) {
	n, ok := DealtNumber(k, d.worker, d.of)
	if !ok {
		return 0, false
	}
	return d.whole.At(n)
}
