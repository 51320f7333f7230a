package results

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// line is what follows the header in a file: exactly one of the two.
type line struct {
	Interval *Interval `json:"interval,omitempty"`
	End      *End      `json:"end,omitempty"`
}

// Errors that reading and merging return, wrapped with what was wrong.
var (
	ErrFormat    = errors.New("not a file of results that this program reads")
	ErrCorrupt   = errors.New("the file of results is broken")
	ErrDifferent = errors.New("not results of one run")
)

// Writer appends to a file of results: a line of JSON for each value, with one write each,
// so that a crash leaves at most one line torn. It is safe for concurrent use. Once a write
// has failed every later call returns that error and writes nothing, since a reader forgives
// a torn line only at the end.
type Writer struct {
	mutex  sync.Mutex
	to     io.Writer
	file   io.Closer    // nil unless Create made it
	packer *gzip.Writer // into packed; nil unless compressed
	packed bytes.Buffer
	ended  bool
	broken error
}

// NewWriter writes the header to w, which the caller closes. Format is filled in, and what
// was recorded left out of the schedule.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	out := &Writer{to: w}
	return out, out.begin(h)
}

// Create makes a file, or empties the one there is, and writes the header. One whose name
// is Compressed is. Close it.
func Create(name string, h Header) (*Writer, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	out := &Writer{to: file, file: file}
	if Compressed(name) {
		out.packer = gzip.NewWriter(&out.packed)
	}
	if err := out.begin(h); err != nil {
		file.Close()
		return nil, err
	}
	return out, nil
}

// Compressed reports whether a file of this name is written compressed.
func Compressed(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gz") }

func (w *Writer) begin(h Header) error {
	h.Format, h.Schedule.Recorded = Format, nil
	return w.write(h)
}

// Add appends an interval. What it points to can be used again afterwards.
func (w *Writer) Add(i Interval) error {
	if err := i.check(); err != nil {
		return fmt.Errorf("results: an interval cannot be written: %w", err)
	}
	return w.write(line{Interval: &i})
}

// End appends the last line. There is one.
func (w *Writer) End(e End) error { return w.write(line{End: &e}) }

// Close ends what Create made; the file is not whole unless End came before.
func (w *Writer) Close() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var err error
	if w.packer != nil && w.broken == nil {
		w.packed.Reset()
		w.packer.Close() // into a bytes.Buffer: cannot fail
		err = w.flush(w.packed.Bytes())
	}
	if w.broken == nil {
		w.broken = fmt.Errorf("results: %w", os.ErrClosed)
	}
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
		w.file = nil
	}
	return err
}

func (w *Writer) write(value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("results: a line cannot be written: %w", err)
	}
	raw = append(raw, '\n')
	w.mutex.Lock()
	defer w.mutex.Unlock()
	l, isLine := value.(line)
	switch {
	case w.broken != nil:
		return w.broken
	case w.ended && isLine && l.End != nil:
		return errors.New("results: the run has ended already")
	case isLine && l.End != nil:
		w.ended = true
	}
	if w.packer != nil {
		w.packed.Reset()
		w.packer.Write(raw) // into a bytes.Buffer: cannot fail
		w.packer.Flush()
		raw = w.packed.Bytes()
	}
	return w.flush(raw)
}

// flush writes once; mutex is held.
func (w *Writer) flush(raw []byte) error {
	n, err := w.to.Write(raw)
	if err == nil && n < len(raw) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.broken = fmt.Errorf("results: the file takes no more lines after %d of %d bytes of one: %w", n, len(raw), err)
	}
	return w.broken
}

// check refuses what a reader would.
func (i *Interval) check() error {
	switch {
	case i.Second < 0:
		return fmt.Errorf("second %d is before the run", i.Second)
	case i.Phase != WarmUp && i.Phase != Main:
		return fmt.Errorf("phase %.40q is neither %q nor %q", string(i.Phase), WarmUp, Main)
	}
	if _, unnamed := i.Operations[""]; unnamed {
		return errors.New("an operation has no name")
	}
	return nil
}
