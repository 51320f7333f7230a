package results

import "time"

// Histogram counts durations with three digits from a microsecond to an hour; what lies
// outside is counted at the ends. Its JSON is HdrHistogram's compressed V2 encoding in
// base64. It is not safe for concurrent use.
type Histogram struct{}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram { panic("to be written") }

// Record counts one duration; one below zero counts as zero.
func (h *Histogram) Record(d time.Duration) { panic("to be written") }

// RecordN counts n of the same.
func (h *Histogram) RecordN(d time.Duration, n uint64) { panic("to be written") }

// Quantile returns the duration below or at which a share q, of 0 to 1, of all lies.
func (h *Histogram) Quantile(q float64) time.Duration { panic("to be written") }

// Count is how many there are.
func (h *Histogram) Count() uint64 { panic("to be written") }

// Max, Min and Mean are of all; zero if there are none.
func (h *Histogram) Max() time.Duration  { panic("to be written") }
func (h *Histogram) Min() time.Duration  { panic("to be written") }
func (h *Histogram) Mean() time.Duration { panic("to be written") }

// Merge adds another's counts; nil adds none.
func (h *Histogram) Merge(other *Histogram) { panic("to be written") }

// Reset forgets everything and keeps the memory.
func (h *Histogram) Reset() { panic("to be written") }

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram { panic("to be written") }
