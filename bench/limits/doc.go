// Package limits plays rate limiters against servers that count what arrives,
// in virtual time, and tells how much of each limit they use and how often they
// are refused.
//
// A run is decided by its setup and its seed: the same two give the same
// figures, on any machine. Nothing here sleeps or reads a clock.
//
// # The referee
//
// A request is granted, reaches the wire 20 to 200 µs later, arrives after a
// delay drawn for the way out, is counted (or refused, and then not counted)
// at that instant on the server's clock, and its answer is seen after a delay
// drawn for the way home. Requests overtake each other. The server's clock is
// years and a fraction away from the client's and runs 20 ppm slow, up to 190
// ppm either way in Fuzz. The counters are those of bench/exchange.
//
// # The players
//
//   - sluice: throttle.Ledger itself, called as the throttler actor calls it,
//     configured for the server's way of counting
//   - reference: a log of sendings that every waiter polls each 100 ms, with a
//     safety margin of 5 %
//   - xtimerate: golang.org/x/time/rate with a burst of one request, the
//     setting under which it is refused least
//   - uber: go.uber.org/ratelimit with its defaults
//   - plainlog: an exact sliding log of sendings, without polling or margin
//
// # What is measured
//
// Utilisation is the weight admitted over the most that the server's rule
// could have admitted in the same time on the server's clock. The first windows
// are left out. It is averaged over all phases of the period, except for fixed
// windows, which are measured whole. Refusals are counted from the start. A
// wait lasts from the wish to send to the grant.
package limits
