// Package search finds the highest rate at which objectives hold.
//
//	doubling     from the lowest rate on, until a trial fails, and fails once more: a hiccup
//	             far below the edge must not decide where all the rest is looked for
//	bisection    between the last that held and the first that failed, halving their ratio,
//	             until they are a width apart
//	confirming   the last that held, again and again: five of five must hold, and after one
//	             that does not the rate goes back by a width and the count begins anew; then
//	             five of five must hold a width below it, too, and that is the answer
//
// Confirming is what makes the answer worth something. Every trial is a little luck, and a
// bisection believes the luckiest: with noise of 3 % its answer fails the next time in two
// cases of five. With five of five at two rates it fails in one of thirty, where the next trial
// varies as much; at one rate alone that would be one of ten. The price is that the answer lies
// some per cent below the true edge, so both numbers are told: the rate that held five of five,
// and the lowest that failed.
//
// A trial in which the harness itself was the limit says nothing of the server: it is
// repeated, and if that happens again and again at one rate, the search treats this as a wall
// and says so.
//
// The reading order: search.go (the state machine, which is pure), judge.go (what a trial
// says), run.go (trials one after another), report.go (text and JSON).
package search
