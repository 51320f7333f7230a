// Package schedule says at which instants requests are due: by formula, so that the
// billionth is as exact as the first.
//
// A Spec is stages, each a constant rate or a ramp, or a list of recorded instants. Its
// Schedule gives request n the instant at which the rate, summed up since the beginning,
// passes n: no instant is lost or doubled where one stage follows another, for what a stage
// leaves of a request is carried over to the next as an exact fraction. A stage of 2.5/s for
// a second has three requests, at 0, 0.4 and 0.8 s; if it follows another one of those, two,
// at 0.2 and 0.6 s. In a stage of rate zero nothing is due. All instants are rounded down to
// whole nanoseconds, and are exact but for that; those of Poisson are drawn at random, and
// those of a recording are divided by its speed.
//
// # As text
//
// A rate is "500/s", "12.5/s", "30/1m", or "500", which is 500/s: see ParseRate. A stage is
// "30s:1000/s", or "30s:100/s-1000/s" for a ramp, or "0s:1000/s", which has no end and must
// be the last: see ParseStage. As JSON, a Spec has durations in nanoseconds.
package schedule
