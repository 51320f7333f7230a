package memory

// ThisMachine returns the clock of this machine. It is CLOCK_MONOTONIC on Linux: what
// it shows to have passed between two processes of one boot has passed, whatever the
// wall clock was set to; and if the machine slept, more has. Elsewhere, and after a
// reboot, nobody knows how long it was, and Boot says so.
func ThisMachine() Clock { return thisMachine() }
