// Package doctor examines what a machine can offer to the harness before anybody believes what
// the harness measures on it.
//
// It looks at what the system says of itself (machine.go reads it, read.go has the formats,
// verdict.go what is enough), measures how exactly the process is woken (timers.go) and how many
// requests a second can be dispatched (rate.go), and has the runner of loads measure a server
// that stalls, whose percentiles arithmetic knows (stall.go).
package doctor
