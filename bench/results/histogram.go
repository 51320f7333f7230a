package results

import (
	"math"
	"math/bits"
	"time"
)

// The geometry is HdrHistogram's, of nanoseconds, with a lowest value of 64, a highest of an
// hour and three digits: up to 131 µs every counter is 64 ns wide, and beyond that each is
// less than a thousandth of its value wide.
const (
	lowest      = 64
	highest     = int64(time.Hour)
	digits      = 3
	unitBits    = 6                                      // of lowest
	halfBits    = 10                                     // counters of an octave: 2^halfBits
	half        = 1 << halfBits                          //
	octaves     = 26                                     // that cover the highest: 2·half·lowest·2^(octaves-1) > highest
	counters    = (octaves + 1) << halfBits              // the first octave has twice as many
	pageBits    = 7                                      //
	pageLength  = 1 << pageBits                          // counters of a page
	pages       = counters >> pageBits                   //
	mostCounted = math.MaxInt64                          // what the encoding can hold, in all
	lowMask     = int64(2*half-1)<<unitBits | lowest - 1 // values of the first octave
)

// page is counters side by side. Latencies lie close together, so a histogram has few.
type page [pageLength]uint64

// Histogram counts durations with three digits from a microsecond to an hour, and to 64 ns
// below a tenth of a millisecond; what lies outside is counted at the ends. Durations that it
// tells are at most a thousandth, or 64 ns, above the ones that were recorded. Its JSON is
// HdrHistogram's compressed V2 encoding of nanoseconds in base64, as in its logs; an empty
// string if there is nothing in it.
//
// It holds some 2 KB and another for every eighth of an octave that has been recorded;
// Compact makes that about two bytes for each different duration. Reading from nil is
// reading from an empty one. It is not safe for concurrent use, not even of reading alone if
// it was not compacted or read from JSON before.
//
// Invariant: either packed has all counts and table is nil, or table has them and packed is
// nil; total is their sum, at most mostCounted.
type Histogram struct {
	total  uint64
	table  *[pages]*page
	packed []byte // the V2 encoding's payload
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram { return &Histogram{} }

// Record counts one duration; one below zero counts as zero, one above an hour as an hour.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts n of the same. Once 2^63-1 are counted no more are.
func (h *Histogram) RecordN(d time.Duration, n uint64) {
	if h.table == nil {
		h.unpack()
	}
	h.add(indexOf(min(max(int64(d), 0), highest)), n)
}

// add counts n in a counter; it requires a table.
func (h *Histogram) add(i int, n uint64) {
	if n > mostCounted-h.total {
		n = mostCounted - h.total
	}
	p := h.table[i>>pageBits]
	if p == nil {
		p = new(page)
		h.table[i>>pageBits] = p
	}
	p[i&(pageLength-1)] += n
	h.total += n
}

// indexOf is HdrHistogram's: which counter has a value of 0 to highest.
func indexOf(v int64) int {
	octave := bits.Len64(uint64(v|lowMask)) - unitBits - halfBits - 1
	return octave<<halfBits + int(v>>(unitBits+octave))
}

// edges returns the first and the last value that a counter has.
func edges(i int) (first, last int64) {
	octave := max(i>>halfBits-1, 0)
	width := unitBits + octave
	first = int64(i-octave<<halfBits) << width
	return first, first + 1<<width - 1
}

// Count is how many there are.
func (h *Histogram) Count() uint64 {
	if h == nil {
		return 0
	}
	return h.total
}

// Each calls f for each range of durations that has been recorded, from the shortest to the
// longest, with how many lie in it, until f returns false.
func (h *Histogram) Each(f func(first, last time.Duration, n uint64) bool) {
	h.each(func(i int, n uint64) bool {
		first, last := edges(i)
		return f(time.Duration(first), time.Duration(last), n)
	})
}

func (h *Histogram) each(f func(i int, n uint64) bool) {
	switch {
	case h == nil:
	case h.table != nil:
		h.eachOfTable(f)
	default:
		eachPacked(h.packed, f)
	}
}

func (h *Histogram) eachOfTable(f func(i int, n uint64) bool) {
	for at, p := range h.table {
		if p == nil {
			continue
		}
		for i, n := range p {
			if n > 0 && !f(at<<pageBits+i, n) {
				return
			}
		}
	}
}

// Quantile returns the duration below or at which a share q, of 0 to 1, of all lies; zero if
// there are none. A q outside, or not a number, is the nearest end.
func (h *Histogram) Quantile(q float64) time.Duration {
	var told [1]time.Duration
	h.quantiles([]float64{q}, told[:])
	return told[0]
}

// Quantiles returns the ones that are always shown.
func (h *Histogram) Quantiles() Quantiles {
	var told [5]time.Duration
	h.quantiles([]float64{0.5, 0.9, 0.99, 0.999, 1}, told[:])
	return Quantiles{P50: told[0], P90: told[1], P99: told[2], P999: told[3], Max: told[4]}
}

// quantiles answers several questions in one pass: shares go up.
func (h *Histogram) quantiles(shares []float64, told []time.Duration) {
	var seen uint64
	next := 0
	h.each(func(i int, n uint64) bool {
		seen += n
		for next < len(shares) && seen >= rank(shares[next], h.total) {
			_, last := edges(i)
			told[next] = time.Duration(last)
			next++
		}
		return next < len(shares)
	})
}

// rank is which of so many in order has a share q at or below it, counted from 1.
func rank(q float64, total uint64) uint64 {
	exact := q * float64(total)
	// A product such as 0.07·100 lies a rounding above what is meant.
	n := math.Ceil(exact - exact*1e-15)
	switch {
	case !(n >= 1): // not a number too
		return 1
	case q >= 1, n >= float64(total):
		return total
	}
	return uint64(n)
}

// Max is the longest; zero if there are none.
func (h *Histogram) Max() time.Duration { return h.Quantile(1) }

// Min is the shortest; zero if there are none.
func (h *Histogram) Min() time.Duration {
	var least time.Duration
	h.Each(func(first, _ time.Duration, _ uint64) bool {
		least = first
		return false
	})
	return least
}

// Mean is of all; zero if there are none.
func (h *Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	var mean float64
	h.Each(func(first, last time.Duration, n uint64) bool {
		middle := float64(first) + float64(last-first+1)/2
		mean += middle * (float64(n) / float64(h.total))
		return true
	})
	return time.Duration(mean)
}

// Above is how many lie above d, to the histogram's exactness.
func (h *Histogram) Above(d time.Duration) uint64 {
	var n uint64
	h.Each(func(first, _ time.Duration, count uint64) bool {
		if first > d {
			n += count
		}
		return true
	})
	return n
}

// Merge adds another's counts; nil adds none.
func (h *Histogram) Merge(other *Histogram) {
	if other.Count() == 0 {
		return
	}
	if other == h {
		other = h.Clone()
	}
	if h.table == nil {
		h.unpack()
	}
	other.each(func(i int, n uint64) bool {
		h.add(i, n)
		return true
	})
}

// mergeCompactly is Merge for a histogram that is kept for long: it stays compacted, and what
// the other is compacted to may be shared, since nobody alters that.
func (h *Histogram) mergeCompactly(other *Histogram) {
	switch {
	case other.Count() == 0:
	case h.total == 0:
		*h = *other.Clone()
	case other.total > mostCounted-h.total:
		h.Merge(other)
		h.Compact()
	default:
		h.Compact()
		theirs := other.packed
		if other.table != nil {
			theirs = other.payload(nil)
		}
		h.packed, h.total = mergePayloads(h.packed, theirs), h.total+other.total
	}
}

// Reset forgets everything and keeps the memory.
func (h *Histogram) Reset() {
	h.total, h.packed = 0, nil
	if h.table == nil {
		return
	}
	for _, p := range h.table {
		if p != nil {
			clear(p[:])
		}
	}
}

// Clone returns a copy, compacted; of nil, nil.
func (h *Histogram) Clone() *Histogram {
	if h == nil {
		return nil
	}
	if h.table == nil {
		return &Histogram{total: h.total, packed: h.packed} // which nobody alters
	}
	return &Histogram{total: h.total, packed: h.payload(nil)}
}

// Compact gives back the memory that only recording needs.
func (h *Histogram) Compact() {
	if h == nil || h.table == nil {
		return
	}
	h.packed, h.table = h.payload(nil), nil
}

// unpack makes room for recording.
func (h *Histogram) unpack() {
	packed := h.packed
	h.total, h.packed, h.table = 0, nil, new([pages]*page)
	eachPacked(packed, func(i int, n uint64) bool {
		h.add(i, n)
		return true
	})
}
