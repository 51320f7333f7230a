package wire

// recordScan follows the framing of inbound TLS records: a type, a version of
// two bytes, a length of two bytes, then that many bytes (RFC 8446, section
// 5.1). crypto/tls keeps the beginning of a record to itself; only here can be
// seen that a connection which has nothing to say has begun to say something.
//
// It also knows whether crypto/tls can have a whole record left. Every read that
// gave data and emptied what it read from took at least one record, so if as
// many records came as there were such reads, all are taken.
type recordScan struct {
	header int // bytes of the header seen, 0 to 5
	length int // bytes of the record still to come once the header is whole
	whole  int // records that ended since nothing was left, ...
	taken  int // ... and reads that emptied one; never more than were taken
}

const recordHeader = 5

// pass follows p.
func (r *recordScan) pass(p []byte) {
	for len(p) > 0 {
		if r.header < recordHeader {
			switch r.header {
			case 3:
				r.length = int(p[0]) << 8
			case 4:
				r.length |= int(p[0])
			}
			r.header++
			p = p[1:]
		}
		// Also when p is empty by now: a record of no bytes ends with its header.
		n := 0
		if r.header == recordHeader {
			n = min(r.length, len(p))
			r.length -= n
			p = p[n:]
			if r.length == 0 {
				r.header = 0
				r.whole++
			}
		}
	}
}

// inside reports whether the last byte seen was not the last of a record.
func (r *recordScan) inside() bool { return r.header > 0 }

// drained reports whether crypto/tls has certainly nothing left.
func (r *recordScan) drained() bool { return r.whole == r.taken && r.header == 0 }

// settle is told that crypto/tls looked, and has nothing left.
func (r *recordScan) settle() { r.whole, r.taken = 0, 0 }
