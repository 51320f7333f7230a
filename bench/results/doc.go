// Package results keeps what was measured: counts and histograms by second and operation, in
// one file that describes itself, grows while the run goes on, can be read after a crash and
// merged with those of other machines.
package results
