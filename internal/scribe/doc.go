// Package scribe writes an engine's log lines on a goroutine of its own, so that
// no actor ever runs, or waits for, somebody else's slog.Handler.
//
//	actor ── slog.Logger ──▶ queue ── at most one goroutine ──▶ the caller's handler
//
// A line is copied where it is said, and costs no more than that there. Whatever
// is the caller's own code runs later, on the scribe's goroutine: the handler,
// its Enabled, WithAttrs and WithGroup, and the LogValue, String and Error methods
// of what is logged. If that code panics or ends its goroutine, one line is lost;
// while it blocks, lines queue up, and those beyond the queue are dropped and
// counted: the next line that gets through has the attribute "lines_dropped".
//
// The goroutine lives from the first line of a burst to its last, so a scribe
// with nothing to say has none.
package scribe
