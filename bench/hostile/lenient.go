package hostile

import "testing"

// playLenient plays what answers and mutants do, to an engine that reads leniently.
func playLenient(t *testing.T, c Config, r *Report) {
	playOddAnswers(t, c, r, oddAnswers(), leniently)
	leniently.demandAll(r)
	n := c.Cases
	if n == 0 {
		n = defaultMutants / 4
	}
	playMutated(t, c, r, leniently, n)
}
