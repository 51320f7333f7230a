// Package load makes requests by a schedule, or in closed loops, and measures them from the
// instants at which they were due.
//
// # The models
//
// In an open run a schedule says when each request is due, whatever became of those before: so
// do many users who know nothing of one another. A waker sleeps until the next instant, and
// waits for nothing else; what is due is taken by workers, each with its own intended instant,
// and what no worker has time for waits in the harness without losing it. A run that is behind
// by a million costs no memory: of arrivals that wait nothing is kept but how many they are.
//
// In a closed run each caller sends its next request when the last is answered, and has thought
// for a while if it is told to. It is due when the caller could send it. Nothing of what would
// have arrived while callers waited is measured, and the report says so.
//
// # What is measured
//
// A request is due, then handed to the client, then sent, which is when its first byte leaves,
// then over. Response is from due to over: the headline. Service is from sent. Lag is from due
// to handed, and is the harness's own (in a chain not before the answer that a step waits for);
// Wait is from handed to sent, and is the client's: its queue for connections, and an engine's
// for its limits. Errors and timeouts are in Response at their elapsed times; Success leaves
// them out. What a new connection took is in Connect as well.
//
// # Chains
//
// The first step of a chain is due by the schedule. The next one is due by the median response
// of the step before, and not by the actual one: a stall in one step delays the next, and
// that is counted. If the answer came sooner than the median, the next step is due when it came,
// since a client goes on at once. The median is a running one, of some ten thousand last
// responses; until it is known a step is due at the end of the one before.
//
// # The end
//
// When the schedule is at its end, or the context of Run is, nothing more is issued, and what is
// outstanding is waited for. What is left when that time is up is recorded at its elapsed time,
// as an error of the kind "unfinished", and counted: forgetting it would make a server that hangs
// at the end of a run the fastest of all.
//
// # Whether it counts
//
// A run whose harness did not hold the rate is INVALID, in results.End.Invalid: too few requests
// were handed over in time, or the lag is more than a tenth of the response and 2 ms at p99, or
// some were never handed over, or the machine did not wake the waker in time. See Evidence. What
// waits for the server is no reason: ten connections to a server that stalls make long waits,
// which are in the response, and a valid run. MaxInFlight is the harness's own bound, and what it
// holds back is: a run is never quietly less than it says.
//
// # Cost
//
// Beside its client a request costs the harness less than a microsecond and no allocation. Memory
// does not grow with the length of a run: workers hand samples to a tally, which makes an interval
// of each second and forgets it.
package load
