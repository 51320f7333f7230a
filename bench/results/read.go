package results

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// mostLine is the longest line that is read: a thousand operations have some 20 MB.
const mostLine = 64 << 20

// Run is a whole file, added up. Its histograms are compacted: they can be read, but not
// recorded into, by several goroutines at once.
type Run struct {
	Header Header
	// Warm and Total are by operation; the empty name has all of them together, and is
	// always there.
	Warm, Total map[string]*Operation
	// WarmCounts and Counts are of the requests whose intended instant was in the warm-up,
	// and in the main part, whenever they were sent and completed.
	WarmCounts, Counts Counts
	// Series has the intervals in order, of the same length each: a second, or as many as keep
	// their number at MostIntervals or fewer, and what they hold at some 24 MB. Second is the
	// first of each, and none is missing, up to the last in which something was. One that has
	// both phases is Main.
	Series []Interval
	Step   int // seconds of each: a power of two
	End    End
	Whole  bool // the file has its End
}

// Counts are how many requests were due, sent and completed.
type Counts struct{ Offered, Sent, Completed uint64 }

// Add adds others.
func (c *Counts) Add(other Counts) {
	c.Offered = plus(c.Offered, other.Offered)
	c.Sent = plus(c.Sent, other.Sent)
	c.Completed = plus(c.Completed, other.Completed)
}

// Open reads a file by its name. What is compressed by gzip is recognized by its first bytes.
func Open(name string) (*Run, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	run, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return run, nil
}

// Read reads what there is of a file, compressed or not: a half-written last line is left
// out, and Whole false. The intervals may be in any order. It holds no more than
// MostIntervals of them, however long the run was. A file of another format is ErrFormat, one
// that is broken anywhere but at its end ErrCorrupt.
func Read(r io.Reader) (*Run, error) {
	in, err := unpacked(bufio.NewReaderSize(r, 1<<16))
	if err != nil {
		return nil, err
	}
	first, whole, err := nextLine(in)
	if err != nil && err != io.EOF {
		return nil, err
	}
	header, err := readHeader(first, whole)
	if err != nil {
		return nil, err
	}
	sum := NewSum(header)
	for number := 2; ; number++ {
		raw, whole, err := nextLine(in)
		if err == io.EOF {
			return sum.Run(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		err = sum.addLine(raw)
		if err != nil && !whole {
			return sum.Run(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %w", number, ErrCorrupt, err)
		}
	}
}

// unpacked looks whether the file is compressed.
func unpacked(in *bufio.Reader) (*bufio.Reader, error) {
	if magic, _ := in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	packed, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%w: its compression has no beginning: %w", ErrFormat, err)
	}
	return bufio.NewReaderSize(tornIsEnd{packed}, 1<<16), nil
}

// tornIsEnd makes the break of a compressed file, whose program crashed, its end.
type tornIsEnd struct{ r io.Reader }

func (t tornIsEnd) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// nextLine returns a line without its end; whole says whether it has one. io.EOF means that
// there is no more, not even half a line.
func nextLine(in *bufio.Reader) (raw []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		raw = append(raw, part...)
		switch {
		case len(raw) > mostLine:
			return nil, true, fmt.Errorf("%w: a line has more than %d MB", ErrCorrupt, mostLine>>20)
		case err == nil:
			return raw[:len(raw)-1], true, nil
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(raw) > 0:
			return raw, false, nil
		default:
			return nil, true, err
		}
	}
}

// readHeader tells what is foreign, newer or torn apart, in one line each.
func readHeader(raw []byte, whole bool) (Header, error) {
	var format struct {
		Format string `json:"format"`
	}
	var header Header
	err := json.Unmarshal(raw, &format)
	version, ours := strings.CutPrefix(format.Format, "sluice-results/")
	switch {
	case err != nil && !whole && bytes.HasPrefix(raw, []byte(`{"format":"`+Format+`"`)):
		return header, fmt.Errorf("%w: only half of its first line was written", ErrCorrupt)
	case err != nil || !ours:
		return header, fmt.Errorf("%w: it does not begin with a line of %s", ErrFormat, Format)
	case format.Format != Format:
		return header, fmt.Errorf("%w: it is of version %.20q, and this program reads %s", ErrFormat, version, Format)
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		return header, fmt.Errorf("line 1: %w: %w", ErrCorrupt, err)
	}
	return header, nil
}

func (s *Sum) addLine(raw []byte) error {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	switch {
	case l.Interval != nil && l.End == nil:
		return s.Add(*l.Interval)
	case l.End != nil && l.Interval == nil:
		return s.End(*l.End)
	}
	return errors.New("it is neither an interval nor the end")
}
