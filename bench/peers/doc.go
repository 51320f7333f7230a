// Package peers compares what one request costs through the engine with what it
// costs through bare net/http and bare fasthttp, and through libraries that are built on
// net/http: resty, go-retryablehttp, failsafe-go and imroc/req.
//
// Every client makes the same small JSON GET over loopback, from the same
// number of callers, against a server in a process of its own, and ends with the
// same thing in hand: a checked status and a body the caller owns. The engine
// also charges a limit and one linked to it, both too wide to hold anything up.
// The same is asked over TLS, over HTTP/2 and through an http.Client with the
// engine beneath it; a signed POST, far more callers than connections, and a fan-out are
// cases too (signing.go, apart.go, fanout.go); and a crowd of callers is compared with a few of them on
// the same engine (crowd.go).
//
// # How it measures
//
//		round   e n f f n e        the cases in turn, every client twice
//		round   n f e e f n        the next rotation: three rounds hold all six orders
//		        └─┬─┘
//		          half: one slice of every client, side by side in time
//
//	  - A slice is a fixed number of requests by one client. CPU is the growth of
//	    user and system time of this process (getrusage), so the server's share is
//	    not in it; allocations and bytes are those of [runtime.MemStats].
//	  - Rounds are mirrored, so a machine that slows down steadily harms no client
//	    more than another. A ratio is taken within a half, and the median of those
//	    ratios is reported with a bootstrap interval. What disturbs a whole half
//	    cancels; what disturbs one slice is outvoted.
//	  - The libraries are guests in some of the rounds: four more clients in each would
//	    leave the others few.
//	  - A collection and a few untimed requests stand before every slice, so that no
//	    client pays for its predecessor's garbage or for pools that the collection
//	    emptied. One whole slice per client and case is thrown away at the start.
//
// Wall time per request is a slice's duration over its requests: with one caller
// the latency, with 64 the inverse of the throughput. It is shown and not
// compared, because on a shared machine it says more about the neighbours.
//
// What a slice is, and how slices are compared, is in bench/gauge. The reading order: plan.go
// (the cases), client.go (who asks), run.go (all of it), report.go (the table).
package peers
