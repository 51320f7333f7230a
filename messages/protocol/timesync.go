package protocol

import "time"

// AwaitTime asks the time synchronizer to answer with TimeReady as soon as it
// knows the server's time, or that it cannot before Deadline, which is an instant on
// the ledger's clock; zero means never.
type AwaitTime struct {
	Owner    Recipient
	Deadline time.Duration
}

// AwaitSample asks to be told TimeReady after the next look at the server's
// clock, which is taken at once or not at all: the server refused a timestamp.
type AwaitSample struct{ Owner Recipient }

// LeaveTime says that whoever asked waits no longer: the time synchronizer lets
// go of Owner, who gets no answer any more, unless TimeReady is on its way
// already. It does nothing if Owner does not wait.
type LeaveTime struct{ Owner Recipient }

// TimeReady answers AwaitTime and AwaitSample. Err is set when the time could
// not be learnt.
type TimeReady struct{ Err error }

// ResampleTime asks for a look at the server's clock at once: a limit in
// windows of that clock needs it.
type ResampleTime struct{}

// ClockKnown says that the server's clock is known at last, or was seen to step:
// what was decided without it may be decided anew. It is published before.
type ClockKnown struct{}

// CloseTimesync ends sampling; everyone who waits is answered.
type CloseTimesync struct{}
