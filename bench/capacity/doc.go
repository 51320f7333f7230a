// Package capacity measures how throughput grows with the number of callers, and fits the
// Universal Scalability Law to it.
//
// Of N callers that each wait for an answer before they ask again the law (Gunther 1993)
// expects a throughput of
//
//	X(N) = λN / (1 + σ(N−1) + κN(N−1))
//
// where λ is what one alone gets, σ the share of work that only one can do at a time, and κ
// what it costs them to agree with one another. With a κ above zero throughput has a peak, at
// N* = √((1−σ)/κ), and falls beyond it.
//
// The fit minimizes the squares of the logarithms' differences, so that a per cent counts the
// same everywhere. Intervals are by a parametric bootstrap: the fitted curve with noise drawn
// again, as large as the distances of the points from it say, and that is drawn, too, since
// so few points know it badly. A law fitted to points between 1 and N says nothing of what
// lies far beyond N, so nothing beyond 2N is predicted.
//
// The reading order: law.go (the law), fit.go (the fit), steps.go (the measurement),
// report.go (text and JSON).
package capacity
