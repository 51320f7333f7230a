// Package pressure tells a test that measures time whether the machine had too much else to do
// meanwhile.
//
// [Try] repeats an attempt until one is on time. If none was, the test fails on a machine that
// had time for it, and is skipped, with the figures, on one that demonstrably had not. Of Linux
// it reads /proc/pressure/cpu, how long somebody waited for a processor, and /proc/stat, whose
// work that was: a test that keeps itself waiting has no excuse. Elsewhere nothing is known, and
// an attempt must only not be grossly off.
package pressure
