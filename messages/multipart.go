package messages

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Multipart is a request body that is sent as multipart/form-data (RFC 7578): the
// fields in the order of their names, and behind them the files in theirs. A field
// is written as Values are in a form; a list repeats its name.
//
// With Upload.Stream the files are read while they are sent, and nothing is held in
// memory; without it they are read first. See File for what may be sent again.
type Multipart struct {
	Fields Values
	Files  []File
}

// File is one file of a Multipart.
type File struct {
	// Field is the name of the form's field, and must not be empty.
	Field string
	// Name is what the file is called, for the server; empty means Field.
	Name string
	// ContentType is the media type; empty means application/octet-stream.
	ContentType string
	// Content is a []byte, a string, an io.Reader, or a func() (io.Reader, error),
	// which is called for every attempt, and whose readers are closed if they can
	// be. Any other reader is the caller's to close, and is read as a Request.Body is:
	// a request with one that can be read once is never sent a second time once that
	// was read from.
	Content any
}

// String says how many parts there are.
func (m Multipart) String() string {
	return fmt.Sprintf("multipart body of %d fields and %d files", len(m.Fields), len(m.Files))
}

// Format prints what String returns for every verb and flag.
func (m Multipart) Format(f fmt.State, verb rune) { show(f, verb, m.String()) }

// LogValue returns what String does.
func (m Multipart) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON returns an error: it is a body, and not a part of one.
func (m Multipart) MarshalJSON() ([]byte, error) { return nil, errNoJSON }

// String names the file.
func (f File) String() string {
	return fmt.Sprintf("file %q in field %q", cmp.Or(f.Name, f.Field), f.Field)
}

// Format prints what String returns for every verb and flag.
func (f File) Format(s fmt.State, verb rune) { show(s, verb, f.String()) }

// LogValue returns what String does.
func (f File) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalJSON returns an error, as that of Multipart does.
func (f File) MarshalJSON() ([]byte, error) { return nil, errNoJSON }

var errNoJSON = errors.New("a Multipart is not written as JSON: it is a Request.Body by itself, and no pointer to it")

// Parts is a Multipart as it is laid out: what stands before each file, and the
// files.
type Parts struct {
	// ContentType names the boundary that separates the parts.
	ContentType string

	heads [][]byte // before each file, and behind the last
	files []File
	from  []*Source // of the files that are readers; nil for others
}

// String says how many files there are.
func (p Parts) String() string {
	return fmt.Sprintf("multipart body of %d files, laid out", len(p.files))
}

// Format prints what String returns for every verb and flag.
func (p Parts) Format(f fmt.State, verb rune) { show(f, verb, p.String()) }

// LogValue returns what String does.
func (p Parts) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON returns an error, as that of Multipart does.
func (p Parts) MarshalJSON() ([]byte, error) { return nil, errNoJSON }

// Lay lays a Multipart out. No file is read yet. The Parts must be ended. The error lists
// every mistake.
func (m Multipart) Lay() (*Parts, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	p := &Parts{ContentType: w.FormDataContentType(), files: m.Files}
	if err := writeFields(w, m.Fields); err != nil {
		return nil, err
	}
	for i, f := range m.Files {
		if err := p.lay(w, f); err != nil {
			p.End()
			return nil, aboutFile(i, err)
		}
		p.heads = append(p.heads, bytes.Clone(head.Bytes()))
		head.Reset()
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	p.heads = append(p.heads, head.Bytes())
	return p, nil
}

// lay lays out what stands before a file, and takes its reader if it has one.
func (p *Parts) lay(w *multipart.Writer, f File) error {
	if err := f.check(); err != nil {
		return err
	}
	var from *Source
	if reader, ok := f.Content.(io.Reader); ok {
		var err error
		if from, err = NewSource(reader); err != nil {
			return err
		}
	}
	p.from = append(p.from, from)
	_, err := w.CreatePart(f.header())
	return err
}

// aboutFile names the file that an error is about as the caller does.
func aboutFile(i int, err error) error { return fmt.Errorf("%s[%d]: %w", "Files", i, err) }

func writeFields(w *multipart.Writer, fields Values) error {
	encoded, err := fields.Encoded()
	if err != nil || encoded == "" {
		return err
	}
	for pair := range strings.SplitSeq(encoded, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name) // both have just been escaped
		value, _ = url.QueryUnescape(value)
		if err := w.WriteField(name, value); err != nil {
			return err
		}
	}
	return nil
}

