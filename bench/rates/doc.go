// Package rates finds out how many requests a second the harness, wrk, hey and vegeta make, side
// by side against one server that is faster than all of them.
package rates
