// Package clock estimates a server's clock from request and answer times, and
// says how wrong the estimate can be at most.
//
// A server that reads its clock as S between our Sent and Received proves, with
// no assumption about delays, that its clock was at least S when we received
// and below S + resolution when we sent. An Estimator intersects many such
// statements, twice:
//
//	envelope  any rate within 600 ppm, another at every instant ──▶ the bound claimed
//	tracker   one rate within 600 ppm that wanders by 2 ppm     ──▶ the estimate
//
// The bound needs two things only: the clocks' rates differ by at most
// Config.MaxRate, and the server's clock does not step. 600 ppm covers an
// operating system that slews the monotonic clock (500 ppm on Linux). A step is
// noticed by the first sample that contradicts the envelope.
//
// A Guard stands before an Estimator: a time that is far from the local wall
// clock is believed only once several answers have confirmed it.
//
// Everything is pure: instants are passed in, as durations on the local
// monotonic clock since Config.Epoch. An Estimator belongs to one goroutine; a
// Snapshot is immutable and read from anywhere through Published.
package clock
