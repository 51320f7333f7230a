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
	// be. Any other reader is the caller's to close. A request with a plain reader
	// is never sent a second time once that was read from. An io.Seeker is put back
	// to where it stood: before every attempt if the body is streamed, and after it
	// was read if not.
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
	begun []int64 // where each seeker stood; -1 for what is none
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

// Lay lays a Multipart out. No file is read yet.
func (m Multipart) Lay() (*Parts, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	p := &Parts{ContentType: w.FormDataContentType(), files: m.Files}
	if err := writeFields(w, m.Fields); err != nil {
		return nil, err
	}
	for i, f := range m.Files {
		if err := f.check(); err != nil {
			return nil, aboutFile(i, err)
		}
		begun, err := standsAt(f.Content)
		if err != nil {
			return nil, aboutFile(i, err)
		}
		if _, err := w.CreatePart(f.header()); err != nil {
			return nil, err
		}
		p.heads, p.begun = append(p.heads, bytes.Clone(head.Bytes())), append(p.begun, begun)
		head.Reset()
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	p.heads = append(p.heads, head.Bytes())
	return p, nil
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

// standsAt is where a seeker stands, and -1 for what is none.
func standsAt(content any) (int64, error) {
	if seeker, ok := content.(io.Seeker); ok {
		return seeker.Seek(0, io.SeekCurrent)
	}
	return -1, nil
}

// Repeats reports whether every file can be read more than once.
func (p *Parts) Repeats() bool {
	for i, f := range p.files {
		if _, once := f.Content.(io.Reader); once && p.begun[i] < 0 {
			return false
		}
	}
	return true
}

// Length is the length of the whole in bytes, or -1 if that of a file is not known.
func (p *Parts) Length() int64 {
	sum := int64(0)
	for _, head := range p.heads {
		sum += int64(len(head))
	}
	for _, f := range p.files {
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

// ReadAll reads the whole into memory through a reader that can be ended, and puts
// seekers back to where they stood.
func (p *Parts) ReadAll(through *CheckedReader) ([]byte, error) {
	whole, err := p.Open()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	through.Reader = whole
	_, err = body.ReadFrom(through)
	errs := []error{err, whole.Close()}
	for i, f := range p.files {
		errs = append(errs, p.rewind(i, f))
	}
	return body.Bytes(), errors.Join(errs...)
}

func (p *Parts) rewind(i int, f File) error {
	if p.begun[i] < 0 {
		return nil
	}
	_, err := f.Content.(io.Seeker).Seek(p.begun[i], io.SeekStart)
	return err
}

// Open returns a reader of the whole. Seekers are put back to where they stood.
// Closing it closes the readers that were opened for it.
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
	return f.Content.(io.Reader), p.rewind(i, f)
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
