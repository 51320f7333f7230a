// Package panels draws runs as one HTML file that needs nothing from outside, and a run that
// goes on as a page that follows it.
package panels
