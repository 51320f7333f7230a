// Package compare says whether what is new is worse than what is old, and fails for it only
// if that is both certain and large enough to matter.
//
// # What is compared
//
//	seconds   one run with one other: the seconds of each are drawn again, in blocks,
//	          because what disturbs a second disturbs the next, and the interval widened by
//	          what blocks and few seconds hide of that
//	pairs     runs, or slices of one, that were made side by side: a ratio within each
//	          pair, where what disturbs both cancels, and the median of the ratios, with
//	          an interval widened likewise
//	sets      several runs with several others that are no pairs: the ratio of the medians,
//	          and Mann and Whitney's U-test
//
// Only pairs made in mirrored order (A B B A) can tell a change from a machine that changed
// meanwhile. Seconds know of what varies within a run, and of nothing that differs from one
// run to the next; a report says so.
//
// # When it is a regression
//
// A figure that is gated is a regression if the 95 % interval of its ratio excludes 1, its
// p-value excludes chance after Holm's correction over all gated figures, and its ratio is
// worse than 1 by more than a threshold. So of comparisons of equal things at most one in
// twenty finds anything at all, worse or better. What could have been found is in the report: a gate
// that would not have seen a difference must not be taken as a proof that there is none.
//
// The reading order: stats.go (ratios, intervals, Holm, power), figure.go (what is compared),
// effect.go (what was found), runs.go with seconds.go, serial.go and unlike.go (files), ab.go
// with side.go (slices side by side), report.go (text and JSON).
package compare
