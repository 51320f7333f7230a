package request

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// upload is a request body that is read while it is sent.
type upload struct {
	source    any    // the reader, or what opens one for each attempt: the caller's function, or ours
	once      bool   // what is opened can be read once
	mediaType string // empty where only the caller knows it
	length    int64
	probes    bool         // whether there is a body at all is to be seen first
	opening   *opening     // of a source that is a reader and was probed; nil otherwise
	current   *touchReader // of this attempt; nil if there is no body
}

// touchReader knows whether it was read from, and is closed once.
type touchReader struct {
	messages.CheckedReader
	outside *Outside     // nil counts nothing
	state   atomic.Int32 // untouched, and then one of the two others for good
	closed  atomic.Bool
}

const (
	untouched int32 = iota
	touched         // by its attempt
	retired         // for another attempt, which will be the one to read
)

// errStreamedBody is why a request cannot be signed.
var errStreamedBody = errors.New("a streamed body cannot be signed, and the authenticator does not say that it leaves bodies alone")

// errRetired is what an attempt reads that was answered before it had read anything,
// and comes too late: what it would take is another's.
var errRetired = errors.New("request body: its attempt is over")

// Read is part of io.Reader.
func (t *touchReader) Read(p []byte) (int, error) {
	if t.state.Load() != touched && !t.state.CompareAndSwap(untouched, touched) {
		return 0, errRetired
	}
	if t.outside != nil {
		t.outside.Enter()
		defer t.outside.Leave()
	}
	return t.CheckedReader.Read(p)
}

// Close closes the reader if it can be. What is in memory does not wait.
func (t *touchReader) Close() error {
	c, ok := t.Reader.(io.Closer)
	switch {
	case !ok || !t.closed.CompareAndSwap(false, true):
		return nil
	case t.outside == nil:
		return c.Close()
	}
	return t.outside.Close(c)
}

// memory opens a reader of what need not be read from the caller's own.
type memory func() io.Reader

// newUpload returns nil for a request whose body is sent from memory.
func (r *slot) newUpload(asked *messages.Request) (*upload, error) {
	if !asked.Upload.Stream || asked.Body == nil {
		return nil, nil
	}
	u := &upload{source: asked.Body, length: asked.Upload.Length}
	size := int64(-1)
	switch body := asked.Body.(type) {
	case func() (io.Reader, error):
	case io.Reader:
		from, err := r.borrow(body)
		if err != nil {
			return nil, err
		}
		if u.source, size = r.reads(from), from.Size(); from.Repeats() {
			u.source = memory(from.Open)
		}
	case messages.Multipart:
		if err := u.takeParts(r, body); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a streamed body is an io.Reader, a func() (io.Reader, error) or a Multipart, not a %T", asked.Body)
	}
	if size >= 0 && u.length > 0 && size != u.length {
		return nil, fmt.Errorf("its Upload.Length is %d, and its Body has %d bytes", u.length, size)
	}
	if u.length < 0 {
		return nil, fmt.Errorf("its Upload.Length %d is negative", u.length)
	}
	if asked.Auth && r.SignsBody(asked.Account) {
		return nil, errStreamedBody
	}
	return u, u.measure(asked)
}

// measure finds out how long the body is, and whether that is to be seen first.
func (u *upload) measure(asked *messages.Request) error {
	switch {
	case len(asked.Upload.Trailer) > 0 && u.length != 0:
		return errors.New("a body with trailers is sent in chunks, and cannot have a length")
	case len(asked.Upload.Trailer) > 0:
		u.length = -1
	case u.length == 0:
		u.length = -1
		if sized, ok := asked.Body.(interface{ Len() int }); ok {
			u.length = int64(sized.Len())
		}
	}
	mayLack := lacksBody[cmp.Or(asked.Method, http.MethodGet)]
	if u.length == 0 { // nothing yet, perhaps: only its end says that it is empty
		u.length, mayLack = -1, true
	}
	u.probes = u.length < 0 && u.mediaType == "" && len(asked.Upload.Trailer) == 0 && mayLack
	return nil
}

