package wire

import (
	"bufio"
	"io"
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
	err    error  // the last error of the connection

	upload *upload // of a request body that is read while it is sent; nil otherwise
}

func (r *source) begin(u *upload) { r.asking, r.err, r.upload = true, nil, u }

// Read implements io.Reader.
func (r *source) Read(p []byte) (n int, err error) {
	switch {
	case len(r.prefix) > 0:
		n = copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	case r.asking:
		r.asking = false
		if r.upload == nil {
			n, err = r.socket.converse(p)
		} else {
			n, err = r.socket.converseInSteps(p, r.upload)
		}
	default:
		n, err = r.socket.stream().Read(p)
	}
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
