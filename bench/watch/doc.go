// Package watch shows a run while it goes on: drawn on a terminal, as lines elsewhere, or not
// at all. It never holds the run up.
package watch
