//go:build !linux

package load

func newFineTimer() fineTimer { return nil }

func simulated() bool { return false }
