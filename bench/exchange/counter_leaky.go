package exchange

import (
	"math"
	"math/bits"
	"time"
)

// tokenBucket keeps what is taken, not what is left: whole + fraction/unit,
// which falls by drain/unit in every nanosecond. Drain and unit are Quota and
// Per divided by their greatest common divisor; nothing is ever rounded.
type tokenBucket struct {
	burst       int64
	whole       int64
	fraction    int64 // in [0, unit)
	unit, drain int64
	last        time.Duration
}

func newTokenBucket(l Limit) *tokenBucket {
	g := gcd(l.Quota, int64(l.Per))
	return &tokenBucket{burst: l.capacity(), unit: int64(l.Per) / g, drain: l.Quota / g}
}

func (b *tokenBucket) fall(now time.Duration) {
	if now <= b.last {
		return
	}
	hi, lo := bits.Mul64(uint64(now-b.last), uint64(b.drain))
	b.last = now
	if hi >= uint64(b.unit) {
		b.whole, b.fraction = 0, 0
		return
	}
	whole, fraction := bits.Div64(hi, lo, uint64(b.unit))
	if b.fraction -= int64(fraction); b.fraction < 0 {
		b.fraction += b.unit
		b.whole--
	}
	if b.whole < 0 || whole > uint64(b.whole) {
		b.whole, b.fraction = 0, 0
		return
	}
	b.whole -= int64(whole)
}

func (b *tokenBucket) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(b, now, weight)
}

func (b *tokenBucket) Wait(now time.Duration, weight int64) time.Duration {
	b.fall(now)
	if weight > b.burst {
		return Never
	}
	over := b.whole - (b.burst - weight)
	if over < 0 || over == 0 && b.fraction == 0 {
		return 0
	}
	return drainTime(over, b.fraction, b.unit, b.drain)
}

// drainTime is the whole nanoseconds in which whole + fraction/unit drains
// away.
func drainTime(whole, fraction, unit, drain int64) time.Duration {
	hi, lo := bits.Mul64(uint64(whole), uint64(unit))
	lo, carry := bits.Add64(lo, uint64(fraction), 0)
	if hi += carry; hi >= uint64(drain) {
		return Never
	}
	ns, rest := bits.Div64(hi, lo, uint64(drain))
	if rest > 0 {
		ns++
	}
	return time.Duration(min(ns, math.MaxInt64))
}

func (b *tokenBucket) Charge(now time.Duration, weight int64) {
	b.fall(now)
	b.whole += min(weight, math.MaxInt64-1-b.whole)
}

func (b *tokenBucket) Used(now time.Duration) int64 {
	b.fall(now)
	if b.fraction > 0 {
		return b.whole + 1
	}
	return b.whole
}

// decaying falls by one, never below zero, at every multiple of per/quota.
type decaying struct {
	burst, used int64
	quota, per  int64 // divided by their greatest common divisor
	ticks       int64 // ticks up to the last look
}

func newDecaying(l Limit) *decaying {
	g := gcd(l.Quota, int64(l.Per))
	return &decaying{burst: l.capacity(), quota: l.Quota / g, per: int64(l.Per) / g}
}

// ticksAt is floor(now·quota/per); it fits because quota ≤ per.
func (d *decaying) ticksAt(now time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(max(now, 0)), uint64(d.quota))
	ticks, _ := bits.Div64(hi, lo, uint64(d.per))
	return int64(ticks)
}

func (d *decaying) fall(now time.Duration) {
	if ticks := d.ticksAt(now); ticks > d.ticks {
		d.used = max(0, d.used-(ticks-d.ticks))
		d.ticks = ticks
	}
}

func (d *decaying) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(d, now, weight)
}

func (d *decaying) Wait(now time.Duration, weight int64) time.Duration {
	d.fall(now)
	if weight > d.burst {
		return Never
	}
	missing := weight - (d.burst - d.used)
	if missing <= 0 {
		return 0
	}
	return drainTime(d.ticks+missing, 0, d.per, d.quota) - max(now, 0)
}

func (d *decaying) Charge(now time.Duration, weight int64) {
	d.fall(now)
	d.used += min(weight, math.MaxInt64-d.used)
}

func (d *decaying) Used(now time.Duration) int64 {
	d.fall(now)
	return d.used
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
