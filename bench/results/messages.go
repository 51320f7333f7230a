package results

import (
	"maps"
	"slices"
)

// What the sample messages of an operation may be at most: kinds that have one, and the runes of
// one. Both hold wherever a message is kept, whatever a file or another machine says.
const (
	MostSamples   = 20
	LongestSample = 200
)

// KeepSample keeps a message as the sample of a kind of error, unless there is one already, or
// there are MostSamples. It is cut at LongestSample.
func (o *Operation) KeepSample(kind, message string) {
	if _, kept := o.Samples[kind]; kept || message == "" || len(o.Samples) >= MostSamples {
		return
	}
	if o.Samples == nil {
		o.Samples = map[string]string{}
	}
	o.Samples[kind] = clipped(message)
}

// keepSamples keeps another's messages where there are none.
func (o *Operation) keepSamples(other *Operation) {
	if len(other.Samples) == 0 {
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(other.Samples)) {
		o.KeepSample(kind, other.Samples[kind])
	}
}

// clipped cuts a text, and says so.
func clipped(text string) string {
	n := 0
	last := 0 // where the text is cut if it is too long
	for at := range text {
		if n == LongestSample-1 {
			last = at
		}
		if n++; n > LongestSample {
			return text[:last] + "…"
		}
	}
	return text
}
