package exchange

import (
	"math"
	"time"
)

// Ban says what happens to whoever goes on after a 429.
type Ban struct {
	// Base is the first ban, and what every further offence adds to the next.
	// Zero means two minutes.
	Base time.Duration
	// Factor, if not zero, is what each further offence multiplies the ban by instead: 2
	// makes bans of 2, 4, 8 minutes and so on. It is at least 1.
	Factor float64
	// Max is the longest ban. Zero means three days.
	Max time.Duration
	// Grace is for requests that were on their way when the answer telling the
	// client to wait was written: within it they are refused again but are no
	// offence. Zero means none.
	Grace time.Duration
}

func (b Ban) withDefaults() Ban {
	if b.Base == 0 {
		b.Base = 2 * time.Minute
	}
	if b.Max == 0 {
		b.Max = 72 * time.Hour
	}
	return b
}

// length is that of the ban for the n-th offence, n from 1.
func (b Ban) length(n int64) time.Duration {
	if b.Factor > 0 {
		grown := float64(b.Base) * math.Pow(b.Factor, float64(n-1))
		if grown < float64(b.Max) {
			return time.Duration(grown)
		}
		return b.Max
	}
	if n <= int64(b.Max/b.Base) {
		return b.Base * time.Duration(n)
	}
	return b.Max
}

// penalty is what one client has been told. The n-th offence, a request sent
// while told to wait or while banned, bans it for n·Base from that instant, or for
// Base·Factor^(n-1), at most Max. Offences are not forgotten: going on during a ban
// makes the next one longer.
//
//	free ── 429 ──▶ told to wait ── request ──▶ banned ─┐ request: longer
//	  ▲                 │ Retry-After over        │  ▲───┘
//	  └─────────────────┴─────────── ban over ────┘
type penalty struct {
	told        time.Duration // when the present wait or ban was announced
	waitUntil   time.Duration
	bannedUntil time.Duration
	offences    int64
}

// verdict is what a penalty says about an arrival.
type verdict uint8

const (
	free   verdict = iota
	graced         // refused again, but it may have been on its way
	offended
)

// judge says what an arrival is and, if it is not free, when it would be.
func (p *penalty) judge(now, grace time.Duration) (v verdict, retry time.Duration) {
	until := max(p.waitUntil, p.bannedUntil)
	switch {
	case now >= until:
		return free, 0
	case now < p.told+grace:
		return graced, until - now
	}
	return offended, until - now
}

// offend bans for one more offence and returns how long.
func (p *penalty) offend(now time.Duration, ban Ban) (retry time.Duration) {
	p.offences++
	p.told = now
	p.bannedUntil = max(p.bannedUntil, now+ban.length(p.offences))
	return p.bannedUntil - now
}

// wait notes that the client is told, now, not to come back before retry is
// over.
func (p *penalty) wait(now, retry time.Duration) {
	p.told = now
	p.waitUntil = max(p.waitUntil, now+retry)
}

// retrySeconds is how long to wait in the whole seconds of a Retry-After
// header, never too short.
func retrySeconds(wait time.Duration) time.Duration {
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}
