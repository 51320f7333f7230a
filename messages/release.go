package messages

import "github.com/sluice-engine/sluice/internal/loan"

// Release says that nobody needs the response any more, so that the memory of its
// body can be that of another. Nobody has to say so: what is not released is collected
// as all memory is. It is worth a call where bodies of 16 KiB and more are many: one
// whose memory is made anew costs as much again as reading it.
//
// Body, and what Bytes returned, must not be used any longer, nor any part or copy of
// that slice, wherever it has come to: with a copy of the response, or with a
// PostProcessor or feedback.Reader that has kept it. It may hold another answer's
// bytes. Everything else that the response has given stays as it is: what Text, JSON
// and the Header returned, which is no part of the body's memory, and errors that
// carry the answer, as those of Err and Require do: a body that such an error has is
// never used again.
//
// Afterwards the response is empty, and a Stream is closed. A second Release, also of
// a copy, does nothing. It must not be called while others use the response.
func (r *Response) Release() {
	if r.Stream != nil {
		_ = r.Stream.Close() // nobody asks how it ended
	}
	l := r.loan
	*r = Response{}
	l.End()
}

// Clone returns the response with a body of its own: what is done with one, a change or a
// Release, is nothing to the other. A Stream, which can be read once, stays with r, and the
// clone has none. TLS is shared, as it is between all answers of a connection.
func (r *Response) Clone() *Response {
	c := *r
	c.Stream, c.Body, c.loan = nil, nil, loan.Loan{}
	if r.Body != nil {
		c.Body, c.loan = loan.Take(len(r.Body))
		copy(c.Body, r.Body)
	}
	return &c
}

// Lend is for the connections, which say whose the memory of Body is.
func (r *Response) Lend(l loan.Loan) { r.loan = l }
