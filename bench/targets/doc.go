// Package targets says what is sent: requests from flags, files, HARs, cassettes and logs,
// in chains whose steps use what earlier answers said, with values from data.
package targets
