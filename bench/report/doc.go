// Package report tells what a run measured: as text for people, and as JSON, CSV,
// HdrHistogram's log, Go's benchmark format and Prometheus's for other programs.
package report
