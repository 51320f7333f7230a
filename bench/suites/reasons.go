package suites

// Reasons are why a verdict may differ from net/http's. A difference without a line
// here fails the run, and a line whose tests pass is told.
var Reasons = []Reason{}
