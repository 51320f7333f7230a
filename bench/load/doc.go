// Package load makes requests by a schedule, or in closed loops, and measures them from the
// instants at which they were due.
package load
