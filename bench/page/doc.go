// Package page has an engine at work at a simulated exchange, with the live page of package
// engine/inspect about it: what `sluice exchange --page` shows. Its test opens the page in a
// browser.
//
//	demo.go    the load, and the server of the page
//	limits.go  the exchange's limits, as an engine keeps them
package page
