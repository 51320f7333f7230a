package protocol

// AwaitTime asks the time synchronizer to answer with TimeReady as soon as it
// knows the server's time.
type AwaitTime struct{ Owner Recipient }

// AwaitSample asks to be told TimeReady after the next look at the server's
// clock, which is taken at once: the server refused a timestamp.
type AwaitSample struct{ Owner Recipient }

// TimeReady answers AwaitTime and AwaitSample. Err is set when the time could
// not be learnt.
type TimeReady struct{ Err error }

// ResampleTime asks for a look at the server's clock at once: a limit in
// windows of that clock needs it.
type ResampleTime struct{}

// CloseTimesync ends sampling; everyone who waits is answered.
type CloseTimesync struct{}
