package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"reflect"
	"strings"
	"sync"
)

// Source is a reader of the caller's whose bytes are a request's body, or a part of
// one. What is in memory or in a file is read without moving the reader, as often as
// it is opened, on many goroutines at once. Of any other reader there is but one: it
// is read by one Source at a time, whatever the engine, and put back to where it stood
// if it can be.
type Source struct {
	anew func() io.Reader // one more that reads the same; nil if there is but the reader
	size int64            // in bytes, -1 if that is not known

	reader   io.Reader
	seeker   io.Seeker // nil if the reader cannot be put back
	start    int64     // where it stood
	identity any       // in taken; nil if the reader has none

	mu      sync.Mutex // guards what follows
	reading int        // Reads of it that have not returned
	touched bool       // it was read from
	ended   bool       // nobody is to read any more
	given   bool       // it was given back: put back to where it stood, and let go
}

var (
	// ErrBodyRead is beside the cause of an error whose request had begun to read a
	// body that there is but once.
	ErrBodyRead = errors.New("its body was read from, and can be read once: another request needs another reader, " +
		"or a Body that can be read again, as []byte, *bytes.Reader, *os.File or, streamed, func() (io.Reader, error)")

	errTaken   = errors.New("its reader is another request's body at this moment, and can be read by one at a time")
	errAtEnd   = errors.New("its reader stands at its end: rewind it, or send nil if there is to be no body")
	errNothing = &emptyError{"its reader has nothing to read, as one that was read before: give each request a reader of its own, " +
		"or nil if there is to be no body"}
	errLetGo = errors.New("request body: its request has ended")
)

// emptyError is an ErrInvalidRequest that does not say so: it is said where the request
// is built.
type emptyError struct{ text string }

// Error is part of error.
func (e *emptyError) Error() string { return e.text }

// Unwrap returns ErrInvalidRequest.
func (*emptyError) Unwrap() error { return ErrInvalidRequest }

// taken are the readers that are being read for a request, by their identity.
var taken = struct {
	sync.Mutex
	readers map[any]struct{}
}{readers: map[any]struct{}{}}

// NewSource makes a reader a Source, which must be ended. It is an error if another
// has the reader, or if it stands at the end of what it has.
func NewSource(reader io.Reader) (*Source, error) {
	s := &Source{reader: reader, size: -1}
	if err := s.snapshot(); err != nil || s.anew != nil {
		return s, err
	}
	if s.identity = identityOf(reader); !s.take() {
		return nil, errTaken
	}
	if seeker, ok := reader.(io.Seeker); ok {
		if at, err := seeker.Seek(0, io.SeekCurrent); err == nil { // otherwise a pipe or the like
			s.seeker, s.start = seeker, at
		}
	}
	return s, nil
}

// take reports whether no other Source has the reader.
func (s *Source) take() bool {
	if s.identity == nil {
		return true
	}
	taken.Lock()
	defer taken.Unlock()
	_, others := taken.readers[s.identity]
	taken.readers[s.identity] = struct{}{}
	return !others
}

func (s *Source) letGo() {
	if s.identity != nil {
		taken.Lock()
		delete(taken.readers, s.identity)
		taken.Unlock()
	}
}

// snapshot finds out whether the reader can be read without being moved. That is told
// by its very type: one that embeds it may read something else.
func (s *Source) snapshot() error {
	spent := false
	switch r := s.reader.(type) {
	case *bytes.Buffer:
		if r == nil {
			return nil
		}
		content := r.Bytes()
		s.anew, s.size = func() io.Reader { return bytes.NewReader(content) }, int64(len(content))
	case *bytes.Reader:
		if r == nil {
			return nil
		}
		from := *r
		s.anew, s.size = func() io.Reader { again := from; return &again }, int64(from.Len())
		spent = s.size == 0 && from.Size() > 0
	case *strings.Reader:
		if r == nil {
			return nil
		}
		from := *r
		s.anew, s.size = func() io.Reader { again := from; return &again }, int64(from.Len())
		spent = s.size == 0 && from.Size() > 0
	case *io.SectionReader:
		if r == nil {
			return nil
		}
		from := *r
		at, _ := from.Seek(0, io.SeekCurrent) // which cannot fail
		s.anew = func() io.Reader { again := from; return &again }
		spent = at > 0 && at >= from.Size()
	case *os.File:
		spent = s.snapshotFile(r)
	}
	if spent {
		return errAtEnd
	}
	return nil
}

