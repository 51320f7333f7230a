// Package clocks judges how well the server's time is known, and what that is
// worth to a signed request. Three referees, from the estimator to the wire:
//
//	RunTable  the estimator against simulated networks and clocks, beside the
//	          reference's estimator on the same samples
//	RunDay    a day of signed requests in virtual time: a signer reads a
//	          snapshot, the exchange's rule is applied on arrival
//	RunLive   an engine and a simulated exchange with a skewed, drifting clock,
//	          over loopback and a jittery network
//
// The first two are exact and repeatable: the same seed gives the same figures.
// Every referee ends in verdicts, which say what was promised and what came out.
package clocks
