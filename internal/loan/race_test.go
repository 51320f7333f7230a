//go:build race

package loan

const raceEnabled = true
