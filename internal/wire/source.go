package wire

import (
	"bufio"
	"io"
	"math"
)

// readBuffer is what an idle connection keeps for reading. A head that does not
// fit gets a larger buffer for the length of its exchange.
const readBuffer = 4 << 10

// source feeds the buffered reader of a Conn. Its first read of an exchange
// writes the request.
type source struct {
	socket *socket

	asking bool   // the request is still to be written
	prefix []byte // read already, and to be read once more from here
	budget int64  // bytes the rest of the response may have
	err    error  // the last error of the connection
}

func (r *source) begin() { r.asking, r.budget, r.err = true, math.MaxInt64, nil }

// Read implements io.Reader.
func (r *source) Read(p []byte) (n int, err error) {
	switch {
	case len(r.prefix) > 0:
		n = copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	case r.budget <= 0:
		err = errFraming
	case r.asking:
		r.asking = false
		n, err = r.socket.converse(p)
	default:
		n, err = r.socket.stream().Read(p)
	}
	r.budget -= int64(n)
	if err != nil {
		r.err = err
	}
	return n, err
}

// widen returns a reader with room for size bytes that goes on where r stands.
func (r *source) widen(narrow *bufio.Reader, size int) (*bufio.Reader, error) {
	r.prefix = make([]byte, narrow.Buffered())
	if _, err := io.ReadFull(narrow, r.prefix); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(r, size), nil
}
