// Package schedule says at which instants requests are due: by formula, so that the
// billionth is as exact as the first.
package schedule
