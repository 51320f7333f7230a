package exchange

import "time"

// budget is spent once. Beyond it one request is admitted in every per.
type budget struct {
	left  int64 // not below zero
	spent int64
	per   time.Duration

	over   bool // a request beyond the budget was admitted
	overAt time.Duration
}

// earn adds to what is left.
func (b *budget) earn(weight int64) { b.left += weight }

func (b *budget) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(b, now, weight)
}

func (b *budget) Wait(now time.Duration, weight int64) time.Duration {
	if weight <= b.left || !b.over {
		return 0
	}
	return max(0, b.overAt+b.per-now)
}

func (b *budget) Charge(now time.Duration, weight int64) {
	b.spent += weight
	if weight <= b.left {
		b.left -= weight
		return
	}
	b.over, b.overAt = true, now // what is left stays for lighter ones
}

func (b *budget) Used(time.Duration) int64 { return b.spent }
