package targets

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ReadData reads rows of values from a CSV file, as ParseData does; "-" is standard input.
func ReadData(name string) (*Data, error) {
	text, err := readAll(name)
	if err != nil {
		return nil, &FileError{File: name, Err: err}
	}
	return ParseData(name, text)
}

// ParseData reads rows of values from CSV, as RFC 4180 has it: first a line of names, then at
// least one row, all of as many values as there are names. A value with a comma, a quote or a
// line break in it is quoted. All are UTF-8. Blank lines do not count. An error is a
// *FileError, and names the line.
func ParseData(name string, text []byte) (*Data, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\uFEFF"))))
	fail := func(line int, format string, args ...any) (*Data, error) {
		return nil, &FileError{name, line, fmt.Errorf(format, args...)}
	}
	data := &Data{}
	for {
		row, err := reader.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if len(data.Columns) == 0 {
				return fail(0, "there is no line of names")
			}
			if len(data.Rows) == 0 {
				return fail(0, "there is no row of values behind the line of names")
			}
			return data, nil
		case errors.Is(err, csv.ErrFieldCount):
			line, _ := reader.FieldPos(0)
			return fail(line, "%d values for %d names", len(row), len(data.Columns))
		case errors.As(err, &wrong):
			return fail(wrong.Line, "%w", wrong.Err)
		case err != nil:
			return fail(0, "%w", err)
		case slices.ContainsFunc(row, isNotUTF8):
			line, _ := reader.FieldPos(0)
			return fail(line, "a value is not UTF-8")
		case data.Columns != nil:
			data.Rows = append(data.Rows, row)
			continue
		}
		for i, column := range row {
			if !validName.MatchString(column) {
				return fail(1, "%.40q is no name: want letters, digits and any of _ - . behind a letter", column)
			}
			if slices.Index(row, column) < i {
				return fail(1, "the name %.40q is there twice", column)
			}
		}
		data.Columns = row
	}
}
