package schedule

import "time"

// Schedule says when each request is due. It is made for one reader; make another from the
// same Spec for a second one.
type Schedule interface {
	// At returns when request n, counted from 0, is due, since the beginning of the run;
	// false if there are no more than n. Instants never go down as n grows.
	At(n uint64) (time.Duration, bool)
}

// Rate is so many requests in each Per.
type Rate struct {
	Requests uint64        `json:"requests"`
	Per      time.Duration `json:"per"`
}

// Stage is a time during which the rate goes from From to To in a straight line; both are
// the same for a constant one.
type Stage struct {
	From Rate          `json:"from"`
	To   Rate          `json:"to"`
	For  time.Duration `json:"for"`
}

// Spec describes an open schedule as data: it goes into the file of results, and to other
// machines, and always makes the same Schedule.
type Spec struct {
	// Stages follow one another. The warm-up is the first WarmUp of them all.
	Stages []Stage `json:"stages,omitempty"`
	// Poisson makes arrivals random, as those of many clients that know nothing of one
	// another, at the rate that the stages say. False spaces them evenly.
	Poisson bool   `json:"poisson,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
	// Recorded are instants since the beginning, in order, that were recorded from
	// elsewhere, replayed Speed times as fast; 0 means 1. They stand in place of Stages.
	Recorded []time.Duration `json:"recorded,omitempty"`
	Speed    float64         `json:"speed,omitempty"`
	// WarmUp is how long the beginning is kept apart from what is reported.
	WarmUp time.Duration `json:"warmup,omitempty"`
}
