package wire

// Limits caps what a response may be. A cap of zero or less means its default.
type Limits struct {
	// Header is the most bytes one head, or the trailer section, may have:
	// 64 KiB.
	Header int
	// Body is the most bytes a body may have once its transfer coding is
	// undone: 16 MiB. A larger Content-Length is refused before reading.
	Body int64
	// Interim is how many 1xx responses may precede the final one: 5.
	Interim int
}

func (l Limits) withDefaults() Limits {
	if l.Header <= 0 {
		l.Header = 64 << 10
	}
	if l.Body <= 0 {
		l.Body = 16 << 20
	}
	if l.Interim <= 0 {
		l.Interim = 5
	}
	return l
}

// wire is how many bytes a chunked body and its trailers may have on the wire.
// It leaves chunk framing as much room as the body, and a body of one-byte
// chunks at least Header bytes of framing.
func (l Limits) wire() int64 { return 2*l.Body + int64(l.Header) }