var errNoContent = errors.New("its Content is none of []byte, string, io.Reader and func() (io.Reader, error)")

func (f File) check() error {
	if HoldsNil(f.Content) {
		return fmt.Errorf("its Content is a nil %T", f.Content)
	}
	switch f.Content.(type) {
	case []byte, string, io.Reader, func() (io.Reader, error):
	default:
		return fmt.Errorf("%w, but a %T", errNoContent, f.Content)
	}
	if open, is := f.Content.(func() (io.Reader, error)); is && open == nil {
		return errors.New("its Content is a nil function")
	}
	switch {
	case f.Field == "":
		return errors.New("its Field is empty")
	case strings.ContainsFunc(f.ContentType, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("its ContentType has a control character")
	}
	return nil
}

func (f File) header() textproto.MIMEHeader {
	return textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(f.Field, cmp.Or(f.Name, f.Field))},
		"Content-Type":        {cmp.Or(f.ContentType, "application/octet-stream")},
	}
}

// Repeats reports whether every file can be read more than once.
func (p *Parts) Repeats() bool {
	return !slices.ContainsFunc(p.from, func(s *Source) bool { return s != nil && !s.Rewinds() })
}

// Spent reports whether a file was read from that can be read but once.
func (p *Parts) Spent() bool { return slices.ContainsFunc(p.from, (*Source).Spent) }

// End has nothing read any more, and lets the readers go.
func (p *Parts) End() {
	for _, s := range p.from {
		s.End()
	}
}

// Length is the length of the whole in bytes, or -1 if that of a file is not known.
func (p *Parts) Length() int64 {
	sum := int64(0)
	for _, head := range p.heads {
		sum += int64(len(head))
	}
	for i, f := range p.files {
		if from := p.from[i]; from != nil && from.Size() >= 0 {
			sum += from.Size()
			continue
		}
		switch content := f.Content.(type) {
		case []byte:
			sum += int64(len(content))
		case string:
			sum += int64(len(content))
		case interface{ Len() int }:
			sum += int64(content.Len())
		default:
			return -1
		}
	}
	return sum
}

// ReadAll reads the whole into memory through a reader that can be ended, and ends. It fails
// as the readers do.
func (p *Parts) ReadAll(through *CheckedReader) ([]byte, error) {
	defer p.End()
	whole, err := p.Open()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	through.Reader = whole
	_, err = body.ReadFrom(through)
	return body.Bytes(), errors.Join(err, whole.Close())
}

// Open returns a reader of the whole. Seekers are put back to where they stood.
// Closing it closes the readers that were opened for it. It fails if one cannot be opened.
func (p *Parts) Open() (io.ReadCloser, error) {
	whole := &partsReader{}
	readers := make([]io.Reader, 0, 2*len(p.files)+1)
	for i, f := range p.files {
		content, err := p.open(i, f, whole)
		if err != nil {
			_ = whole.Close() // the first failure is the one to be told
			return nil, aboutFile(i, err)
		}
		readers = append(readers, bytes.NewReader(p.heads[i]), content)
	}
	whole.Reader = io.MultiReader(append(readers, bytes.NewReader(p.heads[len(p.files)]))...)
	return whole, nil
}

func (p *Parts) open(i int, f File, whole *partsReader) (io.Reader, error) {
	switch content := f.Content.(type) {
	case []byte:
		return bytes.NewReader(content), nil
	case string:
		return strings.NewReader(content), nil
	case func() (io.Reader, error):
		reader, err := content()
		switch {
		case err != nil:
		case reader == nil:
			err = errors.New("its Content returned no reader")
		case HoldsNil(reader):
			err = fmt.Errorf("its Content returned a nil %T", reader)
		}
		if closer, ok := reader.(io.Closer); ok && err == nil {
			whole.opened = append(whole.opened, closer)
		}
		return reader, err
	}
	return p.from[i].NotEmpty(), p.from[i].Rewind()
}

// partsReader reads all parts one after the other.
type partsReader struct {
	io.Reader
	opened []io.Closer
}

// Close closes what was opened for it.
func (r *partsReader) Close() error {
	var errs []error
	for _, c := range r.opened {
		errs = append(errs, c.Close())
	}
	r.opened = nil
	return errors.Join(errs...)
}
