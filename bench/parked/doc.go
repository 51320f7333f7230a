// Package parked measures what many requests cost that wait: submitted ones, which have no
// goroutine, and callers in Do, who have one each.
package parked
