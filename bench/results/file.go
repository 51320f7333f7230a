package results

import "io"

// Writer appends to a file of results: a line of JSON for each value.
type Writer struct{}

// NewWriter writes the header.
func NewWriter(w io.Writer, h Header) (*Writer, error) { panic("to be written") }

// Add appends an interval.
func (w *Writer) Add(i Interval) error { panic("to be written") }

// End appends the last line.
func (w *Writer) End(e End) error { panic("to be written") }

// Run is a whole file, added up.
type Run struct {
	Header Header
	// Warm and Total are by operation; the empty name has all of them together.
	Warm, Total map[string]*Operation
	// Series has the intervals in order, of the same length each: a second, or as many as
	// keep their number small.
	Series []Interval
	Step   int // seconds of each
	End    End
	Whole  bool // the file has its End
}

// Read reads what there is of a file: a half-written last line is left out, and Whole false.
func Read(r io.Reader) (*Run, error) { panic("to be written") }

// Open reads a file by its name.
func Open(name string) (*Run, error) { panic("to be written") }

// Merge adds up the runs of several machines.
func Merge(runs ...*Run) (*Run, error) { panic("to be written") }
