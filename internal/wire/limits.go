package wire

import "cmp"

// Limits caps what a response may be. A cap of zero or less means its default.
type Limits struct {
	// Header is the most bytes one head, the interim responses together, or the
	// trailer section may have: 64 KiB.
	Header int
	// Body is the most bytes a body may have once its codings are undone: 16
	// MiB. A larger Content-Length is refused before reading, if there is no
	// coding to undo. A body that is streamed has no cap. Framing that outweighs
	// the body eightfold, by more than Header, is over it too, and so is a content
	// coding that does by more than 1 MiB, in what is streamed as well.
	Body int64
	// Ratio is how many bytes one byte of a coded body may become, once there
	// is a megabyte of them: 200.
	Ratio int
	// Lenient reads heads and trailers that are refused otherwise as net/http does,
	// and closes the connection behind each: see loose.go.
	Lenient bool
	// Decoders is shared by the connections that have these limits, so that few
	// decoders rest; nil gives each its own.
	Decoders *Decoders
}

// WithDefaults returns l with the defaults in place of what it leaves open.
func (l Limits) WithDefaults() Limits {
	// What is negative means the default too, and must not count as a choice.
	l.Header = cmp.Or(max(0, l.Header), 64<<10)
	l.Body = cmp.Or(max(0, l.Body), 16<<20)
	l.Ratio = cmp.Or(max(0, l.Ratio), 200)
	if l.Decoders == nil {
		l.Decoders = new(Decoders)
	}
	return l
}

// Refuses reports whether a Content-Length is over the cap, whatever the body is: one in a
// coding that is to be undone may be longer than what it becomes.
func (l *Limits) Refuses(length int64, coded bool) bool {
	if coded {
		return length > mostCoded(l.Body)
	}
	return length > l.Body
}
