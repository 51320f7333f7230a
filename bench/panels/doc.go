// Package panels draws runs as one HTML file that needs nothing from outside, and a run that
// goes on as a page that follows it.
//
// Ten panels tell of a run: percentiles, latency over time, rates, stages, errors, response
// against load, limits, the harness itself, operations, and the difference to another run. Each
// says in a sentence what it shows, draws it, and has the numbers as a table. What is said and
// what is drawn is made here; the browser draws it and decides nothing.
//
//	page.go        one file of several runs
//	live.go        a run that goes on: what is kept of it
//	viewers.go     who looks at it
//	material.go    points: what the panels are made of
//	head.go        verdict, objectives, and what was run
//	latency.go     panels 1, 2, 6
//	rates.go       panels 3, 4, 5
//	limits.go      panels 7, 8
//	operations.go  panel 9
//	overlay.go     panel 10
//	chart.go       charts and tables as data
//	units.go       numbers as text
//	page.html, page.css, page.js, uplot
package panels