// takeParts has the upload open a multipart body for each attempt.
func (u *upload) takeParts(r *slot, body messages.Multipart) error {
	parts, err := body.Lay()
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	r.borrowed = parts
	if u.length != 0 {
		return errors.New("the length of a Multipart is not the caller's to say")
	}
	u.source = func() (io.Reader, error) { return parts.Open() }
	u.once, u.mediaType, u.length = !parts.Repeats(), parts.ContentType, max(0, parts.Length())
	return nil
}

// lacksBody are the methods whose requests mostly have no body, and many servers
// refuse one in chunks, even an empty one. net/http has the same.
var lacksBody = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodDelete: true, http.MethodOptions: true, "PROPFIND": true, "SEARCH": true,
}

// probe looks whether a body that is the caller's own reader has a first byte, before
// anything is held that others wait for.
func (u *upload) probe(r *slot) error {
	if u == nil || !u.probes {
		return nil
	}
	reader, ok := u.source.(io.Reader)
	if !ok {
		return nil
	}
	u.opening = newOpening(reader, &r.Outside)
	_, err := u.opening.isEmpty(r)
	return err
}

// open gives the attempt's call a reader that nobody has read from.
func (u *upload) open(r *slot, call *messages.Call) error {
	if u == nil {
		return nil
	}
	reader, ok := u.source.(io.Reader)
	if again, is := u.source.(func() (io.Reader, error)); is && u.retire() {
		var err error
		if reader, err = inTime(r, again, closeReader); err != nil {
			return &wire.BodyError{Err: err}
		}
		if reader == nil {
			return fmt.Errorf("%w: its Body returned no reader", messages.ErrInvalidRequest)
		}
		if messages.HoldsNil(reader) {
			return fmt.Errorf("%w: its Body returned a nil %T", messages.ErrInvalidRequest, reader)
		}
	} else if held, is := u.source.(memory); is {
		reader = held()
	} else if !ok || !u.retire() {
		return errors.New("request body was read already")
	}
	first := u.opening // the same for every attempt
	if u.probes && first == nil {
		first = newOpening(reader, &r.Outside)
	}
	if u.current != nil && u.anew() {
		u.current.End() // it may still be read from what the next one rewinds
	}
	u.current, call.Reader, call.Length = new(touchReader), nil, 0
	u.current.Reader = reader
	if _, held := u.source.(memory); !held && r != nil {
		u.current.outside = &r.Outside
	}
	if first != nil {
		u.current.Reader = first
		if empty, err := first.isEmpty(r); empty || err != nil {
			return err
		}
	}
	call.Reader, call.Length = u.current, u.length
	return nil
}

// closeReader closes a reader that nobody will read.
func closeReader(reader io.Reader) {
	if c, ok := reader.(io.Closer); ok && !messages.HoldsNil(reader) {
		_ = wire.Guard(messages.Exchanging, func() { _ = c.Close() }) // nobody is left to tell
	}
}

// repeats reports whether there can be another attempt, as far as is known: an
// attempt may begin to read after its answer has come. See retire.
func (u *upload) repeats() bool {
	if u == nil || u.current == nil {
		return true
	}
	return u.anew() || u.current.state.Load() != touched
}

// anew reports whether each attempt has a reader of its own.
func (u *upload) anew() bool {
	switch u.source.(type) {
	case memory:
		return true
	case func() (io.Reader, error):
		return !u.once
	}
	return false
}

// retire makes sure of that, and is called when another attempt is to follow: from
// then on the last one reads nothing more of a reader that there is but one of.
func (u *upload) retire() bool {
	if u == nil || u.current == nil || u.anew() {
		return true
	}
	return u.current.state.CompareAndSwap(untouched, retired) || u.current.state.Load() == retired
}

// close ends an attempt. A reader that is the caller's own is left to it.
func (u *upload) close() {
	if u == nil || u.current == nil {
		return
	}
	if _, again := u.source.(func() (io.Reader, error)); again {
		_ = u.current.Close()
	}
}