// snapshotFile has a regular file read at places, which leaves it where it stands,
// and reports whether that is its end.
func (s *Source) snapshotFile(file *os.File) (spent bool) {
	if file == nil {
		return false
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	s.anew = func() io.Reader { return io.NewSectionReader(file, at, math.MaxInt64-at) }
	return at > 0 && at >= info.Size()
}

// identityOf is what tells a reader from others; nil if nothing does: one without a
// state of its own may be read by many, and what is compared must be comparable.
func identityOf(reader io.Reader) any {
	v := reflect.ValueOf(reader)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || v.Type().Elem().Size() == 0 {
			return nil
		}
		return reader
	case reflect.Struct:
		for i := range v.NumField() {
			switch v.Field(i).Kind() {
			case reflect.Pointer, reflect.Interface, reflect.Chan:
				if v.Comparable() {
					return reader
				}
			}
		}
	}
	return nil
}

// stateless reports whether a reader cannot have been read before, as http.NoBody.
func stateless(reader io.Reader) bool {
	t := reflect.TypeOf(reader)
	return t.Size() == 0 || t.Kind() == reflect.Pointer && t.Elem().Size() == 0
}

// Repeats reports whether Open has a reader of the same bytes every time.
func (s *Source) Repeats() bool { return s.anew != nil }

// Rewinds reports whether the reader is put back to where it stood.
func (s *Source) Rewinds() bool { return s.anew != nil || s.seeker != nil }

// Size is how many bytes there are, or -1 if that is not known.
func (s *Source) Size() int64 { return s.size }

// Open returns what reads the bytes. Where there is but one reader, that is s.
func (s *Source) Open() io.Reader {
	if s.anew != nil {
		return s.anew()
	}
	return s
}

// Rewind puts a reader that was touched back to where it stood. It is an error if that
// cannot be.
func (s *Source) Rewind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.anew != nil || !s.touched:
		return nil
	case s.seeker == nil || s.reading > 0:
		return ErrBodyRead
	}
	s.touched = false
	_, err := s.seeker.Seek(s.start, io.SeekStart)
	return err
}

// Read is part of io.Reader. It reads the one reader that there is.
func (s *Source) Read(p []byte) (n int, err error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return 0, errLetGo
	}
	s.reading++
	s.touched = s.touched || len(p) > 0
	s.mu.Unlock()
	defer s.leave() // its Read may panic
	return s.reader.Read(p)
}

func (s *Source) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading--
	s.giveBack()
}

// String tells nothing of the body.
func (s *Source) String() string { return "request body" }

// Format prints what String returns for every verb and flag.
func (s *Source) Format(f fmt.State, verb rune) { show(f, verb, s.String()) }

// LogValue returns what String does.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes what String returns.
func (s *Source) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Close closes the reader if it can be. The error is the reader's own.
func (s *Source) Close() error {
	if c, ok := s.reader.(io.Closer); ok && s.anew == nil {
		return c.Close()
	}
	return nil
}

// End has nothing read any more, and lets the reader go as soon as nobody reads it.
func (s *Source) End() {
	if s == nil || s.anew != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.giveBack()
}

// giveBack puts the reader back and lets it go, once nobody reads. mu is held.
func (s *Source) giveBack() {
	if !s.ended || s.reading > 0 || s.given {
		return
	}
	s.given = true
	defer func() {
		_ = recover() // of a Seek, which is the caller's code, with nobody left to tell
		s.letGo()
	}()
	if s.touched && s.seeker != nil {
		_, _ = s.seeker.Seek(s.start, io.SeekStart) // whoever reads it next is told
	}
}

// Spent reports whether the reader was read from, and cannot be put back.
func (s *Source) Spent() bool {
	if s == nil || s.Rewinds() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touched
}

// NotEmpty reads from a Source of one reader, and has it be an error that there is
// nothing: mostly it was read before, and who would be sent nothing cannot tell.
func (s *Source) NotEmpty() io.Reader {
	if s.anew != nil || stateless(s.reader) || s.seeker != nil && s.start == 0 {
		return s.Open()
	}
	return &notEmpty{s, false}
}

type notEmpty struct {
	*Source
	some bool // something was read; of the one that reads
}

// Read is part of io.Reader.
func (n *notEmpty) Read(p []byte) (int, error) {
	count, err := n.Source.Read(p)
	n.some = n.some || count > 0
	if !n.some && err == io.EOF {
		return 0, errNothing
	}
	return count, err
}
